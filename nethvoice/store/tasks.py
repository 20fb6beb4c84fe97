"""Long work as tasks: rows in the database, so that any process can be asked about any of them.

A task always ends: its process refreshes `updated` while it works, and a task whose process died
is reported as failed.
"""

import functools
import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from nethvoice.problems import Problem
from nethvoice.store.database import Database
from nethvoice.store.rows import insert_row
from nethvoice.store.tables import rest_tasks

log = logging.getLogger(__name__)

APPLY = "apply"
"""Kind of the jobs that reload the telephone system; see nethvoice.store.apply."""

HEARTBEAT = 5.0
DEAD_AFTER = 30.0
KEPT_FOR = 7 * 86400.0
OUTPUT_LINES = 40
_DIED = "the process that worked on this task ended before it was done"


State = Literal["queued", "running", "succeeded", "failed"]


@dataclass(frozen=True)
class Task:
    """A task as it is now; `progress` is 0-100."""

    id: str
    kind: str
    state: State
    action: str | None
    progress: int
    phases: list[dict[str, Any]] = field(default_factory=list)
    output: list[str] = field(default_factory=list)


class TaskFailed(Exception):
    """Raised by a task's work to end it as failed; the text is shown to whoever asks."""


class Report:
    """What the work of one or several tasks (a coalesced run) says about itself."""

    def __init__(self, database: Database, where: ColumnElement[bool]) -> None:
        self._database = database
        self._where = where
        self._progress = 0
        self._action: str | None = None
        self._phases: list[dict[str, Any]] = []
        self.output: list[str] = []
        self._ended: State | None = None

    def progress(self, percent: float, action: str | None = None) -> None:
        """Tell how far the work is, 0-100, and what it does now. Cheap when nothing changed."""
        whole = max(self._progress, min(99, int(percent)))
        if whole == self._progress and action in (None, self._action):
            return
        self._progress = whole
        self._action = action or self._action
        self._store()

    def phase(self, name: str, percent: float) -> None:
        """Begin a named phase; the one before it is done."""
        now = time.time()
        self._end_phase("succeeded", now)
        self._phases.append({"name": name, "state": "running", "started": _iso(now), "ended": None})
        self._action = name
        self._progress = max(self._progress, min(99, int(percent)))
        self._store()

    def write(self, line: str) -> None:
        """Keep a line of a command's output; only the last lines are kept."""
        self.output.append(line.rstrip()[:500])
        del self.output[:-OUTPUT_LINES]

    def end(self, error: str | None) -> None:
        """Close the task: succeeded, or failed with a text for whoever asks."""
        now = time.time()
        self._end_phase("failed" if error else "succeeded", now)
        if error:
            self.write(error)
        self._action = error and self._action
        self._progress = 100
        self._ended = "failed" if error else "succeeded"
        self.store_end()

    def store_end(self) -> None:
        """Write the end again, when the database was not there for it."""
        self._store(state=self._ended)

    def _end_phase(self, state: str, now: float) -> None:
        if self._phases and self._phases[-1]["ended"] is None:
            self._phases[-1].update(state=state, ended=_iso(now))

    def _store(self, **more: Any) -> None:
        with self._database.write() as connection:
            connection.execute(
                update(rest_tasks)
                .where(self._where, rest_tasks.c.state == "running")
                .values(
                    action=self._action[:255] if self._action else None,
                    progress=self._progress,
                    phases=orjson.dumps(self._phases).decode(),
                    output=orjson.dumps(self.output).decode(),
                    updated=time.time(),
                    **more,
                )
            )


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class Endings:
    """Ends of tasks, kept until the database has them: nobody else would tell who waits."""

    def __init__(self) -> None:
        self._untold: deque[Report] = deque()

    def tell(self, report: Report, error: str | None) -> None:
        """End a report's tasks."""
        self._try(report, functools.partial(report.end, error))

    def retry(self) -> None:
        """Store those that could not be stored; what still cannot be is kept, and holds up nobody
        else."""
        for _ in range(len(self._untold)):
            report = self._untold.popleft()
            self._try(report, report.store_end)

    def _try(self, report: Report, store: Callable[[], None]) -> None:
        try:
            store()
        except Exception:
            log.warning("the end of a task is not stored yet", exc_info=True)
            self._untold.append(report)


Work = Callable[[Report], None]
OnEnd = Callable[[], object]


def new_task_id() -> str:
    """128 random bits as 32 lower-case hex digits, the form that clients know."""
    return secrets.token_hex(16)


class TaskEngine:
    """Starts tasks in threads of this process and answers for the tasks of all processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads: set[threading.Thread] = set()
        self._guard = threading.Lock()
        self._endings = Endings()
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{_process_start(os.getpid())}"

    def start(
        self, kind: str, work: Work, *, busy: str | None = None, on_end: OnEnd | None = None
    ) -> str:
        """Run `work` in a thread; returns the task's id. The row exists when this returns.

        With `busy`, a second task of this kind is refused with 409 and that text. `on_end` is
        called by the thread, whatever happens, when the end of the task is stored or cannot be.
        """
        task_id = new_task_id()
        with self._database.write(lock=f"nethvoice.task.{kind}") as connection:
            if busy is not None and self._running(connection, kind) is not None:
                raise Problem(409, "Conflict", busy)
            self.insert(connection, task_id, kind, state="running", owner=self.owner)
        self._spawn(task_id, kind, work, on_end)
        return task_id

    def start_or_join(self, kind: str, work: Work) -> str:
        """As `start`, but a running task of this kind is joined instead of a second one."""
        with self._database.write(lock=f"nethvoice.task.{kind}") as connection:
            running = self._running(connection, kind)
            if running is not None:
                return running
            task_id = new_task_id()
            self.insert(connection, task_id, kind, state="running", owner=self.owner)
        self._spawn(task_id, kind, work)
        return task_id

    def run(self, kind: str, work: Work) -> str:
        """As `start`, in the calling thread: the task has ended when this returns."""
        task_id = new_task_id()
        with self._database.write() as connection:
            self.insert(connection, task_id, kind, state="running", owner=self.owner)
        self._run(task_id, kind, work, Report(self._database, rest_tasks.c.id == task_id))
        return task_id

    @staticmethod
    def insert(
        connection: Connection,
        task_id: str,
        kind: str,
        *,
        state: str,
        owner: str | None = None,
        progress: int = 0,
    ) -> None:
        """Add a task's row, in the caller's transaction."""
        now = time.time()
        row = {
            "id": task_id,
            "kind": kind,
            "state": state,
            "owner": owner,
            "progress": progress,
            "created": now,
            "updated": now,
        }
        insert_row(connection, rest_tasks, row)

    @classmethod
    def insert_finished(cls, connection: Connection, kind: str) -> str:
        """Add a task that is done already, for clients that want to follow one; returns its id."""
        task_id = new_task_id()
        cls.insert(connection, task_id, kind, state="succeeded", progress=100)
        return task_id

    def get(self, task_id: str) -> Task | None:
        """The task as it is now, None when unknown or expired."""
        return self._one(rest_tasks.c.id == task_id)

    def latest(self, kind: str) -> tuple[Task, float] | None:
        """The newest task of a kind with its time of creation."""
        with self._database.read() as connection:
            row = connection.execute(
                select(rest_tasks)
                .where(rest_tasks.c.kind == kind)
                .order_by(rest_tasks.c.created.desc(), rest_tasks.c.id)
                .limit(1)
            ).first()
        if row is None:
            return None
        task = self._task(row._mapping)
        return task, float(row.created)

    def history(self, kind: str, most: int) -> list[tuple[Task, float]]:
        """The newest tasks of a kind with their times of creation, the last one first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(rest_tasks)
                .where(rest_tasks.c.kind == kind)
                .order_by(rest_tasks.c.created.desc(), rest_tasks.c.id)
                .limit(most)
            ).all()
        return [(self._task(row._mapping), float(row.created)) for row in rows]

    @staticmethod
    def forget(connection: Connection, kind: str) -> None:
        """Drop the ended tasks of a kind, in the caller's transaction."""
        ended = rest_tasks.c.state.in_(("succeeded", "failed"))
        connection.execute(delete(rest_tasks).where(rest_tasks.c.kind == kind, ended))

    def sweep(self) -> None:
        """Report tasks of dead processes as failed, and drop those of more than seven days ago."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(rest_tasks.c.id, rest_tasks.c.owner, rest_tasks.c.updated).where(
                    rest_tasks.c.state == "running"
                )
            ).all()
        for row in rows:
            if self._is_dead(row.owner, row.updated):
                self._fail_dead(row.id)
        expired = rest_tasks.c.updated < time.time() - KEPT_FOR
        with self._database.read() as connection:
            any_expired = connection.execute(
                select(rest_tasks.c.id).where(expired).limit(1)
            ).first()
        if any_expired:
            with self._database.write() as connection:
                connection.execute(delete(rest_tasks).where(expired))

    def heartbeat(self) -> None:
        """Say that the tasks of this process are alive; called every few seconds."""
        self._endings.retry()
        with self._guard:
            busy = bool(self._threads)
        if not busy:
            return
        with self._database.write() as connection:
            connection.execute(
                update(rest_tasks)
                .where(rest_tasks.c.owner == self.owner, rest_tasks.c.state == "running")
                .values(updated=time.time())
            )

    def close(self, wait: float = 5.0) -> None:
        """Give running tasks a moment to end; what still runs is reported as failed."""
        deadline = time.monotonic() + wait
        with self._guard:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            # A reload that was cut short is repeated by the next process, which finds it dead.
            where = and_(rest_tasks.c.owner == self.owner, rest_tasks.c.kind != APPLY)
            Report(self._database, where).end("the service was stopped")

    def _spawn(self, task_id: str, kind: str, work: Work, on_end: OnEnd | None = None) -> None:
        report = Report(self._database, rest_tasks.c.id == task_id)

        def run() -> None:
            try:
                self._run(task_id, kind, work, report)
            finally:
                if on_end is not None:
                    on_end()

        thread = threading.Thread(target=run, name=f"task-{kind}", daemon=True)
        with self._guard:
            self._threads.add(thread)
        thread.start()

    def _run(self, task_id: str, kind: str, work: Work, report: Report) -> None:
        error: str | None = None
        try:
            work(report)
        except (TaskFailed, Problem) as failure:
            error = str(failure) or "failed"
            log.warning("task failed", extra={"task": task_id, "kind": kind, "reason": error})
        except Exception:
            error = "internal error; the log has the details under this task's id"
            log.exception("task broke down", extra={"task": task_id, "kind": kind})
        try:
            self._endings.tell(report, error)
        finally:
            with self._guard:
                self._threads.discard(threading.current_thread())

    def _running(self, connection: Connection, kind: str) -> str | None:
        rows = connection.execute(
            select(rest_tasks.c.id, rest_tasks.c.owner, rest_tasks.c.updated).where(
                rest_tasks.c.kind == kind, rest_tasks.c.state == "running"
            )
        )
        for row in rows:
            if not self._is_dead(row.owner, row.updated):
                return str(row.id)
        return None

    def _one(self, where: ColumnElement[bool]) -> Task | None:
        with self._database.read() as connection:
            row = connection.execute(select(rest_tasks).where(where)).first()
        return None if row is None else self._task(row._mapping)

    def _task(self, row: Any) -> Task:
        if row["state"] == "running" and self._is_dead(row["owner"], row["updated"]):
            self._fail_dead(row["id"])
            return Task(row["id"], row["kind"], "failed", row["action"], 100, [], [_DIED])
        return Task(
            id=row["id"],
            kind=row["kind"],
            state=row["state"],
            action=row["action"],
            progress=row["progress"],
            phases=_list(row["phases"]),
            output=_list(row["output"]),
        )

    def _fail_dead(self, task_id: str) -> None:
        log.warning("a task's process died", extra={"task": task_id})
        with self._database.write() as connection:
            ended = connection.execute(
                update(rest_tasks)
                .where(rest_tasks.c.id == task_id, rest_tasks.c.state == "running")
                .values(
                    state="failed",
                    progress=100,
                    output=orjson.dumps([_DIED]).decode(),
                    updated=time.time(),
                )
            ).rowcount
            kind = connection.scalar(select(rest_tasks.c.kind).where(rest_tasks.c.id == task_id))
            if ended and kind == APPLY:
                # The job is reported as what it was, and the change still gets applied.
                self.insert(connection, new_task_id(), APPLY, state="queued")

    def _is_dead(self, owner: str | None, updated: float) -> bool:
        if owner is None or owner == self.owner:
            return False
        host, _, process = owner.partition(":")
        pid, _, started = process.partition(":")
        if host == socket.gethostname() and pid.isdigit() and _process_start(int(pid)) != started:
            return True
        return time.time() - updated > DEAD_AFTER


def _list(text: str | None) -> list[Any]:
    found: Sequence[Any] = orjson.loads(text) if text else []
    return list(found)


def _process_start(pid: int) -> str:
    """When a process of this host began, in clock ticks; empty when there is none.

    With the pid it names a process for good, whatever runs under that number later (proc(5)).
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
