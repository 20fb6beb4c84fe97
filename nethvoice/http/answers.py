"""How answers get onto the wire."""

from dataclasses import dataclass
from typing import Any

import orjson

from nethvoice.answers import RawJson

JSON = b"application/json;charset=utf-8"
PROBLEM = b"application/problem+json"

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Wire:
    """An answer as it is sent."""

    status: int
    body: bytes
    headers: Headers


def encode(data: Any) -> bytes:
    """JSON in UTF-8, slashes as they are."""
    return data.body if isinstance(data, RawJson) else orjson.dumps(data)


async def send_answer(send: Any, answer: Wire, *, with_body: bool = True) -> None:
    """Send an answer; a HEAD request gets its headers only."""
    length = str(len(answer.body)).encode()
    headers = [*answer.headers]
    if answer.status != 204:
        headers.append((b"content-length", length))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})
