"""Sources of the phonebook over real connections: MariaDB, PostgreSQL, LDAP, HTTP."""

import contextlib
import gzip
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pymysql
import pytest

from nethvoice.pbx.phonebook import readers
from nethvoice.store import tables as t
from tests.services import mariadb as maria
from tests.services import postgresql as postgres
from tests.services.base import free_port
from tests.services.mariadb import MariaDB
from tests.services.postgresql import PostgreSQL
from tests.services.relay import Relay
from tests.support import Service, eventually

HOSTILE = "tel\"); DROP TABLE x; -- `' %s :a"
VALUES = "'Ada Rossi', '0721', 12.50, DATE '2026-01-31', NULL"


@dataclass
class Outside:
    """A database server as a source, with what it needs to be asked."""

    body: dict[str, Any]
    run: Callable[[str], Any]
    server: Any
    quote: Callable[[str], str]
    sleep: str


@pytest.fixture(scope="session")
def outside_mariadb() -> Iterator[Outside]:
    """A MariaDB of its own: it is frozen and ended in these tests."""
    with MariaDB() as server:
        server.create_database("crm")

        def run(statement: str) -> Any:
            with (
                pymysql.connect(
                    host="127.0.0.1", port=server.port, user=maria.USER, password=maria.PASSWORD,
                    database="crm", autocommit=True, charset="utf8mb4",
                ) as connection,
                connection.cursor() as cursor,
            ):  # fmt: skip
                cursor.execute(statement)
                return cursor.fetchall()

        body = _body("mysql", server.port, maria.USER, maria.PASSWORD, "crm")
        yield Outside(body, run, server, lambda n: "`" + n.replace("`", "``") + "`", "SLEEP(60)")


@pytest.fixture(scope="session")
def outside_postgresql() -> Iterator[Outside]:
    with PostgreSQL() as server:
        body = _body("postgresql", server.port, postgres.USER, postgres.PASSWORD, "postgres")
        yield Outside(
            body, server.run, server, lambda n: '"' + n.replace('"', '""') + '"', "pg_sleep(60)"
        )


def _body(kind: str, port: int, user: str, password: str, database: str) -> dict[str, Any]:
    return {
        "dbtype": kind, "host": "127.0.0.1", "port": str(port), "user": user,
        "password": password, "dbname": database, "query": "SELECT * FROM people ORDER BY 2",
        "mapping": {"full_name": "name", "tel": "workphone"}, "type": "CRM", "enabled": True,
    }  # fmt: skip


@pytest.fixture(params=["mariadb", "postgresql"])
def outside(request: pytest.FixtureRequest) -> Outside:
    found: Outside = request.getfixturevalue(f"outside_{request.param}")
    found.run("DROP TABLE IF EXISTS people")
    found.run(
        "CREATE TABLE people (full_name varchar(100), tel varchar(50), price decimal(9,2),"
        " born date, photo varchar(9))"
    )
    found.run(f"INSERT INTO people VALUES ({VALUES}), ('Zoë Ünal', '333 1', 1, NULL, 'x')")
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "CSV_BYTES", 1_000_000)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, sooner."""
    monkeypatch.setattr("nethvoice.pbx.phonebook.sync.WHOLE", readers.Limits(200_000, 2.0))
    monkeypatch.setattr("nethvoice.pbx.phonebook.service.TRIAL", readers.Limits(3, 2.0))


def contacts(service: Service, sid: str = "crm") -> list[tuple[str, str]]:
    rows = service.rows(t.phonebook, sid_imported=sid)
    return sorted((row["name"], row["workphone"]) for row in rows)


def imported(service: Service, body: dict[str, Any]) -> None:
    service.post("/phonebook/config/crm", body)
    eventually(lambda: contacts(service) == [("Ada Rossi", "0721"), ("Zoë Ünal", "333 1")])


def test_rows_of_a_database(service: Service, outside: Outside) -> None:
    rows = service.post("/phonebook/test", {**outside.body, "mapping": {}})
    assert rows[0] == {
        "full_name": "Ada Rossi", "tel": "0721", "price": "12.50", "born": "2026-01-31", "photo": ""
    }  # fmt: skip
    imported(service, outside.body)
    outside.run("DELETE FROM people WHERE tel = '0721'")
    outside.run("INSERT INTO people (full_name, tel) VALUES ('Carl', '5')")
    service.post("/phonebook/syncnow/crm")
    assert contacts(service) == [("Carl", "5"), ("Zoë Ünal", "333 1")]
    outside.run("DELETE FROM people")
    assert service.post("/phonebook/test", outside.body) == [
        {"full_name": "", "tel": "", "price": "", "born": "", "photo": ""}
    ]
    service.post("/phonebook/syncnow/crm")
    assert contacts(service) == []


def test_hostile_names_of_columns(service: Service, outside: Outside) -> None:
    column = outside.quote(HOSTILE[:60])
    body = {**outside.body, "query": f"SELECT full_name, tel AS {column}, tel, tel FROM people"}
    rows = service.post("/phonebook/test", body)
    assert list(rows[0]) == ["full_name", HOSTILE[:60], "tel", "tel_2"]
    body["mapping"] = {"FULL_NAME": "name", HOSTILE[:60]: "workphone"}
    imported(service, body)
    assert len(outside.run("SELECT * FROM people")) == 2


def test_queries_only_read(service: Service, outside: Outside) -> None:
    imported(service, outside.body)
    for query in (
        "DELETE FROM people",
        "SELECT 1 AS full_name, 2 AS tel; DELETE FROM people",
        "SELECT no_such FROM people",
        "SELECT",
    ):
        body = {**outside.body, "query": query}
        assert service.post("/phonebook/test", body) == {"status": False}
        service.post("/phonebook/config/crm", body)
        service.settle()
        problem = service.refused("POST", "/phonebook/syncnow/crm", 422)
        assert str(outside.body["port"]) in problem["detail"]
        assert len(contacts(service)) == 2
    assert len(outside.run("SELECT * FROM people")) == 2


def test_a_source_that_refuses_us(
    service: Service, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    imported(service, outside.body)
    for change in (
        {"password": "wrong-s3cret"},
        {"dbname": "nowhere"},
        {"host": "no host.invalid"},
    ):
        body = {**outside.body, **change}
        assert service.post("/phonebook/test", body) == {"status": False}
        service.post("/phonebook/config/crm", body)
        service.settle()
        answer = service.call("POST", "/phonebook/syncnow/crm")
        assert answer.status_code in (422, 502), answer.text
        state = service.row(t.rest_phonebook_sources, source="crm")
        assert state["last_error"] == answer.json()["detail"]
        assert state["contacts"] == 2
        assert len(contacts(service)) == 2
    assert "wrong-s3cret" not in caplog.text
    assert outside.body["password"] not in caplog.text


def test_a_source_that_is_slow(service: Service, outside: Outside, quick: None) -> None:
    imported(service, outside.body)
    body = {**outside.body, "query": f"SELECT full_name, tel, {outside.sleep} AS x FROM people"}
    started = time.monotonic()
    assert service.post("/phonebook/test", body) == {"status": False}
    service.post("/phonebook/config/crm", body)
    service.settle()
    problem = service.refused("POST", "/phonebook/syncnow/crm", 504)
    assert "did not answer in time" in problem["detail"]
    assert time.monotonic() - started < 25
    assert len(contacts(service)) == 2


def test_a_source_that_hangs_or_is_down_can_be_deleted(
    service: Service, outside: Outside, quick: None
) -> None:
    imported(service, outside.body)
    outside.server.freeze()
    try:
        service.refused("POST", "/phonebook/syncnow/crm", 504)
        assert service.post("/phonebook/test", outside.body) == {"status": False}
    finally:
        outside.server.thaw()
    outside.server.kill()
    try:
        problem = service.refused("POST", "/phonebook/syncnow/crm", 502)
        assert "cannot be reached" in problem["detail"]
        assert len(contacts(service)) == 2
        started = time.monotonic()
        service.delete("/phonebook/config/crm")
        assert time.monotonic() - started < 3
        assert contacts(service) == []
        assert service.get("/phonebook/config") == {}
    finally:
        for stale in ("pid", "data/postmaster.pid"):
            (outside.server.folder / stale).unlink(missing_ok=True)
        outside.server.start()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["mariadb", "postgresql", "ldap", "csv"])
def test_a_source_that_trickles(
    service: Service, request: pytest.FixtureRequest, kind: str
) -> None:
    """A byte now and then begins every time-out of a connection anew."""
    if kind == "csv":
        target, limit = request.getfixturevalue("web").port, 20
        body = _csv("")
    elif kind == "ldap":
        target, limit = request.getfixturevalue("directory"), 5
        body = _ldap_body(target)
    else:
        body = request.getfixturevalue(f"outside_{kind}").body
        target, limit = int(body["port"]), 50
    with Relay(target, limit, trickle=0.3) as relay:
        place = {"url": f"http://127.0.0.1:{relay.port}/people.csv"} if kind == "csv" else {}
        body = {**body, "port": str(relay.port), **place}
        started = time.monotonic()
        assert service.post("/phonebook/test", body) == {"status": False}
        service.post("/phonebook/config/crm", body)
        service.settle()
        problem = service.refused("POST", "/phonebook/syncnow/crm", 504)
        assert "in time" in problem["detail"]
        assert time.monotonic() - started < 30
    service.delete("/phonebook/config/crm")


def test_many_rows(service: Service, outside: Outside) -> None:
    numbers = "seq_1_to_5000" if outside.body["dbtype"] == "mysql" else "generate_series(1, 5000)"
    column = "seq" if outside.body["dbtype"] == "mysql" else "generate_series"
    body = {
        **outside.body,
        "query": f"SELECT {column} AS full_name, {column} AS tel FROM {numbers}",
    }
    service.post("/phonebook/config/crm", body)
    eventually(lambda: len(contacts(service)) == 5000, 60)
    rows = service.post("/phonebook/test", body)
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("kind", "greeting", "error"),
    [
        ("mysql", b"\x03\0\0\0\x0a5\0", "error: unpack"),
        ("postgresql", b"N?\0\0\0\x04", "KeyError"),
    ],
)
def test_what_is_no_such_server(service: Service, kind: str, greeting: bytes, error: str) -> None:
    """Drivers raise errors of Python over it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            for _ in range(2):
                link, _address = listener.accept()
                with link:
                    link.sendall(greeting)
                    link.settimeout(10)
                    with contextlib.suppress(OSError):
                        while link.recv(1000):
                            pass

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        body = _body(kind, listener.getsockname()[1], "crm", "s3cret", "crm") | {"enabled": False}
        assert service.post("/phonebook/test", body) == {"status": False}
        service.post("/phonebook/config/crm", body)
        service.settle()
        path = service.settings.phonebook_sources / "crm.json"
        path.write_text(path.read_text().replace('"enabled":false', '"enabled":true'))
        problem = service.refused("POST", "/phonebook/syncnow/crm", 502)
        assert problem["detail"].startswith(f"the source cannot be used: {error}")
        thread.join(20)


# --- CSV by URL -----------------------------------------------------------------------------------


@dataclass
class Web:
    port: int
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


PEOPLE = 'Name;Tel\r\n"Ada Rossi";0721\r\n"Zoë Ünal";333 1\r\n'.encode("cp1252")


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    found: Web

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.requests.append((self.path, dict(self.headers)))
            with contextlib.suppress(OSError):
                self._answer()

        def _answer(self) -> None:
            name = self.path.rpartition("/")[2]
            if name.startswith("hop"):
                left = int(name[3:])
                target = f"/hop{left - 1}" if left else "/people.csv"
                self._head(302, Location=target)
            elif name == "away":
                self._head(302, Location="file:///etc/passwd")
            elif name == "people.csv":
                self._head(200)
                self.wfile.write(PEOPLE)
            elif name == "bomb":
                self._head(200, **{"Content-Encoding": "gzip"})
                self.wfile.write(gzip.compress(b"0" * 50_000_000))
            elif name == "endless":
                self._head(200)
                while True:
                    self.wfile.write(b"Name;Tel\n" * 10_000)
            elif name == "drip":
                self._head(200)
                while True:
                    self.wfile.write(b"N")
                    time.sleep(0.1)
            elif name == "broken.csv":
                self._head(200)
                self.wfile.write(b'Name;Tel\nAda;1\nBob;"2\n')
            else:
                self._head(404)

        def _head(self, status: int, **more: str) -> None:
            self.send_response(status)
            for key, value in more.items():
                self.send_header(key, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Web(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join(10)


def _csv(url: str, **more: Any) -> dict[str, Any]:
    mapping = {"Name": "name", "Tel": "workphone"}
    return {"dbtype": "csv", "url": url, "mapping": mapping, "enabled": True, **more}


@pytest.mark.parametrize("path", ["/people.csv", "/hop4"])
def test_a_file_by_url(service: Service, web: Web, path: str) -> None:
    imported(service, _csv(web.url(path)))
    assert web.requests[-1][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/missing", 502, "answered 404"),
        ("/hop6", 502, "cannot be fetched"),
        ("/away", 502, "cannot be fetched"),
        ("/bomb", 422, "compressed"),
        ("/endless", 422, "larger than"),
        ("/drip", 504, "did not come in time"),
        ("/broken.csv", 422, "line 3: "),
    ],
)
@pytest.mark.usefixtures("quick", "small")
def test_urls_that_fail(service: Service, web: Web, path: str, status: int, detail: str) -> None:
    imported(service, _csv(web.url("/people.csv")))
    service.post("/phonebook/config/crm", _csv(web.url(path)))
    service.settle()
    assert detail in service.refused("POST", "/phonebook/syncnow/crm", status)["detail"]
    assert len(contacts(service)) == 2
    assert service.post("/phonebook/test", _csv(web.url(path))) == {"status": False}


def test_a_server_that_is_not_there(service: Service) -> None:
    url = f"http://user:s3cret@127.0.0.1:{free_port()}/x.csv"
    service.post("/phonebook/config/crm", _csv(url))
    service.settle()
    problem = service.refused("POST", "/phonebook/syncnow/crm", 502)
    assert "s3cret" not in problem["detail"]
    service.delete("/phonebook/config/crm")


# --- LDAP -----------------------------------------------------------------------------------------


def _ldap_body(port: int) -> dict[str, Any]:
    return {
        "dbtype": "ldap", "host": "127.0.0.1", "port": port,
        "dbname": "dc=phonebook,dc=nh", "query": "(telephoneNumber=*)",
        "mapping": {"cn": "name", "telephoneNumber": "workphone", "fax": "fax"}, "enabled": True,
    }  # fmt: skip


def test_a_directory(service: Service, directory: int) -> None:
    body = _ldap_body(directory)
    service.post("/phonebook/config/crm", body)
    eventually(lambda: contacts(service) == [("ada rossi", "0721"), ("zoë ünal", "333 1")])
    assert {row["cn"] for row in service.post("/phonebook/test", body)} == {"ada rossi", "zoë ünal"}
    for change, status in (
        ({"dbname": "dc=nowhere"}, 502),
        ({"user": "cn=x", "password": "wrong"}, 502),
        ({"query": "(("}, 502),
        ({"port": free_port()}, 502),
    ):
        service.post("/phonebook/config/crm", {**body, **change})
        service.settle()
        service.refused("POST", "/phonebook/syncnow/crm", status)
        assert len(contacts(service)) == 2


@pytest.fixture(scope="module")
def directory() -> Iterator[int]:
    """Our own LDAP server with two contacts, on a loop of its own."""
    import asyncio

    from nethvoice.ldap.directory import Directory
    from nethvoice.ldap.server import Access, Server, closed

    port = free_port()
    loop = asyncio.new_event_loop()
    people = [["Ada Rossi", "", "0721", "", ""], ["Zoë Ünal", "", "333 1", "", ""]]
    server = Server(Directory(people), Access("cn=x,dc=phonebook,dc=nh", "right"))
    listening = loop.run_until_complete(server.listen("127.0.0.1", port, None))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield port
    asyncio.run_coroutine_threadsafe(closed(listening), loop).result(10)
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
