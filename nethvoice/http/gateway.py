"""The outermost layer: request ids, authentication before routing, problems, the access log."""

import logging
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nethvoice.context import RequestContext, current_request
from nethvoice.http.answers import PROBLEM, Wire, send_answer
from nethvoice.http.checks import AnswerCheck, AnswerNotDeclared
from nethvoice.http.console import Console
from nethvoice.http.routing import Routes, raw_path
from nethvoice.http.threads import HandlerThreads
from nethvoice.problems import Problem, not_found

access_log = logging.getLogger("nethvoice.access")
log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ALLOW = b"GET, POST"


class Authenticator(Protocol):
    """Decides who a request comes from."""

    def cached(self, user: str, key: str) -> str | None:
        """The administrator, when that is known without asking the database."""

    def check(self, user: str | None, key: str | None, address: str) -> str:
        """The administrator. Blocks; raises Problem 403 or 429."""


@dataclass(frozen=True)
class RootRoute:
    """Something outside the base path, such as `/health`. The handler runs in a thread."""

    handler: Callable[[], Response]
    public: bool


class Gateway:
    """Wraps the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Routes,
        public: Sequence[bytes],
        authenticator: Authenticator,
        observe: Callable[[str, str, int, float], None],
        threads: HandlerThreads,
        trusted_proxies: Sequence[Network],
        root_routes: Mapping[str, RootRoute],
        console: Console,
        check: AnswerCheck | None,
    ) -> None:
        self._app = app
        self._routes = routes
        self._public = frozenset(public)
        self._authenticator = authenticator
        self._observe = observe
        self._threads = threads
        self._trusted = trusted_proxies
        self._root_routes = {path.encode(): route for path, route in root_routes.items()}
        self._console = console
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        context = RequestContext(_request_id(scope), address=self._address(scope))
        token = current_request.set(context)
        sent = _Sent(send, context.id)
        try:
            await self._serve(scope, receive, sent, context)
        except Problem as problem:
            await self._problem(scope, sent, problem, context)
        except Exception:
            log.exception("a request broke down")
            broken = Problem(500, "Internal error", "the service failed; its log has the details")
            await self._problem(scope, sent, broken, context)
        finally:
            seconds = time.perf_counter() - started
            self._observe(
                scope.get("nethvoice.operation", "none"), scope["method"], sent.status, seconds
            )
            self._log(scope, context, sent.status, seconds)
            current_request.reset(token)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, context: RequestContext
    ) -> None:
        path = raw_path(scope)
        if self._console.serves(path):
            await self._console(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await self._options(path, send)
            return
        root = self._root_routes.get(path)
        if path not in self._public and not (root and root.public):
            context.user = await self._authenticate(scope, context.address)
        if root is None:
            await self._app(scope, receive, send)
            return
        scope["nethvoice.operation"] = path.decode().strip("/")
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, "Method not allowed", "only GET", headers={"Allow": "GET"})
        answer = await self._threads.run(root.handler)
        await answer(scope, receive, send)

    async def _options(self, path: bytes, send: Send) -> None:
        if path not in self._root_routes and self._routes.find(path) is None:
            raise not_found("there is nothing at this path")
        headers = [(b"allow", _ALLOW), (b"content-type", b"text/plain")]
        await send_answer(send, Wire(200, b"Allowed methods: " + _ALLOW, headers))

    async def _authenticate(self, scope: Scope, address: str) -> str:
        user = key = None
        seen = 0
        for name, value in scope["headers"]:
            if name == b"user":
                user = value.decode("latin-1")
                seen += 1
            elif name == b"secretkey":
                key = value.decode("latin-1")
                seen += 1
        if seen > 2:
            user = key = None  # a repeated header is nobody's
        if user is not None and key is not None:
            known = self._authenticator.cached(user, key)
            if known is not None:
                return known
        checked: str = await self._threads.run(self._authenticator.check, user, key, address)
        return checked

    async def _problem(
        self, scope: Scope, send: "_Sent", problem: Problem, context: RequestContext
    ) -> None:
        if send.status:
            return  # the answer has begun; the server closes the connection
        if problem.status >= 500:
            log.warning("failed: %s", problem.detail, extra={"status": problem.status})
        answer = self._wire(problem, context)
        operation = scope.get("nethvoice.operation")
        if self._check is not None and operation is not None:
            try:
                self._check.answer(operation, answer)
            except AnswerNotDeclared as error:
                log.exception("an answer is not declared")
                wrong = Problem(500, "Internal error", str(error))
                answer = self._wire(wrong, context)
        await send_answer(send, answer, with_body=scope["method"] != "HEAD")

    @staticmethod
    def _wire(problem: Problem, context: RequestContext) -> Wire:
        headers = [
            (key.lower().encode(), value.encode("latin-1"))
            for key, value in problem.headers.items()
        ]
        headers.append((b"content-type", PROBLEM))
        body = orjson.dumps(problem.document(f"urn:request:{context.id}"))
        return Wire(problem.status, body, headers)

    def _address(self, scope: Scope) -> str:
        client = scope.get("client")
        address = str(client[0]) if client else ""
        if not self._trusted or not _within(address, self._trusted):
            return address
        forwarded = [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name == b"x-forwarded-for"
        ]
        for entry in reversed(",".join(forwarded).split(",")):
            hop = entry.strip()
            if not hop:
                continue
            if not _within(hop, self._trusted):
                return hop[:64]
        return address

    @staticmethod
    def _log(scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
        if not access_log.isEnabledFor(logging.INFO):
            return
        access_log.info(
            "%s %s %s",
            scope["method"],
            scope["path"][:200],
            status,
            extra={
                "method": scope["method"],
                "path": scope["path"][:200],
                "status": status,
                "ms": round(seconds * 1000, 2),
                "user": context.user,
                "address": context.address,
            },
        )


class _Sent:
    """Remembers the status and adds the request id to every answer."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = (b"x-request-id", request_id.encode())
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), self._id]
        await self._send(message)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(text):
                return text
    return f"{random.getrandbits(128):032x}"


def _within(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found.version == network.version and found in network for network in networks)
