"""A file that a client has uploaded, as handlers and domain functions get it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class UploadedFile:
    """One file of a `multipart/form-data` body, received whole.

    `path` is a private temporary file below the data folder; it is removed when the request is
    answered, so whoever wants to keep it renames it or copies it away. `filename` is what the
    client calls it, the last part of a path at most: it is a label, never a place to write to.
    `size` is in bytes.
    """

    path: Path
    filename: str
    content_type: str
    size: int
