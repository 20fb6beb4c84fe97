"""Devices of a main extension: phones, and the numbers 91M ... that they register with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, delete, insert, select

from nethvoice.pbx import freepbx, main_extensions, numbers, phone_reboots
from nethvoice.pbx.people import Person, person_by_extension
from nethvoice.problems import Problem, bad_request, conflict, not_found, unprocessable
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows, require_width
from nethvoice.store.unit import Unit
from nethvoice.system import NUMBERS, System
from provisioning.mac_vendors import normalise_mac, vendor_of

NO_NUMBERS = "There aren't available extension numbers"
"""The one error text that the wizard compares."""

GRANDSTREAM_APP = "GS Wave"
"""A phone model that is really an app on a mobile."""

AppKind = Literal["mobile", "webrtc", "nethlink"]

APPS: Mapping[AppKind, tuple[str, ...]] = {
    "mobile": ("mobile",),
    "webrtc": ("webrtc", "webrtc_mobile"),
    "nethlink": ("nethlink", "nethlink_mobile"),
}
"""What the device list calls each kind of app; the second names were written by older versions."""

_phones = t.rest_devices_phones


class NoNumberLeft(Problem):
    """409 with the text that the wizard knows."""

    def __init__(self) -> None:
        super().__init__(409, "Conflict", NO_NUMBERS)


@dataclass(frozen=True)
class Phone:
    """What a client tells about a hardware phone. None means: not said."""

    mac: str | None = None
    model: str | None = None
    line: int | None = None
    web_user: str | None = None
    web_password: str | None = None


def phone(
    *,
    mac: str | None,
    model: str | None,
    line: str,
    web_user: str | None,
    web_password: str | None,
) -> Phone:
    """A phone from what a client wrote; empty text means not said. Raises Problem 400."""
    normal = None
    if mac:
        normal = normalise_mac(mac)
        if normal is None:
            raise bad_request(f"{mac} is no MAC address")
    return Phone(
        mac=normal,
        model=model or None,
        line=int(line) if line else None,
        web_user=web_user or None,
        web_password=web_password or None,
    )


# --- linking -------------------------------------------------------------------------------------


def create_physical_extension(
    system: System,
    main: str,
    phone: Phone,
    *,
    extension: str | None = None,
    clear_temporary: bool = False,
) -> str | None:
    """Link a phone (or a custom device, without a MAC) to a main extension; returns its number.

    Without `main` the phone only enters the inventory and the answer is None. A phone that is
    linked to this main extension already keeps its number; one that gets another number leaves
    none behind. Raises Problem 400 (malformed MAC), 409 (MAC linked elsewhere, no number left), 422
    (unknown main extension, number refused).
    """
    _check_widths(system, phone)
    if not main:
        add_to_inventory(system, phone)
        return None
    with system.change(NUMBERS) as unit:
        owner = require_owner(unit, main)
        if clear_temporary:
            _clear_temporary(system, unit, main)
        before = _linked_numbers(unit, phone, main)
        if before and extension in (None, before[0]) and _is_pjsip(unit, before[0]):
            number = before[0]
        else:
            number = _claim_number(system, unit, owner, main, extension)
            unit.reload()
        if set_type_sip(system, unit, number, "physical"):
            unit.reload()
        if not phone.mac:
            _link_custom(unit, owner, number, phone)
            return number
        _link_phone(unit, owner, number, phone)
        if phone.model == GRANDSTREAM_APP:
            app = {"media_encryption_optimistic": "yes"}
            if freepbx.set_sip(unit, number, app):
                unit.reload()
        for left in before:
            if left != number and not _is_used_by_device(unit, left):
                delete_device(system, unit, left)
        return number


def create_custom_device(system: System, unit: Unit, main: str) -> str:
    """Link a device without a MAC address, such as a port of a gateway, to a main extension, whose
    temporary devices make room; returns its number.

    The caller's unit holds the lock `NUMBERS`. Raises Problem 409 (no number left) and 422 (unknown
    main extension).
    """
    owner = require_owner(unit, main)
    _clear_temporary(system, unit, main)
    number = allocate(system, unit, owner, main)
    set_type_sip(system, unit, number, "physical")
    _link_custom(unit, owner, number, Phone())
    unit.reload()
    return number


def require_owner(unit: Unit, main: str) -> Person:
    """The person of a main extension, which is a PJSIP one. Raises Problem 422 when it is not."""
    owner = person_by_extension(unit.conn, main)
    if owner is None or not _is_pjsip(unit, main):
        raise unprocessable(f"extension {main} is no user's main extension")
    return owner


def allocate(system: System, unit: Unit, owner: Person, main: str) -> str:
    """Make the number that the next device of a main extension uses, and return it.

    The first device of any kind takes the main number itself, later ones the first free of 91M to
    97M. Raises NoNumberLeft.
    """
    if not _is_used_by_device(unit, main):
        _prepare_main(unit, owner, main)
        return main
    number = numbers.free_device_number(
        system.database, unit.conn, main, system.settings.last_device_digit
    )
    if number is None:
        raise NoNumberLeft()
    _create_device_extension(system, unit, owner, main, number)
    return number


def _claim_number(system: System, unit: Unit, owner: Person, main: str, wanted: str | None) -> str:
    """The next number, or exactly the wanted one: the main itself or one of 90M ... 99M."""
    if not wanted:
        return allocate(system, unit, owner, main)
    if wanted not in numbers.relatives(main):
        raise unprocessable(f"extension {wanted} cannot belong to {main}: use {main} or 9x{main}")
    if wanted in numbers.family(unit.conn, main) and _is_pjsip(unit, wanted):
        _make_room(system, unit, wanted)
        if wanted == main:
            _prepare_main(unit, owner, main)
        else:
            _prepare_device(unit, owner, main, wanted)
        return wanted
    if person_by_extension(unit.conn, wanted) is not None:
        raise numbers.in_use(wanted)
    numbers.require_free(system.database, unit.conn, wanted, with_devices=False)
    _create_device_extension(system, unit, owner, main, wanted)
    return wanted


def _make_room(system: System, unit: Unit, number: str) -> None:
    """Unlink what has the number, which stays; the transport and encryption of an app go too."""
    kinds = [name for names in APPS.values() for name in names]
    app = select(_phones.c.id).where(_phones.c.extension == number, _phones.c.type.in_(kinds))
    if unit.conn.execute(app.limit(1)).first() is not None:
        freepbx.release_extension(system, unit, number)
        return
    unit.conn.execute(delete(_phones).where(_phones.c.extension == number, _phones.c.mac.is_(None)))
    freepbx.unlink_phones(unit, number)


def _is_pjsip(unit: Unit, extension: str) -> bool:
    """True for an extension that a device can register with; virtual ones have none."""
    query = (
        select(t.users.c.extension)
        .join(t.devices, t.devices.c.id == t.users.c.extension)
        .where(t.users.c.extension == extension, t.devices.c.tech == "pjsip")
    )
    return unit.conn.execute(query.limit(1)).first() is not None


def _is_used_by_device(unit: Unit, extension: str) -> bool:
    query = select(_phones.c.id).where(_phones.c.extension == extension).limit(1)
    return unit.conn.execute(query).first() is not None


def _prepare_main(unit: Unit, owner: Person, main: str) -> None:
    rows = freepbx.read_sip(unit.conn, main)
    freepbx.set_sip(
        unit,
        main,
        {"namedcallgroup": "1", "namedpickupgroup": "1", "allow": freepbx.CODECS},
        only_existing=True,
    )
    common = _common_sip(unit, owner, main, _name(unit, main), rows.get("context", ""))
    freepbx.set_sip(unit, main, common)
    _count_for(unit, main, main)


def _prepare_device(unit: Unit, owner: Person, main: str, number: str) -> None:
    """Tie a number that exists to its main extension again."""
    context = freepbx.read_sip(unit.conn, main).get("context", "")
    common = _common_sip(unit, owner, main, _name(unit, main), context)
    freepbx.set_sip(unit, number, common, only_existing=True)
    unit.astdb.put("AMPUSER", f"{number}/cidnum", main)
    unit.astdb.append_member("AMPUSER", f"{main}/device", number)
    _count_for(unit, main, number)


def _count_for(unit: Unit, main: str, number: str) -> None:
    unit.astdb.put("AMPUSER", f"{number}/accountcode", main)
    unit.astdb.delete("CW", number)


def _name(unit: Unit, extension: str) -> str:
    query = select(t.users.c.name).where(t.users.c.extension == extension)
    return unit.conn.scalar(query) or ""


def _create_device_extension(
    system: System, unit: Unit, owner: Person, main: str, number: str
) -> None:
    user = unit.conn.execute(select(t.users).where(t.users.c.extension == main)).first()
    if user is None:
        raise unprocessable(f"extension {main} does not exist")
    row = user._mapping
    rows = freepbx.read_sip(unit.conn, main)
    freepbx.wipe_extension(unit, number)
    sip = {
        "namedcallgroup": rows.get("namedcallgroup", ""),
        "namedpickupgroup": rows.get("namedpickupgroup", ""),
        **_common_sip(unit, owner, main, row["name"] or "", rows.get("context", "")),
    }
    inherited = ("noanswer_dest", "busy_dest", "chanunavail_dest")
    freepbx.create_extension(
        system,
        unit,
        number,
        row["name"] or "",
        row["outboundcid"] or "",
        sip=sip,
        destinations={name: row[name] for name in inherited if row[name] is not None},
    )
    unit.astdb.put("AMPUSER", f"{number}/cidnum", main)
    unit.astdb.copy("AMPUSER", f"{main}/ringtimer", f"{number}/ringtimer")
    unit.astdb.append_member("AMPUSER", f"{main}/device", number)
    _count_for(unit, main, number)


def _common_sip(unit: Unit, owner: Person, main: str, name: str, context: str) -> dict[str, str]:
    """What every device of a main extension has in its `sip` rows."""
    context = context or freepbx.FROM_INTERNAL
    if main_extensions.follows_profile(context):
        context = main_extensions.profile_context(unit, owner.id) or context
    return {
        "context": context,
        "accountcode": main,
        "direct_media": "no",
        "callerid": f"{name} <{main}>",
    }


def set_type_sip(system: System, unit: Unit, extension: str, kind: str) -> bool:
    """Write the `sip` rows that a kind of device needs in this deployment; True when changed."""
    return freepbx.set_sip(unit, extension, type_sip(system, kind))


def type_sip(system: System, kind: str) -> Mapping[str, str]:
    """`sip` rows by kind of device, behind a SIP proxy or with phones that register directly."""
    proxy = system.settings.outbound_proxy
    if proxy:
        phone = {
            "rewrite_contact": "no",
            "media_encryption": "no",
            "outbound_proxy": proxy,
            "force_rport": "no",
            "rtp_symmetric": "no",
            "transport": "0.0.0.0-udp",
        }
        if kind == "mobile":
            return {**phone, "qualifyfreq": "60", "maximum_expiration": "7200"}
        if kind in ("webrtc", "nethlink"):
            return {
                "allow": freepbx.CODECS,
                "rewrite_contact": "yes",
                "media_encryption": "no",
                "outbound_proxy": "",
                "force_rport": "yes",
                "rtp_symmetric": "yes",
                "transport": "0.0.0.0-udp",
            }
        return phone
    if kind == "mobile":
        app = MOBILE_APP_SIP[system.settings.mobile_app]
        return {**app, "media_encryption": "sdes"}
    if kind in ("webrtc", "nethlink"):
        return {"allow": "ulaw,alaw,gsm,g726,h264,vp8"}
    return {}


MOBILE_APP_SIP: Mapping[str, Mapping[str, str]] = {
    "acrobits": {
        "maximum_expiration": "7200",
        "qualifyfreq": "60",
        "rewrite_contact": "yes",
        "transport": "0.0.0.0-tls",
    },
    "native": {
        "maximum_expiration": "2678400",
        "qualifyfreq": "0",
        "rewrite_contact": "no",
        "transport": "0.0.0.0-tcp",
    },
}


# --- the device list ------------------------------------------------------------------------------


def _secret(unit: Unit, extension: str) -> str | None:
    return unit.conn.scalar(
        select(t.sip.c.data).where(t.sip.c.id == extension, t.sip.c.keyword == "secret")
    )


def _rows_of(phone: Phone) -> ColumnElement[bool]:
    where = _phones.c.mac == phone.mac
    return where if phone.line is None else and_(where, _phones.c.line == phone.line)


def _linked_numbers(unit: Unit, phone: Phone, main: str) -> list[str]:
    """The numbers that the phone's lines are linked to, all of this main extension's family.

    Raises Problem 409 when one of them belongs to another one.
    """
    if not phone.mac:
        return []
    linked = unit.conn.scalars(
        select(_phones.c.extension)
        .where(_rows_of(phone), _phones.c.extension.is_not(None))
        .order_by(_phones.c.line)
    ).all()
    family = numbers.family(unit.conn, main) if linked else []
    for number in linked:
        if number not in family:
            raise conflict(f"MAC address {phone.mac} is already used by extension {number}")
    return list(dict.fromkeys(map(str, linked)))


def _link_phone(unit: Unit, owner: Person, extension: str, phone: Phone) -> None:
    values: dict[str, Any] = {
        "user_id": owner.id,
        "extension": extension,
        "secret": _secret(unit, extension),
        "type": "physical",
    }
    for name in ("web_user", "web_password"):
        if getattr(phone, name) is not None:
            values[name] = getattr(phone, name)
    rows = unit.conn.execute(select(_phones.c.id, _phones.c.model).where(_rows_of(phone))).all()
    if not rows:
        unit.conn.execute(
            insert(_phones).values(
                mac=phone.mac,
                vendor=vendor_of(phone.mac or ""),
                model=phone.model,
                line=phone.line or 1,
                **values,
            )
        )
        unit.reload()
        return
    changed = change_rows(unit.conn, _phones, _rows_of(phone), values)
    if phone.model and any(row.model is None for row in rows):
        changed += change_rows(
            unit.conn,
            _phones,
            and_(_rows_of(phone), _phones.c.model.is_(None)),
            {"model": phone.model},
        )
    if changed:
        unit.reload()


def _link_custom(unit: Unit, owner: Person, extension: str, phone: Phone) -> None:
    unit.conn.execute(
        insert(_phones).values(
            user_id=owner.id,
            extension=extension,
            secret=_secret(unit, extension),
            web_user=phone.web_user,
            web_password=phone.web_password,
            type="physical",
            line=1,
        )
    )


def link_software(unit: Unit, owner: Person, extension: str, kind: str) -> None:
    """Register a number as that of an app or a browser: no hardware, no line of a base."""
    unit.conn.execute(
        insert(_phones).values(
            user_id=owner.id,
            extension=extension,
            secret=_secret(unit, extension),
            type=kind,
            line=1 if kind == "mobile" else None,
        )
    )


def add_to_inventory(system: System, phone: Phone) -> None:
    """Make a phone known without linking it; one that is linked keeps its link."""
    if not phone.mac:
        raise bad_request("mac is required without a main extension")
    with system.change(NUMBERS) as unit:
        values = {
            name: value
            for name in ("model", "web_user", "web_password")
            if (value := getattr(phone, name)) is not None
        }
        values["vendor"] = vendor_of(phone.mac)
        known = unit.conn.execute(select(_phones.c.id).where(_rows_of(phone)).limit(1)).first()
        if known is None:
            unit.conn.execute(
                insert(_phones).values(
                    mac=phone.mac, line=phone.line or 1, type="physical", **values
                )
            )
        else:
            change_rows(unit.conn, _phones, _rows_of(phone), values)


def _check_widths(system: System, phone: Phone) -> None:
    for name in ("model", "web_user", "web_password"):
        value = getattr(phone, name)
        if value is not None:
            require_width(system.database, _phones, name, value, name)


def set_phones_admin_password(system: System, password: str) -> None:
    """Set the web password that the CTI uses for all hardware phones, linked or not."""
    require_width(system.database, _phones, "web_password", password, "password")
    with system.change() as unit:
        where = and_(_phones.c.type == "physical", _phones.c.mac.is_not(None))
        values = {"web_user": "admin", "web_password": password}
        if change_rows(unit.conn, _phones, where, values):
            unit.reload()


def change_model(system: System, mac: str, model: str | None) -> None:
    """Set or clear the model of all lines of a phone; an unknown MAC changes nothing."""
    normal = normalise_mac(mac)
    if normal is None:
        raise Problem(400, "Bad request", "Invalid MAC address")
    if model is not None:
        require_width(system.database, _phones, "model", model, "model")
    with system.change() as unit:
        change_rows(unit.conn, _phones, _phones.c.mac == normal, {"model": model})


# --- removing -------------------------------------------------------------------------------------


def delete_device(system: System, unit: Unit, extension: str) -> None:
    """Remove a device number; a main extension is only released from its device."""
    if person_by_extension(unit.conn, extension) is not None:
        if freepbx.release_extension(system, unit, extension):
            unit.reload()
        return
    freepbx.wipe_extension(unit, extension)
    unit.reload()


def delete_by_extension(system: System, extension: str) -> None:
    """Remove a device by its number.

    Raises Problem 404 unless it is a registered device, a main extension, or a PJSIP extension of
    a main extension's family.
    """
    with system.change(NUMBERS) as unit:
        if not _may_delete(unit, extension):
            raise not_found(f"extension {extension} is no device of a user")
        delete_device(system, unit, extension)


def _may_delete(unit: Unit, extension: str) -> bool:
    if _is_used_by_device(unit, extension):
        return True
    if person_by_extension(unit.conn, extension) is not None:
        return True
    main = numbers.main_part(extension)
    if main is None or person_by_extension(unit.conn, main) is None:
        return False
    query = select(t.devices.c.id).where(t.devices.c.id == extension, t.devices.c.tech == "pjsip")
    return unit.conn.execute(query).first() is not None


def delete_by_mac(system: System, mac: str) -> None:
    """Forget a phone with all its lines and their numbers; an unknown MAC changes nothing."""
    with system.change(NUMBERS) as unit:
        phone_reboots.forget(system, unit, {mac})
        found = unit.conn.execute(select(_phones.c.extension).where(_phones.c.mac == mac)).all()
        if not found:
            return
        unit.conn.execute(delete(_phones).where(_phones.c.mac == mac))
        for extension in sorted({row.extension for row in found if row.extension}):
            delete_device(system, unit, extension)
        unit.reload()


def _clear_temporary(system: System, unit: Unit, main: str) -> None:
    """Remove the temporary devices of a main extension; its first real phone replaces them."""
    temporary = unit.conn.scalars(
        select(_phones.c.extension).where(
            _phones.c.type == "temporaryphysical",
            _phones.c.extension.in_(numbers.family(unit.conn, main)),
        )
    ).all()
    for extension in temporary:
        delete_device(system, unit, str(extension))


def delete_path_device(system: System, device: str) -> None:
    """Remove what a path segment names: digits are a number, another form is a MAC."""
    if device.isdigit():
        delete_by_extension(system, device)
        return
    mac = normalise_mac(device)
    if mac is None:
        raise bad_request(f"{device} is neither an extension nor a MAC address")
    delete_by_mac(system, mac)
