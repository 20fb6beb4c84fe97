"""HTTP requests to other systems: an end to every wait, and to how much is read.

httpx limits single steps only, so a peer that sends a byte now and then would hold a request for
ever; here the whole of it has a deadline.
"""

import asyncio
import functools
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

LIMIT = 65536
"""Bytes of an answer that are read; a longer one is an error."""


@dataclass(frozen=True)
class Received:
    """An answer: its status and its whole body."""

    status: int
    body: bytes


class RequestFailed(Exception):
    """No usable answer; the text says why and never what was sent."""


class RequestTimedOut(RequestFailed):
    """No whole answer within the time given."""


async def request(
    method: str,
    url: str,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    auth: tuple[str, str] | None = None,
    verify: bool = True,
    server_name: str | None = None,
    through_proxy: bool = True,
) -> Received:
    """Send a request and read the answer; redirects are not followed.

    `timeout` is in seconds, for everything together. With `verify` the certificate chain and name
    are checked against the system's authorities; `server_name` is the name to check when the URL
    holds an address. `through_proxy` honours HTTP_PROXY and the like. Raises RequestFailed,
    RequestTimedOut among it.
    """
    extensions: dict[str, Any] = {"sni_hostname": server_name} if server_name else {}
    try:
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(
                verify=_verifying() if verify else _trusting(),
                timeout=timeout,
                auth=auth,
                trust_env=through_proxy,
                follow_redirects=False,
            ) as client,
            client.stream(
                method,
                url,
                # Nothing is unpacked: a small compressed answer can be a huge one.
                headers={"Accept-Encoding": "identity", **(headers or {})},
                content=content,
                extensions=extensions,
            ) as answer,
        ):
            return Received(answer.status_code, await _read(answer))
    except (TimeoutError, httpx.TimeoutException):
        raise RequestTimedOut(f"no answer within {timeout:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        # The texts of these may repeat the request, the name of the kind does not.
        raise RequestFailed(type(error).__name__) from None


async def _read(answer: httpx.Response) -> bytes:
    body = b""
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > LIMIT:
            raise RequestFailed("the answer is too long")
    return body


@functools.cache
def _verifying() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.load_default_certs()  # authorities that the operator added to the system
    return context


@functools.cache
def _trusting() -> ssl.SSLContext:
    return httpx.create_ssl_context(verify=False)
