"""Outbound routes."""

from nethvoice import bodies
from nethvoice.answers import RawJson
from nethvoice.pbx import outbound_routes
from nethvoice.pbx.outbound_routes import wanted_route
from nethvoice.system import System


def list_outbound_routes(*, system: System) -> RawJson:
    """All routes with their trunks, first to last."""
    return RawJson(outbound_routes.list_outbound_routes(system))


def count_outbound_routes(*, system: System) -> int:
    """How many the list shows."""
    return outbound_routes.count_outbound_routes(system)


def list_default_outbound_routes(*, system: System) -> RawJson:
    """The routes offered for each locale."""
    return RawJson(outbound_routes.list_default_routes(system))


def list_outbound_route_locales(*, system: System) -> list[str]:
    """The locales for which routes are offered."""
    return outbound_routes.list_locales(system)


def save_outbound_routes(
    *, body: dict[str, list[bodies.WantedOutboundRoute]], system: System
) -> None:
    """Create routes, order them and set their trunks."""
    wanted = {locale: [wanted_route(dict(e)) for e in routes] for locale, routes in body.items()}
    outbound_routes.save_outbound_routes(system, wanted)


def delete_outbound_route(*, id: str, system: System) -> None:
    """Delete a route."""
    outbound_routes.delete_outbound_route(system, int(id))


def remove_outbound_route_trunk(*, id: str, trunk_id: str, system: System) -> None:
    """Take a trunk out of a route."""
    outbound_routes.remove_trunk(system, int(id), int(trunk_id))
