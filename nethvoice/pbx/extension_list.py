"""Reading extensions: FreePBX's rows of an extension together with its AstDB settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import orjson
from sqlalchemy import ColumnElement, and_, bindparam, func, literal, or_, select

from nethvoice.pbx.people import NO_EXTENSION
from nethvoice.problems import not_found
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.database import Database
from nethvoice.store.packed import Packed, Rows
from nethvoice.store.remembered import remember_last
from nethvoice.store.rows import json_row, live_columns
from nethvoice.system import System

_KEYS = {
    "cwtone": "cwtone",
    "recording_in_external": "recording/in/external",
    "recording_out_external": "recording/out/external",
    "recording_in_internal": "recording/in/internal",
    "recording_out_internal": "recording/out/internal",
    "recording_ondemand": "recording/ondemand",
}
_PAGING_KEYS = ("answermode", "intercom")
_PRIORITY = "recording/priority"


def _elements(rows: Rows, stored: Mapping[str, str], with_paging: bool) -> list[str]:
    """The JSON of extensions together with their settings of AstDB."""
    keys = [*_KEYS.values(), _PRIORITY, *(_PAGING_KEYS if with_paging else ())]
    get, ends = stored.get, [f"/{key}" for key in keys]
    return [
        f"{text[:-1]},{_settings(tuple([get(extension + end) for end in ends]))}"
        for text, extension in rows
    ]


def _listed(rows: Rows, stored: Mapping[str, str], with_paging: bool) -> bytes:
    return f"[{','.join(_elements(rows, stored, with_paging))}]".encode()


@lru_cache(maxsize=1024)
def _settings(values: tuple[str | None, ...]) -> str:
    """The members that come from AstDB, and the brace that ends the object; most extensions have
    the same. Without the paging module its values are left out."""
    stored = dict(zip((*_KEYS, _PRIORITY, *_PAGING_KEYS), values, strict=False))
    found: dict[str, str | int] = {name: stored[name] or "" for name in _KEYS}
    priority = stored[_PRIORITY]
    # A number when the key exists and the text "10" when it does not: clients know both.
    found["recording_priority"] = int(priority) if priority and priority.isdigit() else "10"
    for name in _PAGING_KEYS:
        found[name] = stored.get(name) or ""
    return orjson.dumps(found)[1:].decode()


@dataclass(frozen=True, eq=False)
class Kind:
    """Extensions of one kind, and the queries that read them. `where` is their condition."""

    where: ColumnElement[bool]
    listed: Callable[[Rows, Mapping[str, str], bool], bytes] = field(
        default_factory=lambda: remember_last(_listed)
    )
    """The JSON array of rows with the settings that AstDB has for them."""

    def all(self, database: Database) -> Packed:
        """JSON and number of all of them, ordered by number as text."""
        return self._query(database)

    def one(self, database: Database) -> Packed:
        """The one with the number `extension`."""
        return self._query(database, t.users.c.extension == bindparam("extension"))

    def _query(self, database: Database, *more: ColumnElement[bool]) -> Packed:
        columns = [*live_columns(database, t.users)]
        for name, item in live_columns(database, t.devices):
            columns.append((name, func.coalesce(item, "virtual") if name == "tech" else item))
        query = (
            select(json_row(columns), t.users.c.extension)
            .select_from(t.users.outerjoin(t.devices, t.users.c.extension == t.devices.c.id))
            .where(self.where, *more)
        )
        return Packed(query, t.users.c.extension)


MAIN_OR_VIRTUAL = Kind(
    or_(
        t.users.c.extension.in_(
            select(t.userman_users.c.default_extension).where(
                t.userman_users.c.default_extension != literal(NO_EXTENSION)
            )
        ),
        t.devices.c.id.is_(None),
    )
)
"""The list of main extensions: every person's, and those without a device."""

PHYSICAL = Kind(and_(t.devices.c.id.is_not(None), t.devices.c.tech == "pjsip"))
"""The list of devices: every PJSIP extension, main extensions included."""


def list_extensions(system: System, kind: Kind) -> bytes:
    """The JSON array of the extensions of a kind, ordered by number as text.

    One SQL statement and one AstDB read, however many there are.
    """
    query = system.database.statement(kind.all)
    with system.read() as connection:
        rows = query.rows(connection)
    return kind.listed(rows, _stored(system) if rows else {}, _has_paging(system))


def get_extension(system: System, extension: str, kind: Kind) -> bytes:
    """One of them. Raises Problem 404."""
    query = system.database.statement(kind.one)
    with system.read() as connection:
        rows = query.rows(connection, {"extension": extension})
    if not rows:
        raise not_found(f"there is no extension {extension}")
    stored = _stored(system, rows[0][1])
    return _elements(rows, stored, _has_paging(system))[0].encode()


def _stored(system: System, extension: str | None = None) -> Mapping[str, str]:
    try:
        return system.astdb.tree("AMPUSER", extension)
    except (AmiUnavailable, AmiRefused):
        return {}


def _has_paging(system: System) -> bool:
    return system.database.live(t.paging_groups) is not None
