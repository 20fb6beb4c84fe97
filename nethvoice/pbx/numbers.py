"""Extension numbers: which belong together, which are free, and who holds those that are not."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    String,
    Table,
    and_,
    bindparam,
    cast,
    literal,
    or_,
    select,
    union,
    union_all,
)

from nethvoice.problems import Problem, unprocessable
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from nethvoice.store.prepared import Prepared

FIRST_DEVICE_DIGIT = 1

_MAIN = re.compile(r"[0-9]{1,14}", re.ASCII)
_DEVICE = re.compile(r"9[0-9]([0-9]{1,14})", re.ASCII)


def is_number(text: str) -> bool:
    """True for 1 to 14 ASCII digits, what a main extension may be."""
    return _MAIN.fullmatch(text) is not None


def main_part(number: str) -> str | None:
    """The main extension that a device number `9dM` is made of, None for another form."""
    match = _DEVICE.fullmatch(number)
    return match[1] if match else None


def relatives(main: str) -> list[str]:
    """`M` and `90M` ... `99M`: every number that can belong to the main extension."""
    return [main, *(f"9{digit}{main}" for digit in range(10))]


def family(connection: Connection, main: str) -> list[str]:
    """The existing numbers of a main extension: itself and its devices.

    A number is in it when FreePBX or the device list knows it and no other person has it as main
    extension. Always found by these exact numbers, never by their endings.
    """
    return families(connection, [main])[main]


def families(connection: Connection, mains: Sequence[str]) -> dict[str, list[str]]:
    """The families of many main extensions. Two statements, however many there are."""
    members = {main: relatives(main) for main in mains}
    numbers = [number for family in members.values() for number in family]
    known = union(
        select(cast(t.users.c.extension, String(32))).where(t.users.c.extension.in_(numbers)),
        select(cast(t.rest_devices_phones.c.extension, String(32))).where(
            t.rest_devices_phones.c.extension.in_(numbers)
        ),
    )
    existing = set(connection.scalars(known))
    taken = set(
        connection.scalars(
            select(t.userman_users.c.default_extension).where(
                t.userman_users.c.default_extension.in_(numbers)
            )
        )
    )
    return {
        main: [
            number
            for number in family
            if number in existing and (number == main or number not in taken)
        ]
        for main, family in members.items()
    }


# Every table that owns dialable numbers, in the order in which a hit is reported.
_SOURCES: Sequence[tuple[Column[str], str]] = (
    (t.sip.c.id, ""),
    (t.ringgroups.c.grpnum, " in groups"),
    (t.featurecodes.c.customcode, " as custom code"),
    (t.featurecodes.c.defaultcode, " as default code"),
    (t.queues_details.c.id, " as queue"),
    (t.trunks.c.channelid, " as trunk"),
    (t.parkplus.c.parkext, " as parking"),
    (t.users.c.extension, ""),
    (t.devices.c.id, ""),
    (t.queues_config.c.extension, " as queue"),
    (t.meetme.c.exten, " as conference"),
    (t.miscapps.c.ext, " as misc application"),
    (t.paging_config.c.page_group, " as paging"),
)
_EXTENSION_SOURCES = frozenset(i for i, (_, holder) in enumerate(_SOURCES) if not holder)
_USERS_SOURCE = next(i for i, (column, _) in enumerate(_SOURCES) if column is t.users.c.extension)


def require_free(
    database: Database,
    connection: Connection,
    number: str,
    *,
    ignoring: Collection[str] = (),
    with_devices: bool = True,
) -> None:
    """Raise Problem 422 when the number is used by anything that can be dialled.

    With `with_devices` (a new main extension) the numbers its devices would get are tested too.
    `ignoring` are the extensions of the person it is for. Two statements, however many tables.
    """
    tested = relatives(number) if with_devices else [number]
    hits = [
        (tested.index(found), source)
        for found, source in _holders(database, connection, tested)
        if not (source in _EXTENSION_SOURCES and found in ignoring)
    ]
    if hits:
        which, source = min(hits)
        raise in_use(tested[which], _label(source))


def free_device_number(
    database: Database, connection: Connection, main: str, last_digit: int
) -> str | None:
    """The first of `91M` ... that nothing uses; None when all are given out.

    Left-overs of a device without its FreePBX user do not count, they are purged by the caller.
    """
    candidates = [f"9{digit}{main}" for digit in range(FIRST_DEVICE_DIGIT, last_digit + 1)]
    leftovers = _EXTENSION_SOURCES - {_USERS_SOURCE}
    used = {
        found
        for found, source in _holders(database, connection, candidates)
        if source not in leftovers
    }
    return next((number for number in candidates if number not in used), None)


def in_use(number: str, holder: str = "") -> Problem:
    """422 with the text that clients know; `holder` says by what kind of thing."""
    text = f"Extension {number} already in use{holder}"
    return unprocessable(text, message=text)


def _label(source: int) -> str:
    return _SOURCES[source][1] if source < len(_SOURCES) else " as parking"


def _holders(
    database: Database, connection: Connection, tested: Sequence[str]
) -> list[tuple[str, int]]:
    """Which of the numbers are used, each with its place in `_SOURCES` (parking slots after)."""
    installed = tuple(
        position
        for position, (column, _) in enumerate(_SOURCES)
        if database.live(_table(column)) is not None
    )
    numbers = {f"number{place}": number for place, number in enumerate(tested)}
    rows = _owners(installed, len(tested)).rows(connection, numbers)
    hits = [(str(number), int(source)) for source, number in rows if number in tested]
    return hits + [
        (slot, len(_SOURCES)) for slot in _parking_slots(database, connection) if slot in tested
    ]


@lru_cache(maxsize=64)
def _owners(installed: tuple[int, ...], numbers: int) -> Prepared:
    """Which of so many numbers the tables of `_SOURCES` with these places have."""
    tested = [bindparam(f"number{place}", type_=String()) for place in range(numbers)]
    queries = []
    for position in installed:
        column = _SOURCES[position][0]
        where: ColumnElement[bool] = column.in_(tested)
        if column is t.featurecodes.c.defaultcode:
            custom = t.featurecodes.c.customcode
            where = and_(where, or_(custom.is_(None), custom == ""))
        queries.append(
            select(literal(position).label("source"), cast(column, String(64)).label("number"))
            .where(where)
            .distinct()
        )
    return Prepared(union_all(*queries))


_LOTS = Prepared(select(t.parkplus.c.parkpos, t.parkplus.c.numslots))


def _parking_slots(database: Database, connection: Connection) -> list[str]:
    if database.live(t.parkplus) is None:
        return []
    lots = _LOTS.rows(connection)
    return [
        str(int(first) + offset)
        for first, slots in lots
        if first and str(first).isdigit()
        for offset in range(int(slots or 0))
    ]


def _table(column: Column[str]) -> Table:
    assert isinstance(column.table, Table)  # noqa: S101 - all of them are columns of tables
    return column.table
