"""Inbound routes: where calls from outside go, by called (DID) and calling number (CID)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select

from nethvoice.pbx.destinations import read_destinations
from nethvoice.pbx.dial_patterns import is_number_or_pattern
from nethvoice.pbx.outbound_routes import ROUTES
from nethvoice.problems import bad_request, conflict, not_found
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from nethvoice.store.packed import Packed
from nethvoice.store.remembered import remember_last
from nethvoice.store.rows import json_row, live_columns, present
from nethvoice.store.unit import Unit
from nethvoice.system import System

DEFAULTS: Mapping[str, str] = {
    "privacyman": "0",
    "alertinfo": "",
    "ringing": "",
    "fanswer": "",
    "mohclass": "default",
    "description": "",
    "grppre": "",
    "delay_answer": "0",
    "pricid": "",
    "pmmaxretries": "3",
    "pmminlength": "10",
    "reversal": "",
    "rvolume": "0",
    "indication_zone": "default",
}
"""What FreePBX's own page stores for members that are not filled in."""

_NEVER_EMPTY = frozenset({"privacyman", "delay_answer", "pmmaxretries", "pmminlength", "rvolume"})
_INTEGERS = frozenset({"privacyman", "delay_answer"})


@dataclass(frozen=True)
class RouteKey:
    """The pair that names an inbound route; empty matches any number called, any caller."""

    extension: str
    cidnum: str = ""

    def __str__(self) -> str:
        return f"{self.extension or 'any number'} / {self.cidnum or 'any caller'}"


def count_inbound_routes(system: System) -> int:
    """How many there are."""
    with system.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(t.incoming)) or 0)


def list_inbound_routes(system: System) -> bytes:
    """The JSON object of all routes and all destinations. Two SQL statements."""
    query = system.database.statement(_routes)
    with system.read() as connection:
        routes = query.joined(connection)
        destinations = read_destinations(system, connection).by_destination
    return _listed(routes, destinations)


@remember_last
def _listed(routes: str, destinations: bytes) -> bytes:
    return b'{"destinations":' + destinations + b',"routes":[' + routes.encode() + b"]}"


def _routes(database: Database) -> Packed:
    query = select(json_row(live_columns(database, t.incoming)))
    return Packed(query, t.incoming.c.extension, t.incoming.c.cidnum)


def create_inbound_route(
    system: System, key: RouteKey, destination: str | None, options: Mapping[str, str]
) -> None:
    """Add a route as FreePBX's page does. `options` are columns of `incoming` by name.

    Raises Problem 400 (malformed number or pattern, value too long), 409 (the pair has a route
    already), 422 (the destination does not exist).
    """
    key = RouteKey(_number(key.extension, "extension"), _number(key.cidnum, "cidnum"))
    row: dict[str, Any] = {"cidnum": key.cidnum, "extension": key.extension}
    row["destination"] = destination
    for name, default in DEFAULTS.items():
        value = options.get(name, default)
        if name in _NEVER_EMPTY and not value:
            value = default
        row[name] = int(value) if name in _INTEGERS else value
    row = present(system.database, t.incoming, row)
    _require_fit(system, row)
    with system.change(ROUTES) as unit:
        where = (t.incoming.c.extension == key.extension) & (t.incoming.c.cidnum == key.cidnum)
        if unit.conn.execute(select(t.incoming.c.extension).where(where)).first() is not None:
            text = f"there is an inbound route for {key} already"
            raise conflict(text, error=text)
        if destination is not None:
            read_destinations(system, unit.conn).require(destination, "destination")
        unit.conn.execute(insert(t.incoming).values(row))
        unit.reload()


def _number(text: str, name: str) -> str:
    text = text.replace("<", "").replace(">", "").strip()
    if not is_number_or_pattern(text):
        raise bad_request(f"{name} is neither a number nor a dial pattern such as _07214055XX")
    return text


def _require_fit(system: System, row: Mapping[str, Any]) -> None:
    live = system.database.live(t.incoming)
    for name, value in row.items():
        width = live.widths.get(name) if live else None
        if isinstance(value, str):
            if any(ord(character) < 32 for character in value):
                raise bad_request(f"{name} has control characters")
            if width is not None and len(value) > width:
                raise bad_request(f"{name} is longer than {width} characters")


def delete_by_id(system: System, route_id: str) -> None:
    """Delete the route that `route_id` names, `0721405516` or `0721405516-347123` for instance.

    A number may contain `-`, so the forms are tried in order: all of it as the number called,
    `number/caller`, `number / caller`, then every split at `-` from the left; `-` alone is the
    route of any number and any caller. Raises Problem 404 when none of them exists.
    """
    _delete_first(system, _readings(route_id), route_id)


def delete_by_number(system: System, key: RouteKey) -> None:
    """Delete the route of exactly this pair. Raises Problem 404."""
    _delete_first(system, [key], str(key))


def _readings(route_id: str) -> list[RouteKey]:
    found = [RouteKey(route_id)]
    for separator in ("/", " / "):
        extension, separated, cidnum = route_id.partition(separator)
        if separated:
            found.append(RouteKey(extension, cidnum))
    found += [
        RouteKey(route_id[:place], route_id[place + 1 :])
        for place, character in enumerate(route_id)
        if character == "-"
    ]
    return found


def _delete_first(system: System, readings: list[RouteKey], shown: str) -> None:
    columns = (t.incoming.c.extension, t.incoming.c.cidnum)
    pairs = [and_(columns[0] == key.extension, columns[1] == key.cidnum) for key in readings]
    with system.change(ROUTES) as unit:
        stored = {
            (extension.casefold(), cidnum.casefold()): RouteKey(extension, cidnum)
            for extension, cidnum in unit.conn.execute(select(*columns).where(or_(*pairs)))
        }
        for key in readings:
            found = stored.get((key.extension.casefold(), key.cidnum.casefold()))
            if found is not None:
                _delete(unit, found)
                return
    raise not_found(f"there is no inbound route {shown}")


def _delete(unit: Unit, key: RouteKey) -> None:
    """Also what FreePBX's fax and language modules keep for the pair."""
    for table in (t.incoming, t.fax_incoming, t.language_incoming):
        if unit.database.live(table):
            pair = (table.c.extension == key.extension) & (table.c.cidnum == key.cidnum)
            unit.conn.execute(delete(table).where(pair))
    unit.reload()
