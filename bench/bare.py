"""The baseline: a bare Starlette application that runs recorded SQL through PyMySQL.

`python -m bench.bare PLAN PORT`: PLAN is a JSON file with the connection and, for each route, the
statements that the service executed for the same request, in order. Texts of the recording that
must differ from request to request (ids, numbers) are replaced by fresh ones.
"""

import asyncio
import itertools
import queue
import re
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pymysql
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_THREADS = 16
_ID = re.compile(r"[0-9a-f]{32}")


class Connections:
    """A pool: connections are made when first needed and go back after use."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, statements: list[tuple[str, Any]]) -> bytes:
        try:
            connection = self._free.get_nowait()
        except queue.Empty:
            connection = pymysql.connect(**self._options, autocommit=True)
        with connection.cursor() as cursor:
            rows: Any = ()
            effect = 0
            for statement, parameters in statements:
                if isinstance(parameters, list):
                    cursor.executemany(statement, parameters)
                    continue
                if statement.startswith("DELETE FROM rest_outbox"):
                    parameters = dict.fromkeys(parameters, effect)  # noqa: PLW2901
                cursor.execute(statement, parameters)
                if statement.startswith("INSERT INTO rest_outbox"):
                    effect = cursor.lastrowid
                if cursor.description:
                    rows = cursor.fetchall()
        self._free.put(connection)
        return orjson.dumps(rows, default=str)


def _fresh(value: Any, words: dict[str, str], ids: dict[str, str]) -> Any:
    """A recorded parameter for one more request."""
    if isinstance(value, str):
        if _ID.fullmatch(value):
            return ids.setdefault(value, secrets.token_hex(16))
        for old, new in words.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, int) and str(value) in words:
        return int(words[str(value)])
    if isinstance(value, dict):
        return {key: _fresh(item, words, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [_fresh(item, words, ids) for item in value]
    return value


def application(plan: dict[str, Any]) -> Starlette:
    pool = ThreadPoolExecutor(_THREADS)
    connections = Connections(**plan["connection"])

    def route(recorded: dict[str, Any]) -> Any:
        statements = [(text, parameters) for text, parameters in recorded["statements"]]
        varying: dict[str, list[int]] = recorded["varying"]
        numbers = itertools.count()

        def work() -> bytes:
            if not varying and not recorded["writes"]:
                return connections.run(statements)
            number = next(numbers)
            words = {old: str(first + step * number) for old, (first, step) in varying.items()}
            ids: dict[str, str] = {}
            return connections.run([(s, _fresh(p, words, ids)) for s, p in statements])

        async def answer(request: Request) -> Response:
            await request.body()
            body = await asyncio.get_running_loop().run_in_executor(pool, work)
            return Response(body, media_type="application/json")

        return answer

    routes = [
        Route(f"/{name}", route(recorded), methods=["GET", "POST"])
        for name, recorded in plan["routes"].items()
    ]
    return Starlette(routes=routes)


if __name__ == "__main__":
    uvicorn.run(
        application(orjson.loads(Path(sys.argv[1]).read_bytes())),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
    )
