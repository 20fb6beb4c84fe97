"""Putting the layers together: gateway, router, operations, all made from the document."""

import contextlib
import copy
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from connexion.middleware.abstract import RoutedAPI, RoutedMiddleware
from connexion.middleware.lifespan import LifespanMiddleware
from connexion.middleware.main import ConnexionMiddleware
from connexion.operations.abstract import AbstractOperation
from starlette.routing import Router as Nothing
from starlette.types import ASGIApp

from nethvoice.http.checks import AnswerCheck
from nethvoice.http.console import Console
from nethvoice.http.gateway import Authenticator, Gateway, Network, RootRoute
from nethvoice.http.operation import BindingError, Operation
from nethvoice.http.routing import Router, Routes
from nethvoice.http.schemas import Schemas
from nethvoice.http.threads import HandlerThreads
from nethvoice.http.uploads import UploadFolder

__all__ = ["BindingError", "RootRoute", "build", "runtime_document"]

_METHODS = ("get", "post", "put", "patch", "delete")

Lifespan = Callable[[Any], contextlib.AbstractAsyncContextManager[None]]


def build(
    document: Mapping[str, Any],
    *,
    base_path: str,
    injected: Mapping[str, object],
    authenticator: Authenticator,
    observe: Callable[[str, str, int, float], None],
    lifespan: Lifespan,
    uploads: Path,
    threads: int = 16,
    trusted_proxies: Sequence[Network] = (),
    validate_responses: bool = False,
    root_routes: Mapping[str, RootRoute] | None = None,
) -> ASGIApp:
    """The ASGI application of a document.

    `injected` values are passed to handlers that have a parameter of that name; `uploads` is the
    folder of files that are being received. Raises BindingError, or connexion's ResolverError,
    when document and handlers do not fit.
    """
    operations = _operations(document)
    schemas = Schemas(document)
    check = AnswerCheck(document, schemas) if validate_responses else None
    handlers = HandlerThreads(threads)
    folder = UploadFolder(uploads, handlers)
    routes = Routes()

    class Api(RoutedAPI[Operation]):
        """Connexion's registry of final operations, filled with ours."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.add_paths()

        def make_operation(self, operation: AbstractOperation) -> Operation:
            name = str(operation.operation_id).rpartition(".")[2]
            return Operation(
                operation,
                operations[name],
                schemas,
                injected,
                threads=handlers,
                uploads=folder,
                check=check,
            )

    class Final(RoutedMiddleware[Api]):
        """Connexion's innermost application: finds the operation that the router named."""

        api_cls = Api

    @contextlib.asynccontextmanager
    async def with_threads(app: Any) -> AsyncIterator[None]:
        async with lifespan(app):
            folder.clean()
            try:
                yield
            finally:
                handlers.close()

    layers: list[Any] = [LifespanMiddleware, partial(Router, routes=routes), Final]
    connexion_app = ConnexionMiddleware(Nothing(), middlewares=layers, lifespan=with_threads)
    connexion_app.add_api(runtime_document(document), base_path=base_path)
    # Connexion builds its layers at the first call; a document that does not fit must not wait.
    connexion_app.app, connexion_app.middleware_stack = connexion_app._build_middleware_stack()
    console = Console(document, base_path)
    return Gateway(
        connexion_app,
        routes=routes,
        public=_public_paths(document, base_path),
        authenticator=authenticator,
        observe=observe,
        threads=handlers,
        trusted_proxies=trusted_proxies,
        root_routes=root_routes or {},
        console=console,
        check=check,
    )


def _operations(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Operations by id, with the parameters of their path item. Raises BindingError on a repeat."""
    found: dict[str, dict[str, Any]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = {**item[method]}
            shared = item.get("parameters", [])
            operation["parameters"] = [*shared, *operation.get("parameters", [])]
            name = operation["operationId"]
            if name in found:
                raise BindingError(f"operationId {name} is used twice ({method} {path})")
            found[name] = operation
    return found


def _public_paths(document: Mapping[str, Any], base_path: str) -> list[bytes]:
    """Paths of operations that need no authentication: those with an empty `security`."""
    return [
        (base_path + path).encode()
        for path, item in document["paths"].items()
        if any(item.get(method, {}).get("security") == [] for method in _METHODS)
    ]


def runtime_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """What connexion is given: the document without what it would do wrong or twice.

    Security is the gateway's, error bodies are problems whatever an operation declares, and
    parameters of a path item would be multiplied by its layers.
    """
    reduced = copy.deepcopy(dict(document))
    reduced.pop("security", None)
    for item in reduced["paths"].values():
        shared = item.pop("parameters", [])
        for method in _METHODS:
            operation = item.get(method)
            if operation is None:
                continue
            operation.pop("security", None)
            if shared:
                operation["parameters"] = [*shared, *operation.get("parameters", [])]
            operation["responses"] = {
                status: {"description": "declared in the published document"}
                for status in operation["responses"]
            }
    return reduced
