"""Dial patterns of countries: the catalogue `outbound_locales` and the table it fills."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select

from nethvoice.pbx.dial_patterns import is_route_pattern
from nethvoice.store import tables as t
from nethvoice.store.catalogue import Catalogue
from nethvoice.store.packed import Packed

KINDS = ("national", "cellphone", "international", "toll")
"""The kinds of numbers, in the order in which routes are offered; others follow."""

_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[_-][A-Za-z]{2,4})?")
_KIND = re.compile(r"[a-z][a-z0-9]{0,24}")
_PREFIX = re.compile(r"[0-9*#+]{1,50}")


@dataclass(frozen=True)
class Template:
    """A route that is offered. `patterns` are (prefix, pattern) in order."""

    locale: str
    kind: str
    patterns: Sequence[tuple[str, str]]


def route_name(kind: str, locale: str) -> str:
    """What the route is called, `national_it`; also its key in the catalogue."""
    return f"{kind}_{locale}"


def parse(shipped: Any, overlay: Any) -> dict[str, Template]:
    """Templates by name. Raises ValueError for a file that is not of the shipped form."""
    found = {}
    for document in (shipped, overlay):
        for template in _templates(document or {}):
            found[route_name(template.kind, template.locale)] = template
    return found


def _templates(document: Any) -> Iterator[Template]:
    for locale, kinds in _mapping(document, "the file"):
        if not _LOCALE.fullmatch(locale):
            raise ValueError(f"{locale!r} is no locale such as it or pt_BR")
        for kind, patterns in _mapping(kinds, locale):
            where = f"{locale}, {kind}"
            if not _KIND.fullmatch(kind):
                raise ValueError(f"{where}: a kind is named by lower-case letters")
            if not isinstance(patterns, list) or not patterns:
                raise ValueError(f"{where}: a list of patterns is expected")
            yield Template(locale, kind, [_pair(pattern, where) for pattern in patterns])


def _mapping(data: Any, where: str) -> list[tuple[str, Any]]:
    # To YAML an unquoted no, Norway, is no text.
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise ValueError(f"{where} must be a mapping, its names in quotes if need be")
    return list(data.items())


def _pair(text: object, where: str) -> tuple[str, str]:
    prefix, bar, pattern = text.rpartition("|") if isinstance(text, str) else ("", "", "")
    good = is_route_pattern(pattern) and len(pattern) <= 50
    if not good or (bar and not _PREFIX.fullmatch(prefix)):
        raise ValueError(f"{where}: {text!r:.80} is no dial pattern in quotes")
    return prefix, pattern


def _store(connection: Connection, found: Mapping[str, Template], gone: Collection[str]) -> None:
    table = t.outbound_routes_locales
    stored: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(select(table).order_by(table.c.id)):
        pair = (row.prefix_value, row.pattern_value)
        stored.setdefault(route_name(row.key, row.locale), []).append(pair)
    stale = [name for name, other in found.items() if stored.get(name) != list(other.patterns)]
    for name in (*stale, *gone):
        kind, _, locale = name.partition("_")
        where = (table.c.locale == locale) & (table.c.key == kind)
        connection.execute(delete(table).where(where))
    rows = [
        {
            "locale": found[name].locale,
            "key": found[name].kind,
            "prefix_value": prefix,
            "pattern_value": pattern,
        }
        for name in stale
        for prefix, pattern in found[name].patterns
    ]
    if rows:
        connection.execute(insert(table), rows)


CATALOGUE = Catalogue("outbound_locales", t.outbound_routes_locales, parse, _store)


# --- reading -------------------------------------------------------------------------------------


def list_locales(connection: Connection) -> list[str]:
    """The locales of the table, in alphabetical order."""
    return list(list_templates(connection))


_offered = (
    select(t.outbound_routes_locales.c.locale, t.outbound_routes_locales.c.key)
    .distinct()
    .subquery()
)
_OFFERED = Packed(select(func.json_array(_offered.c.locale, _offered.c.key)))


def list_templates(connection: Connection) -> dict[str, list[str]]:
    """The names of the routes offered for each locale, `national_it` for instance, in order."""
    return templates_of_rows(template_rows(connection))


def template_rows(connection: Connection) -> str:
    """The rows from which `templates_of_rows` makes the same."""
    return _OFFERED.joined(connection)


def templates_of_rows(rows: str) -> dict[str, list[str]]:
    """The names by locale."""
    found: dict[str, set[str]] = {}
    for locale, kind in orjson.loads(f"[{rows}]"):
        found.setdefault(locale, set()).add(kind)
    return {
        locale: [route_name(kind, locale) for kind in sorted(found[locale], key=_place)]
        for locale in sorted(found)
    }


def _place(kind: str) -> tuple[int, str]:
    return (KINDS.index(kind) if kind in KINDS else len(KINDS)), kind


def template_patterns(connection: Connection, locale: str) -> dict[str, list[tuple[str, str]]]:
    """The (prefix, pattern) pairs of each route of a locale, by the route's name."""
    table = t.outbound_routes_locales
    rows = connection.execute(
        select(table.c.key, table.c.prefix_value, table.c.pattern_value)
        .where(table.c.locale == locale)
        .order_by(table.c.id)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, prefix, pattern in rows:
        found.setdefault(route_name(kind, locale), []).append((prefix or "", pattern or ""))
    return found
