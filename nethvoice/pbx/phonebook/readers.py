"""Reading contacts out of other systems: databases, directories, CSV files.

Everything has a time limit and a row limit. What goes wrong there is a SourceError whose text may
be shown: it names the place, never a password.
"""

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import ldap3
import pg8000.native
import pymysql
from ldap3.core.exceptions import LDAPBindError, LDAPException, LDAPSocketReceiveError
from pg8000.exceptions import DatabaseError as PgDatabaseError
from pg8000.exceptions import InterfaceError as PgInterfaceError
from pymysql.cursors import SSCursor

from nethvoice.pbx.phonebook.csv_text import decode, read_csv
from nethvoice.pbx.phonebook.rows import (
    Rows,
    SourceError,
    SourceTimeout,
    SourceUnreachable,
    unique_names,
)
from nethvoice.store.rows import text_value

Config = Mapping[str, Any]

SERVERS = ("host", "port", "user", "password", "dbname", "query")
REQUIRED: dict[str, tuple[str, ...]] = {
    "mysql": SERVERS,
    "postgresql": SERVERS,
    "ldap": ("host", "port", "dbname", "query"),
    "csv": ("url",),
}
"""What a source of each type must say."""

CSV_BYTES = 32 * 1024 * 1024
_REDIRECTS = 5
_FETCH = 500
_GRACE = 2.0

Watch = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Limits:
    """How much of a source is read, and how many seconds that may take."""

    rows: int
    seconds: float

    @property
    def connect(self) -> float:
        """Seconds to connect."""
        return min(5.0, self.seconds)


TRIAL = Limits(rows=3, seconds=10.0)
WHOLE = Limits(rows=200_000, seconds=120.0)


def read_source(config: Config, uploads: Path, limits: Limits) -> Rows:
    """The rows of a source. `uploads` is the only folder that `file://` may name.

    Raises SourceError.
    """
    reader = _READERS.get(str(config.get("dbtype")))
    if reader is None:
        raise SourceError(f"sources of the type {str(config.get('dbtype'))[:40]} cannot be read")
    for name in REQUIRED[str(config["dbtype"])]:  # a file written by hand may lack anything
        if config.get(name) is None:
            raise SourceError(f"the source has no {name}")
    with _deadline(limits) as watch:
        try:
            return reader(config, uploads, limits, watch)
        except SourceError:
            raise
        except (OSError, ValueError) as error:
            # A host that is no host name, an address that is none, a broken answer.
            raise SourceUnreachable(f"the source cannot be used: {_words(error, config)}") from None
        except Exception as error:
            # Drivers break down in many ways over what is no answer of such a server.
            words = f"{type(error).__name__}: {_words(error, config)}"
            raise SourceUnreachable(f"the source cannot be used: {words}") from None


@contextlib.contextmanager
def _deadline(limits: Limits) -> Iterator[Watch]:
    """Ends the connections that are watched when the time is over.

    Time-outs of connections begin anew with every byte, so one that trickles would never end.
    """
    links: list[socket.socket] = []
    over = threading.Event()

    def end() -> None:
        over.set()
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def watch(link: socket.socket) -> None:
        links.append(link)
        if over.is_set():
            end()

    timer = threading.Timer(limits.seconds + _GRACE, end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    except SourceError:
        if over.is_set():
            raise SourceTimeout("the source did not answer in time") from None
        raise
    finally:
        timer.cancel()


def _place(config: Config) -> str:
    return f"{config.get('host')}:{config.get('port')}"


def _port(config: Config) -> int:
    text = str(config.get("port", ""))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise SourceError("port is not a number from 1 to 65535")
    return int(text)


def _words(error: BaseException, config: Config) -> str:
    """What a server said, in one line and without the password, should it be quoted."""
    text = str(error)
    password = str(config.get("password") or "")
    if password:  # before anything is cut off, which might leave a part of it
        text = text.replace(password, "********")
    return " ".join(text.split())[:300]


def _collect(
    columns: list[str], batches: Iterable[Iterable[Any]], limits: Limits, started: float, place: str
) -> Rows:
    names = unique_names(columns)
    rows: list[list[str]] = []
    for batch in batches:
        for record in batch:
            rows.append([text_value(value) or "" for value in record])
            if len(rows) >= limits.rows:
                return Rows(names, rows)
        if time.monotonic() - started > limits.seconds:
            raise SourceTimeout(f"{place} is too slow: not all rows came in {limits.seconds:g} s")
    return Rows(names, rows)


# --- MariaDB and MySQL ----------------------------------------------------------------------------

_MYSQL_AWAY = {2002, 2003, 2005, 2006, 2013, 1040, 1042, 1129, 1130}
_MYSQL_DENIED = {1044, 1045, 1698}
_MYSQL_SLOW = {1969, 3024, 1205}


def _mysql(config: Config, _uploads: Path, limits: Limits, watch: Watch) -> Rows:
    started = time.monotonic()
    port = str(config.get("port", ""))
    # The contract lets `port` be the path of a socket.
    local = port.startswith("/")
    where: dict[str, Any] = {"unix_socket": port} if local else {"port": _port(config)}
    try:
        connection = pymysql.connect(
            host=str(config["host"]),
            user=str(config["user"]),
            password=str(config["password"]),
            database=str(config["dbname"]),
            charset="utf8mb4",
            connect_timeout=int(limits.connect),
            read_timeout=int(limits.seconds),
            write_timeout=int(limits.seconds),
            local_infile=False,
            cursorclass=SSCursor,
            defer_connect=True,
            **where,
        )
        try:
            link = None
            if not local:
                place = (str(config["host"]), where["port"])
                link = socket.create_connection(place, limits.connect)
                watch(link)
            connection.connect(link)
            return _mysql_rows(connection, str(config["query"]), limits, started, _place(config))
        finally:
            # Rows that are not wanted any more are not read to their end.
            connection._force_close()
    except pymysql.MySQLError as error:
        raise _mysql_error(error, config) from None
    except TimeoutError:
        raise SourceTimeout(f"{_place(config)} did not answer in time") from None
    except (OSError, ValueError, RuntimeError) as error:
        words = _words(error, config)
        raise SourceUnreachable(f"{_place(config)} cannot be reached: {words}") from None


def _mysql_rows(connection: Any, query: str, limits: Limits, started: float, place: str) -> Rows:
    with contextlib.suppress(pymysql.MySQLError), connection.cursor() as cursor:
        cursor.execute(f"SET SESSION max_statement_time={int(limits.seconds)}")  # MariaDB only
    with connection.cursor() as cursor:
        cursor.execute("START TRANSACTION READ ONLY")
    cursor = connection.cursor()
    cursor.execute(query)
    if cursor.description is None:
        raise SourceError(f"{place}: the query gives no rows")
    columns = [item[0] for item in cursor.description]

    def batches() -> Iterator[Iterable[Any]]:
        while batch := cursor.fetchmany(_FETCH):
            yield batch

    return _collect(columns, batches(), limits, started, place)


def _mysql_error(error: pymysql.MySQLError, config: Config) -> SourceError:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    words = _words(error.args[1] if len(error.args) > 1 else error, config)
    if "timed out" in words or code in _MYSQL_SLOW:
        return SourceTimeout(f"{_place(config)} did not answer in time")
    if code in _MYSQL_DENIED:
        return SourceUnreachable(f"{_place(config)} refused the user or the password: {words}")
    if code in _MYSQL_AWAY:
        return SourceUnreachable(f"{_place(config)} cannot be reached: {words}")
    return SourceError(f"{_place(config)}: {words}")


# --- PostgreSQL -----------------------------------------------------------------------------------


def _postgresql(config: Config, _uploads: Path, limits: Limits, watch: Watch) -> Rows:
    started = time.monotonic()
    place = (str(config["host"]), _port(config))
    try:
        with socket.create_connection(place, limits.connect) as link:
            link.settimeout(limits.seconds)
            watch(link)
            connection = pg8000.native.Connection(
                str(config["user"]),
                sock=link,
                database=str(config["dbname"]),
                password=str(config["password"]),
                application_name="nethvoice",
            )
            try:
                return _postgresql_rows(connection, config, limits, started)
            finally:
                with contextlib.suppress(Exception):
                    link.settimeout(1)
                    connection.close()
    except TimeoutError:
        raise SourceTimeout(f"{_place(config)} did not answer in time") from None
    except PgDatabaseError as error:
        raise _postgresql_error(error, config) from None
    except (PgInterfaceError, OSError) as error:
        if "timed out" in str(error) or "time out" in str(error):
            raise SourceTimeout(f"{_place(config)} did not answer in time") from None
        words = _words(error, config)
        raise SourceUnreachable(f"{_place(config)} cannot be reached: {words}") from None


def _postgresql_rows(connection: Any, config: Config, limits: Limits, started: float) -> Rows:
    run = connection.execute_unnamed  # one statement, its text untouched
    run(f"SET statement_timeout = {int(limits.seconds * 1000)}")
    run("BEGIN READ ONLY")
    query = str(config["query"]).strip().rstrip(";")
    run(f"DECLARE nethvoice_rows NO SCROLL CURSOR FOR {query}")
    first = run(f"FETCH {min(_FETCH, limits.rows)} FROM nethvoice_rows")
    columns = [column["name"] for column in first.columns or ()]
    if not columns:
        raise SourceError(f"{_place(config)}: the query gives no columns")

    def batches() -> Iterator[Iterable[Any]]:
        batch = first.rows
        while batch:
            yield batch
            batch = run(f"FETCH {_FETCH} FROM nethvoice_rows").rows

    return _collect(columns, batches(), limits, started, _place(config))


def _postgresql_error(error: PgDatabaseError, config: Config) -> SourceError:
    told = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    code = str(told.get("C", ""))
    words = _words(told.get("M", error), config)
    if code == "57014":  # query_canceled: the time limit
        return SourceTimeout(f"{_place(config)} did not answer in time")
    if code.startswith("28"):
        return SourceUnreachable(f"{_place(config)} refused the user or the password: {words}")
    if code.startswith(("08", "53", "57", "3D")):
        return SourceUnreachable(f"{_place(config)} cannot be used: {words}")
    return SourceError(f"{_place(config)}: {words}")


# --- LDAP -----------------------------------------------------------------------------------------


def _ldap(config: Config, _uploads: Path, limits: Limits, watch: Watch) -> Rows:
    started = time.monotonic()
    server = ldap3.Server(
        str(config["host"]),
        port=_port(config),
        use_ssl=str(config.get("tls", "none")) == "ldaps",
        connect_timeout=limits.connect,
        get_info=ldap3.NONE,
    )
    user = str(config.get("user") or "") or None
    connection = ldap3.Connection(
        server,
        user,
        str(config.get("password") or "") or None,
        receive_timeout=int(limits.seconds),
        read_only=True,
        auto_referrals=False,  # which would hand the password to whatever host is named
        return_empty_attributes=False,
    )
    try:
        connection.open()
        watch(connection.socket)
        if str(config.get("tls", "none")) == "starttls":
            connection.start_tls()
            watch(connection.socket)
        if not connection.bind():
            raise SourceUnreachable(f"{_place(config)} refused the user or the password")
        return _ldap_rows(connection, config, limits, started)
    except LDAPBindError:
        raise SourceUnreachable(f"{_place(config)} refused the user or the password") from None
    except LDAPSocketReceiveError:
        raise SourceTimeout(f"{_place(config)} did not answer in time") from None
    except LDAPException as error:
        if "timed out" in str(error):
            raise SourceTimeout(f"{_place(config)} did not answer in time") from None
        words = _words(error, config)
        raise SourceUnreachable(f"{_place(config)} cannot be used: {words}") from None
    finally:
        with contextlib.suppress(LDAPException, OSError):
            connection.unbind()
        if connection.socket is not None:  # it is left open when connecting fails
            connection.socket.close()


def _ldap_rows(connection: Any, config: Config, limits: Limits, started: float) -> Rows:
    mapping = config.get("mapping")
    wanted = sorted(mapping) if isinstance(mapping, dict) and mapping else ["*"]
    entries: list[dict[str, str]] = []
    for entry in connection.extend.standard.paged_search(
        str(config["dbname"]),
        str(config["query"]),
        attributes=wanted,
        paged_size=min(_FETCH, limits.rows),
        generator=True,
    ):
        if entry.get("type") != "searchResEntry":
            continue
        raw = entry["raw_attributes"]
        entries.append({name: _first(values) for name, values in raw.items()})
        if len(entries) >= limits.rows:
            break
        if time.monotonic() - started > limits.seconds:
            raise SourceTimeout(
                f"{_place(config)} is too slow: not all entries came in {limits.seconds:g} s"
            )
    else:
        # An answer that was cut short must not pass for all there is.
        if connection.result["result"] != 0:
            said = str(connection.result["description"])
            raise SourceUnreachable(f"{_place(config)} refused the search: {said}")
    told = {name.lower() for entry in entries for name in entry}
    asked = [] if wanted == ["*"] else [name for name in wanted if name.lower() not in told]
    columns = list(dict.fromkeys(name for entry in entries for name in entry)) + asked
    return Rows(columns, [[entry.get(name, "") for name in columns] for entry in entries])


def _first(values: list[bytes]) -> str:
    """The first value, nothing for one that is no text (a photograph)."""
    try:
        return values[0].decode("utf-8") if values else ""
    except UnicodeDecodeError:
        return ""


# --- CSV ------------------------------------------------------------------------------------------


def _csv(config: Config, uploads: Path, limits: Limits, watch: Watch) -> Rows:
    url = str(config.get("url", ""))
    scheme = urlsplit(url).scheme.lower()
    if scheme in ("http", "https"):
        raw = _download(url, limits, watch)
    elif scheme == "file":
        raw = _uploaded(url, uploads)
    else:
        raise SourceError("url must begin with http://, https:// or file:///")
    return read_csv(decode(raw), limits.rows)


def upload_path(url: str, uploads: Path) -> Path | None:
    """The uploaded file that a URL names, None for any other file or URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
        return None
    folder = Path(os.path.realpath(uploads))
    try:
        path = Path(os.path.realpath(unquote(parts.path)))
    except ValueError:
        return None
    return path if path.parent == folder else None


def _uploaded(url: str, uploads: Path) -> bytes:
    path = upload_path(url, uploads)
    if path is None:
        raise SourceError("url names a file that was not uploaded here")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise SourceError("the uploaded file is gone, upload it again") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > CSV_BYTES:
            raise SourceError(f"the uploaded file is no file of at most {CSV_BYTES} bytes")
        return file.read()


_CONNECTED = ("connection.connect_tcp.complete", "connection.start_tls.complete")


def _download(url: str, limits: Limits, watch: Watch) -> bytes:
    started = time.monotonic()

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if event in _CONNECTED:
            watch(info["return_value"].get_extra_info("socket"))

    try:
        place = urlsplit(url).hostname or ""
        with (
            httpx.Client(
                follow_redirects=True,
                max_redirects=_REDIRECTS,
                timeout=httpx.Timeout(limits.seconds, connect=limits.connect),
                # A compressed answer can unpack to any size, so none is asked for or taken.
                headers={"Accept-Encoding": "identity", "Accept": "text/csv, */*;q=0.5"},
            ) as client,
            client.stream("GET", url, extensions={"trace": trace}) as answer,
        ):
            if answer.status_code != 200:
                raise SourceUnreachable(f"{place} answered {answer.status_code}")
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise SourceError(f"{place} sent a compressed answer although none was asked for")
            return _limited(answer.iter_raw(), limits, started, place)
    except httpx.TimeoutException:
        raise SourceTimeout(f"{place} did not answer in time") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        reason = "" if isinstance(error, ValueError) else f": {type(error).__name__}"
        raise SourceUnreachable(f"the file cannot be fetched from {place}{reason}") from None


def _limited(chunks: Iterable[bytes], limits: Limits, started: float, place: str) -> bytes:
    found = bytearray()
    for chunk in chunks:
        found += chunk
        if len(found) > CSV_BYTES:
            raise SourceError(f"the file at {place} is larger than {CSV_BYTES} bytes")
        if time.monotonic() - started > limits.seconds:
            raise SourceTimeout(f"{place} is too slow: the file did not come in time")
    return bytes(found)


_READERS: dict[str, Callable[[Config, Path, Limits, Watch], Rows]] = {
    "mysql": _mysql,
    "postgresql": _postgresql,
    "ldap": _ldap,
    "csv": _csv,
}
