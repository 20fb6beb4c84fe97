"""The progress of a command that runs under ptrack, NethServer's task tracker.

While the command runs, ptrack answers on the Unix socket `<task id>.sock`: one byte of message
type, two bytes of length (big-endian), then JSON. When the command has ended, the socket is gone
and a dump file with the exit code is left.
"""

import hashlib
import json
import math
import os
import re
import socket
import stat
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TASK_ID = re.compile(r"[0-9a-f]{32}")
_DUMP_NAME = re.compile(r"[0-9a-f]{16}\.dump")
_HEADER = struct.Struct(">BH")
_QUERY = 0x03
_ERROR_FLAG = 0x40
_RESPONSE_FLAG = 0x80
_ANSWER_TIMEOUT = 2.0
_PAUSE = 0.1
_DUMP_LIMIT = 8 << 20


class PtrackUnreadable(Exception):
    """The task is known, but what its socket and dump hold cannot be understood now."""


@dataclass(frozen=True)
class PtrackStatus:
    """`action` is the title of the sub-task that reported last, None at the end. `progress` is
    0-99 while the command runs and 100 when it has `finished` with `exit_code`."""

    action: str | None
    progress: int
    exit_code: int | None
    finished: bool


def status(directory: Path, task_id: str) -> PtrackStatus | None:
    """Ask the running command, else read its dump; None for an id that is not known.

    A command that ends between the two looks closes its socket a little before its dump is there,
    so both are tried again after a moment. Raises PtrackUnreadable.
    """
    if not _TASK_ID.fullmatch(task_id):
        return None
    known = False
    for attempt in range(2):
        if attempt:
            time.sleep(_PAUSE)
        socket_path = directory / f"{task_id}.sock"
        for look in (_ask, _read_dump):
            try:
                return look(socket_path)
            except (FileNotFoundError, ConnectionRefusedError):
                continue
            except (OSError, ValueError):
                known = True
    if known:
        raise PtrackUnreadable(task_id)
    return None


def purge(directory: Path, older_than_days: float) -> int:
    """Delete the dumps of commands that ended longer ago than that; returns how many."""
    limit = time.time() - older_than_days * 86400
    purged = 0
    with suppress(FileNotFoundError):
        for path in directory.iterdir():
            with suppress(FileNotFoundError):
                state = path.lstat()
                old = stat.S_ISREG(state.st_mode) and state.st_mtime < limit
                if old and _DUMP_NAME.fullmatch(path.name):
                    path.unlink()
                    purged += 1
    return purged


def _ask(socket_path: Path) -> PtrackStatus:
    deadline = time.monotonic() + _ANSWER_TIMEOUT
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_TIMEOUT)
        connection.connect(str(socket_path))
        connection.sendall(_HEADER.pack(_QUERY, 2) + b"[]")
        kind, length = _HEADER.unpack(_receive(connection, _HEADER.size, deadline))
        answer = _receive(connection, length, deadline)
    if not kind & _RESPONSE_FLAG or kind & _ERROR_FLAG:
        raise ValueError(f"answer of type {kind:#x}")
    return _running(json.loads(answer))


def _receive(connection: socket.socket, size: int, deadline: float) -> bytes:
    received = b""
    while len(received) < size:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise ValueError("the answer ends early")
        received += chunk
    return received


def _read_dump(socket_path: Path) -> PtrackStatus:
    # ptrack's starter derives the name of the dump from the path of the socket.
    digest = hashlib.md5(os.fsencode(socket_path), usedforsecurity=False).hexdigest()
    with socket_path.with_name(f"{digest[:16]}.dump").open("rb") as file:
        content = file.read(_DUMP_LIMIT + 1)
    if len(content) > _DUMP_LIMIT:
        raise ValueError("the dump is too large")
    dump = json.loads(content)
    if not isinstance(dump, dict) or "task_command_line" not in dump:
        return _running(dump)
    exit_code = dump.get("exit_code")
    if not isinstance(exit_code, int):
        raise ValueError("the dump has no exit code")
    return PtrackStatus(None, 100, exit_code, finished=True)


def _running(task: Any) -> PtrackStatus:
    if not isinstance(task, dict):
        raise ValueError("the task is not an object")
    fraction = task.get("progress")
    if not isinstance(fraction, int | float) or not math.isfinite(fraction):
        raise ValueError("the task has no progress")
    last = task.get("last")
    title = last.get("title") if isinstance(last, dict) else None
    # Binary fractions: 100 * 0.07 is a little more than 7. And 100 would mean that all is done.
    percent = math.ceil(round(100 * fraction, 6))
    return PtrackStatus(
        action=title if isinstance(title, str) else None,
        progress=min(max(percent, 0), 99),
        exit_code=None,
        finished=False,
    )
