"""Phones by MAC address, linked or not: their maker and model in `rest_devices_phones`."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import insert, select

from nethvoice.problems import bad_request
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows, require_width
from nethvoice.store.unit import Unit
from nethvoice.system import NUMBERS, System
from provisioning.mac_vendors import normalise_mac
from provisioning.makers import maker_of

_phones = t.rest_devices_phones


@dataclass(frozen=True)
class KnownModel:
    """What a phone was found to be."""

    mac: str
    vendor: str
    model: str


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
        known = select(_phones.c.id).where(_phones.c.mac == normal).limit(1)
        if unit.conn.execute(known).first() is None:
            unit.conn.execute(insert(_phones).values(mac=normal, line=1, type="physical", **values))
        else:
            change_rows(unit.conn, _phones, _phones.c.mac == normal, values)


def store_detected(system: System, found: Iterable[KnownModel]) -> None:
    """Keep models that were detected, where none is known; what people chose stays."""
    wanted = {item.mac: item for item in found if item.model}
    if not wanted:
        return
    with system.change(NUMBERS) as unit:
        query = select(_phones.c.mac, _phones.c.model).where(_phones.c.mac.is_not(None))
        known: dict[str, bool] = {}
        for mac, model in unit.conn.execute(query):
            known[mac] = known.get(mac, False) or bool(model)
        new = [item for mac, item in wanted.items() if mac not in known]
        if new:
            unit.conn.execute(
                insert(_phones),
                [
                    {"mac": i.mac, "vendor": i.vendor, "model": i.model, "type": "physical"}
                    for i in new
                ],
            )
        for mac, item in wanted.items():
            if known.get(mac) is False:
                _fill(unit, item)


def _fill(unit: Unit, item: KnownModel) -> None:
    values = {"vendor": item.vendor, "model": item.model}
    change_rows(unit.conn, _phones, _phones.c.mac == item.mac, values)
