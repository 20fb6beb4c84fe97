"""The interactive console (Swagger UI) and the document itself, as bytes prepared at start."""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import swagger_ui_bundle
import yaml
from starlette.types import Receive, Scope, Send

from nethvoice.http.answers import Wire, send_answer
from nethvoice.http.bodies import header
from nethvoice.http.routing import raw_path
from nethvoice.problems import Problem, not_found

_BUNDLE = (
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
)
_OWN = ("index.html", "console.js", "console.css", "sha1.js")
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    b" img-src 'self' data:; connect-src 'self'; form-action 'none';"
    b" frame-ancestors 'none'; base-uri 'none'"
)


@dataclass(frozen=True)
class _File:
    media_type: bytes
    body: bytes
    packed: bytes
    tag: bytes


class Console:
    """Serves a fixed set of files; nothing is read while serving."""

    def __init__(self, document: Mapping[str, Any], base_path: str) -> None:
        published = {**document, "servers": [{"url": base_path}]}
        self._files = {
            f"{base_path}/openapi.json": _file("application/json", orjson.dumps(published)),
            f"{base_path}/openapi.yaml": _file("application/yaml", _yaml(published)),
        }
        bundle = Path(swagger_ui_bundle.swagger_ui_path)
        own = files("nethvoice.http") / "console"
        for name in _BUNDLE:
            self._files[f"{base_path}/ui/{name}"] = _file(
                _media_type(name), (bundle / name).read_bytes()
            )
        for name in _OWN:
            self._files[f"{base_path}/ui/{name}"] = _file(
                _media_type(name), (own / name).read_bytes()
            )
        self._home = f"{base_path}/ui"
        self._files[f"{self._home}/"] = self._files[f"{self._home}/index.html"]
        self._below = f"{self._home}/".encode()
        self._paths = {path.encode() for path in [*self._files, self._home]}

    def serves(self, path: bytes) -> bool:
        """True for the console and the document; anybody may have them."""
        return path.startswith(self._below) or path in self._paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = raw_path(scope).decode("latin-1")
        scope["nethvoice.operation"] = "console"
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, "Method not allowed", "only GET", headers={"Allow": "GET"})
        with_body = scope["method"] == "GET"
        if path == self._home:
            # Relative, so that it holds behind any proxy.
            await send_answer(send, Wire(307, b"", [(b"location", b"ui/")]))
            return
        found = self._files.get(path)
        if found is None:
            raise not_found("there is nothing at this path")
        headers = [
            (b"etag", found.tag),
            (b"cache-control", b"no-cache"),
            (b"content-security-policy", _POLICY),
            (b"x-content-type-options", b"nosniff"),
            (b"vary", b"accept-encoding"),
        ]
        if (header(scope, b"if-none-match") or "").encode("latin-1") == found.tag:
            await send_answer(send, Wire(304, b"", headers))
            return
        headers.append((b"content-type", found.media_type))
        body = found.body
        if "gzip" in (header(scope, b"accept-encoding") or ""):
            headers.append((b"content-encoding", b"gzip"))
            body = found.packed
        await send_answer(send, Wire(200, body, headers), with_body=with_body)


def _file(media_type: str, body: bytes) -> _File:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
    return _File(media_type.encode(), body, gzip.compress(body, mtime=0), tag)


def _media_type(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind in ("text/javascript", "application/javascript"):
        return "text/javascript;charset=utf-8"
    return f"{kind};charset=utf-8" if kind.startswith("text/") else kind


def _yaml(document: Mapping[str, Any]) -> bytes:
    text = yaml.dump(dict(document), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return str(text).encode()
