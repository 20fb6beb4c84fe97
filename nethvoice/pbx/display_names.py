"""The name that an extension shows: everywhere FreePBX keeps it, and as a template for many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, bindparam, select, update

from nethvoice.pbx.freepbx import NAME_WIDTH
from nethvoice.store import tables as t
from nethvoice.store.unit import Unit

_KEYWORDS = ("callerid", "cidname")
_DATA_WIDTH = 255


@dataclass(frozen=True)
class Naming:
    """A main extension, its family (itself included), and the name that all of them shall show."""

    main: str
    members: Sequence[str]
    name: str


def shown_name(name: str) -> str:
    """The name as SQL holds it: without angle brackets, which end a caller id, and cut."""
    return name.replace("<", "(").replace(">", ")")[:NAME_WIDTH]


def rename(unit: Unit, namings: Sequence[Naming], stored: Mapping[str, str] | None) -> bool:
    """Give extensions their names in SQL and AstDB; True when something changed.

    `stored` are the keys of AstDB's family AMPUSER, None when Asterisk cannot be asked; then the
    keys are written whenever a row changed. Statements do not grow with the number of extensions
    but for those that change.
    """
    wanted = {number: naming for naming in namings for number in naming.members}
    short = {number: shown_name(naming.name) for number, naming in wanted.items()}
    rows = _update(unit, t.users.c.extension, t.users.c.name, short)
    cut = {number: naming.name[:NAME_WIDTH] for number, naming in wanted.items()}
    rows += _update(unit, t.devices.c.id, t.devices.c.description, cut)
    rows += _update_sip(unit, wanted)
    keys = 0
    for number, naming in wanted.items():
        key = f"{number}/cidname"
        if rows if stored is None else stored.get(key) != naming.name:
            unit.astdb.put("AMPUSER", key, naming.name)
            keys += 1
    return bool(rows or keys)


def _update(unit: Unit, number: Column[str], column: Column[str], wanted: Mapping[str, str]) -> int:
    """Set a column of the rows that hold something else."""
    query = select(number, column).where(number.in_(wanted))
    different = [
        {"row": found, "value": wanted[found]}
        for found, value in unit.conn.execute(query)
        if value != wanted[found]
    ]
    if different:
        statement = update(column.table).where(number == bindparam("row"))
        unit.conn.execute(statement.values({column.name: bindparam("value")}), different)
    return len(different)


def _update_sip(unit: Unit, wanted: Mapping[str, Naming]) -> int:
    """The caller id of devices; only rows that are there."""
    sip = t.sip.c
    query = select(sip.id, sip.keyword, sip.data).where(
        sip.id.in_(wanted), sip.keyword.in_(_KEYWORDS)
    )
    different = []
    for number, keyword, data in unit.conn.execute(query):
        naming = wanted[number]
        value = naming.name[:_DATA_WIDTH]
        if keyword == "callerid":
            value = f"{shown_name(naming.name)} <{naming.main}>"
        if data != value:
            different.append({"row": number, "word": keyword, "value": value})
    if different:
        row = (sip.id == bindparam("row")) & (sip.keyword == bindparam("word"))
        unit.conn.execute(update(t.sip).where(row).values(data=bindparam("value")), different)
    return len(different)


# --- templates -----------------------------------------------------------------------------------


def mask(name: str, main: str) -> str:
    """The name with the digits of its extension as question marks: `Room 201` is `Room ???`.

    First the whole number, then its last three, two and one digits, each everywhere.
    """
    for length in _lengths(main):
        name = name.replace(main[-length:], "?" * length)
    return name


def expand(template: str, main: str) -> str:
    """The reverse: `??` is the last two digits. Four marks, or as many as the number has digits,
    are the whole number."""
    digits = {length: main[-length:] for length in (3, 2, 1)} | {4: main, len(main): main}
    for length in sorted(digits, reverse=True):
        template = template.replace("?" * length, digits[length])
    return template


def _lengths(main: str) -> list[int]:
    return list(dict.fromkeys([len(main), *(n for n in (3, 2, 1) if n < len(main))]))
