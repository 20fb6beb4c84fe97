"""The SQL database: engine, transactions, named locks, and what its tables really look like."""

import contextlib
import fcntl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pymysql
from pymysql.constants.SERVER_STATUS import SERVER_STATUS_IN_TRANS
from sqlalchemy import (
    Connection,
    Engine,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.schema import CreateTable

from nethvoice.problems import Problem, unavailable
from nethvoice.store import tables
from nethvoice.store.prepared import Prepared

LOCK_WAIT = 10.0
"""Seconds to wait for a named lock or a pooled connection before the request is refused."""

T = TypeVar("T")

_TRUSTED_FOR = 5.0
"""Seconds for which a connection that was just used is taken to work."""
_CONNECT_TIMEOUT = 5
_IO_TIMEOUT = 30


class LockBusy(Exception):
    """A named lock was not free within the time given."""


@dataclass(frozen=True)
class LiveTable:
    """A table as the connected database has it: column names in order, and text widths."""

    columns: tuple[str, ...]
    widths: Mapping[str, int]


class Database:
    """One engine over MariaDB (PyMySQL) or SQLite.

    `url` is an SQLAlchemy URL. `lock_folder` holds the lock files that SQLite needs in place of
    MariaDB's GET_LOCK. `connections` is the size of the pool.
    """

    def __init__(self, url: str, lock_folder: Path, connections: int = 24) -> None:
        self._url = make_url(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self._lock_folder = lock_folder
        self._writer = threading.Lock()
        self.engine = self._make_engine(connections)
        self._live: dict[str, LiveTable] | None = None
        self._live_guard = threading.Lock()
        self._statements: dict[Callable[[Database], Any], Any] = {}
        self._idle: deque[tuple[float, Connection]] = deque()
        """The last one given back is the first to be taken: the pool's own checkout and checkin
        would cost as much as a small query."""
        self._at_the_pool = 0
        """How many found none idle and ask the pool."""
        self._idle_guard = threading.Lock()

    def _make_engine(self, connections: int) -> Engine:
        pool: dict[str, Any] = {
            "pool_size": connections,
            "max_overflow": 0,
            "pool_timeout": LOCK_WAIT,
            "hide_parameters": True,  # secrets are among them, and errors go to the log
        }
        if self.is_sqlite:
            if self._url.database:
                file = Path(self._url.database)
                file.parent.mkdir(parents=True, exist_ok=True)
                if not file.exists():
                    file.touch(mode=0o600)  # it holds secrets; SQLite's files beside it follow
            arguments: dict[str, Any] = {"timeout": LOCK_WAIT, "check_same_thread": False}
            engine = create_engine(self._url, connect_args=arguments, **pool)
            event.listen(engine, "connect", _prepare_sqlite)
            return engine
        arguments = {
            "connect_timeout": _CONNECT_TIMEOUT,
            "read_timeout": _IO_TIMEOUT,
            "write_timeout": _IO_TIMEOUT,
            "charset": "utf8mb4",
            "autocommit": True,
            "init_command": _SESSION,
        }
        pool |= {"pool_recycle": 1800, "pool_pre_ping": True}
        engine = create_engine(self._url, connect_args=arguments, **pool)
        event.listen(engine, "do_connect", _connect_mariadb)
        return engine

    # --- transactions -------------------------------------------------------------------------

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading. Raises Problem 503 when the database cannot be had."""
        try:
            connection = self._take()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)
        except (PoolTimeout, DBAPIError) as error:
            if isinstance(error, DBAPIError):
                self._learn_from(error)
            _raise_outage(error)

    @contextlib.contextmanager
    def write(self, lock: str | Sequence[str] | None = None) -> Iterator[Connection]:
        """A transaction, committed at the end of the block and rolled back by an exception.

        `lock` serialises the whole transaction with all others of the same name on this PBX, in
        any process; it is taken before the first statement and released after the commit. Several
        are taken in the order of their names, so that no two transactions wait for each other.
        Raises Problem 503 when a lock or the database cannot be had in time.
        """
        names = [lock] if isinstance(lock, str) else sorted(lock or ())
        with contextlib.ExitStack() as stack:
            if self.is_sqlite:
                # SQLite has one writer at a time; queueing here is fairer than its busy handler.
                if not self._writer.acquire(timeout=LOCK_WAIT):
                    raise unavailable("the database is busy")
                stack.callback(self._writer.release)
            connection = stack.enter_context(self.read())
            if not self.is_sqlite:
                for name in names:
                    stack.enter_context(self._mariadb_lock(connection, name, LOCK_WAIT))
            with connection.begin():
                # What SQLite reads before it writes must not be changed by others meanwhile.
                (_BEGIN_IMMEDIATE if self.is_sqlite else _BEGIN).run(connection)
                yield connection

    def _take(self) -> Connection:
        """A connection that was used a moment ago, or one that the pool has found to work."""
        while True:
            with self._idle_guard:
                if not self._idle:
                    self._at_the_pool += 1
                    break
                since, connection = self._idle.pop()
            if time.monotonic() - since < _TRUSTED_FOR:
                return connection
            connection.close()  # the pool tries it before it gives it out again
        try:
            return self.engine.connect()
        finally:
            with self._idle_guard:
                self._at_the_pool -= 1

    def _give_back(self, connection: Connection) -> None:
        if connection.closed or connection.invalidated:
            connection.close()
            return
        if connection.in_transaction():
            connection.rollback()
        with self._idle_guard:
            if not (self._at_the_pool or self._all_taken()):
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()  # someone may be waiting for it at the pool

    def _all_taken(self) -> bool:
        pool = self.engine.pool
        return isinstance(pool, QueuePool) and pool.checkedout() >= pool.size()

    def _learn_from(self, error: DBAPIError) -> None:
        """One lost connection means that the others are lost, too; a missing table or column, that
        a module of FreePBX has come or gone."""
        if error.connection_invalidated:
            with self._idle_guard:
                idle = [*self._idle]
                self._idle.clear()
            for _, connection in idle:
                connection.close()  # as above
        if _is_about_schema(error):
            self.forget_schema()

    @contextlib.contextmanager
    def lock(self, name: str, wait: float = LOCK_WAIT) -> Iterator[None]:
        """Hold the named lock, across processes, without a transaction. Raises LockBusy."""
        if self.is_sqlite:
            with self._file_lock(name, wait):
                yield
            return
        with (
            self.read() as connection,
            self._mariadb_lock(connection, name, wait, LockBusy(name)),
        ):
            yield

    @contextlib.contextmanager
    def _mariadb_lock(
        self, connection: Connection, name: str, wait: float, busy: Exception | None = None
    ) -> Iterator[None]:
        # Lock names are global to the server, and one server may hold several PBXs.
        full = f"{name}@{self._url.database}"[:64]
        got = _GET_LOCK.scalar(connection, {"name": full, "wait": wait})
        if got != 1:
            raise busy or unavailable(f"another change is holding {name}")
        try:
            yield
        finally:
            # A broken connection has lost the lock already.
            with contextlib.suppress(SQLAlchemyError):
                _RELEASE_LOCK.scalar(connection, {"name": full})

    @contextlib.contextmanager
    def _file_lock(self, name: str, wait: float) -> Iterator[None]:
        self._lock_folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + wait
        with (self._lock_folder / f"{name}.lock").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise LockBusy(name) from None
                    time.sleep(0.005)
            yield

    # --- schema -------------------------------------------------------------------------------

    def create_missing(self) -> list[str]:
        """Create what is missing; returns the names of the tables and columns made.

        FreePBX's tables are made only when the database holds none of them: beside a FreePBX a
        missing table belongs to a module that is not installed.
        """
        with self.write(lock="nethvoice.schema") as connection:
            present = set(inspect(connection).get_table_names())
            wanted = [
                *tables.own.sorted_tables,
                *tables.cti.sorted_tables,
                *tables.contacts.sorted_tables,
            ]
            if not present & {"users", "devices", "ampusers"}:
                wanted += tables.freepbx.sorted_tables
            made = []
            for table in wanted:
                if table.name not in present:
                    table.create(connection)
                    made.append(table.name)
                elif table.metadata is tables.own:
                    made += _add_missing_columns(connection, table)
        self.forget_schema()
        return made

    def forget_schema(self) -> None:
        """Look at the database's tables again at the next use."""
        with self._live_guard:
            self._live = None
            self._statements = {}

    def look_again(self) -> None:
        """See what modules of FreePBX have come or gone since the tables were looked at."""
        with self.read() as connection:
            found = self._look(connection)
        if found != self._live:
            with self._live_guard:
                self._live, self._statements = found, {}

    def statement(self, build: Callable[["Database"], T]) -> T:
        """What `build` makes of this database, made once.

        A query that depends on the columns which the tables really have is put together at its
        first use, not at each: SQLAlchemy takes longer to make a statement than MariaDB to run it.
        """
        statements = self._statements
        if build not in statements:
            statements[build] = build(self)
        made: T = statements[build]
        return made

    def live(self, table: Table) -> LiveTable | None:
        """The table as it is in the database, None when it is not there."""
        with self._live_guard:
            if self._live is None:
                with self.read() as connection:
                    self._live = self._look(connection)
            return self._live.get(table.name)

    def _look(self, connection: Connection) -> dict[str, LiveTable]:
        if self.is_sqlite:
            return self._look_sqlite(connection)
        rows = connection.execute(
            text(
                "SELECT TABLE_NAME, COLUMN_NAME, CHARACTER_MAXIMUM_LENGTH"
                " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
                " ORDER BY TABLE_NAME, ORDINAL_POSITION"
            )
        )
        columns: dict[str, list[str]] = {}
        widths: dict[str, dict[str, int]] = {}
        for table, column, width in rows:
            columns.setdefault(table, []).append(column)
            if width is not None:
                widths.setdefault(table, {})[column] = int(width)
        return {
            name: LiveTable(tuple(found), widths.get(name, {})) for name, found in columns.items()
        }

    @staticmethod
    def _look_sqlite(connection: Connection) -> dict[str, LiveTable]:
        inspector = inspect(connection)
        found = {}
        for name in inspector.get_table_names():
            columns = inspector.get_columns(name)
            widths = {c["name"]: getattr(c["type"], "length", None) for c in columns}
            found[name] = LiveTable(
                tuple(c["name"] for c in columns), {k: v for k, v in widths.items() if v}
            )
        return found

    def close(self) -> None:
        """Close the pooled connections."""
        while self._idle:
            self._idle.pop()[1].close()
        self.engine.dispose()


_BEGIN = Prepared(text("BEGIN"))
_BEGIN_IMMEDIATE = Prepared(text("BEGIN IMMEDIATE"))
_GET_LOCK = Prepared(select(func.get_lock(bindparam("name"), bindparam("wait"))))
_RELEASE_LOCK = Prepared(select(func.release_lock(bindparam("name"))))

_SESSION = (
    "SET SESSION tx_isolation = 'READ-COMMITTED',"
    " SESSION group_concat_max_len = @@max_allowed_packet DIV 2"
)


class _MariaDBConnection(pymysql.Connection):  # type: ignore[misc]
    """Ends a transaction only where there is one: reading needs none, for READ COMMITTED sees other
    data with each statement anyway, and SQLAlchemy rolls back after it all the same."""

    def commit(self) -> None:
        if self.server_status & SERVER_STATUS_IN_TRANS:
            super().commit()

    def rollback(self) -> None:
        if self.server_status & SERVER_STATUS_IN_TRANS:
            super().rollback()


def _connect_mariadb(_dialect: Any, _record: Any, _args: Any, options: Any) -> _MariaDBConnection:
    return _MariaDBConnection(**options)


def _prepare_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # BEGIN is ours, see Database.write
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _add_missing_columns(connection: Connection, table: Table) -> list[str]:
    present = {column["name"] for column in inspect(connection).get_columns(table.name)}
    made = []
    for column in table.columns:
        if column.name in present:
            continue
        # The dialect's own CREATE TABLE text for this one column.
        definition = connection.dialect.ddl_compiler(
            connection.dialect, CreateTable(table)
        ).get_column_specification(column)
        name = connection.dialect.identifier_preparer.format_table(table)
        connection.execute(text(f"ALTER TABLE {name} ADD COLUMN {definition}"))
        made.append(f"{table.name}.{column.name}")
    return made


def _raise_outage(error: PoolTimeout | DBAPIError) -> NoReturn:
    """Raise Problem 503 for a database that is away or busy, else the error itself."""
    if isinstance(error, PoolTimeout):
        raise unavailable("all database connections are in use") from None
    if isinstance(error, (OperationalError, InterfaceError)) and _is_outage(error):
        raise DatabaseUnavailable() from error
    raise error


def _is_about_schema(error: DBAPIError) -> bool:
    """True where a table or a column is not what it was."""
    code = _code(error)
    if isinstance(code, int):
        return code in (1054, 1146)  # unknown column, no such table
    return str(code).startswith(("no such table", "no such column"))


def _code(error: DBAPIError) -> Any:
    """MariaDB's number of the error, SQLite's text."""
    return error.orig.args[0] if error.orig is not None and error.orig.args else None


def _is_outage(error: DBAPIError) -> bool:
    """Tell a database that is away or busy from a statement that is wrong."""
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    code = _code(error)
    if isinstance(code, int):
        return code in _MARIADB_OUTAGES
    return any(words in str(code) for words in ("locked", "unable to open", "disk I/O", "full"))


_MARIADB_OUTAGES = frozenset(
    # Too many connections, access denied, shutting down, killed, lock wait, deadlock, read only,
    # and the client's own: cannot connect, gone away, lost.
    {1040, 1044, 1045, 1053, 1080, 1205, 1213, 1290, 1927, 2002, 2003, 2006, 2013, 2014, 2055}
)


class DatabaseUnavailable(Problem):
    """503: the database cannot be reached, or gave up on a deadlock or a lock wait."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "Service unavailable",
            "the database is not available now",
            headers={"Retry-After": "10"},
        )
