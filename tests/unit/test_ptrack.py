"""The ptrack client against a socket that answers as ptrack does, and as it should not."""

import hashlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nethvoice.store import ptrack
from nethvoice.store.ptrack import PtrackStatus, PtrackUnreadable, purge, status
from tests.services.ptrack import LAST, ROOT, TASK, Tracker, dump_path, framed


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short path: a Unix socket's has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ptrack-") as folder:
        yield Path(folder)


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Callable[..., Tracker]]:
    started = []

    def start(answer: bytes | Callable[[bytes, socket.socket], None]) -> Tracker:
        def send(_request: bytes, connection: socket.socket) -> None:
            assert isinstance(answer, bytes)
            connection.sendall(answer)

        made = Tracker(tmp_path / f"{TASK}.sock", send if isinstance(answer, bytes) else answer)
        started.append(made)
        return made

    yield start
    for made in started:
        made.close()


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptrack, "_PAUSE", 0.0)


def test_dump_name_is_the_one_the_starter_gives() -> None:
    name = hashlib.md5(f"/run/nethvoice/{TASK}.sock".encode()).hexdigest()[:16]
    assert name == "477a8758a3956bcd"


def test_running_command(tmp_path: Path, tracker: Callable[..., Tracker]) -> None:
    server = tracker(framed({**ROOT, "last": LAST}))
    assert status(tmp_path, TASK) == PtrackStatus(LAST["title"], 59, None, False)
    assert server.requests == [b"\x03\x00\x02[]"]


@pytest.mark.parametrize(
    ("fraction", "percent"), [(0, 0), (0.07, 7), (0.001, 1), (0.995, 99), (1.0, 99), (-1, 0)]
)
def test_progress_is_rounded_up_and_100_only_at_the_end(
    tmp_path: Path, tracker: Callable[..., Tracker], fraction: float, percent: int
) -> None:
    tracker(framed({**ROOT, "progress": fraction, "last": None}))
    assert status(tmp_path, TASK) == PtrackStatus(None, percent, None, False)


def test_answer_in_pieces(tmp_path: Path, tracker: Callable[..., Tracker]) -> None:
    def trickle(_request: bytes, connection: socket.socket) -> None:
        for byte in framed(ROOT):
            connection.send(bytes([byte]))

    tracker(trickle)
    assert status(tmp_path, TASK) == PtrackStatus(None, 59, None, False)


@pytest.mark.parametrize(("code", "progress"), [(0, 1.0), (3, 0.4), (130, None)])
def test_finished_command(tmp_path: Path, code: int, progress: float | None) -> None:
    dump = {**ROOT, "progress": progress, "exit_code": code, "task_command_line": ["/bin/x"]}
    dump_path(tmp_path).write_text(json.dumps(dump))
    assert status(tmp_path, TASK) == PtrackStatus(None, 100, code, True)


def test_dump_without_command_line_is_not_the_end(tmp_path: Path) -> None:
    dump_path(tmp_path).write_text(json.dumps(ROOT))
    assert status(tmp_path, TASK) == PtrackStatus(None, 59, None, False)


def test_dead_socket_gives_way_to_the_dump(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / f"{TASK}.sock"))
    dump = {"exit_code": 1, "task_command_line": ["x"]}
    dump_path(tmp_path).write_text(json.dumps(dump))
    assert status(tmp_path, TASK) == PtrackStatus(None, 100, 1, True)


def test_dump_that_comes_a_moment_after_the_socket_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dump_is_written(_seconds: float) -> None:
        dump = {"exit_code": 0, "task_command_line": ["x"]}
        dump_path(tmp_path).write_text(json.dumps(dump))

    monkeypatch.setattr(time, "sleep", dump_is_written)
    assert status(tmp_path, TASK) == PtrackStatus(None, 100, 0, True)


@pytest.mark.parametrize(
    "task_id", ["", "../" + TASK, TASK[:-1], TASK.upper(), TASK + "\n", "g" * 32, "/etc/passwd"]
)
def test_bad_ids_never_reach_the_file_system(task_id: str) -> None:
    assert status(Path("/proc/self/mem"), task_id) is None


@pytest.mark.usefixtures("no_pause")
def test_unknown_task(tmp_path: Path) -> None:
    assert status(tmp_path, TASK) is None
    assert status(tmp_path / "missing", TASK) is None


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x83\x00",
        framed(ROOT)[:-1],
        framed(ROOT, kind=0x03),
        framed(["no such question"], kind=0xC3),
        framed([ROOT]),
        framed({**ROOT, "progress": "half"}),
        b'\x83\x00\x12{"progress": NaN}\n',
        b"\x83\x00\x02\xff\xfe",
    ],
)
def test_answers_that_mean_nothing(
    tmp_path: Path, tracker: Callable[..., Tracker], answer: bytes
) -> None:
    tracker(answer)
    with pytest.raises(PtrackUnreadable):
        status(tmp_path, TASK)


@pytest.mark.usefixtures("no_pause")
def test_silent_command(
    tmp_path: Path, tracker: Callable[..., Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ptrack, "_ANSWER_TIMEOUT", 0.02)
    asked_again = threading.Event()

    def say_nothing(_request: bytes, _connection: socket.socket) -> None:
        asked_again.wait(5.0)

    tracker(say_nothing)
    try:
        with pytest.raises(PtrackUnreadable):
            status(tmp_path, TASK)
    finally:
        asked_again.set()


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("dump", ["", "[]", '{"task_command_line": []}', "{" * 100])
def test_broken_dump(tmp_path: Path, dump: str) -> None:
    dump_path(tmp_path).write_text(dump)
    with pytest.raises(PtrackUnreadable):
        status(tmp_path, TASK)


@pytest.mark.usefixtures("no_pause")
def test_huge_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptrack, "_DUMP_LIMIT", 50)
    dump_path(tmp_path).write_text(json.dumps({"exit_code": 0, "task_command_line": ["x" * 50]}))
    with pytest.raises(PtrackUnreadable):
        status(tmp_path, TASK)


def test_purge_takes_old_dumps_only(tmp_path: Path) -> None:
    old = time.time() - 8 * 86400
    for name in ["0123456789abcdef.dump", "fedcba9876543210.dump", "notes.dump", f"{TASK}.sock"]:
        (tmp_path / name).write_text("{}")
        os.utime(tmp_path / name, (old, old))
    os.utime(tmp_path / "fedcba9876543210.dump")
    (tmp_path / "00000000000000ff.dump").symlink_to(tmp_path / "notes.dump")
    assert purge(tmp_path, 7) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000000000000ff.dump",
        f"{TASK}.sock",
        "fedcba9876543210.dump",
        "notes.dump",
    ]
    assert purge(tmp_path / "missing", 7) == 0
