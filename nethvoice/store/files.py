"""Files replaced in one step: a reader or a crash finds the old or the new content."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file of ours that holds secrets; its folder is made when it is missing.

    What root writes belongs to the owner of the folder, so that Asterisk can read it. Raises
    OSError, the old file in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.stat()
    owner = (folder.st_uid, folder.st_gid) if os.geteuid() == 0 else None
    replace_file(path, content, mode=mode, owner=owner)


def replace_file(
    path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None = None
) -> None:
    """Replace `path` by a file with this content, mode, and owner and group where they are given.

    Raises OSError, the old file in place.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            made = os.fstat(descriptor)
            if owner is not None and (made.st_uid, made.st_gid) != owner:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
