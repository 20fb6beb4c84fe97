"""The ASGI application: the document bound to its handlers, around one `System` per process."""

import contextlib
import gc
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
from starlette.responses import Response
from starlette.types import ASGIApp

from nethvoice import logs, metrics
from nethvoice.health import health
from nethvoice.http.answers import JSON
from nethvoice.http.stack import RootRoute, build
from nethvoice.modules import served_document
from nethvoice.pbx import phone_reboots, task_state
from nethvoice.pbx.phonebook import sync as phonebook
from nethvoice.security import Authenticator
from nethvoice.settings import Settings, load_settings
from nethvoice.system import System
from provisioning import connectivity

_GARBAGE_THRESHOLD = 10_000
"""New objects before Python looks for garbage; its own 700 are few for lists of thousands."""


def create_app(settings: Settings) -> ASGIApp:
    """The application. The system starts with the server and stops with it."""
    system = System(settings)
    phone_reboots.attach(system)
    task_state.attach(system)
    if settings.phonebook_schedule:
        phonebook.attach(system)

    @contextlib.asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(system.start)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(system.stop)

    injected: dict[str, Any] = {"system": system}
    return build(
        served_document(settings),
        base_path=settings.base_path,
        injected=injected,
        authenticator=Authenticator(system),
        observe=metrics.observe,
        uploads=settings.data_dir / "uploading",
        threads=settings.threads,
        trusted_proxies=settings.trusted_proxies,
        validate_responses=settings.check_answers,
        root_routes={
            "/health": RootRoute(lambda: health(system), public=True),
            connectivity.PING_PATH: RootRoute(lambda: _ping(system), public=True),
            "/metrics": RootRoute(lambda: _metrics(system), public=False),
        },
        lifespan=lifespan,
    )


def _ping(system: System) -> Response:
    body = str(connectivity.ping_value(system))
    return Response(body, headers={"content-type": JSON.decode(), "cache-control": "no-store"})


def _metrics(system: System) -> Response:
    content_type, body = metrics.render(system)
    return Response(body, headers={"content-type": content_type})


def create() -> ASGIApp:
    """What server processes call: settings from the environment, logging set up."""
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    app = create_app(settings)
    # What is there now stays: looking through it again whenever a long list is made costs more
    # than the list.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    return app
