"""What people look at, as bytes prepared at start: the document itself, the console (Swagger UI)
to try the API, and the reference (Redoc) to read it. Nothing is fetched from another host."""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import openapi_ui_bundles.redoc
import orjson
import swagger_ui_bundle
from starlette.types import Receive, Scope, Send

from nethvoice.document import dump_document
from nethvoice.http.answers import Wire, send_answer
from nethvoice.http.bodies import header
from nethvoice.http.routing import raw_path
from nethvoice.problems import Problem, not_found

_OWN = files("nethvoice.http") / "console"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; form-action 'none';"
    " frame-ancestors 'none'; base-uri 'none'"
)
_REMOTE = (b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"logo-mini.svg")
"""The one thing that a bundle would load from elsewhere; its package has it too."""


@dataclass(frozen=True)
class _Page:
    """A folder below the base path: files of a package, and our own around them."""

    folder: str
    bundle: Path
    bundled: tuple[str, ...]
    own: tuple[str, ...]
    policy: str


_PAGES = (
    _Page(
        "ui",
        Path(swagger_ui_bundle.swagger_ui_path),
        (
            "swagger-ui.css",
            "swagger-ui-bundle.js",
            "swagger-ui-standalone-preset.js",
            "favicon-16x16.png",
            "favicon-32x32.png",
        ),
        ("index.html", "console.js", "console.css", "sha1.js"),
        _POLICY,
    ),
    _Page(
        "reference",
        Path(openapi_ui_bundles.redoc.static_path),
        ("redoc.standalone.js", "logo-mini.svg"),
        ("index.html", "reference.js", "reference.css"),
        _POLICY + "; worker-src blob:",  # its search
    ),
)


@dataclass(frozen=True)
class _File:
    media_type: bytes
    body: bytes
    packed: bytes
    tag: bytes
    policy: bytes


class Console:
    """Serves a fixed set of files; nothing is read while serving."""

    def __init__(self, document: Mapping[str, Any], base_path: str) -> None:
        published = {**document, "servers": [{"url": base_path}]}
        self._files = {
            f"{base_path}/openapi.json": _file("application/json", orjson.dumps(published)),
            f"{base_path}/openapi.yaml": _file(
                "application/yaml", dump_document(published).encode()
            ),
        }
        self._homes = {}
        for page in _PAGES:
            home = f"{base_path}/{page.folder}"
            own = _OWN / page.folder
            sources: list[tuple[str, Traversable]] = [
                (name, page.bundle / name) for name in page.bundled
            ]
            sources += [(name, own / name) for name in page.own]
            for name, source in sources:
                body = source.read_bytes().replace(*_REMOTE)
                self._files[f"{home}/{name}"] = _file(_media_type(name), body, page.policy)
            self._files[f"{home}/"] = self._files[f"{home}/index.html"]
            # Relative, so that it holds behind any proxy.
            self._homes[home] = f"{page.folder}/".encode()
        self._below = tuple(f"{home}/".encode() for home in self._homes)
        self._paths = {path.encode() for path in [*self._files, *self._homes]}

    def serves(self, path: bytes) -> bool:
        """True for these pages and the document; anybody may have them."""
        return path.startswith(self._below) or path in self._paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = raw_path(scope).decode("latin-1")
        scope["nethvoice.operation"] = "console"
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, "Method not allowed", "only GET", headers={"Allow": "GET"})
        with_body = scope["method"] == "GET"
        if path in self._homes:
            await send_answer(send, Wire(307, b"", [(b"location", self._homes[path])]))
            return
        found = self._files.get(path)
        if found is None:
            raise not_found("there is nothing at this path")
        headers = [
            (b"etag", found.tag),
            (b"cache-control", b"no-cache"),
            (b"content-security-policy", found.policy),
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


def _file(media_type: str, body: bytes, policy: str = _POLICY) -> _File:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
    return _File(media_type.encode(), body, gzip.compress(body, mtime=0), tag, policy.encode())


def _media_type(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind in ("text/javascript", "application/javascript"):
        return "text/javascript;charset=utf-8"
    return f"{kind};charset=utf-8" if kind.startswith("text/") else kind
