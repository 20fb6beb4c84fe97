"""The router: a tree of path segments, in place of connexion's linear search.

Segments are split on the raw path and decoded one by one, so a `%2F` stays inside its segment. A
literal segment is taken before a template wherever it leads to a path item, and the match is final:
a method that the item lacks is 405. There are no redirects.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from connexion.http_facts import METHODS
from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from connexion.resolver import Resolver
from starlette.types import ASGIApp, Receive, Scope, Send

from nethvoice.problems import Problem, not_found


@dataclass
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    template: "_Node | None" = None
    methods: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = field(default_factory=dict)


class Routes:
    """The paths of one document below its base path."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, path: str, method: str, target: dict[str, Any]) -> None:
        """Register a path template; `target` is what a match returns."""
        node, names = self._root, []
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.template = node.template or _Node()
                node = node.template
            else:
                node = node.literals.setdefault(segment, _Node())
        node.methods[method.upper()] = (target, tuple(names))

    def find(self, raw_path: bytes) -> tuple[_Node, tuple[str, ...]] | None:
        """The path item of a raw path with the values of its template segments."""
        try:
            if b"%" in raw_path:
                segments = [_decode(part) for part in raw_path.split(b"/")]
            else:
                segments = raw_path.decode().split("/")
        except UnicodeDecodeError:
            return None
        return _walk(self._root, segments, 1)


def _walk(node: _Node, segments: list[str], place: int) -> tuple[_Node, tuple[str, ...]] | None:
    if place == len(segments):
        return (node, ()) if node.methods else None
    segment = segments[place]
    if not segment:
        return None
    literal = node.literals.get(segment)
    if literal is not None:
        found = _walk(literal, segments, place + 1)
        if found is not None:
            return found
    if node.template is None:
        return None
    found = _walk(node.template, segments, place + 1)
    return None if found is None else (found[0], (segment, *found[1]))


def _decode(segment: bytes) -> str:
    return unquote_to_bytes(segment).decode("utf-8")


def raw_path(scope: Scope) -> bytes:
    """The path as it was sent, without the query and a prefix that a proxy asked for."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0]
    root = scope.get("root_path", "").encode()
    return path[len(root) :] if root and path.startswith(root) else path


class Router(SpecMiddleware):
    """Tells the operation of a request to what follows, as connexion's own router does."""

    def __init__(self, app: ASGIApp, routes: Routes) -> None:
        self.app = app
        self._routes = routes

    def add_api(self, specification: Any, base_path: str | None = None, **options: Any) -> None:
        """Take the operations of a document. Raises ResolverError for one without a handler."""
        if base_path is not None:
            specification.base_path = base_path
        base = specification.base_path
        resolver = options.get("resolver") or Resolver()
        for path, item in specification["paths"].items():
            for method in sorted(METHODS & item.keys()):
                operation = specification.operation_cls.from_spec(
                    specification, path=path, method=method, resolver=resolver
                )
                target = {"api_base_path": base, "operation_id": operation.operation_id}
                self._routes.add(base + path, method, target)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        found = self._routes.find(raw_path(scope))
        if found is None:
            raise not_found("there is nothing at this path")
        node, values = found
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        hit = node.methods.get(method)
        if hit is None:
            allowed = ", ".join(sorted(node.methods))
            raise Problem(
                405,
                "Method not allowed",
                f"Method not allowed. Must be one of: {allowed}",
                headers={"Allow": allowed},
            )
        target, names = hit
        scope["path_params"] = dict(zip(names, values, strict=True))
        scope.setdefault("extensions", {})[ROUTING_CONTEXT] = target
        await self.app(scope, receive, send)
