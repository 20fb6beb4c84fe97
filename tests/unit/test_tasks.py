"""Tasks always end, and can be asked about from any process."""

import re
import threading
import time

import pytest
from sqlalchemy import update

from nethvoice.problems import Problem
from nethvoice.store.database import Database
from nethvoice.store.tables import rest_tasks
from nethvoice.store.tasks import DEAD_AFTER, KEPT_FOR, OUTPUT_LINES, Report, TaskEngine, TaskFailed
from tests.support import eventually


def _ended(engine: TaskEngine, task_id: str) -> str:
    def state() -> str | None:
        task = engine.get(task_id)
        assert task is not None
        return task.state if task.state not in ("queued", "running") else None

    return str(eventually(state))


def test_progress_and_end(database: Database) -> None:
    engine = TaskEngine(database)
    other_process = TaskEngine(database)
    go_on = threading.Event()

    def work(report: Report) -> None:
        report.phase("looking", 10)
        report.progress(40)
        report.write("a line")
        report.progress(30)
        go_on.wait(20)

    task_id = engine.start("scan", work)
    assert re.fullmatch("[0-9a-f]{32}", task_id)
    seen = eventually(lambda: (t := other_process.get(task_id)) and t.progress == 40 and t)
    assert (seen.state, seen.action) == ("running", "looking")
    go_on.set()
    assert _ended(engine, task_id) == "succeeded"
    done = other_process.get(task_id)
    assert done is not None
    assert (done.progress, done.action, done.output) == (100, None, ["a line"])
    assert [(p["name"], p["state"]) for p in done.phases] == [("looking", "succeeded")]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TaskFailed("the network is down"), "the network is down"),
        (Problem(422, "Refused", "not this"), "not this"),
        (RuntimeError("password=hunter2"), "internal error; the log has the details"),
    ],
)
def test_failures_are_told(database: Database, error: Exception, text: str) -> None:
    engine = TaskEngine(database)

    def work(report: Report) -> None:
        report.phase("trying", 20)
        raise error

    task_id = engine.start("scan", work)
    assert _ended(engine, task_id) == "failed"
    task = engine.get(task_id)
    assert task is not None
    assert task.progress == 100
    assert text in task.output[-1]
    assert "hunter2" not in task.output[-1]
    assert task.phases[-1]["state"] == "failed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [None, RuntimeError("broken"), SystemExit()])
def test_who_waits_for_the_end_is_told(database: Database, error: BaseException | None) -> None:
    """Even of a thread that ends as none should: whoever waits must not wait forever."""
    engine = TaskEngine(database)
    ended = threading.Event()

    def work(_report: Report) -> None:
        if error is not None:
            raise error

    engine.start("push", work, on_end=ended.set)
    assert ended.wait(20)


def test_the_end_is_told_when_it_cannot_be_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_report: Report, _error: str | None) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(Report, "end", away)
    ended = threading.Event()
    TaskEngine(database).start("push", lambda _report: None, on_end=ended.set)
    assert ended.wait(20)


def test_one_at_a_time(database: Database) -> None:
    engine, other = TaskEngine(database), TaskEngine(database)
    go_on = threading.Event()
    first = engine.start_or_join("sync", lambda _report: go_on.wait(20) and None)
    assert other.start_or_join("sync", lambda _report: None) == first
    with pytest.raises(Problem) as refused:
        other.start("sync", lambda _report: None, busy="one is running")
    assert (refused.value.status, refused.value.detail) == (409, "one is running")
    go_on.set()
    _ended(engine, first)
    assert other.start_or_join("sync", lambda _report: None) != first


def test_a_task_of_a_dead_process_is_failed(database: Database) -> None:
    engine = TaskEngine(database)
    go_on = threading.Event()
    task_id = engine.start("scan", lambda _report: go_on.wait(20) and None)
    with database.write() as connection:
        # As a process of this host that was killed: nobody has that number and start time.
        host = engine.owner.partition(":")[0]
        connection.execute(update(rest_tasks).values(owner=f"{host}:999999:1"))
    task = TaskEngine(database).get(task_id)
    assert task is not None
    assert task.state == "failed"
    assert "ended before it was done" in task.output[-1]
    go_on.set()


def test_a_silent_process_elsewhere_is_dead_after_a_while(database: Database) -> None:
    engine = TaskEngine(database)
    go_on = threading.Event()
    task_id = engine.start("scan", lambda _report: go_on.wait(20) and None)

    def as_other_host(silent_for: float) -> None:
        with database.write() as connection:
            values = {"owner": "elsewhere:1:1", "updated": time.time() - silent_for}
            connection.execute(update(rest_tasks).values(**values))

    as_other_host(DEAD_AFTER / 2)
    alive = engine.get(task_id)
    assert alive is not None
    assert alive.state == "running"
    as_other_host(DEAD_AFTER + 1)
    engine.sweep()
    dead = engine.get(task_id)
    assert dead is not None
    assert dead.state == "failed"
    go_on.set()


def test_old_tasks_are_dropped(database: Database) -> None:
    engine = TaskEngine(database)
    task_id = engine.start("scan", lambda _report: None)
    _ended(engine, task_id)
    with database.write() as connection:
        connection.execute(update(rest_tasks).values(updated=time.time() - KEPT_FOR - 1))
    engine.sweep()
    assert engine.get(task_id) is None


def test_only_the_last_lines_are_kept(database: Database) -> None:
    engine = TaskEngine(database)

    def work(report: Report) -> None:
        for number in range(OUTPUT_LINES * 3):
            report.write(f"line {number} " + "x" * 1000)

    task_id = engine.start("noise", work)
    _ended(engine, task_id)
    task = engine.get(task_id)
    assert task is not None
    assert len(task.output) == OUTPUT_LINES
    assert task.output[-1].startswith(f"line {OUTPUT_LINES * 3 - 1} ")
    assert all(len(line) <= 500 for line in task.output)


def test_stopping_reports_what_still_runs(database: Database) -> None:
    engine = TaskEngine(database)
    go_on = threading.Event()
    task_id = engine.start("scan", lambda _report: go_on.wait(20) and None)
    engine.close(wait=0.05)
    task = TaskEngine(database).get(task_id)
    assert task is not None
    assert (task.state, task.output) == ("failed", ["the service was stopped"])
    go_on.set()


def test_an_end_that_could_not_be_stored_is_stored_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TaskEngine(database)
    tried = threading.Event()

    def away(_report: Report) -> None:
        tried.set()
        raise OSError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(Report, "store_end", away)
        task_id = engine.start("scan", lambda report: report.write("found"), busy="busy")
        assert tried.wait(20)
        eventually(lambda: not engine._threads)
        engine.heartbeat()  # as often as it likes: what comes after it must have its turn
    with pytest.raises(Problem, match="busy"):
        engine.start("scan", lambda _report: None, busy="busy")
    engine.heartbeat()
    assert _ended(engine, task_id) == "succeeded"
    _ended(engine, engine.start("scan", lambda _report: None, busy="busy"))
