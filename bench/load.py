"""A small HTTP load generator: keep-alive connections that each send the next request at once."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """Requests per second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


Request = Callable[[int], bytes]
"""The bytes of the n-th request."""


def http_request(
    method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> bytes:
    """An HTTP/1.1 request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            await reader.readexactly(int(value))
            break
    return status


async def _run(port: int, request: Request, connections: int, seconds: float, most: int) -> Result:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    numbers = iter(range(most))
    started = loop.time()
    deadline = started + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            begun = time.perf_counter()
            writer.write(request(number))
            status = await _answer(reader)
            latencies.append(time.perf_counter() - begun)
            if not 200 <= status < 300:
                raise RuntimeError(f"answered {status}: {request(number)[:200]!r}")
            if loop.time() > deadline:
                break
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    passed = loop.time() - started
    latencies.sort()
    count = len(latencies)
    return Result(
        rate=count / passed,
        p50=latencies[count // 2] * 1000,
        p99=latencies[min(count - 1, int(count * 0.99))] * 1000,
    )


def measure(
    port: int,
    request: Request,
    *,
    connections: int = 8,
    seconds: float = 3.0,
    most: int = 1_000_000,
) -> Result:
    """Load the server for `seconds`, or until `most` requests are answered."""
    return asyncio.run(_run(port, request, connections, seconds, most))
