"""Inbound routes."""

from nethvoice import bodies
from nethvoice.answers import RawJson
from nethvoice.pbx import inbound_routes
from nethvoice.pbx.inbound_routes import DEFAULTS, RouteKey
from nethvoice.pbx.values import number_text
from nethvoice.system import System


def list_inbound_routes(*, system: System) -> RawJson:
    """All routes, and the destinations they can have."""
    return RawJson(inbound_routes.list_inbound_routes(system))


def count_inbound_routes(*, system: System) -> int:
    """How many there are."""
    return inbound_routes.count_inbound_routes(system)


def create_inbound_route(*, body: bodies.NewInboundRoute, system: System) -> None:
    """Add a route."""
    key = RouteKey(number_text(body.get("extension")), number_text(body.get("cidnum")))
    options = {name: str(body[name]) for name in DEFAULTS if body.get(name) is not None}  # type: ignore[literal-required]
    inbound_routes.create_inbound_route(system, key, body.get("destination"), options)


def delete_inbound_route_by_number(*, body: bodies.InboundRouteReference, system: System) -> None:
    """Delete the route of a pair."""
    cid = body.get("cid")
    key = RouteKey(str(body["extension"]), "" if cid is None else str(cid))
    inbound_routes.delete_by_number(system, key)


def delete_inbound_route(*, id: str, system: System) -> None:
    """Delete the route that a path names."""
    inbound_routes.delete_by_id(system, id)
