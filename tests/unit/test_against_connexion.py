"""Our router, operations and validators against those that connexion comes with.

The same requests go through both. What differs is listed, with what each answers; everything else
must be the same in status and body (of refusals only the status, since ours are worded anew).
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from connexion import AsyncApp

from nethvoice.http.stack import build

TOY = Path(__file__).parent.parent / "toy.yaml"
BASE = "/api"

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Case:
    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        body = (self.body or b"")[:30].decode("utf-8", "replace")
        return f"{self.method} {self.path} {self.headers.get('Content-Type', '')} {body}".strip()


SAME = [
    Case("GET", "/things"),
    Case("GET", "/things?limit=5&tag=abc&exact=true"),
    Case("GET", "/things?limit=5&limit=6"),
    Case("GET", "/things?limit=99"),
    Case("GET", "/things?limit=x"),
    Case("GET", "/things?tag=UPPER"),
    Case("GET", "/things?tag="),
    Case("GET", "/things?exact=false"),
    Case("GET", "/things?unknown=1"),
    Case("POST", "/things", b'{"name": "a"}', JSON),
    Case("POST", "/things", b'{"name": "a", "size": 3, "shown": true, "parts": ["x"]}', JSON),
    Case("POST", "/things", b'{"name": "a", "more": {"deep": [1]}}', JSON),
    Case("POST", "/things", '{"name": "così"}'.encode(), JSON),
    Case("POST", "/things", b'{"name": ""}', JSON),
    Case("POST", "/things", b'{"name": "longer than ten"}', JSON),
    Case("POST", "/things", b'{"name": 1}', JSON),
    Case("POST", "/things", b'{"name": "a", "size": -1}', JSON),
    Case("POST", "/things", b'{"name": "a", "size": 1.5}', JSON),
    Case("POST", "/things", b'{"name": "a", "parts": [1]}', JSON),
    Case("POST", "/things", b'{"size": 1}', JSON),
    Case("POST", "/things", b"[]", JSON),
    Case("POST", "/things", b'"text"', JSON),
    Case("POST", "/things", b"{", JSON),
    Case("POST", "/things", b"", JSON),
    Case("POST", "/things", b"name=a&size=3&shown=true", FORM),
    Case("POST", "/things", b"name=a+b&size=0", FORM),
    Case("POST", "/things", b"name=%C3%A8%26&size=1", FORM),
    Case("POST", "/things", b"name=a&size=x", FORM),
    Case("POST", "/things", b"size=1", FORM),
    Case("POST", "/things", b"<a/>", {"Content-Type": "application/xml"}),
    Case("POST", "/things", b"a", {"Content-Type": "text/plain"}),
    Case("GET", "/things/count"),
    Case("GET", "/things/7"),
    Case("DELETE", "/things/7"),
    Case("GET", "/things/7/more"),
    Case("DELETE", "/things/count"),
    Case("PUT", "/things"),
    Case("PATCH", "/things/7"),
    Case("POST", "/note", b'{"text": "a"}', JSON),
    Case("POST", "/note", b'{"text": null}', JSON),
    Case("POST", "/note", b"{}", JSON),
    Case("POST", "/sort", b"[3, 1, 2]", JSON),
    Case("POST", "/sort", b"[]", JSON),
    Case("POST", "/sort", b'["a"]', JSON),
    Case("GET", "/names/ada"),
    Case("GET", "/names/a%20b"),
    Case("GET", "/names/a+b"),
    Case("GET", "/names/%C3%A8"),
    Case("GET", "/wait"),
    Case("GET", "/nowhere"),
    Case("HEAD", "/things/7"),
    Case("HEAD", "/note"),
]

DIFFERENT = [
    # (case, what connexion answers, what ours answers, why)
    (Case("POST", "/note"), 400, 200, "an optional body may be missing"),
    (Case("POST", "/note", b"", FORM), 200, 200, "ours hands {} to the handler in both cases"),
    (Case("POST", "/things", b'{"name": "a"}'), 500, 201, "without Content-Type it is JSON"),
    (
        Case("POST", "/things", b'{"name": "a"}', {"Content-Type": "Application/JSON"}),
        500,
        201,
        "media types have no letter case",
    ),
    (
        Case("POST", "/things", b'{"name": "a"}', {"Content-Type": "application/json;charset=x"}),
        500,
        201,
        "JSON has no charset",
    ),
    (Case("POST", "/things", b'{"name": "\xff"}', JSON), 500, 400, "broken UTF-8"),
    (Case("POST", "/things", b"[" * 200_000, JSON), 500, 400, "endless nesting"),
    (Case("POST", "/things", b'{"name": "a", "size": NaN}', JSON), 400, 400, "NaN is no JSON"),
    (
        Case("POST", "/things", b"name=a&parts[0]=x&parts[1]=y", FORM),
        201,
        201,
        "brackets make nested data",
    ),
    (Case("POST", "/things", b"name=a&name=b", FORM), 201, 201, "the last value counts, as in PHP"),
    (Case("POST", "/things", b"x", {"Content-Type": "multipart/form-data"}), 415, 400, "no parts"),
    (Case("GET", "/things/0"), 400, 404, "a path value that does not fit is an unknown path"),
    (Case("GET", "/things/abc"), 404, 404, "the same, for a value that is no number"),
    (Case("GET", "/names/longer%20than%20twenty%20characters"), 400, 404, "the same, for texts"),
    (Case("GET", "/names/a%2Fb"), 404, 200, "segments are split before they are decoded"),
    (Case("GET", "/things/"), 307, 404, "paths are exact"),
]


class _Anybody:
    def cached(self, user: str, key: str) -> str | None:
        return "anybody"

    def check(self, user: str | None, key: str | None, address: str) -> str:
        return "anybody"


@contextlib.asynccontextmanager
async def _nothing(_app: object) -> AsyncIterator[None]:
    yield


def _ours() -> Any:
    return build(
        yaml.safe_load(TOY.read_text(encoding="utf-8")),
        base_path=BASE,
        injected={},
        authenticator=_Anybody(),
        observe=lambda *_: None,
        lifespan=_nothing,
        uploads=Path("uploads"),
        threads=2,
    )


def _stock() -> Any:
    app = AsyncApp(__name__)
    app.add_api(yaml.safe_load(TOY.read_text(encoding="utf-8")), base_path=BASE)
    return app


class Both:
    """Both applications, one event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._ours, self._stock = _ours(), _stock()

    def send(self, case: Case) -> tuple[httpx.Response, httpx.Response]:
        """What connexion and what ours answer."""
        return self.loop.run_until_complete(self._send(case))

    async def _send(self, case: Case) -> tuple[httpx.Response, httpx.Response]:
        answers = []
        for app in (self._stock, self._ours):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
                headers = {"User": "a", "Secretkey": "b", **case.headers}
                request = client.build_request(
                    case.method, BASE + case.path, content=case.body, headers=headers
                )
                answers.append(await client.send(request))
        return answers[0], answers[1]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    logging.getLogger("connexion").setLevel(logging.CRITICAL)
    found = Both()
    yield found
    found.loop.close()


@pytest.mark.parametrize("case", SAME, ids=str)
def test_the_same(both: Both, case: Case) -> None:
    stock, ours = both.send(case)
    assert ours.status_code == stock.status_code, (stock.text, ours.text)
    if stock.is_success and stock.content:
        assert json.loads(ours.content) == json.loads(stock.content)
        kind = "application/json"
        assert ours.headers["content-type"].startswith(kind)
        assert stock.headers["content-type"].startswith(kind)
    if not stock.is_success and case.method != "HEAD":
        assert stock.headers["content-type"] == "application/problem+json"
        assert ours.headers["content-type"] == "application/problem+json"
        assert ours.json()["status"] == stock.json()["status"]


@pytest.mark.parametrize(
    ("case", "stock_status", "our_status", "why"), DIFFERENT, ids=[str(d[0]) for d in DIFFERENT]
)
def test_what_differs(both: Both, case: Case, stock_status: int, our_status: int, why: str) -> None:
    stock, ours = both.send(case)
    assert (stock.status_code, ours.status_code) == (stock_status, our_status), why
    if stock.status_code == ours.status_code and ours.is_success:
        assert (stock.content, ours.content) != (b"", b"")


def test_forms_are_read_as_php_reads_them(both: Both) -> None:
    _, ours = both.send(Case("POST", "/things", b"name=a&parts[0]=x&parts[1]=y", FORM))
    assert ours.json() == {"name": "a", "parts": ["x", "y"]}
    _, ours = both.send(Case("POST", "/things", b"name=a&name=b&parts=", FORM))
    assert ours.json() == {"name": "b", "parts": []}
    _, ours = both.send(Case("POST", "/things", b"name=a&parts%5B%5D=x+y&parts%5B%5D=%2B", FORM))
    assert ours.json() == {"name": "a", "parts": ["x y", "+"]}
    _, ours = both.send(Case("POST", "/things", b"name=a&shown=on&size=4&0=step", FORM))
    assert ours.json() == {"name": "a", "shown": True, "size": 4, "0": "step"}
