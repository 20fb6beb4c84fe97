"""What tests drive: the application on a real server, and a look behind it."""

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from sqlalchemy import Connection, Table, and_, delete, event, insert, select

from nethvoice import first_start
from nethvoice.app import create_app
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from nethvoice.store.restarts import KEYWORD as RESTART
from tests.services.base import free_port

SECRET = "a-test-secret"
ADMIN = "admin"
PASSWORD = "admin"
BASE = "/freepbx/rest"

FACTS = {
    "providers",
    "rest_pjsip_providers",
    "rest_pjsip_trunks_custom_flags",
    "rest_pjsip_trunks_defaults",
    "rest_pjsip_trunks_specialopts",
}
"""Tables that `init` fills from shipped files and no operation changes."""


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def headers(user: str = ADMIN, password: str = PASSWORD, secret: str = SECRET) -> dict[str, str]:
    return {"User": user, "Secretkey": sha1(user + sha1(password) + secret)}


def eventually(check: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Poll until `check` returns something true; its last value is in the failure."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(0.02)


class LiveServer:
    """The application under uvicorn in a thread of this process, on a free loopback port.

    It works with these very settings, so that a test can change one while it runs, and holds its
    answers against the document.
    """

    def __init__(self, settings: Settings) -> None:
        settings.check_answers = True
        app = create_app(settings)
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True
        )

    def __enter__(self) -> "LiveServer":
        self.thread.start()
        eventually(lambda: self.server.started or not self.thread.is_alive())
        assert self.thread.is_alive(), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        self.socket.close()
        assert not self.thread.is_alive(), "the server did not stop"


@contextlib.contextmanager
def running(name: str, settings: Settings) -> Iterator["Service"]:
    """A new service of its own for one test, on its embedded database; its AstDB is not read."""
    first_start.initialise(settings)
    database = Database(settings.sql_url, settings.run_folder, connections=4)
    with LiveServer(settings) as server:
        found = Service(name, settings, server.port, database, lambda _: {}, lambda: None)
        yield found
        found.client.close()
    database.close()


@contextlib.contextmanager
def without_asterisk(folder: Path) -> Iterator["Service"]:
    """A service whose Asterisk cannot be reached."""
    settings = Settings(
        data_dir=folder, secret=SECRET, admin_password=PASSWORD, ami_host="127.0.0.1",
        ami_port=free_port(), ami_username="x", ami_password="x",
    )  # fmt: skip
    with running("away", settings) as found:
        yield found


@dataclass
class Service:
    """A running service with its database and AstDB laid open."""

    name: str
    settings: Settings
    port: int
    database: Database
    read_astdb: Callable[[str], dict[str, str]]
    clear_astdb: Callable[[], None]
    asterisk: Any = None
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}{BASE}", headers=headers(), timeout=60
        )

    # --- requests ---

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.client.request(method, path, **more)

    def get(self, path: str, expect: int = 200) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == expect, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def post(self, path: str, body: Any = None, expect: int = 200) -> Any:
        more = {} if body is None else {"json": body}
        answer = self.client.post(path, **more)
        assert answer.status_code == expect, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def delete(self, path: str, expect: int = 200) -> Any:
        answer = self.client.delete(path)
        assert answer.status_code == expect, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, status: int, **more: Any) -> dict[str, Any]:
        """Send what must be refused, see that nothing changes, and return the problem."""
        before = self.everything()
        answer = self.client.request(method, path, **more)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        assert answer.headers["content-type"].startswith("application/problem+json")
        problem = answer.json()
        assert problem["detail"]
        assert problem["title"]
        assert self.everything() == before
        return problem

    # --- a look behind ---

    def rows(self, table: Table, **where: Any) -> list[dict[str, Any]]:
        query = self._select(table)
        if where:
            query = query.where(and_(*(table.c[name] == value for name, value in where.items())))
        with self.database.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def _select(self, table: Table) -> Any:
        """All columns that the table has in this database."""
        live = self.database.live(table)
        assert live is not None, table.name
        return select(*(table.c[name] for name in live.columns if name in table.c))

    def row(self, table: Table, **where: Any) -> dict[str, Any]:
        found = self.rows(table, **where)
        assert len(found) == 1, found
        return found[0]

    def add(self, table: Table, *rows: dict[str, Any]) -> None:
        with self.database.write() as connection:
            connection.execute(insert(table), list(rows))

    def sip(self, extension: str) -> dict[str, str]:
        return {row["keyword"]: row["data"] for row in self.rows(t.sip, id=extension)}

    def astdb(self, family: str, extension: str = "") -> dict[str, str]:
        """Keys of a family, those of one extension without its number."""
        found = self.read_astdb(family)
        if not extension:
            return found
        start = extension + "/"
        return {k.removeprefix(start): v for k, v in found.items() if k.startswith(start)}

    def everything(self) -> dict[str, Any]:
        """All rows and keys that clients can change; what the service notes for itself is left
        out."""
        quiet = {
            "rest_tasks",
            "rest_login_failures",
            "rest_astdb",
            "rest_phonebook_sources",
            "admin",
            *FACTS,
        }
        state: dict[str, Any] = {}
        with self.database.engine.connect() as connection:
            for table in self._tables(connection):
                if table.name not in quiet:
                    query = self._select(table)
                    if table is t.rest_state:
                        query = query.where(table.c.keyword != RESTART)
                    rows = [tuple(row) for row in connection.execute(query)]
                    state[table.name] = sorted(rows, key=repr)
        for family in ("AMPUSER", "DEVICE", "CW", "TRUNK"):
            state[family] = self.astdb(family)
        conf = self.settings.voicemail_conf
        state["phonebook"] = {
            path.name: path.read_bytes()
            for folder in (self.settings.phonebook_sources, self.settings.phonebook_uploads)
            for path in folder.glob("*")
        }
        state["voicemail.conf"] = conf.read_bytes() if conf.exists() else b""
        return state

    def _tables(self, connection: Connection) -> Sequence[Table]:
        metadata = [t.freepbx, t.own, t.cti, t.contacts]
        tables = [table for data in metadata for table in data.sorted_tables]
        return [table for table in tables if self.database.live(table) is not None]

    @contextlib.contextmanager
    def statements(self, engine: Any = None) -> Iterator[list[str]]:
        """Collect the SQL statements that the service executes meanwhile."""
        from sqlalchemy.engine import Engine

        seen: list[str] = []
        # What belongs to the service itself; a key is looked up again after a second.
        noise = ("rest_tasks", "rest_outbox", "GET_LOCK", "RELEASE_LOCK", "rest_login_failures",
                 "ampusers")  # fmt: skip

        def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            by_itself = threading.current_thread().name.startswith(("upkeep", "periodic", "apply"))
            if not by_itself and not any(word in statement for word in noise):
                seen.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(Engine, "before_cursor_execute", note)

    # --- states ---

    def reset(self) -> None:
        """An empty telephone system with one administrator."""
        self.settle()
        with self.database.write() as connection:
            for table in self._tables(connection):
                if table.name not in FACTS:
                    connection.execute(delete(table))
            connection.execute(
                insert(t.ampusers).values(
                    username=ADMIN, password_sha1=sha1(PASSWORD), sections="*"
                )
            )
            connection.execute(
                insert(t.userman_directories).values(
                    id=1, name="PBX Internal Directory", driver="Freepbx", active=1, default=1
                )
            )
            connection.execute(insert(t.admin).values(variable="need_reload", value="false"))
        self.clear_astdb()
        self.settings.voicemail_conf.unlink(missing_ok=True)
        for path in self.settings.phonebook_sources.glob("*.json"):
            path.unlink()

    def settle(self) -> None:
        """Wait until no task is queued or running."""

        def busy() -> bool:
            tasks = self.rows(t.rest_tasks)
            return any(task["state"] in ("queued", "running") for task in tasks)

        eventually(lambda: not busy(), 30)

    def person(self, username: str, extension: str | None = None, **columns: Any) -> int:
        """A person in the directory, with a main extension made by the API when one is named."""
        row = {
            "auth": "1",
            "username": username,
            "displayname": username.title(),
            "lname": username,
            "default_extension": "none",
            **columns,
        }
        with self.database.write() as connection:
            key = connection.execute(insert(t.userman_users).values(row)).inserted_primary_key
        if extension is not None:
            self.post("/mainextensions", {"username": username, "extension": extension}, 201)
        return int(key[0])
