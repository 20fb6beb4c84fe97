"""The telephone system as the domain sees it: its stores, its tasks, and how to change it."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence

from pydantic import SecretStr
from sqlalchemy import Connection

from nethvoice.context import current_request
from nethvoice.settings import Settings
from nethvoice.store.ami import AmiClient
from nethvoice.store.apply import AmiReloader, ApplyWorker, CommandReloader, Reloader
from nethvoice.store.astdb import AmiAstDB, AstDB, EmbeddedAstDB
from nethvoice.store.crontab import RebootCrontab
from nethvoice.store.cti import CtiSettings
from nethvoice.store.database import Database
from nethvoice.store.device_files import DeviceFiles
from nethvoice.store.known_keys import KnownKeys
from nethvoice.store.mailboxes import MailboxFiles
from nethvoice.store.middleware import Middleware
from nethvoice.store.outbox import Outbox, Target
from nethvoice.store.restarts import Restarts
from nethvoice.store.schedule import Periodic
from nethvoice.store.tasks import HEARTBEAT, Report, TaskEngine
from nethvoice.store.unit import Unit

log = logging.getLogger(__name__)

NUMBERS = "nethvoice.numbers"
"""Lock of everything that gives out or takes back extension numbers."""

SETTINGS = "nethvoice.settings"
"""Lock of what belongs to the whole system: addresses, languages, switches."""

_ROUNDS_BETWEEN_SWEEPS = 6


class System:
    """Everything a handler works with. Built from settings; `start` begins background work."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        locks = settings.run_folder
        self.database = Database(settings.sql_url, locks, connections=settings.threads + 8)
        self.ami = _ami(settings)
        self.astdb: AstDB = AmiAstDB(self.ami) if self.ami else EmbeddedAstDB(self.database)
        self.mailboxes = MailboxFiles(settings.voicemail_conf, settings.voicemail_spool)
        self.device_files = DeviceFiles(settings.tftp_folder)
        self.cti_database = self._other_database(settings.cti_database_url)
        self.phonebook_database = self._other_database(settings.phonebook_database_url)
        self.crontab = _crontab(settings, self.database)
        self.outbox = Outbox(self.database, self._targets())
        self.tasks = TaskEngine(self.database)
        self.known_keys = KnownKeys()
        self.middleware = _middleware(settings)
        self.restarts = Restarts(self.database, self.ami, by_hand=bool(settings.reload_command))
        self.apply = ApplyWorker(
            self.database,
            self.outbox,
            self.tasks.owner,
            self._reloader(),
            interval=settings.seconds_between_reloads,
            after=self._after_reload,
        )
        self._stopping = threading.Event()
        self._upkeep: threading.Thread | None = None
        self._periodic: list[Periodic] = []

    def _targets(self) -> dict[str, Target]:
        same = self.cti_database is self.database
        targets: dict[str, Target] = {
            "astdb": self.astdb,
            "mailboxes": self.mailboxes,
            "files": self.device_files,
            "cti": CtiSettings(self.cti_database, same_database=same),
        }
        if self.crontab is not None:
            targets["crontab"] = self.crontab
        return targets

    def _after_reload(self, report: Report) -> None:
        self.restarts.reloaded(report)
        if self.middleware is not None:
            report.phase("telling other services", 90)
            self.middleware.notify(report)

    def _other_database(self, url: SecretStr | None) -> Database:
        if url is None:
            return self.database
        return Database(url.get_secret_value(), self.settings.run_folder, connections=4)

    def _reloader(self) -> Reloader:
        if self.settings.reload_command:
            return CommandReloader(self.settings.reload_command, self.settings.reload_timeout)
        return AmiReloader(self.ami) if self.ami else Reloader()

    # --- changes ------------------------------------------------------------------------------

    def read(self) -> contextlib.AbstractContextManager[Connection]:
        """A connection for reading."""
        return self.database.read()

    @contextlib.contextmanager
    def change(
        self, lock: str | Sequence[str] | None = None, *, defer_reload: bool = False
    ) -> Iterator[Unit]:
        """A unit of work: all of it happens, or nothing.

        After the commit the effects are tried once before this returns; what fails stays in the
        outbox. `lock` names what, one or several, no other unit must do at the same time. With
        `defer_reload` the caller asks for one reload itself when a series of units is done.
        """
        with self.database.write(lock) as connection:
            unit = Unit(connection, self.database)
            yield unit
            unit.seal(defer_reload=defer_reload)
        if unit.has_effects:
            self._try_effects()
        if unit.apply_task is not None:
            self.apply.wake()
            request = current_request.get()
            if request is not None:
                request.apply_task = unit.apply_task

    def _try_effects(self) -> None:
        """What is committed is done: an effect that fails is tried again, and no error."""
        try:
            self.outbox.drain()
        except Exception:
            log.warning("effects wait, trying them again later", exc_info=True)

    # --- background ---------------------------------------------------------------------------

    def every(self, seconds: float, name: str, work: Callable[[], object]) -> None:
        """Have `work` done again and again, from `start` to `stop`, in a thread of its own."""
        self._periodic.append(Periodic(name, seconds, work))

    def start(self) -> None:
        """Finish what an earlier process left, and begin background work."""
        self.outbox.drain()
        self.tasks.sweep()
        self.apply.start()
        self._upkeep = threading.Thread(target=self._keep_up, name="upkeep", daemon=True)
        self._upkeep.start()
        for periodic in self._periodic:
            periodic.start()

    def stop(self) -> None:
        """End background work and close what is open."""
        self._stopping.set()
        for periodic in self._periodic:
            periodic.stop()
        self.apply.stop()
        self.tasks.close()
        if self._upkeep is not None:
            self._upkeep.join(5.0)
        if self.ami is not None:
            self.ami.close()
        for other in (self.cti_database, self.phonebook_database):
            if other is not self.database:
                other.close()
        self.database.close()

    def _keep_up(self) -> None:
        rounds = 0
        while not self._stopping.wait(HEARTBEAT):
            rounds += 1
            try:
                self.tasks.heartbeat()
                self.apply.heartbeat()
                self.restarts.carry_out()
                if self.outbox.pending().waiting:
                    self.outbox.drain()
                if rounds % _ROUNDS_BETWEEN_SWEEPS == 0:
                    self.tasks.sweep()
                    self.database.look_again()
            except Exception:
                log.warning("upkeep failed, trying again", exc_info=True)


def _ami(settings: Settings) -> AmiClient | None:
    if not settings.ami_host:
        return None
    return AmiClient(
        settings.ami_host,
        settings.ami_port,
        settings.ami_username,
        settings.ami_password.get_secret_value(),
    )


def _middleware(settings: Settings) -> Middleware | None:
    token = settings.middleware_super_admin_token
    if settings.middleware_port is None or token is None:
        return None
    return Middleware(settings.middleware_port, token.get_secret_value())


def _crontab(settings: Settings, database: Database) -> RebootCrontab | None:
    if not settings.reboot_crontab:
        return None
    return RebootCrontab(settings.reboot_crontab, settings.reboot_helper, database)
