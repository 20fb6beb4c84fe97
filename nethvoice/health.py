"""Whether the service can do its work, for load balancers and monitoring."""

import threading
import time

import orjson
from sqlalchemy import select, text
from starlette.responses import Response

from nethvoice.problems import Problem
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.system import System

_FRESH_FOR = 1.0
_guard = threading.Lock()
_last: dict[int, tuple[float, int, bytes]] = {}


def health(system: System) -> Response:
    """200 while the database answers, else 503, with the state of each part.

    Anybody may ask, so the parts are looked at once a second at the most.
    """
    with _guard:
        known = _last.get(id(system))
        if known is None or time.monotonic() - known[0] > _FRESH_FOR:
            status, body = _look(system)
            known = (time.monotonic(), status, body)
            _last[id(system)] = known
    return Response(
        known[2],
        known[1],
        headers={"content-type": "application/json;charset=utf-8", "cache-control": "no-store"},
    )


def _look(system: System) -> tuple[int, bytes]:
    parts: dict[str, object] = {}
    healthy = True
    try:
        with system.read() as connection:
            connection.execute(text("SELECT 1"))
            needed = connection.scalar(
                select(t.admin.c.value).where(t.admin.c.variable == "need_reload")
            )
        pending = system.outbox.pending()
        parts["database"] = "ok"
        parts["outbox"] = {"waiting": pending.waiting, "parked": pending.parked}
        parts["changes_to_apply"] = needed == "true"
    except Problem:
        parts["database"] = "down"
        healthy = False
    parts["asterisk"] = _asterisk(system)
    status = "ok" if healthy else "failing"
    if healthy and parts["asterisk"] == "down":
        status = "degraded"
    return (200 if healthy else 503), orjson.dumps({"status": status, **parts})


def _asterisk(system: System) -> str:
    if system.ami is None:
        return "not configured"
    try:
        system.ami.ping()
    except (AmiUnavailable, AmiRefused):
        return "down"
    return "ok"
