"""Reading extensions: FreePBX's rows of an extension together with its AstDB settings."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import ColumnElement, and_, func, or_, select

from nethvoice.pbx.people import NO_EXTENSION
from nethvoice.problems import not_found
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.rows import json_row, live_columns
from nethvoice.system import System

MAIN_OR_VIRTUAL = or_(
    t.users.c.extension.in_(
        select(t.userman_users.c.default_extension).where(
            t.userman_users.c.default_extension != NO_EXTENSION
        )
    ),
    t.devices.c.id.is_(None),
)
"""Condition of the list of main extensions: every person's, and those without a device."""

PHYSICAL = and_(t.devices.c.id.is_not(None), t.devices.c.tech == "pjsip")
"""Condition of the list of devices: every PJSIP extension, main extensions included."""

_KEYS = {
    "cwtone": "cwtone",
    "recording_in_external": "recording/in/external",
    "recording_out_external": "recording/out/external",
    "recording_in_internal": "recording/in/internal",
    "recording_out_internal": "recording/out/internal",
    "recording_ondemand": "recording/ondemand",
}
_PAGING_KEYS = ("answermode", "intercom")


def list_extensions(system: System, where: ColumnElement[bool]) -> bytes:
    """The JSON array of the extensions that match, ordered by number as text.

    One SQL statement and one AstDB read, however many there are.
    """
    return b"[" + b",".join(_extensions(system, where)) + b"]"


def get_extension(system: System, extension: str, where: ColumnElement[bool]) -> bytes:
    """One of them. Raises Problem 404."""
    found = _extensions(system, where & (t.users.c.extension == extension))
    if not found:
        raise not_found(f"there is no extension {extension}")
    return found[0]


def _extensions(system: System, where: ColumnElement[bool]) -> list[bytes]:
    columns = [*live_columns(system.database, t.users)]
    for name, item in live_columns(system.database, t.devices):
        columns.append((name, func.coalesce(item, "virtual") if name == "tech" else item))
    query = (
        select(t.users.c.extension, json_row(columns))
        .select_from(t.users.outerjoin(t.devices, t.users.c.extension == t.devices.c.id))
        .where(where)
        .order_by(t.users.c.extension)
    )
    with system.read() as connection:
        rows = connection.execute(query).all()
    if not rows:
        return []
    try:
        stored = system.astdb.tree("AMPUSER")
    except (AmiUnavailable, AmiRefused):
        stored = {}
    paging = system.database.live(t.paging_groups) is not None
    return [
        text[:-1].encode() + b"," + orjson.dumps(_settings(extension, stored, paging))[1:]
        for extension, text in rows
    ]


def _settings(extension: str, stored: Mapping[str, str], paging: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: stored.get(f"{extension}/{key}", "") for name, key in _KEYS.items()
    }
    priority = stored.get(f"{extension}/recording/priority")
    # A number when the key exists and the text "10" when it does not: clients know both.
    found["recording_priority"] = int(priority) if priority and priority.isdigit() else "10"
    for name in _PAGING_KEYS:
        found[name] = stored.get(f"{extension}/{name}", "") if paging else ""
    return found
