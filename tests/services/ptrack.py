"""A command under ptrack, NethServer's task tracker: its socket, and the dump that it leaves."""

import hashlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

TASK = "d56c79f9373a2f2f9ccd8a0ac3c46eb4"
ROOT: dict[str, Any] = {
    "id": 0,
    "title": "Root task",
    "message": "",
    "progress": 0.587,
    "code": None,
    "children": [],
}
LAST = {"id": 4, "title": "S10nethserver-directory-conf", "progress": 1.0, "code": 0}


def framed(value: object, kind: int = 0x83) -> bytes:
    body = json.dumps(value).encode()
    return struct.pack(">BH", kind, len(body)) + body


def dump_path(folder: Path) -> Path:
    digest = hashlib.md5(os.fsencode(folder / f"{TASK}.sock")).hexdigest()
    return folder / f"{digest[:16]}.dump"


class Tracker:
    """A ptrack socket; `answer` gets the request and the connection."""

    def __init__(self, path: Path, answer: Callable[[bytes, socket.socket], None]) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(64)
                self.requests.append(request)
                self._answer(request, connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
