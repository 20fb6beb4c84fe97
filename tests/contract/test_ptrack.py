"""Tasks that other parts of NethServer run under ptrack, as clients ask for them."""

import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nethvoice.settings import Settings
from tests.services.ptrack import LAST, ROOT, TASK, Tracker, dump_path, framed
from tests.support import PASSWORD, SECRET, Service, eventually, running

OTHER = "0" * 32


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a Unix socket's has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ptrack-") as found:
        yield Path(found)


@pytest.fixture
def beside(folder: Path, tmp_path: Path) -> Iterator[Service]:
    """A service beside ptrack, with an old and a new dump at its start."""
    long_ago = time.time() - 8 * 86400
    for name in ("0123456789abcdef.dump", "fedcba9876543210.dump"):
        (folder / name).write_text("{}")
    os.utime(folder / "0123456789abcdef.dump", (long_ago, long_ago))
    settings = Settings(
        data_dir=tmp_path, secret=SECRET, admin_password=PASSWORD, ptrack_dir=folder
    )
    with running("ptrack", settings) as found:
        yield found


def test_from_the_start_to_the_end(beside: Service, folder: Path) -> None:
    def answer(_request: bytes, connection: socket.socket) -> None:
        connection.sendall(framed({**ROOT, "last": LAST}))

    path = folder / f"{TASK}.sock"
    command = Tracker(path, answer)
    running = {"task": TASK, "action": LAST["title"], "progress": 59}
    assert beside.get(f"/tasks/{TASK}") == running
    command.close()
    path.unlink()
    dump_path(folder).write_text(json.dumps({"exit_code": 0, "task_command_line": ["true"]}))
    done = {"task": TASK, "action": None, "progress": 100}
    assert beside.get(f"/tasks/{TASK}") == done
    dump_path(folder).write_text(json.dumps({"exit_code": 3, "task_command_line": ["false"]}))
    problem = beside.get(f"/tasks/{TASK}", 500)
    assert {name: problem[name] for name in done} == done
    assert problem["detail"] == "the command ended with code 3"
    assert beside.get(f"/tasks/{OTHER}", 404)["progress"] == 0


def test_what_cannot_be_understood(beside: Service, folder: Path) -> None:
    dump_path(folder).write_text("{")
    problem = beside.get(f"/tasks/{TASK}", 500)
    assert problem["title"] == "Task failed"
    assert problem["task"] == TASK
    assert "cannot be read now" in problem["detail"]


def test_old_dumps_go(beside: Service, folder: Path) -> None:
    eventually(lambda: not (folder / "0123456789abcdef.dump").exists())
    assert (folder / "fedcba9876543210.dump").exists()
