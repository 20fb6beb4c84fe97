"""Commands of the operator end in any case, and hooks with them."""

import os
from pathlib import Path

import pytest

from nethvoice.problems import Problem
from nethvoice.store import commands
from nethvoice.store.hooks import run_hook
from tests.support import eventually

LEFT = ["sh", "-c", 'echo done "$@"; sleep 20 & exit 0', "hook"]


def test_what_is_left_running_is_not_waited_for() -> None:
    lines: list[str] = []
    commands.run(LEFT, 10, lines.append)
    assert lines == ["done"]
    run_hook("HOOK_X", LEFT, "enabled", timeout=10)


def test_a_late_command_is_ended_with_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    late = ["sh", "-c", f"sleep 60 & echo $! > {file}; wait"]
    with pytest.raises(commands.CommandFailed, match=r"did not end within 0\.5 s"):
        commands.run(late, 0.5, print)
    child = int(file.read_text())
    eventually(lambda: not _runs(child))
    with pytest.raises(Problem, match=r"it did not end within 0\.5 s"):
        run_hook("HOOK_X", late, timeout=0.5)


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_output_without_an_end_is_no_reason_to_wait() -> None:
    with pytest.raises(commands.CommandFailed, match="did not end within"):
        commands.run(["sh", "-c", "while :; do echo x; done"], 0.3, len)


def test_how_commands_fail() -> None:
    lines: list[str] = []
    with pytest.raises(commands.CommandFailed, match=r"^ended with code 3$"):
        commands.run(["sh", "-c", "echo first; printf last; exit 3"], 10, lines.append)
    assert lines == ["first", "last"]
    with pytest.raises(commands.CommandFailed, match=r"^cannot be run: "):
        commands.run([f"/nowhere/{os.getpid()}"], 10, lines.append)
