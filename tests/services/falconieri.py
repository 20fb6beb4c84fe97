"""A gateway to redirect services that answers as Falconieri does, and can misbehave."""

import re
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import orjson

USERNAME = "system-4711"
PASSWORD = "a-gateway-password"
_MAC = re.compile(r"[A-Z0-9]{2}(-[A-Z0-9]{2}){5}")


@dataclass(frozen=True)
class Asked:
    """A request as it came in, header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Falconieri:
    """`asked` are the requests so far. `misbehave` takes over an answer: it gets the handler."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.registered: dict[str, str] = {}
        self.misbehave: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append(Asked(self.command, self.path, headers, body))
                if outer.misbehave is not None:
                    outer.misbehave(self)
                    return
                outer._answer(self, headers, body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def _answer(
        self, handler: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes
    ) -> None:
        expected = b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if headers.get("authorization") != f"Basic {expected}":
            return answer(handler, 401, b"")
        parts = urlsplit(handler.path)
        _, root, provider, mac = parts.path.split("/")
        assert root == "providers"
        if provider not in ("snom", "gigaset", "fanvil", "yealink"):
            return refuse(handler, 404, "provider_not_supported")
        if not _MAC.fullmatch(mac):
            return refuse(handler, 400, "missing_mac_address")
        crc = parse_qs(parts.query).get("crc", [""])[0]
        if provider == "gigaset" and not crc:
            return refuse(handler, 400, "missing_mac-id_crc")
        url = orjson.loads(body)["url"]
        if urlsplit(url).scheme not in ("ftp", "tftp", "http", "https"):
            return refuse(handler, 400, "unsupported_url_scheme")
        self.registered[mac] = url
        return answer(handler, 200, b"")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json; charset=utf-8")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def refuse(handler: BaseHTTPRequestHandler, status: int, error: str, message: str = "") -> None:
    document = {"error": error} | ({"message": message} if message else {})
    answer(handler, status, orjson.dumps(document))
