"""The user directory that the people come from: one of four kinds, behind the same functions.

`internal`: rows of FreePBX's internal directory, ours to write. `userman`: FreePBX's own
directories, brought up to date by its command; only the internal one can be written. `ldap`: an
LDAP server or Active Directory that we read. And none, while the operator has chosen none.
"""

import os
import re
import shutil
import time
from typing import Protocol

from sqlalchemy import Connection, bindparam, func, select

from nethvoice import bodies
from nethvoice.pbx import directory_rows as rows
from nethvoice.pbx import ldap_people
from nethvoice.pbx.people import Person, find_person, is_reserved, set_rest_user
from nethvoice.problems import Problem, unavailable, unprocessable
from nethvoice.settings import PREFIX, Settings
from nethvoice.store.apply import run_command
from nethvoice.store.ldap_directory import DirectoryFailed, LdapDirectory
from nethvoice.store.prepared import Prepared
from nethvoice.store.rows import require_width
from nethvoice.store.tables import rest_users, userman_directories, userman_users
from nethvoice.store.tasks import Report, TaskFailed
from nethvoice.system import System

SYNC = "sync"
"""Kind of the tasks that synchronise the user directory."""

PEOPLE = "nethvoice.people"
"""Lock of everything that makes people by name."""

INVALID = "User name or full name invalid"

_USERNAME = re.compile(r"[a-z_.-][a-z0-9_.-]{0,63}(@[a-z0-9.-]{1,190})?")
_USERNAME_LENGTH = 150
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")

_LOCKED_WAIT = 10.0
_POLL = 0.25
_SECONDS_BETWEEN_UNASKED_SYNCS = 30.0


class Driver(Protocol):
    """What differs from one kind of directory to the other."""

    def describe(self) -> bodies.UserProvider:
        """The directory as the wizard is told about it."""

    def place_for_new(self, connection: Connection) -> str:
        """Id of the directory that a new person goes into. Raises Problem 422 with `result`."""

    def may_bring_people(self, connection: Connection) -> bool:
        """True when synchronising may add people: they are made in another system too."""

    def synchronise(self, report: Report) -> None:
        """Bring `userman_users` up to date. Raises TaskFailed or Problem."""

    def examine(self) -> str:
        """What works, for `nethvoice doctor`. Raises Problem saying what does not."""


def _driver(system: System) -> Driver:
    match system.settings.directory_kind:
        case "internal":
            return _Internal(system)
        case "userman":
            return _Userman(system)
        case "ldap":
            return _Ldap(system)
        case _:
            return _None(system)


# --- looking -------------------------------------------------------------------------------------


def describe(system: System) -> bodies.UserProvider:
    """The answer of `GET /configuration/userprovider`; numbers are the integers 0 and 1."""
    return _driver(system).describe()


def examine(system: System) -> str:
    """Whether the directory can be used. Raises Problem with what is wrong."""
    return _driver(system).examine()


def is_syncing(system: System) -> bool:
    """True while this service, in any process, or FreePBX itself synchronises."""
    latest = system.tasks.latest(SYNC)
    running = latest is not None and latest[0].state in ("queued", "running")
    return running or _freepbx_is_syncing(system.settings)


_LOCKED = Prepared(
    select(userman_directories.c.locked).where(userman_directories.c.id == bindparam("directory"))
)


_ANY_LOCKED = Prepared(
    select(userman_directories.c.id).where(userman_directories.c.locked != 0).limit(1)
)


def any_locked(system: System) -> bool:
    """True when `wait_unlocked` may have to wait for somebody."""
    with system.read() as connection:
        return _ANY_LOCKED.first(connection) is not None


def wait_unlocked(system: System, person: Person, patience: float = _LOCKED_WAIT) -> None:
    """Wait until the person's directory is not being synchronised.

    Raises Problem 503 when that takes longer than ten seconds, or than `patience`.
    """
    if person.directory is None or not person.directory.isdigit():
        return
    deadline = time.monotonic() + min(patience, _LOCKED_WAIT)
    while True:
        with system.read() as connection:
            if not _LOCKED.scalar(connection, {"directory": person.directory}):
                return
        if time.monotonic() >= deadline:
            raise unavailable("ERROR: directory is locked", retry_after=10)
        time.sleep(_POLL)


# --- changing ------------------------------------------------------------------------------------


def create_user(
    system: System, username: str, fullname: str, password: str | None = None, *, tell: bool = True
) -> None:
    """Make a person without extension; one who exists gets the full name, and no password.

    Without `tell` the caller tells the middleware, once for many people.
    Raises Problem 422 with `result` for names that are not allowed or reserved, for an unusable
    password, and when the directory is only read.
    """
    username, fullname = username.strip().lower(), fullname.strip()
    if (
        not _USERNAME.fullmatch(username)
        or len(username) > _USERNAME_LENGTH
        or not fullname
        or _CONTROL_CHARACTERS.search(fullname)
    ):
        raise _refused(INVALID)
    if is_reserved(system, username):
        raise _refused(f"User name {username} is reserved")
    require_width(system.database, userman_users, "displayname", fullname, "fullname")
    # Hashing takes long on purpose, so it is not done while the database is locked.
    hashed = None if password is None else _checked_hash(system, password)
    with system.change(PEOPLE) as unit:
        person = find_person(unit.conn, username)
        if person is None:
            place = _driver(system).place_for_new(unit.conn)
            user_id = rows.add_person(
                system, unit, place, username=username, fullname=fullname, hashed=hashed
            )
            if password is not None:
                set_rest_user(unit, user_id, password=password)
            changed = True
        elif person.displayname == fullname:
            changed = False
        else:
            name, internal = rows.directory_of(unit.conn, person)
            if not internal:
                raise _refused(f"{name} is only read: change the user there")
            changed = rows.rename_person(system, unit, person, fullname)
    if changed and tell:
        _tell_middleware(system)


def set_password(system: System, person: Person, password: str) -> None:
    """Set a person's password in the directory and keep it in clear for the wizard's report.

    Raises Problem 422 with `result` for an empty or unusable password, and when the person's
    directory is only read.
    """
    _check_password(system, password)
    with system.read() as connection:
        name, internal = rows.directory_of(connection, person)
        stored = rows.stored_hash(connection, person)
    if not internal:
        raise _refused(f"{name} is only read: set the password there")
    hashed = None if rows.matches(password, stored) else rows.hash_password(password)
    with system.change() as unit:
        if hashed is not None:
            rows.store_hash(unit, person, hashed)
        set_rest_user(unit, person.id, password=password)


def _checked_hash(system: System, password: str) -> str:
    _check_password(system, password)
    return rows.hash_password(password)


def _check_password(system: System, password: str) -> None:
    if not password:
        raise _refused("Password is required")
    if _CONTROL_CHARACTERS.search(password):
        raise _refused("Password must not have control characters")
    live = system.database.live(rest_users)
    width = live.widths.get("password") if live else None
    if width is not None and len(password) > width:
        raise _refused(f"Password is longer than {width} characters")


def _refused(text: str) -> Problem:
    return unprocessable(text, result=text)


# --- synchronising -------------------------------------------------------------------------------


def start_sync(system: System) -> str:
    """Begin to synchronise, or join who does; returns the task's id.

    The internal directory needs none, so its task has ended already.
    """
    if system.settings.directory_kind in ("internal", ""):
        task = system.tasks.run(SYNC, _driver(system).synchronise)
        _tell_middleware(system)
        return task
    return system.tasks.start_or_join(SYNC, lambda report: _sync_task(system, report))


def start_sync_unasked(system: System) -> None:
    """As `start_sync`, but not while one runs, nor more often than every 30 seconds."""
    latest = system.tasks.latest(SYNC)
    if latest is not None and time.time() - latest[1] < _SECONDS_BETWEEN_UNASKED_SYNCS:
        return
    if not is_syncing(system):
        start_sync(system)


def may_bring_people(system: System) -> bool:
    """True when a person whom we do not know may become known by synchronising."""
    with system.read() as connection:
        return _driver(system).may_bring_people(connection)


def sync_now(system: System, report: Report) -> None:
    """Synchronise as a part of another task, and tell the middleware, also when that fails.

    Raises TaskFailed or Problem.
    """
    try:
        _driver(system).synchronise(report)
    finally:
        if system.middleware is not None:
            system.middleware.notify(report)


def _sync_task(system: System, report: Report) -> None:
    report.phase("synchronising the user directory", 5)
    _driver(system).synchronise(report)
    if system.middleware is not None:
        report.phase("telling other services", 90)
        system.middleware.notify(report)


def _tell_middleware(system: System) -> None:
    """In the background: nobody waits for the middleware."""
    if system.middleware is not None:
        system.tasks.start("middleware", system.middleware.notify)


def _freepbx_is_syncing(settings: Settings) -> bool:
    """FreePBX keeps the pid of its synchronisation in a file, and leaves it there when it dies."""
    try:
        pid = int(settings.userman_lock.read_text(encoding="ascii").split()[0])
        os.kill(pid, 0)
    except PermissionError:
        return os.access(settings.userman_lock, os.R_OK)  # alive, and another user's
    except (OSError, ValueError, IndexError, OverflowError):
        return False
    return pid > 0


# --- the kinds -----------------------------------------------------------------------------------


class _Internal:
    """Rows of FreePBX's internal directory."""

    def __init__(self, system: System) -> None:
        self._system = system

    def describe(self) -> bodies.UserProvider:
        """Local, in the form of LDAP: the wizard then shows passwords."""
        domain = self._system.settings.user_domain
        return {"configured": 1, "local": 1, "type": "ldap", "domain": domain}

    def place_for_new(self, connection: Connection) -> str:
        """The internal directory."""
        place = rows.internal_directory(connection)
        if place is None:
            raise _refused("FreePBX has no active internal directory")
        return place

    def may_bring_people(self, connection: Connection) -> bool:
        """All of them are made here."""
        return False

    def synchronise(self, report: Report) -> None:
        """Nothing to do."""
        report.write("the internal directory is always up to date")

    def examine(self) -> str:
        """How many there are."""
        with self._system.read() as connection:
            if rows.internal_directory(connection) is None:
                raise unprocessable("FreePBX has no active internal directory")
            people = connection.scalar(select(func.count()).select_from(userman_users))
        return f"internal, {people} people"


_FOREIGN = Prepared(
    select(userman_directories.c.id)
    .where(userman_directories.c.active == 1, userman_directories.c.driver != rows.INTERNAL_DRIVER)
    .limit(1)
)


class _Userman(_Internal):
    """FreePBX's directories."""

    def place_for_new(self, connection: Connection) -> str:
        """The one that FreePBX would take."""
        place = rows.default_directory(connection)
        if place is None:
            raise _refused("FreePBX has no active user directory")
        directory, name, internal = place
        if not internal:
            raise _refused(f"{name} is only read: add the user there")
        return directory

    def may_bring_people(self, connection: Connection) -> bool:
        """When FreePBX reads a directory that is not its own."""
        return _FOREIGN.first(connection) is not None

    def synchronise(self, report: Report) -> None:
        """Run FreePBX's command, once its own timer is not at it: it refuses to run twice."""
        settings = self._system.settings
        deadline = time.monotonic() + settings.sync_timeout
        self._wait_for_freepbx(deadline, report)
        try:
            run_command(settings.sync_command, settings.sync_timeout, report)
        except TaskFailed:
            if not _freepbx_is_syncing(settings):
                raise
            self._wait_for_freepbx(deadline, report)
            run_command(settings.sync_command, settings.sync_timeout, report)

    def _wait_for_freepbx(self, deadline: float, report: Report) -> None:
        if _freepbx_is_syncing(self._system.settings):
            report.write("FreePBX is synchronising, waiting for it to end")
        while _freepbx_is_syncing(self._system.settings):
            if time.monotonic() >= deadline:
                raise TaskFailed("FreePBX's own synchronisation does not end")
            time.sleep(_POLL)

    def examine(self) -> str:
        """Whether the command is there."""
        command = self._system.settings.sync_command
        if not command or shutil.which(command[0]) is None:
            name = command[0] if command else "the command"
            raise unprocessable(f"{name} is not found: correct {PREFIX}SYNC_COMMAND")
        with self._system.read() as connection:
            people = connection.scalar(select(func.count()).select_from(userman_users))
        return f"FreePBX's, {people} people, synchronised by {' '.join(command)}"


class _Ldap:
    """An LDAP server or Active Directory, read by this service."""

    def __init__(self, system: System) -> None:
        self._system = system
        settings = system.settings
        self._directory = LdapDirectory(
            urls=settings.ldap_url.split(),
            kind=settings.ldap_type,
            base_dn=settings.ldap_base_dn,
            bind_dn=settings.ldap_bind_dn,
            bind_password=settings.ldap_bind_password.get_secret_value(),
            user_filter=settings.ldap_user_filter,
            start_tls=settings.ldap_start_tls,
            ca_file=settings.ldap_ca_file,
            timeout=settings.ldap_timeout,
            total_timeout=settings.sync_timeout,
        )

    def describe(self) -> bodies.UserProvider:
        """Not local; the domain is in the base DN unless it is set."""
        settings = self._system.settings
        domain = settings.user_domain or _domain(settings.ldap_base_dn)
        return {"configured": 1, "local": 0, "type": settings.ldap_type, "domain": domain}

    def place_for_new(self, connection: Connection) -> str:
        """Nowhere."""
        raise _refused("The user directory is only read: add the user there")

    def may_bring_people(self, connection: Connection) -> bool:
        """Always."""
        return True

    def synchronise(self, report: Report) -> None:
        """Read everybody, then make the rows be them."""
        try:
            people = self._directory.people()
        except DirectoryFailed as failure:
            raise TaskFailed(str(failure)) from failure
        for line in ldap_people.store_people(self._system, people).lines():
            report.write(line)

    def examine(self) -> str:
        """Whether everybody can be read."""
        settings = self._system.settings
        with self._system.read() as connection:
            ldap_people.require_no_other_writer(connection, settings.ldap_type)
        try:
            people = self._directory.people()
        except DirectoryFailed as failure:
            raise unprocessable(str(failure)) from failure
        plain = not settings.ldap_start_tls and "ldap://" in settings.ldap_url.lower()
        return f"{settings.ldap_url}, {len(people)} people" + (", not encrypted" if plain else "")


class _None:
    """No directory is chosen yet."""

    def __init__(self, system: System) -> None:
        self._system = system

    def describe(self) -> bodies.UserProvider:
        """Only that."""
        return {"configured": 0}

    def place_for_new(self, connection: Connection) -> str:
        """Nowhere."""
        raise _refused("No user directory is configured")

    def may_bring_people(self, connection: Connection) -> bool:
        """There is nowhere to look."""
        return False

    def synchronise(self, report: Report) -> None:
        """Nothing to do."""
        report.write("no user directory is configured")

    def examine(self) -> str:
        """The state is a choice, not a fault."""
        return "none is configured"


def _domain(base_dn: str) -> str:
    """`ou=people,dc=Example,dc=Org` is example.org."""
    parts = (part.strip().lower() for part in base_dn.split(","))
    return ".".join(part[3:].strip() for part in parts if part.startswith("dc="))
