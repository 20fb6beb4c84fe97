"""FreePBX's own directories: its command, its lock file, and telling the middleware."""

import base64
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from nethvoice import first_start
from nethvoice.pbx import csv_import, directories
from nethvoice.pbx.people import find_person
from nethvoice.problems import Problem
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.store.tasks import Task
from nethvoice.system import System
from tests.support import PASSWORD, SECRET, eventually

COMMAND = """
import pathlib, sys
runs = pathlib.Path(sys.argv[1])
runs.write_text(runs.read_text() + "run\\n" if runs.exists() else "run\\n")
print("Syncing directory PBX Internal Directory")
sys.exit(int(sys.argv[2]))
"""


class Lab:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "userman.lock"
        self._runs = folder / "runs"
        self._script = folder / "command.py"
        self._script.write_text(COMMAND)
        self._made: list[System] = []

    def command(self, code: int = 0) -> list[str]:
        return [sys.executable, str(self._script), str(self._runs), str(code)]

    def runs(self) -> int:
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0

    def system(self, **more: Any) -> System:
        values = {
            "data_dir": self.folder,
            "secret": SECRET,
            "admin_password": PASSWORD,
            "user_directory": "userman",
            "sync_command": self.command(),
            "userman_lock": self.lock,
        }
        settings = Settings(**values | more)
        first_start.initialise(settings)
        system = System(settings)
        self._made.append(system)
        return system

    def close(self) -> None:
        for system in self._made:
            system.stop()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    found = Lab(tmp_path)
    yield found
    found.close()


def ended(system: System, task_id: str) -> Task:
    def check() -> Task | None:
        task = system.tasks.get(task_id)
        assert task is not None
        return None if task.state == "running" else task

    return eventually(check)  # type: ignore[no-any-return]


def test_the_command_is_run(lab: Lab) -> None:
    system = lab.system()
    task = ended(system, directories.start_sync(system))
    assert (task.state, task.output) == ("succeeded", ["Syncing directory PBX Internal Directory"])
    assert [phase["name"] for phase in task.phases] == ["synchronising the user directory"]
    assert lab.runs() == 1
    assert directories.is_syncing(system) is False
    assert directories.describe(system)["local"] == 1
    assert "FreePBX's, 0 people" in directories.examine(system)


def test_the_command_fails(lab: Lab) -> None:
    system = lab.system(sync_command=lab.command(3))
    task = ended(system, directories.start_sync(system))
    assert task.state == "failed"
    assert task.output[-1].endswith("ended with code 3")
    missing = lab.system(sync_command=["/nowhere/fwconsole", "userman"])
    task = ended(missing, directories.start_sync(missing))
    assert "cannot be run" in task.output[-1]
    with pytest.raises(Problem, match="/nowhere/fwconsole is not found"):
        directories.examine(missing)


def test_the_command_hangs(lab: Lab) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    system = lab.system(sync_command=sleeper, sync_timeout=0.5)
    first = directories.start_sync(system)
    assert directories.is_syncing(system) is True
    assert directories.start_sync(system) == first
    assert "did not end within 0.5 s" in ended(system, first).output[-1]


def test_freepbx_is_at_it_already(lab: Lab) -> None:
    """Its lock file holds the pid of the synchronisation; a second one would fail at once."""
    system = lab.system()
    with subprocess.Popen(["sleep", "60"]) as process:
        lab.lock.write_text(f"{process.pid}\n")
        assert directories.is_syncing(system) is True
        directories.start_sync_unasked(system)
        assert system.tasks.latest(directories.SYNC) is None
        task = directories.start_sync(system)
        eventually(lambda: "running" in str(system.tasks.get(task)))
        assert lab.runs() == 0
        process.kill()
        process.wait()
    assert ended(system, task).state == "succeeded"
    assert lab.runs() == 1
    # The file of a process that has died, or of no process at all, stops nobody.
    for text in (f"{process.pid}", "", "rubbish", "0", "-1", "9" * 30):
        lab.lock.write_text(text)
        assert directories.is_syncing(system) is False, text
    lab.lock.write_text(str(os.getpid()))
    stuck = lab.system(sync_timeout=0.3)
    assert "does not end" in ended(stuck, directories.start_sync(stuck)).output[-1]


def test_people_of_the_internal_directory_are_ours_to_write(lab: Lab) -> None:
    system = lab.system()
    directories.create_user(system, "ada", "Ada Rossi")
    with system.change() as unit:
        unit.conn.execute(
            insert(t.userman_directories).values(
                id=9, name="NethServer AD", driver="Msad2", active=1, default=0, order=1
            )
        )
        unit.conn.execute(insert(t.userman_users).values(auth="9", username="bob"))
    directories.create_user(system, "carl", "Carl Maier")
    with system.change() as unit:
        unit.conn.execute(t.userman_directories.update().values(default=0))
        unit.conn.execute(
            t.userman_directories.update().where(t.userman_directories.c.id == 9).values(default=1)
        )
    # FreePBX puts new people into its default directory, and that one is only read now.
    with pytest.raises(Problem, match="NethServer AD is only read: add the user there"):
        directories.create_user(system, "dora", "Dora Weiss")
    with system.read() as connection:
        ada, bob = find_person(connection, "ada"), find_person(connection, "bob")
    assert ada is not None
    assert bob is not None
    directories.set_password(system, ada, "Pa9!xyzw")
    with pytest.raises(Problem, match="NethServer AD is only read: set the password there"):
        directories.set_password(system, bob, "Pa9!xyzw")


def test_one_sync_for_a_whole_import(lab: Lab) -> None:
    """LES 4.A23: the original ran one for every row. One that fails is reported."""
    rows = "".join(f"user{n},User {n},{200 + n}\n" for n in range(20))
    file = base64.b64encode(rows.encode()).decode()
    system = lab.system()
    csv_import.start_import(system, file)
    eventually(lambda: csv_import.import_state(system) == 100, 60)
    assert lab.runs() == 1
    csv_import.start_import(system, file)
    eventually(lambda: csv_import.import_state(system) == 100, 60)
    assert lab.runs() == 1  # nobody is new
    failing = lab.system(sync_command=lab.command(3))
    csv_import.start_import(failing, base64.b64encode(b"new,New One,300\n").decode())

    def errors() -> list[str]:
        try:
            csv_import.import_state(failing)
        except Problem as problem:
            return list(problem.members["errors"])
        return []

    (error,) = eventually(errors, 60)
    assert "synchronising the user directory failed" in error
    with system.read() as connection:
        new = find_person(connection, "new")
    assert new is not None
    assert new.extension == "300"


PEOPLE_OF_AD = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as connection:
    connection.execute(
        "INSERT INTO userman_users (auth, username, default_extension) VALUES ('9', 'bob', 'none')"
    )
"""


def test_an_import_asks_a_foreign_directory_before_it_refuses(lab: Lab) -> None:
    """Once, before it takes somebody for unknown; nobody is made twice."""
    system = lab.system()
    with system.change() as unit:
        unit.conn.execute(
            insert(t.userman_directories).values(
                id=9, name="NethServer AD", driver="Msad2", active=1, default=0, order=1
            )
        )
    script = lab.folder / "people.py"
    script.write_text(PEOPLE_OF_AD)
    database = str(system.database.engine.url.database)
    reading = lab.system(sync_command=[sys.executable, str(script), database])
    csv_import.start_import(reading, base64.b64encode(b"bob,Bob,200\n").decode())
    eventually(lambda: csv_import.import_state(reading) == 100, 60)
    with reading.read() as connection:
        people = connection.execute(select(t.userman_users)).all()
    assert [(row.auth, row.username, row.default_extension) for row in people] == [
        ("9", "bob", "200")
    ]


def test_no_directory_is_chosen(lab: Lab) -> None:
    system = lab.system(user_directory="")
    assert directories.describe(system) == {"configured": 0}
    assert directories.examine(system) == "none is configured"
    with pytest.raises(Problem, match="No user directory is configured"):
        directories.create_user(system, "ada", "Ada Rossi")
    assert ended(system, directories.start_sync(system)).state == "succeeded"


# --- the middleware ------------------------------------------------------------------------------


@pytest.fixture
def middleware() -> Iterator[tuple[int, list[tuple[str, str]]]]:
    calls: list[tuple[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], calls
        server.shutdown()
        thread.join(10)


CALL = ("/admin/reload/profiles", "Bearer a-token")


@pytest.mark.parametrize("kind", ["userman", "internal"])
def test_middleware_is_told(
    lab: Lab, middleware: tuple[int, list[tuple[str, str]]], kind: str
) -> None:
    port, calls = middleware
    system = lab.system(
        user_directory=kind, middleware_port=port, middleware_super_admin_token="a-token"
    )

    def told_by(action: Callable[[], object]) -> None:
        before = len(calls)
        action()
        eventually(lambda: len(calls) == before + 1)

    told_by(lambda: directories.start_sync(system))
    told_by(lambda: directories.create_user(system, "ada", "Ada Rossi"))
    told_by(lambda: directories.create_user(system, "ada", "Ada Bianchi"))
    directories.create_user(system, "ada", "Ada Bianchi")  # nothing changed, nobody is told
    told_by(lambda: directories.create_user(system, "bob", "Bob Major"))
    assert set(calls) == {CALL}
    eventually(lambda: {state(system)} == {"succeeded"})


@pytest.mark.parametrize("code", [0, 3])
def test_an_import_tells_the_middleware_once(
    lab: Lab, middleware: tuple[int, list[tuple[str, str]]], code: int
) -> None:
    port, calls = middleware
    system = lab.system(
        sync_command=lab.command(code),
        middleware_port=port,
        middleware_super_admin_token="a-token",
    )
    rows = "".join(f"user{n},User {n}\n" for n in range(10))
    csv_import.start_import(system, base64.b64encode(rows.encode()).decode())
    eventually(lambda: "running" not in state(system), 60)
    assert calls == [CALL]
    assert system.tasks.latest("middleware") is None
    with system.read() as connection:
        assert find_person(connection, "user9") is not None


def state(system: System) -> str:
    with system.read() as connection:
        return "".join(sorted(set(connection.scalars(select(t.rest_tasks.c.state)))))


def test_a_middleware_that_is_away_fails_nothing(lab: Lab) -> None:
    system = lab.system(middleware_port=1, middleware_super_admin_token="a-token")
    task = ended(system, directories.start_sync(system))
    assert task.state == "succeeded"
    assert "the middleware could not be told" in task.output[-1]
    directories.create_user(system, "ada", "Ada Rossi")
    eventually(lambda: {state(system)} == {"succeeded"})
