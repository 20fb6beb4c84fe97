"""Dial patterns of countries: from readable files into the table `outbound_routes_locales`."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection, delete, func, insert, select

from nethvoice.pbx.dial_patterns import is_route_pattern
from nethvoice.settings import SettingsError
from nethvoice.store import tables as t

FILE_NAME = "outbound_locales.yaml"
"""Name of the shipped file, and of the operator's own in the data directory."""

KEYS = ("national", "cellphone", "international", "toll")
"""The kinds of numbers, in the order in which routes are offered; others follow."""

_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[_-][A-Za-z]{2,4})?")
_KEY = re.compile(r"[a-z][a-z0-9]{0,24}")
_PREFIX = re.compile(r"[0-9*#+]{1,50}")

Catalogue = dict[str, dict[str, list[tuple[str, str]]]]
"""Locale -> kind -> (prefix, pattern) in order."""


def shipped() -> Catalogue:
    """The catalogue that comes with the service."""
    return parse(files("nethvoice").joinpath("data", FILE_NAME).read_text("utf-8"), FILE_NAME)


def parse(text: str, source: str) -> Catalogue:
    """Read a file's text; `source` names it in errors. Raises SettingsError for a malformed one."""
    try:
        data = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"{source} is not YAML: {error}") from None
    catalogue: Catalogue = {}
    for locale, kinds in _mapping(data, source, "the file").items():
        if not _LOCALE.fullmatch(locale):
            raise SettingsError(f"{source}: {locale!r} is no locale such as it or pt_BR")
        catalogue[locale] = {}
        for key, patterns in _mapping(kinds, source, locale).items():
            where = f"{locale}, {key}"
            if not _KEY.fullmatch(key):
                raise SettingsError(f"{source}: {where}: a kind is named by lower-case letters")
            if not isinstance(patterns, list) or not patterns:
                raise SettingsError(f"{source}: {where}: a list of patterns is expected")
            catalogue[locale][key] = [_pair(pattern, source, where) for pattern in patterns]
    return catalogue


def _mapping(data: Any, source: str, where: str) -> Mapping[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise SettingsError(f"{source}: {where} must hold names (quote no and yes), each with more")
    return data


def _pair(text: object, source: str, where: str) -> tuple[str, str]:
    prefix, bar, pattern = text.rpartition("|") if isinstance(text, str) else ("", "", "")
    if (
        not is_route_pattern(pattern)
        or len(pattern) > 50
        or (bar and not _PREFIX.fullmatch(prefix))
    ):
        raise SettingsError(f"{source}: {where}: {text!r} is no dial pattern")
    return prefix, pattern


def load(connection: Connection, folder: Path) -> int:
    """Fill the table when it is empty, and bring the operator's file in `folder` into it.

    Returns how many rows were written; again with the same files it is none. Raises SettingsError
    for a malformed file.
    """
    table = t.outbound_routes_locales
    written = 0
    if not connection.scalar(select(func.count()).select_from(table)):
        rows = _rows(shipped())
        connection.execute(insert(table), rows)
        written += len(rows)
    own = folder / FILE_NAME
    if not own.exists():
        return written
    for locale, kinds in parse(own.read_text("utf-8"), str(own)).items():
        for key, patterns in kinds.items():
            where = (table.c.locale == locale) & (table.c.key == key)
            columns = (table.c.prefix_value, table.c.pattern_value)
            stored = connection.execute(select(*columns).where(where).order_by(table.c.id))
            if [tuple(row) for row in stored] == patterns:
                continue
            rows = _rows({locale: {key: patterns}})
            connection.execute(delete(table).where(where))
            connection.execute(insert(table), rows)
            written += len(rows)
    return written


def _rows(catalogue: Catalogue) -> list[dict[str, str]]:
    return [
        {"locale": locale, "key": key, "prefix_value": prefix, "pattern_value": pattern}
        for locale, kinds in catalogue.items()
        for key, patterns in kinds.items()
        for prefix, pattern in patterns
    ]


def list_locales(connection: Connection) -> list[str]:
    """The locales of the table, in alphabetical order."""
    locale = t.outbound_routes_locales.c.locale
    return sorted(str(name) for name in connection.scalars(select(locale).distinct()))


def list_templates(connection: Connection) -> dict[str, list[str]]:
    """The names of the routes offered for each locale, `national_it` for instance, in order."""
    table = t.outbound_routes_locales
    found: dict[str, set[str]] = {}
    for locale, key in connection.execute(select(table.c.locale, table.c.key).distinct()):
        found.setdefault(locale, set()).add(key)
    return {
        locale: [f"{key}_{locale}" for key in sorted(found[locale], key=_place)]
        for locale in sorted(found)
    }


def _place(key: str) -> tuple[int, str]:
    return (KEYS.index(key) if key in KEYS else len(KEYS)), key


def template_patterns(connection: Connection, locale: str) -> dict[str, list[tuple[str, str]]]:
    """The (prefix, pattern) pairs of each route of a locale, by the route's name."""
    table = t.outbound_routes_locales
    rows = connection.execute(
        select(table.c.key, table.c.prefix_value, table.c.pattern_value)
        .where(table.c.locale == locale)
        .order_by(table.c.id)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for key, prefix, pattern in rows:
        found.setdefault(f"{key}_{locale}", []).append((prefix or "", pattern or ""))
    return found
