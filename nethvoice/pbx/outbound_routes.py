"""Outbound routes: which trunks a dialled number leaves by, in which order they are tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select

from nethvoice.pbx import outbound_locales
from nethvoice.pbx.dial_patterns import route_pattern_part
from nethvoice.pbx.trunk_names import trunk_rows, trunks_of_rows
from nethvoice.pbx.values import number_text
from nethvoice.problems import bad_request, conflict, not_found
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from nethvoice.store.packed import Packed
from nethvoice.store.prepared import Prepared
from nethvoice.store.remembered import remember_last
from nethvoice.store.rows import json_row, live_columns, present
from nethvoice.store.unit import Unit
from nethvoice.system import System

ROUTES = "nethvoice.routes"
"""Lock of everything that adds, orders or deletes inbound and outbound routes."""

_NEW: Mapping[str, Any] = {
    "outcid": "",
    "outcid_mode": "",
    "password": "",
    "emergency_route": "",
    "intracompany_route": "",
    "mohclass": "default",
    "time_group_id": None,
    "dest": "",
    "time_mode": "",
    "timezone": "",
    # FreePBX's default for the column, `call`, breaks features during a call.
    "notification_on": "",
}


@dataclass(frozen=True)
class WantedRoute:
    """A route as a client sends it: one that exists (`id`), or a new one with a name.

    `trunks` are in the order in which they are tried; None leaves those that it has.
    """

    id: int | None
    name: str
    trunks: tuple[int, ...] | None


def wanted_route(element: Mapping[str, Any]) -> WantedRoute:
    """Read an element of the request's array. Raises Problem 400 for a trunk without a number."""
    route_id = number_text(element.get("route_id"))
    links = element.get("trunks")
    trunks = None if links is None else tuple(_trunk_number(link) for link in links)
    name = (element.get("name") or "").strip()
    return WantedRoute(int(route_id) if route_id else None, name, trunks)


def _trunk_number(link: Mapping[str, Any]) -> int:
    for member in ("trunkid", "id"):
        number = number_text(link.get(member))
        if number:
            return int(number)
    raise bad_request("a trunk of a route needs a trunkid")


# --- reading -------------------------------------------------------------------------------------


_PLACED = (
    select(
        t.outbound_route_sequence.c.route_id,
        func.min(t.outbound_route_sequence.c.seq).label("seq"),
    )
    .group_by(t.outbound_route_sequence.c.route_id)
    .subquery("placed")
)
"""Route and its place. A route without one is not in the dialplan; two places are one."""

_IN_DIALPLAN = t.outbound_routes.join(_PLACED, _PLACED.c.route_id == t.outbound_routes.c.route_id)
_COUNT = Prepared(select(func.count()).select_from(_IN_DIALPLAN))
_link = t.outbound_route_trunks.c
_LINKS = Packed(select(func.json_array(_link.route_id, _link.trunk_id)), _link.route_id, _link.seq)


def count_outbound_routes(system: System) -> int:
    """How many routes are in the dialplan."""
    with system.read() as connection:
        return int(_COUNT.scalar(connection))


def list_outbound_routes(system: System) -> bytes:
    """The JSON array of all routes with their trunks, first to last. Three SQL statements."""
    query = system.database.statement(_routes)
    with system.read() as connection:
        routes = query.joined(connection)
        return _listed(routes, _LINKS.joined(connection), trunk_rows(connection))


@remember_last
def _listed(routes: str, links: str, trunks: str) -> bytes:
    """What the rows mean; the last answer is kept, for they change rarely."""
    tried, known = _by_route(links), trunks_of_rows(trunks)
    listed = orjson.loads(f"[{routes}]")
    for route in listed:
        route["trunks"] = [
            {"trunkid": str(number), "name": known[number].name}
            for number in tried.get(int(route["route_id"]), ())
            if number in known
        ]
    return orjson.dumps(listed)


def _routes(database: Database) -> Packed:
    columns = [*live_columns(database, t.outbound_routes), ("seq", _PLACED.c.seq)]
    query = select(json_row(columns)).select_from(_IN_DIALPLAN)
    return Packed(query, _PLACED.c.seq, t.outbound_routes.c.route_id)


def _by_route(links: str) -> dict[int, list[int]]:
    """The trunks of routes in the order in which they are tried."""
    found: dict[int, list[int]] = {}
    for route_id, trunk_id in orjson.loads(f"[{links}]"):
        found.setdefault(route_id, []).append(trunk_id)
    return found


def _links_of(connection: Connection, routes: Sequence[int]) -> dict[int, list[int]]:
    query = (
        select(_link.route_id, _link.trunk_id)
        .where(_link.route_id.in_(routes))
        .order_by(_link.route_id, _link.seq)
    )
    found: dict[int, list[int]] = {}
    for route_id, trunk_id in connection.execute(query):
        found.setdefault(int(route_id), []).append(int(trunk_id))
    return found


def list_default_routes(system: System) -> bytes:
    """The JSON of the routes offered for each locale, each with all trunks. Two SQL statements."""
    with system.read() as connection:
        return _offered(outbound_locales.template_rows(connection), trunk_rows(connection))


@remember_last
def _offered(templates: str, trunks: str) -> bytes:
    """What the rows mean; the last answer is kept, for they change rarely."""
    listed = [
        {"name": trunk.name, "trunkid": str(trunk.id), "id": str(trunk.id)}
        for trunk in trunks_of_rows(trunks).values()
        if not trunk.is_factory
    ]
    return orjson.dumps(
        {
            locale: [{"name": name, "trunks": listed} for name in names]
            for locale, names in outbound_locales.templates_of_rows(templates).items()
        }
    )


def list_locales(system: System) -> list[str]:
    """The locales for which routes are offered."""
    with system.read() as connection:
        return outbound_locales.list_locales(connection)


# --- writing -------------------------------------------------------------------------------------


def save_outbound_routes(system: System, wanted: Mapping[str, Sequence[WantedRoute]]) -> None:
    """Order existing routes and set their trunks, and add new ones from the templates of a locale.

    `wanted` has one locale; nothing happens when it has none. Routes that exist come first in the
    order given, others behind them as they were, new ones last. All or nothing. Raises Problem 400
    (several locales; unknown route, trunk or locale; a name that is no name), 409 (a new route's
    name is taken).
    """
    if len(wanted) > 1:
        raise bad_request("the body must have one member, a locale with its routes")
    for locale, routes in wanted.items():
        if routes:
            _save(system, locale, routes)


def _save(system: System, locale: str, wanted: Sequence[WantedRoute]) -> None:
    with system.change(ROUTES) as unit:
        kept = _existing(unit, wanted)
        new = [route for route in wanted if route.id is None]
        _require_trunks(unit, {trunk for route in wanted for trunk in route.trunks or ()})
        patterns: Mapping[str, Sequence[tuple[str, str]]] = {}
        if new:
            patterns = _patterns(unit, locale)
            _require_new_names(unit, new)
        changed = _set_trunks(unit, kept)
        made = [_create(unit, route, patterns.get(route.name, ())) for route in new]
        order = _current_order(unit)
        behind = [number for number in order if number not in kept]
        if _place(unit, order, [*kept, *behind, *made]) or changed:
            unit.reload()


def _existing(unit: Unit, wanted: Sequence[WantedRoute]) -> dict[int, tuple[int, ...] | None]:
    """The trunks wanted for routes that are there, in the order given. Raises Problem 400."""
    kept: dict[int, tuple[int, ...] | None] = {}
    for route in wanted:
        if route.id in kept:
            raise bad_request(f"the outbound route {route.id} stands in the list twice")
        if route.id is not None:
            kept[route.id] = route.trunks
    ids = t.outbound_routes.c.route_id
    known = set(unit.conn.scalars(select(ids).where(ids.in_(kept)))) if kept else set()
    for number in kept:
        if number not in known:
            raise bad_request(f"there is no outbound route {number}")
    return kept


def _require_trunks(unit: Unit, trunks: set[int]) -> None:
    ids = t.trunks.c.trunkid
    # The rows stay locked until the commit, so that no trunk is deleted meanwhile.
    query = select(ids).where(ids.in_(sorted(trunks))).with_for_update()
    known = {int(number) for number in unit.conn.scalars(query)} if trunks else set()
    for number in sorted(trunks - known):
        raise bad_request(f"there is no trunk {number}")


def _patterns(unit: Unit, locale: str) -> dict[str, list[tuple[str, str]]]:
    if locale not in outbound_locales.list_locales(unit.conn):
        raise bad_request(f"there are no route templates for the locale {locale[:20]!r}")
    return outbound_locales.template_patterns(unit.conn, locale)


def _require_new_names(unit: Unit, routes: Sequence[WantedRoute]) -> None:
    live = unit.database.live(t.outbound_routes)
    width = live.widths.get("name", 40) if live else 40
    stored = unit.conn.scalars(select(t.outbound_routes.c.name))
    taken = {(name or "").casefold() for name in stored}
    for route in routes:
        if not route.name or not route.name.isprintable() or len(route.name) > width:
            raise bad_request(f"a new route needs a name of at most {width} printable characters")
        if route.name.casefold() in taken:
            raise conflict(f"there is an outbound route {route.name} already")
        taken.add(route.name.casefold())


def _set_trunks(unit: Unit, wanted: Mapping[int, Sequence[int] | None]) -> bool:
    """Give routes their trunks; True when one of them had others."""
    stored = _links_of(unit.conn, list(wanted)) if wanted else {}
    different = {
        route: trunks
        for route, trunks in wanted.items()
        if trunks is not None and stored.get(route, []) != list(trunks)
    }
    if not different:
        return False
    table = t.outbound_route_trunks
    unit.conn.execute(delete(table).where(table.c.route_id.in_(different)))
    _link_trunks(unit, different)
    return True


def _link_trunks(unit: Unit, wanted: Mapping[int, Sequence[int]]) -> None:
    rows = [
        {"route_id": route, "trunk_id": trunk, "seq": place}
        for route, trunks in wanted.items()
        for place, trunk in enumerate(trunks)
    ]
    if rows:
        unit.conn.execute(insert(t.outbound_route_trunks), rows)


def _create(unit: Unit, route: WantedRoute, patterns: Sequence[tuple[str, str]]) -> int:
    """Write a new route as FreePBX does, without its place in the sequence; returns its number."""
    row = present(unit.database, t.outbound_routes, {"name": route.name, **_NEW})
    created = unit.conn.execute(insert(t.outbound_routes).values(row))
    number = int(created.inserted_primary_key[0])  # type: ignore[index]
    pairs = dict.fromkeys(
        (route_pattern_part(prefix), route_pattern_part(pattern)) for prefix, pattern in patterns
    )
    rows = [
        {
            "route_id": number,
            "match_pattern_prefix": prefix,
            "match_pattern_pass": pattern,
            "match_cid": "",
            "prepend_digits": "",
        }
        for prefix, pattern in pairs
        if prefix or pattern
    ]
    if rows:
        unit.conn.execute(insert(t.outbound_route_patterns), rows)
    _link_trunks(unit, {number: route.trunks or ()})
    if unit.database.live(t.outbound_route_email):
        unit.conn.execute(
            insert(t.outbound_route_email).values(
                route_id=number, emailfrom="", emailto="", emailsubject="", emailbody=""
            )
        )
    return number


def _current_order(unit: Unit) -> list[int]:
    table = t.outbound_route_sequence.c
    query = select(table.route_id).order_by(table.seq, table.route_id)
    return list(dict.fromkeys(int(number) for number in unit.conn.scalars(query)))


def _place(unit: Unit, before: Sequence[int], after: Sequence[int]) -> bool:
    """Write the sequence anew, 0 to n-1, when the order is another one; True when it was."""
    if list(before) == list(after):
        return False
    unit.conn.execute(delete(t.outbound_route_sequence))
    rows = [{"route_id": route, "seq": place} for place, route in enumerate(after)]
    if rows:
        unit.conn.execute(insert(t.outbound_route_sequence), rows)
    return True


def delete_outbound_route(system: System, route_id: int) -> None:
    """Delete a route with everything that hangs on it; those behind it move up.

    Raises Problem 404.
    """
    with system.change(ROUTES) as unit:
        order = _current_order(unit)
        gone = unit.conn.execute(
            delete(t.outbound_routes).where(t.outbound_routes.c.route_id == route_id)
        )
        if not gone.rowcount:
            raise not_found(f"there is no outbound route {route_id}")
        for table in (
            t.outbound_route_patterns,
            t.outbound_route_trunks,
            t.outbound_route_email,
            t.pin_protected_routes,
            t.rest_cti_profiles_routes_permission,
        ):
            if unit.database.live(table):
                unit.conn.execute(delete(table).where(table.c.route_id == route_id))
        if unit.database.live(t.customcontexts_includes):
            # A new route with this number must not inherit who may use it.
            included = t.customcontexts_includes.c.include == f"outrt-{route_id}"
            unit.conn.execute(delete(t.customcontexts_includes).where(included))
        _place(unit, order, [number for number in order if number != route_id])
        unit.reload()


def remove_trunk(system: System, route_id: int, trunk_id: int) -> None:
    """Take a trunk out of a route, if it is in: the wizard sends places in its lists, not ids."""
    with system.change(ROUTES) as unit:
        table = t.outbound_route_trunks
        gone = unit.conn.execute(
            delete(table).where(table.c.route_id == route_id, table.c.trunk_id == trunk_id)
        )
        if gone.rowcount:
            unit.reload()
