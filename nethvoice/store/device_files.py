"""Files that devices fetch, in the folder that a TFTP server serves."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from nethvoice.store.files import write_private
from nethvoice.store.outbox import Operation, TargetDown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MODE = 0o640
"""They hold SIP secrets: for this service and the group of the folder's server only."""


def write_file(name: str, content: bytes) -> Operation:
    """The operation that makes the file hold `content`, which is ASCII text."""
    return ["write", _checked(name), content.decode("ascii")]


def remove_file(name: str) -> Operation:
    """The operation that removes the file; nothing when there is none."""
    return ["remove", _checked(name)]


class DeviceFiles:
    """The outbox target `files`. Each file is replaced in one step: a device that is fetching it
    gets the old one or the new one, whole."""

    joins_transaction = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes | None:
        """The file's content, None when there is none."""
        try:
            return (self.folder / _checked(name)).read_bytes()
        except FileNotFoundError:
            return None

    def apply(self, operations: Sequence[Operation], connection: Connection | None = None) -> None:
        """Write and remove. Raises TargetDown while the folder cannot be written to."""
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            for action, name, *content in operations:
                path = self.folder / _checked(name)
                if action == "write":
                    write_private(path, content[0].encode("ascii"), _MODE)
                else:
                    path.unlink(missing_ok=True)
            _sync_folder(self.folder)
        except IsADirectoryError:
            raise
        except OSError as error:
            raise TargetDown(f"{self.folder}: {error.strerror}") from error


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a device's file")
    return name


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
