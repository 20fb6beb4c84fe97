"""Applying changes to the telephone system: one reload at a time, for all changes before it.

Every change inserts its own queued `apply` task in its own transaction. A run claims all that are
committed and queued, reloads once for them, and gives each the same end. A change that is
committed while a reload runs stays queued and causes exactly one more.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select, update

from nethvoice.store import commands
from nethvoice.store.ami import AmiClient, AmiRefused, AmiUnavailable
from nethvoice.store.database import Database, LockBusy
from nethvoice.store.outbox import Outbox
from nethvoice.store.rows import change_rows, put_row
from nethvoice.store.tables import admin, rest_tasks
from nethvoice.store.tasks import APPLY as KIND
from nethvoice.store.tasks import Endings, Report, TaskEngine, TaskFailed, new_task_id

log = logging.getLogger(__name__)

_POLL = 2.0
_LOCK = "nethvoice.apply"


class Reloader:
    """Without Asterisk there is nothing to reload; the run is only recorded."""

    clears_flag = True

    def run(self, report: Report) -> None:
        """Reload. Raises TaskFailed with a text for the operator."""
        report.write("no Asterisk is configured: the change is recorded only")


class AmiReloader(Reloader):
    """Reloads Asterisk through the manager interface."""

    def __init__(self, client: AmiClient) -> None:
        self._client = client

    def run(self, report: Report) -> None:
        """Reload all modules."""
        try:
            reply = self._client.action("Reload", {}, timeout=30.0)
        except (AmiUnavailable, AmiRefused) as error:
            raise TaskFailed(f"Asterisk did not reload: {error}") from error
        report.write(reply.headers.get("Message", "reloaded"))


class CommandReloader(Reloader):
    """Runs FreePBX's reload, or any other command, as an argument vector with a time limit."""

    clears_flag = False  # fwconsole clears FreePBX's flag itself

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        self._command = list(command)
        self._timeout = timeout

    def run(self, report: Report) -> None:
        """Run the command and keep its last lines."""
        run_command(self._command, self._timeout, report)


def run_command(command: Sequence[str], timeout: float, report: Report) -> None:
    """Run `command`, copying its output into the report. Raises TaskFailed."""
    try:
        commands.run(command, timeout, report.write)
    except commands.CommandFailed as failure:
        raise TaskFailed(f"{command[0]} {failure}") from failure


def show_need(connection: Connection, database: Database) -> None:
    """Have FreePBX show that a reload is needed, in the transaction of the change."""
    if database.live(admin):
        put_row(connection, admin, {"variable": "need_reload"}, {"value": "true"})


def request_apply(connection: Connection, database: Database) -> str:
    """Ask for a reload in the transaction of the change; returns the apply job's id."""
    show_need(connection, database)
    task_id = new_task_id()
    TaskEngine.insert(connection, task_id, KIND, state="queued")
    return task_id


class ApplyWorker:
    """The thread that runs apply jobs. Several processes may each have one.

    `after` runs once when a reload has succeeded and no other job waits (other services are told).
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        owner: str,
        reloader: Reloader,
        *,
        interval: float = 0.0,
        after: Callable[[Report], None] | None = None,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._owner = owner
        self._reloader = reloader
        self._interval = interval
        self._after = after
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._last_run = -interval
        self._thread: threading.Thread | None = None
        self._running: str | None = None
        self._endings = Endings()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._loop, name="apply", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that a job was committed."""
        self._wake.set()

    def stop(self, wait: float = 5.0) -> None:
        """Ask the thread to end; a reload that is running is waited for."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(wait)

    def heartbeat(self) -> None:
        """Keep the jobs of the present run from being taken for dead."""
        self._endings.retry()
        run = self._running
        if run is None:
            return
        with self._database.write() as connection:
            connection.execute(
                update(rest_tasks)
                .where(rest_tasks.c.run == run, rest_tasks.c.state == "running")
                .values(updated=time.time())
            )

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_POLL)
            self._wake.clear()
            if self._stopping.wait(max(0.0, self._last_run + self._interval - time.monotonic())):
                return
            try:
                self.run_waiting()
            except Exception:
                log.exception("applying changes failed")

    def run_waiting(self) -> None:
        """Run what is queued, unless another process is at it: its next round takes ours."""
        if not self._any_queued():
            return
        with contextlib.suppress(LockBusy), self._database.lock(_LOCK, wait=0):
            run = self._claim()
            if run is not None:
                self._running = run
                try:
                    self._run(run)
                finally:
                    self._running = None
                    self._last_run = time.monotonic()
                    if self._any_queued():
                        self._wake.set()

    def _any_queued(self) -> bool:
        query = select(rest_tasks.c.id).where(
            rest_tasks.c.kind == KIND, rest_tasks.c.state == "queued"
        )
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def _claim(self) -> str | None:
        run = new_task_id()
        with self._database.write() as connection:
            result = connection.execute(
                update(rest_tasks)
                .where(rest_tasks.c.kind == KIND, rest_tasks.c.state == "queued")
                .values(state="running", run=run, owner=self._owner, updated=time.time())
            )
        return run if result.rowcount else None

    def _run(self, run: str) -> None:
        report = Report(self._database, rest_tasks.c.run == run)
        error: str | None = None
        try:
            report.phase("writing what is left in the outbox", 5)
            self._outbox.drain()
            report.phase("reloading", 20)
            self._reloader.run(report)
            if self._reloader.clears_flag and not self._any_queued():
                self._clear_flag()
            if self._after is not None and not self._any_queued():
                self._after(report)
        except TaskFailed as failure:
            error = str(failure)
            log.warning("changes were not applied", extra={"reason": error})
        except Exception:
            error = "internal error; see the service's log"
            log.exception("applying changes broke down")
        self._endings.tell(report, error)

    def _clear_flag(self) -> None:
        if not self._database.live(admin):
            return
        with self._database.write() as connection:
            change_rows(connection, admin, admin.c.variable == "need_reload", {"value": "false"})
