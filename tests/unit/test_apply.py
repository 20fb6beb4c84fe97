"""Many changes, one reload; a change during a reload, exactly one more; an end in any case."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, update

from nethvoice.problems import Problem
from nethvoice.store.apply import Reloader
from nethvoice.store.tables import admin, rest_tasks
from nethvoice.store.tasks import Report, Task
from nethvoice.system import System
from tests.support import eventually

MakeSystem = Callable[..., System]


class Gate(Reloader):
    """A reload that waits until it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self.started = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)

    def run(self, report: Report) -> None:
        self.runs += 1
        self.started.release()
        assert self.let_go.acquire(timeout=20)


def _change(system: System) -> str:
    with system.change() as unit:
        unit.reload()
    assert unit.apply_task is not None
    return unit.apply_task


def _flag(system: System) -> str | None:
    with system.read() as connection:
        return connection.scalar(select(admin.c.value).where(admin.c.variable == "need_reload"))


def _ended(system: System, task_id: str) -> Task:
    def ended() -> Task | None:
        task = system.tasks.get(task_id)
        assert task is not None
        return task if task.state in ("succeeded", "failed") else None

    found: Task = eventually(ended)
    return found


def test_changes_share_reloads(make_system: MakeSystem) -> None:
    system = make_system()
    gate = Gate()
    system.apply._reloader = gate
    system.start()
    first = _change(system)
    assert gate.started.acquire(timeout=20)
    during = [_change(system) for _ in range(20)]
    assert _flag(system) == "true"
    gate.let_go.release()
    assert gate.started.acquire(timeout=20)
    gate.let_go.release()
    for task_id in [first, *during]:
        assert _ended(system, task_id).state == "succeeded"
    assert gate.runs == 2
    assert not gate.started.acquire(timeout=0.2)
    eventually(lambda: _flag(system) == "false")


def test_a_unit_that_changes_nothing_asks_for_nothing(make_system: MakeSystem) -> None:
    system = make_system()
    with system.change() as unit:
        pass
    assert unit.apply_task is None
    with system.read() as connection:
        assert connection.execute(select(rest_tasks)).all() == []
    assert _flag(system) in (None, "false")


def test_a_deferred_reload(make_system: MakeSystem) -> None:
    system = make_system()
    with system.change(defer_reload=True) as unit:
        unit.reload()
    assert unit.apply_task is None


def _script(folder: Path, text: str) -> list[str]:
    script = folder / "reload.py"
    script.write_text(text)
    return [sys.executable, str(script)]


def test_the_command_and_its_last_lines(make_system: MakeSystem, tmp_path: Path) -> None:
    command = _script(tmp_path, "import sys; print('reloading'); print('done', file=sys.stderr)")
    system = make_system(reload_command=command, reload_interval=0, user_directory="internal")
    system.start()
    task = _ended(system, _change(system))
    assert task.state == "succeeded"
    assert sorted(task.output) == ["done", "reloading"]
    assert [phase["name"] for phase in task.phases] == [
        "writing what is left in the outbox",
        "reloading",
    ]
    # fwconsole clears FreePBX's flag itself, so we leave it alone.
    assert _flag(system) == "true"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import sys; print('no licence'); sys.exit(3)", "ended with code 3"),
        ("import time; time.sleep(60)", "did not end within"),
        ("import os, time; os.close(1); os.close(2); time.sleep(60)", "did not end within"),
    ],
)
def test_failing_commands(make_system: MakeSystem, tmp_path: Path, text: str, reason: str) -> None:
    command = _script(tmp_path, text)
    system = make_system(
        reload_command=command, reload_interval=0, reload_timeout=1, user_directory="internal"
    )
    system.start()
    task = _ended(system, _change(system))
    assert task.state == "failed"
    assert reason in task.output[-1]
    assert _flag(system) == "true"
    # The next change is applied as if nothing had been.
    assert _ended(system, _change(system)).state == "failed"


def test_a_command_that_does_not_exist(make_system: MakeSystem) -> None:
    system = make_system(
        reload_command=["/nowhere/fwconsole"], reload_interval=0, user_directory="internal"
    )
    system.start()
    task = _ended(system, _change(system))
    assert task.state == "failed"
    assert "cannot be run" in task.output[-1]


def test_what_a_killed_process_left_is_applied_by_the_next(make_system: MakeSystem) -> None:
    """Killed during the reload: its job is reported as failed, and the change is applied still."""
    killed = make_system()
    task_id = _change(killed)
    with killed.database.write() as connection:
        host = killed.tasks.owner.partition(":")[0]
        values = {"state": "running", "run": "x", "owner": f"{host}:999999:1"}
        connection.execute(update(rest_tasks).values(**values))
    next_one = make_system()
    gate = Gate()
    gate.let_go.release()
    next_one.apply._reloader = gate
    next_one.start()
    assert _ended(next_one, task_id).state == "failed"
    assert gate.started.acquire(timeout=20)


def test_queued_by_one_process_run_by_another(make_system: MakeSystem) -> None:
    one, two = make_system(), make_system()
    gate = Gate()
    two.apply._reloader = gate
    gate.let_go.release()
    task_id = _change(one)  # `one` has no apply thread
    two.start()
    assert _ended(one, task_id).state == "succeeded"
    assert gate.runs == 1


def test_the_pause_between_two_reloads(make_system: MakeSystem, tmp_path: Path) -> None:
    stamps = tmp_path / "stamps"
    text = f"import time; open({str(stamps)!r}, 'a').write(f'{{time.monotonic()}}\\n')"
    command = _script(tmp_path, text)
    system = make_system(reload_command=command, reload_interval=1.5, user_directory="internal")
    system.start()
    _ended(system, _change(system))
    _ended(system, _change(system))
    first, second = (float(line) for line in stamps.read_text().split())
    assert second - first >= 1.4


def test_an_end_that_could_not_be_stored(
    make_system: MakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system()
    reload, tried = Gate(), threading.Event()
    reload.let_go.release()
    system.apply._reloader = reload

    def away(_report: Report) -> None:
        tried.set()
        raise OSError("the database is away")

    task_id = _change(system)
    with monkeypatch.context() as patch:
        patch.setattr(Report, "store_end", away)
        system.apply.run_waiting()
    assert tried.is_set()
    found = system.tasks.get(task_id)
    assert found is not None
    assert found.state == "running"
    system.apply.heartbeat()
    assert _ended(system, task_id).state == "succeeded"
    assert reload.runs == 1


def test_a_reload_cut_short_by_the_end_of_the_service_is_made_by_the_next(
    make_system: MakeSystem,
) -> None:
    """Another task that does not end either must not take the reload along."""
    stopped = make_system()
    gate = Gate()
    stopped.apply._reloader = gate
    stopped.apply.start()
    task_id = _change(stopped)
    assert gate.started.acquire(timeout=20)
    go_on = threading.Event()
    scan = stopped.tasks.start("scan", lambda _report: go_on.wait(20) and None)
    stopped.tasks.close(wait=0.05)
    with stopped.database.write() as connection:  # as if its process had ended now
        host = stopped.tasks.owner.partition(":")[0]
        running = rest_tasks.c.state == "running"
        connection.execute(update(rest_tasks).where(running).values(owner=f"{host}:999999:1"))
    next_one = make_system()
    again = Gate()
    again.let_go.release()
    next_one.apply._reloader = again
    next_one.start()
    assert _ended(next_one, scan).output == ["the service was stopped"]
    assert _ended(next_one, task_id).state == "failed"
    stopped.apply.stop(wait=0)
    gate.let_go.release()  # its process would not hold the lock of reloads any more
    assert again.started.acquire(timeout=20)
    go_on.set()


def test_a_command_that_leaves_something_running(make_system: MakeSystem, tmp_path: Path) -> None:
    """It has ended with its own process, though its output is held open; a late one is ended."""
    left = "import subprocess; print('reloaded', flush=True); subprocess.Popen(['sleep', '20'])"
    system = make_system(
        reload_command=_script(tmp_path, left), reload_interval=0, user_directory="internal"
    )
    system.start()
    begun = time.monotonic()
    task = _ended(system, _change(system))
    assert (task.state, task.output) == ("succeeded", ["reloaded"])
    assert time.monotonic() - begun < 15


def test_a_committed_change_is_no_failure_whatever_happens_to_its_effects(
    make_system: MakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system()

    def away() -> None:
        raise Problem(503, "Service unavailable", "the database is not available now")

    with monkeypatch.context() as patch:
        patch.setattr(system.outbox, "drain", away)
        with system.change() as unit:
            unit.astdb.put("AMPUSER", "200/cidname", "Ada")
            unit.reload()
    assert unit.apply_task is not None
    assert system.astdb.get("AMPUSER", "200/cidname") is None
    system.start()
    assert _ended(system, unit.apply_task).state == "succeeded"
    assert system.astdb.get("AMPUSER", "200/cidname") == "Ada"
