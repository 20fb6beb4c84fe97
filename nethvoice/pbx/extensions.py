"""Single properties of an extension: display name and encryption of the media."""

from collections.abc import Iterable

from sqlalchemy import select

from nethvoice.pbx import freepbx, numbers
from nethvoice.pbx.display_names import Naming, rename
from nethvoice.problems import bad_request, not_found
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.rows import change_rows
from nethvoice.system import NUMBERS, System

_ENCRYPTED = ("sdes", "dtls")


def set_display_name(system: System, main: str, name: str) -> None:
    """Rename a main extension and its devices everywhere FreePBX keeps the name.

    Raises Problem 404 for an unknown extension, 400 for an empty name.
    """
    name = name.strip()
    if not name or any(ord(character) < 32 for character in name):
        raise bad_request("displayname must be text without control characters")
    with system.change(NUMBERS) as unit:
        members = numbers.family(unit.conn, main)
        if main not in members:
            raise not_found(f"there is no extension {main}")
        if rename(unit, [Naming(main, members, name)], _stored_names(system, members)):
            unit.reload()


def _stored_names(system: System, numbers: Iterable[str]) -> dict[str, str] | None:
    """The names in AstDB by key; None when Asterisk cannot be asked."""
    keys = [f"{number}/cidname" for number in numbers]
    try:
        stored = {key: system.astdb.get("AMPUSER", key) for key in keys}
    except (AmiUnavailable, AmiRefused):
        return None
    return {key: name for key, name in stored.items() if name is not None}


def display_name(system: System, extension: str) -> str | None:
    """The name that Asterisk shows to those who are called, None when there is none."""
    return system.astdb.get("AMPUSER", f"{extension}/cidname")


def is_encrypted(system: System, extension: str) -> bool:
    """True when the extension's media are encrypted (SRTP); an unknown one is not."""
    with system.read() as connection:
        if system.settings.on_proxy:
            devices = t.rest_devices_phones
            query = select(devices.c.srtp).where(
                devices.c.extension == extension, devices.c.srtp == 1
            )
            return connection.execute(query.limit(1)).first() is not None
        return freepbx.read_sip(connection, extension).get("media_encryption") in _ENCRYPTED


def set_encrypted(system: System, extension: str, encrypted: bool) -> None:
    """Switch SRTP of a device on or off. Raises Problem 404 for an unknown extension.

    Behind a proxy only the device list says so: the proxy ends the encryption. Otherwise it is
    the endpoint's own `media_encryption`, and the device list follows.
    """
    with system.change(NUMBERS) as unit:
        devices = t.rest_devices_phones
        flag = 1 if encrypted else 0
        changed = change_rows(unit.conn, devices, devices.c.extension == extension, {"srtp": flag})
        rows = freepbx.read_sip(unit.conn, extension)
        if system.settings.on_proxy:
            query = select(devices.c.id).where(devices.c.extension == extension)
            known = unit.conn.execute(query.limit(1)).first() is not None
        else:
            known = bool(rows)
            wanted = encrypted == (rows.get("media_encryption") in _ENCRYPTED)
            if rows and not wanted:
                data = "sdes" if encrypted else "no"
                changed += freepbx.set_sip(unit, extension, {"media_encryption": data})
        if not known:
            raise not_found(f"there is no extension {extension}")
        if changed:
            unit.reload()
