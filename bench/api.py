"""Requests per second of the service beside a bare Starlette route that runs the same SQL.

A private MariaDB holds FreePBX's tables with 1,000 people. The SQL that the service executes for a
request is recorded once and replayed by the baseline through PyMySQL, so that what remains is the
cost of everything but the database: HTTP, authentication, validation, the domain and JSON.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx
import orjson
from sqlalchemy import Engine, event, insert, select
from sqlalchemy.engine import make_url

from bench import table
from bench.load import Request, Result, http_request, measure
from nethvoice import first_start
from nethvoice.pbx.voip_trunks import NewTrunk, create_trunk
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from nethvoice.system import System
from tests.contract.conftest import load_freepbx_schema
from tests.processes import Process
from tests.services.base import answers, free_port, wait_for
from tests.services.mariadb import MariaDB
from tests.support import BASE, PASSWORD, SECRET, LiveServer, headers

PEOPLE = 1000
NEWCOMERS = 4000
PROVIDER = "messagenet"
ROUNDS = 3
CONNECTIONS = 8


@dataclass(frozen=True)
class Row:
    """One measured request. `varying` maps a text of the recording to (first value, step): the
    n-th request has `first + step * n` in its place."""

    name: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    varying: dict[str, tuple[int, int]] = field(default_factory=dict)
    most: int = 1_000_000
    for_newcomers: bool = False

    def request(self, number: int | None = None, path: str | None = None) -> bytes:
        """The n-th request; without a number, the one to record."""
        body = None if self.body is None else orjson.dumps(self.body)
        if number is not None and body is not None:
            for old, (first, step) in self.varying.items():
                body = body.replace(old.encode(), str(first + step * number).encode())
        return http_request(self.method, path or BASE + self.path, headers(), body)


FORMER = {
    "one mobile": 1639,
    "1,000 mobiles": 762,
    "1,000 phones by MAC": 100,
    "1,000 users": 0.33,
}
"""Requests per second of the former service with two processes, on a machine of this kind and with
as many rows."""

ROWS = [
    Row("login", "GET", "/login"),
    Row("one mobile", "GET", "/mobiles/user500"),
    Row("1,000 mobiles", "GET", "/mobiles"),
    Row("one user", "GET", "/users/user500"),
    Row("1,000 users", "GET", "/users"),
    Row("count users", "GET", "/users/count"),
    Row("one main extension", "GET", "/mainextensions/10500"),
    Row("1,000 main extensions", "GET", "/mainextensions"),
    Row("2,000 phones", "GET", "/physicalextensions"),
    Row("1,000 phones by MAC", "GET", "/devices/phones/list"),
    Row("200 trunks", "GET", "/trunks"),
    Row("count trunks", "GET", "/trunks/count"),
    Row("providers", "GET", "/providers"),
    Row("500 inbound routes", "GET", "/inboundroutes"),
    Row("100 outbound routes", "GET", "/outboundroutes"),
    Row("default outbound routes", "GET", "/outboundroutes/defaults"),
    Row("1,000 destinations", "GET", "/destinations"),
    Row("bulk of 500", "GET", "/bulk/" + ",".join(str(n) for n in range(10_000, 10_500))),
    Row("set a mobile", "POST", "/mobiles", {"username": "user500", "mobile": "0039777777"},
        {"0039777777": (39_300_000_000, 7)}),
    Row("create a main extension", "POST", "/mainextensions",
        {"username": "new987654", "extension": "987654"}, {"987654": (200_000, 1)}, most=700,
        for_newcomers=True),
    Row("create a trunk", "POST", "/trunks",
        {"provider": PROVIDER, "username": "u", "password": "p", "phone": "1",
         "name": "new876543"}, {"876543": (300_000, 1)}, most=150),
]  # fmt: skip
"""The benches of other areas add their rows here."""


def _fill(database: Database) -> None:
    """1,000 people, each with a main extension and a phone."""
    with database.write() as connection:
        connection.execute(insert(t.admin).values(variable="need_reload", value="false"))
        people = [
            {
                "id": number + 1,
                "auth": "1",
                "username": f"user{number}",
                "displayname": f"User Number {number}",
                "email": f"user{number}@example.org",
                "default_extension": str(10_000 + number),
            }
            for number in range(PEOPLE)
        ]
        connection.execute(insert(t.userman_users), people)
        connection.execute(
            insert(t.rest_users),
            [{"user_id": n + 1, "mobile": f"0039{n:07}", "password": "x"} for n in range(PEOPLE)],
        )
        numbers = [(n + 1, f"{prefix}{10_000 + n}") for n in range(PEOPLE) for prefix in ("", "91")]
        connection.execute(
            insert(t.users),
            [{"extension": number, "name": f"User {owner}"} for owner, number in numbers],
        )
        connection.execute(
            insert(t.devices),
            [
                {"id": n, "tech": "pjsip", "dial": f"PJSIP/{n}", "user": n, "devicetype": "fixed"}
                for _, n in numbers
            ],
        )
        connection.execute(
            insert(t.rest_devices_phones),
            [
                {"user_id": owner, "mac": f"00:15:65:{n[-6:-4]}:{n[-4:-2]}:{n[-2:]}"
                 if len(n) == 7 else None, "extension": n, "secret": "s", "line": 1,
                 "type": "physical"}
                for owner, n in numbers
            ],
        )  # fmt: skip
        keys = [
            {"key": f"/AMPUSER/{n}/{key}", "value": "dontcare"}
            for _, n in numbers
            for key in ("cidname", "recording/in/external", "recording/out/external", "cwtone")
        ]
        connection.execute(insert(t.rest_astdb), keys)


def _add_newcomers(settings: Settings, numbers: Iterable[int]) -> None:
    """People without a main extension, `new<number>`, who would only lengthen the other lists."""
    database = Database(settings.sql_url, settings.run_folder, connections=1)
    with database.write() as connection:
        people = [{"id": n, "auth": "1", "username": f"new{n}"} for n in numbers]
        connection.execute(insert(t.userman_users), people)
    database.close()


def _fill_lines(database: Database, settings: Settings) -> None:
    """200 trunks as the service makes them, 500 inbound and 100 outbound routes."""
    system = System(settings)
    try:
        account = {"username": "0721000111", "password": "secret", "phone": "0721000111"}
        first = create_trunk(system, NewTrunk(provider=PROVIDER, name="trunk0", **account))
    finally:
        system.stop()
    with database.write() as connection:
        trunk = connection.execute(select(t.trunks)).mappings().one()
        details = connection.execute(select(t.pjsip)).mappings().all()
        more = range(first + 1, first + 200)
        connection.execute(
            insert(t.trunks),
            [{**trunk, "trunkid": n, "channelid": f"trunk{n}", "name": f"trunk{n}"} for n in more],
        )
        connection.execute(
            insert(t.pjsip), [{**row, "id": str(n)} for n in more for row in details]
        )
        connection.execute(
            insert(t.incoming),
            [
                {"extension": f"0721{n:06}", "destination": f"from-did-direct,{10_000 + n},1"}
                for n in range(500)
            ],
        )
        routes = range(1, 101)
        connection.execute(
            insert(t.outbound_routes), [{"route_id": n, "name": f"route{n}"} for n in routes]
        )
        connection.execute(
            insert(t.outbound_route_sequence), [{"route_id": n, "seq": n - 1} for n in routes]
        )
        connection.execute(
            insert(t.outbound_route_trunks),
            [
                {"route_id": n, "trunk_id": first + n + seq, "seq": seq}
                for n in routes
                for seq in range(3)
            ],
        )


@contextlib.contextmanager
def _recording() -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        # What background threads do meanwhile belongs to no request.
        if threading.current_thread().name.startswith("handler"):
            seen.append((statement, parameters))

    def commit(_c: Any) -> None:
        # A commit waits for the disk, so it counts as much as any statement.
        note(None, None, "COMMIT", {})

    listeners: list[tuple[str, Any]] = [("before_cursor_execute", note), ("commit", commit)]
    for name, function in listeners:
        event.listen(Engine, name, function)
    try:
        yield seen
    finally:
        for name, function in listeners:
            event.remove(Engine, name, function)


def _record(settings: Settings) -> dict[str, Any]:
    """The statements of every row, from the service itself."""
    routes = {}
    with LiveServer(settings) as server:
        url = f"http://127.0.0.1:{server.port}{BASE}"
        with httpx.Client(base_url=url, headers=headers(), timeout=60) as client:
            for row in ROWS:
                client.get("/login")
                if row.for_newcomers:
                    _add_newcomers(settings, [987_654])
                with _recording() as seen:
                    answer = client.request(row.method, row.path, json=row.body)
                answer.raise_for_status()
                routes[_key(row)] = {
                    "statements": seen,
                    "varying": row.varying,
                    "writes": row.method != "GET",
                }
    return routes


def _key(row: Row) -> str:
    return row.name.replace(" ", "-").replace(",", "")


@contextlib.contextmanager
def _baseline(url: str, routes: dict[str, Any]) -> Iterator[int]:
    parts = make_url(url)
    connection = {
        "host": parts.host,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "database": parts.database,
        "charset": "utf8mb4",
    }
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.json"
        plan.write_text(json.dumps({"connection": connection, "routes": routes}, default=str))
        process = subprocess.Popen([sys.executable, "-m", "bench.bare", str(plan), str(port)])
        try:
            wait_for(lambda: answers(port), "the baseline")
            yield port
        finally:
            process.terminate()
            process.wait(20)


def _best(results: list[Result]) -> Result:
    return max(results, key=lambda result: result.rate)


def _measure(row: Row, ours: int, bare: int) -> tuple[Result, Result]:
    """The best of several rounds of each, taken in turns."""
    mine, theirs = [], []
    for turn in range(ROUNDS):
        offset = turn * row.most if row.varying and row.most < 1_000_000 else 0

        def request(number: int, offset: int = offset) -> bytes:
            return row.request(number + offset)

        def plain(number: int) -> bytes:
            return row.request(number, f"/{_key(row)}")

        both: list[tuple[int, Request, list[Result]]] = [
            (ours, request, mine),
            (bare, plain, theirs),
        ]
        for port, send, results in both:
            results.append(measure(port, send, connections=CONNECTIONS, most=row.most))
    return _best(mine), _best(theirs)


def _database(mariadb: MariaDB, name: str, folder: Path) -> Settings:
    """A database of its own with the same contents."""
    settings = Settings(
        data_dir=folder / name,
        database_url=mariadb.create_database(name),  # type: ignore[arg-type]
        secret=SECRET,  # type: ignore[arg-type]
        admin_password=PASSWORD,  # type: ignore[arg-type]
    )
    database = Database(settings.sql_url, settings.run_folder, connections=4)
    load_freepbx_schema(database)
    first_start.initialise(settings)
    _fill(database)
    _fill_lines(database, settings)
    database.close()
    return settings


def main() -> None:
    """Print the table."""
    with MariaDB() as mariadb, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        click.echo(f"filling MariaDB with {PEOPLE:,} people, for both sides")
        settings, baseline = (_database(mariadb, name, folder) for name in ("ours", "bare"))
        routes = _record(_database(mariadb, "recording", folder))
        rows = []
        with _baseline(baseline.sql_url, routes) as bare, _served(settings, workers=1) as process:
            for row in ROWS:
                click.echo(f"measuring: {row.name}")
                if row.for_newcomers:
                    for side in (settings, baseline):
                        _add_newcomers(side, range(200_000, 200_000 + NEWCOMERS))
                ours, plain = _measure(row, process.port, bare)
                rows.append(
                    [
                        row.name,
                        f"{ours.rate:,.0f}",
                        f"{plain.rate:,.0f}",
                        f"{ours.rate / plain.rate:.2f}",
                        f"{ours.p50:.1f} / {ours.p99:.1f}",
                        f"{plain.p50:.1f} / {plain.p99:.1f}",
                    ]
                )
        headings = ["request", "ours/s", "bare/s", "ratio", "ours p50/p99 ms", "bare p50/p99 ms"]
        table.show(f"API, {PEOPLE:,} people, {CONNECTIONS} connections", headings, rows)
        _beside_the_former(_database(mariadb, "processes", folder))


def _served(settings: Settings, *, workers: int) -> Process:
    return Process(
        settings.data_dir / "server.log",
        DATA_DIR=settings.data_dir,
        DATABASE_URL=settings.sql_url,
        LOG_LEVEL="WARNING",
        CHECK_ANSWERS="false",
        RELOAD_INTERVAL=10,  # as beside FreePBX
        WORKERS=workers,
    )


def _beside_the_former(settings: Settings) -> None:
    """Two processes, as the former service was measured."""
    rows = []
    with _served(settings, workers=2) as process:
        for row in ROWS:
            if row.name not in FORMER:
                continue
            click.echo(f"measuring with two processes: {row.name}")
            best = _best(
                [
                    measure(process.port, row.request, connections=CONNECTIONS, most=row.most)
                    for _ in range(ROUNDS)
                ]
            )
            former = FORMER[row.name]
            latency = f"{best.p50:.1f} / {best.p99:.1f}"
            ratio = f"{best.rate / former:.1f}"
            rows.append([row.name, f"{best.rate:,.0f}", f"{former:,}", ratio, latency])
    headings = ["request", "ours/s", "former/s", "ratio", "p50/p99 ms"]
    table.show("API, two processes, beside the former service", headings, rows)
