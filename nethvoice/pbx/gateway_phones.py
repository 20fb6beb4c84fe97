"""The telephones of a gateway: each FXS port registers as a device of a main extension."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select

from nethvoice.pbx import devices, freepbx
from nethvoice.pbx.gateway_rows import Gateway, Phone
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows
from nethvoice.store.unit import Unit
from nethvoice.system import System

_PORTS = t.gateway_config_fxs
_DEVICES = t.rest_devices_phones


def is_kept(phone: Phone, main: str) -> bool:
    """Whether a port stays as it is when it is to belong to `main`, "" for nobody."""
    return phone.main == main and (phone.alive or (not main and not phone.number))


def release_phones(system: System, unit: Unit, gateway: Gateway, mains: Sequence[str]) -> None:
    """Give back the numbers of the ports that are to belong to others, and drop surplus ports."""
    for index, phone in enumerate(gateway.phones):
        wanted = index < len(mains)
        if wanted and is_kept(phone, mains[index]):
            continue
        if phone.alive:
            release_number(system, unit, gateway.id, phone.number)
        if not wanted:
            unit.conn.execute(delete(_PORTS).where(_PORTS.c.id == phone.row_id))
            unit.reload()


def release_number(system: System, unit: Unit, gateway_id: int, number: str) -> None:
    """Remove the device of a port: its number goes, a main extension is only released.

    A number that a hardware phone or the port of another gateway uses too stays.
    """
    phones = select(_DEVICES.c.id).where(
        _DEVICES.c.extension == number, _DEVICES.c.mac.is_not(None)
    )
    others = select(_PORTS.c.id).where(
        _PORTS.c.physical_extension == number, _PORTS.c.config_id != gateway_id
    )
    if any(unit.conn.execute(query.limit(1)).first() for query in (phones, others)):
        return
    devices.delete_device(system, unit, number)


def put_phones(
    system: System,
    unit: Unit,
    gateway_id: int,
    present: Sequence[Phone],
    mains: Sequence[str],
    *,
    encrypted: tuple[bool, bool],
) -> list[str]:
    """Make the ports belong to the main extensions; returns the numbers that they register with.

    `present` are the ports that there are, `encrypted` says whether the model uses SRTP, before and
    now. Raises Problem 409 when a main extension has no number left, and 422 for an unknown one.
    """
    numbers = []
    for index, main in enumerate(mains):
        phone = present[index] if index < len(present) else None
        if phone is not None and is_kept(phone, main):
            number = phone.number
            if number:
                _encrypt(system, unit, number, *encrypted)
        else:
            number = devices.create_custom_device(system, unit, main) if main else ""
            if number:
                _encrypt(system, unit, number, None, encrypted[1])
        secret = freepbx.read_sip(unit.conn, number).get("secret", "") if number else ""
        row = {"extension": main, "physical_extension": number, "secret": secret}
        if phone is None:
            unit.conn.execute(insert(_PORTS).values(config_id=gateway_id, **row))
            unit.reload()
        elif change_rows(unit.conn, _PORTS, _PORTS.c.id == phone.row_id, row):
            unit.reload()
        numbers.append(number)
    return [number for number in numbers if number]


def _encrypt(system: System, unit: Unit, number: str, before: bool | None, wanted: bool) -> None:
    """Say whether the media are encrypted, unless somebody chose that for a device that stays.

    Behind a proxy only the device list tells; else the endpoint does, and the list follows.
    """
    if before == wanted:
        return
    custom = (_DEVICES.c.extension == number) & _DEVICES.c.mac.is_(None)
    changed = change_rows(unit.conn, _DEVICES, custom, {"srtp": 1 if wanted else 0}) > 0
    if not system.settings.on_proxy:
        data = {True: "sdes", False: "no"}
        stored = freepbx.read_sip(unit.conn, number).get("media_encryption")
        if before is None or stored == data[before]:
            changed |= freepbx.set_sip(unit, number, {"media_encryption": data[wanted]})
    if changed:
        unit.reload()
