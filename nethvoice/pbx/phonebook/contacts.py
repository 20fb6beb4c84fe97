"""Rows of the central phonebook: making those of one source what the source says.

Only what differs is deleted and inserted, so that a contact that stays keeps its id, and a source
that has not changed writes nothing.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from nethvoice.pbx.phonebook.fields import FIELDS
from nethvoice.pbx.phonebook.rows import Rows, SourceError
from nethvoice.store import tables as t
from nethvoice.store.rows import text_value

log = logging.getLogger(__name__)

_COLUMNS = (*FIELDS, "type")
_NOT_NULL = frozenset({"owner_id", "type"})
_MANY_LINES = frozenset({"notes", "homestreet", "workstreet"})
_CHUNK = 1000

Contact = dict[str, str]


@dataclass
class Mapped:
    """Contacts made of a source's rows, and how many rows could not be used, with a reason."""

    contacts: list[Contact]
    skipped: int = 0
    reason: str = ""

    def skip(self, reason: str) -> None:
        """Count a row that cannot be used; the first reason is kept."""
        self.skipped += 1
        self.reason = self.reason or reason


def map_rows(
    rows: Rows, mapping: Mapping[str, str], label: str, widths: Mapping[str, int]
) -> Mapped:
    """Contacts of `rows` by `mapping` (source column to phonebook column).

    `label` goes into the column `type`; `widths` are those of the table. Raises SourceError when
    the source has not one of the mapped columns.
    """
    places = {name: position for position, name in enumerate(rows.columns)}
    folded = {name.lower(): position for name, position in reversed(places.items())}
    wanted: list[tuple[int, str]] = []
    for source, target in mapping.items():
        place = places.get(source, folded.get(source.lower()))
        if place is None:
            raise SourceError(f"the source has no column {source[:80]!r}")
        wanted.append((place, target))
    result = Mapped([])
    for number, row in enumerate(rows.rows, 1):
        contact: Contact = {}
        for place, target in wanted:
            value = _clean(target, row[place])
            if value and target not in contact:
                contact[target] = value
        if not contact:
            continue  # a blank line
        wide = next((n for n, v in contact.items() if len(v) > widths.get(n, len(v))), None)
        if wide is not None:
            result.skip(f"row {number}: {wide} is longer than {widths[wide]} characters")
            continue
        contact["type"] = label[: widths.get("type", 255)]
        result.contacts.append(contact)
    return result


def _clean(target: str, value: str) -> str:
    value = value.replace("\0", "").strip()
    return value if target in _MANY_LINES else " ".join(value.split())


def replace_contacts(connection: Connection, sid: str, wanted: Mapped) -> int:
    """Make the phonebook's rows of source `sid` exactly these; returns how many there are now.

    Rows that the table refuses (characters it cannot hold) are counted as skipped in `wanted`.
    """
    present = _present(connection, sid)
    missing: list[tuple[str | None, ...]] = []
    for key, count in Counter(map(_key, wanted.contacts)).items():
        ids = present.get(key, [])
        missing += [key] * max(0, count - len(ids))
        del ids[:count]
    surplus = [row_id for ids in present.values() for row_id in ids]
    for start in range(0, len(surplus), _CHUNK):
        chunk = surplus[start : start + _CHUNK]
        connection.execute(delete(t.phonebook).where(t.phonebook.c.id.in_(chunk)))
    rows = [{**dict(zip(_COLUMNS, key, strict=True)), "sid_imported": sid} for key in missing]
    refused = 0
    for start in range(0, len(rows), _CHUNK):
        refused += _insert(connection, rows[start : start + _CHUNK], wanted)
    if surplus or rows:
        log.info("phonebook source %s: %d gone, %d new", sid, len(surplus), len(rows) - refused)
    return len(wanted.contacts) - refused


def _key(contact: Contact) -> tuple[str | None, ...]:
    return tuple(contact.get(name) or ("" if name in _NOT_NULL else None) for name in _COLUMNS)


def _present(connection: Connection, sid: str) -> dict[tuple[str | None, ...], list[int]]:
    """Ids of the source's rows by content. The table compares without letter case, we do not."""
    columns = [t.phonebook.c[name] for name in _COLUMNS]
    found: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    query = select(t.phonebook.c.id, t.phonebook.c.sid_imported, *columns)
    for row_id, owner, *values in connection.execute(
        query.where(t.phonebook.c.sid_imported == sid)
    ):
        if owner == sid:
            texts = (text_value(value) for value in values)
            key = tuple(
                text or ("" if name in _NOT_NULL else None)
                for name, text in zip(_COLUMNS, texts, strict=True)
            )
            found[key].append(row_id)
    return found


def _insert(connection: Connection, rows: Sequence[dict[str, Any]], wanted: Mapped) -> int:
    """Insert rows; those that the table refuses are left out and counted."""
    if not rows:
        return 0
    try:
        with connection.begin_nested():
            connection.execute(insert(t.phonebook), list(rows))
        return 0
    except (DataError, IntegrityError) as error:
        if len(rows) == 1:
            wanted.skip(f"{rows[0].get('name') or 'a row'}: {_reason(error)}")
            return 1
    # Halving finds the few bad ones without inserting the others one by one.
    half = len(rows) // 2
    return _insert(connection, rows[:half], wanted) + _insert(connection, rows[half:], wanted)


def _reason(error: DBAPIError) -> str:
    arguments = error.orig.args if error.orig is not None else ()
    return str(arguments[-1] if arguments else error)[:200]
