"""The phonebook as an operator has it: its own database, the command line, several processes."""

import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from nethvoice.cli import main
from nethvoice.pbx.phonebook import sync
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from tests.integration.conftest import Store
from tests.processes import Process
from tests.services.base import free_port
from tests.services.mariadb import MariaDB
from tests.support import PASSWORD, SECRET, eventually

CSV = "Name,Tel\nAda Rossi,0721\nBob,0722\n"


class Shell:
    """The command line on a store whose phonebook lies in a MariaDB of its own."""

    def __init__(
        self, store: Store, mariadb: MariaDB, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import os

        for name in [n for n in os.environ if n.startswith("NETHVOICE_")]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(folder)
        self.url = mariadb.create_database("pbook")
        self._environment = {
            f"NETHVOICE_{name}": str(value)
            for name, value in {
                **store.settings,
                "SECRET": SECRET,
                "ADMIN_PASSWORD": PASSWORD,
                "PHONEBOOK_DATABASE_URL": self.url,
            }.items()
        }
        self.settings = Settings(data_dir=store.settings["DATA_DIR"], secret=SECRET)
        self.contacts = Database(self.url, self.settings.run_folder, connections=2)

    def __call__(self, *words: str, code: int | None = 0, **more: str) -> str:
        result = CliRunner().invoke(main, list(words), env={**self._environment, **more})
        assert code is None or result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.output

    def names(self) -> list[str]:
        with self.contacts.engine.connect() as connection:
            return sorted(connection.scalars(select(t.phonebook.c.name)))


@pytest.fixture
def shell(
    store: Store, mariadb: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    found = Shell(store, mariadb, tmp_path, monkeypatch)
    yield found
    found.contacts.close()


def put_source(settings: Settings, name: str, url: str, **more: Any) -> None:
    """A file as other programs write it."""
    config = {
        "url": url, "mapping": {"Name": "name", "Tel": "workphone"}, "dbtype": "csv",
        "interval": "60", "type": "CRM", "enabled": True, **more,
    }  # fmt: skip
    folder = settings.phonebook_sources
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".{name}"
    new.write_text(json.dumps({name: config}))
    new.replace(folder / f"{name}.json")


def test_a_database_of_its_own_and_the_command_line(shell: Shell, store: Store) -> None:
    shell("init")
    assert shell.names() == []
    uploads = shell.settings.phonebook_uploads
    uploads.mkdir(parents=True)
    file = uploads / "a.csv"
    file.write_text(CSV)
    put_source(shell.settings, "crm", f"file://{file}")
    put_source(shell.settings, "off", f"file://{file}", enabled=False)

    lines = shell("phonebook", "list").splitlines()
    assert "crm: on, 0 contacts, never synchronised" in lines
    assert "off: off, 0 contacts, never synchronised" in lines
    done = shell("phonebook", "sync").splitlines()
    assert set(done) == {
        "extensions: 0 contacts",
        "nethcti: 0 contacts",
        "speeddial: 0 contacts",
        "crm: 2 contacts",
    }
    assert shell.names() == ["Ada Rossi", "Bob"]
    if store.database.live(t.phonebook) is not None:
        assert store.rows(t.phonebook) == [], "the main database has none of it"
    assert any(
        line.startswith("crm: on, 2 contacts, synchronised ")
        for line in shell("phonebook", "list").splitlines()
    )
    assert "ok    phonebook: 4 sources, none has failed" in shell("doctor", code=None)

    file.write_text("not;the\nsame;columns\n")
    assert shell("phonebook", "sync", "crm", "speeddial", code=1).splitlines() == [
        "crm: failed: the source has no column 'Name'",
        "speeddial: 0 contacts",
    ]
    assert shell.names() == ["Ada Rossi", "Bob"], "what was there stays"
    assert "; last error: the source has no column 'Name'" in shell("phonebook", "list")
    doctor = shell("doctor", code=1)
    assert "FAIL  phonebook: source crm: the source has no column 'Name'" in doctor
    assert "run 'nethvoice phonebook sync crm'" in doctor
    assert "source speeddial" not in doctor

    file.write_text("Name,Tel\nAda Rossi,0721\n" + "x" * 300 + ",1\n")
    left_out = shell("phonebook", "sync", "crm")
    assert left_out.startswith("crm: 1 contacts, 1 rows left out: row 2: name is longer than")
    assert "FAIL  phonebook" not in shell("doctor", code=None), "rows left out are no failure"
    assert shell.names() == ["Ada Rossi"]

    assert "there is no phonebook source nobody" in shell("phonebook", "sync", "nobody", code=1)


def test_the_phonebooks_database_is_away(shell: Shell) -> None:
    shell("init")
    away = f"mysql+pymysql://u:do-not-show@127.0.0.1:{free_port()}/pbook"
    doctor = shell("doctor", code=1, NETHVOICE_PHONEBOOK_DATABASE_URL=away)
    assert "FAIL  phonebook: its database does not answer" in doctor
    failed = shell("phonebook", "sync", "speeddial", code=1, NETHVOICE_PHONEBOOK_DATABASE_URL=away)
    assert "speeddial: failed:" in failed
    assert "do-not-show" not in doctor + failed


# --- the schedule, in whole processes -------------------------------------------------------------


class Slow:
    """A web server whose files take a second; it counts."""

    def __init__(self) -> None:
        outer = self
        self.fetched: Counter[str] = Counter()
        self.at_once = 0
        self._now = 0
        self._guard = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with outer._guard:
                    outer.fetched[self.path] += 1
                    outer._now += 1
                    outer.at_once = max(outer.at_once, outer._now)
                time.sleep(1.0)  # what is counted is how long this takes
                with outer._guard:
                    outer._now -= 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(CSV)))
                self.end_headers()
                self.wfile.write(CSV.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture
def slow() -> Iterator[Slow]:
    found = Slow()
    yield found
    found.close()


def test_two_processes_share_what_is_due(store: Store, slow: Slow, tmp_path: Path) -> None:
    settings = Settings(data_dir=store.settings["DATA_DIR"], secret=SECRET)
    names = [f"crm_{number}" for number in range(16)]
    with (
        Process(tmp_path / "log1", **store.settings),
        Process(tmp_path / "log2", **store.settings),
    ):
        for name in names:
            put_source(settings, name, f"{slow.url}/{name}")
        done = set(names)
        table = t.rest_phonebook_sources

        def synced() -> bool:
            rows = store.rows(table)
            return done <= {r["source"] for r in rows if r["synced"] is not None}

        eventually(synced, 120)
        assert slow.fetched == Counter(f"/{name}" for name in names), "each of them once"
        assert slow.at_once == 2, "each process reads one at a time"
        sids = Counter(row["sid_imported"] for row in store.rows(t.phonebook))
        assert sids == dict.fromkeys(names, 2)
        for row in store.rows(table):
            assert (row["claimed"], row["claimed_by"]) == (None, None)

        # Asked for again: whoever comes first does it, at once and not when the interval is over.
        with store.database.write() as connection:
            connection.execute(
                table.update().where(table.c.source == "crm_3").values(wanted=time.time())
            )
        eventually(lambda: slow.fetched["/crm_3"] == 2, 60)
    assert sum(slow.fetched.values()) == len(names) + 1
    for log in ("log1", "log2"):
        assert "Traceback" not in (tmp_path / log).read_text()


def test_a_claim_of_a_process_that_died_is_taken_over(
    store: Store, slow: Slow, tmp_path: Path
) -> None:
    settings = Settings(data_dir=store.settings["DATA_DIR"], secret=SECRET)
    put_source(settings, "dead", f"{slow.url}/dead")
    put_source(settings, "alive", f"{slow.url}/alive")
    now = time.time()
    with store.database.write() as connection:
        for name, claimed in (("dead", now - sync.CLAIM_DIES - 1), ("alive", now)):
            connection.execute(
                t.rest_phonebook_sources.insert().values(
                    source=name, claimed=claimed, claimed_by="another process"
                )
            )
    with Process(tmp_path / "log", **store.settings):
        eventually(lambda: slow.fetched["/dead"], 60)
        eventually(lambda: len(store.rows(t.phonebook)) == 2, 60)
    assert slow.fetched == {"/dead": 1}
