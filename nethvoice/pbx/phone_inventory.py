"""Phones by MAC address, linked or not: their maker and model in `rest_devices_phones`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, bindparam, cast, select, update

from nethvoice.problems import bad_request
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows, insert_rows, require_width
from nethvoice.store.unit import Unit
from nethvoice.system import NUMBERS, System
from provisioning.mac_vendors import normalise_mac
from provisioning.makers import maker_of

_phones = t.rest_devices_phones
_brands, _models = t.endpointman_brand_list, t.endpointman_model_list

_BASE_MAKER = "Snom"
_BASES = ("M300", "M700")
"""DECT bases, which have a row for each line."""


@dataclass(frozen=True)
class KnownModel:
    """What a phone was found to be."""

    mac: str
    vendor: str | None
    model: str


class _Line(NamedTuple):
    """A row of the inventory."""

    id: int
    model: str | None


def require_mac(text: str) -> str:
    """The address as it is stored. Raises Problem 400."""
    mac = normalise_mac(text)
    if mac is None:
        raise bad_request(f"{text[:64]} is no MAC address")
    return mac


def set_model(system: System, mac: str, vendor: str | None, model: str) -> None:
    """Set maker and model of a phone, all lines of it; an unknown one enters the inventory.

    Without `vendor` the maker follows from the address. Links to users and extensions stay.
    """
    normal = require_mac(mac)
    maker = vendor or maker_of(system.settings, normal)
    values = {"model": model} if maker is None else {"vendor": maker, "model": model}
    for name, value in values.items():
        require_width(system.database, _phones, name, value, name)
    # Linking a phone holds the same lock: none of both may insert the row a second time.
    with system.change(NUMBERS) as unit:
        known = _known(unit.conn, _phones.c.mac.in_(_writings(normal))).get(normal)
        if known:
            lines = _phones.c.id.in_([row.id for row in known])
            change_rows(unit.conn, _phones, lines, values)
        else:
            _add(unit, [KnownModel(normal, maker, model)])


def store_detected(system: System, found: Iterable[KnownModel]) -> None:
    """Keep models that were detected, where none is known; what people chose stays."""
    wanted = {item.mac: item for item in found if item.model}
    if not wanted:
        return
    with system.change(NUMBERS) as unit:
        known = _known(unit.conn, _phones.c.mac.is_not(None))
        _add(unit, [item for mac, item in wanted.items() if mac not in known])
        untold = [
            {"row": row.id, "maker": item.vendor, "told": item.model}
            for mac, item in wanted.items()
            if not any(line.model for line in known.get(mac, ()))
            for row in known.get(mac, ())
        ]
        if untold:
            statement = update(_phones).where(_phones.c.id == bindparam("row"))
            unit.conn.execute(
                statement.values(vendor=bindparam("maker"), model=bindparam("told")), untold
            )


def _writings(mac: str) -> list[str]:
    """How older versions may have written an address; letter case is the same to the column."""
    return [mac, mac.replace(":", "-"), mac.replace(":", "")]


def _known(connection: Connection, where: ColumnElement[bool]) -> dict[str, list[_Line]]:
    """Id and model of the lines of each phone, by its address as it is stored now: rows of older
    versions have addresses in other writings."""
    query = select(_phones.c.id, _phones.c.mac, _phones.c.model).where(where)
    known: dict[str, list[_Line]] = {}
    for key, mac, model in connection.execute(query):
        known.setdefault(normalise_mac(mac) or mac, []).append(_Line(key, model))
    return known


def _add(unit: Unit, phones: Sequence[KnownModel]) -> None:
    """Let phones that are not known into the inventory, DECT bases with all their lines."""
    bases = [item for item in phones if _is_base(item)]
    lines = _lines_of_bases(unit) if bases else {}
    rows = [
        {
            "mac": item.mac,
            "line": line,
            "vendor": item.vendor,
            "model": item.model,
            "type": "physical",
        }
        for item in phones
        for line in range(1, 1 + (lines.get(item.model.upper(), 1) if _is_base(item) else 1))
    ]
    insert_rows(unit.conn, _phones, rows)


def _is_base(item: KnownModel) -> bool:
    return item.vendor == _BASE_MAKER and item.model.upper() in _BASES


def _lines_of_bases(unit: Unit) -> dict[str, int]:
    """How many lines bases have by FreePBX's endpoint manager, which need not be installed."""
    if any(unit.database.live(table) is None for table in (_brands, _models)):
        return {}
    query = (
        select(_models.c.model, _models.c.max_lines)
        .join(_brands, _models.c.brand == cast(_brands.c.id, Integer))
        .where(_brands.c.name == _BASE_MAKER, _models.c.model.in_(_BASES))
    )
    return {model.upper(): lines for model, lines in unit.conn.execute(query) if lines > 0}
