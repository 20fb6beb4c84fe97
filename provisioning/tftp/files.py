"""What may be fetched: the plain files of one folder, by name."""

import errno
import io
import os
import re
import stat
import time
from pathlib import Path
from typing import BinaryIO

FILE_NOT_FOUND = 1
ACCESS_VIOLATION = 2
ILLEGAL_OPERATION = 4
"""Error codes of RFC 1350, section 5."""

MAX_NETASCII = 256 << 10
"""Bytes of a file that is converted, which takes memory for each client that asks."""

_NAME = re.compile(r"[A-Za-z0-9_$%@+=,~-][A-Za-z0-9._$%@+=,~ -]{0,254}")
_MAC = re.compile(r"(?:cfg)?([0-9A-F]{12})(?:config|script|[^0-9A-Z]|\Z)", re.IGNORECASE)
_SETTLED = 1.0


class Refused(Exception):
    """A request that is answered with an error: its code and a text for the device's log."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def mac_in(name: str) -> str | None:
    """The MAC address that a device's file is named for, `AA:BB:CC:DD:EE:FF`, else None."""
    found = _MAC.match(name)
    return bytes.fromhex(found[1]).hex(":").upper() if found else None


class ServedFolder:
    """The files directly in a folder. Names are matched whatever their case, because it is not
    known which one a device gives to its MAC address; the exact name goes first. Folders below it,
    hidden files (a file being written is one) and links are not served."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, str] = {}
        self._state: tuple[int, int] | None = None

    def open(self, name: str) -> BinaryIO:
        """The file of that name, open for reading. Raises Refused."""
        if "/" in name or "\\" in name:
            raise Refused(ACCESS_VIOLATION, "names have no folder here")
        if not _NAME.fullmatch(name):
            raise Refused(FILE_NOT_FOUND, "no such file")
        try:
            return self._open(name)
        except FileNotFoundError:
            pass
        actual = self._find(name)
        try:
            if actual is not None:
                return self._open(actual)
        except FileNotFoundError:
            pass
        raise Refused(FILE_NOT_FOUND, "no such file")

    def _open(self, name: str) -> BinaryIO:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(self._root / name, flags)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            raise Refused(ACCESS_VIOLATION, "not readable") from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise Refused(ACCESS_VIOLATION, "not a file")
        return os.fdopen(handle, "rb")

    def _find(self, name: str) -> str | None:
        try:
            status = self._root.stat()
        except OSError as error:
            raise Refused(ACCESS_VIOLATION, "the folder is not readable") from error
        state = (status.st_ino, status.st_mtime_ns)
        # A file made in the same tick of the clock as the listing leaves no trace in the time.
        if state != self._state or time.time() - status.st_mtime < _SETTLED:
            # Of names that differ in case only, the upper-case one is ours: it comes first.
            names = sorted((entry.name for entry in self._root.iterdir()), reverse=True)
            self._names = {known.lower(): known for known in names}
            self._state = state
        return self._names.get(name.lower())


def as_netascii(file: BinaryIO) -> BinaryIO:
    """The file's content as the mode `netascii` carries it (RFC 764), so that a client that
    converts it back gets every byte. The file is closed. Raises Refused for a large one."""
    with file:
        content = file.read(MAX_NETASCII + 1)
    if len(content) > MAX_NETASCII:
        raise Refused(ILLEGAL_OPERATION, "too large for netascii, use octet")
    return io.BytesIO(content.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n"))
