"""Single properties of an extension: display name and encryption of the media."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from nethvoice.pbx import freepbx, numbers
from nethvoice.pbx.display_names import Naming, rename
from nethvoice.pbx.people import person_by_extension
from nethvoice.problems import bad_request, not_found, unavailable
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.rows import change_rows
from nethvoice.system import NUMBERS, System

_ENCRYPTED = ("sdes", "dtls")


def set_display_name(system: System, main: str, name: str) -> None:
    """Rename a main extension and its devices everywhere FreePBX keeps the name.

    Given a device's number it renames that one; calls go out under the main number all the same.
    Raises Problem 404 for an unknown extension, 400 for an empty name.
    """
    name = name.strip()
    if not name or any(ord(character) < 32 for character in name):
        raise bad_request("displayname must be text without control characters")
    with system.change(NUMBERS) as unit:
        members = numbers.family(unit.conn, main)
        if main not in members:
            raise not_found(f"there is no extension {main}")
        number = _calling_number(unit.conn, main)
        if rename(unit, [Naming(number, members, name)], _stored_names(system, members)):
            unit.reload()


def _calling_number(connection: Connection, extension: str) -> str:
    """The main extension of a device's number; another number is its own."""
    main = numbers.main_part(extension)
    if main is None or person_by_extension(connection, extension) is not None:
        return extension
    return main if person_by_extension(connection, main) is not None else extension


def _stored_names(system: System, numbers: Iterable[str]) -> dict[str, str] | None:
    """The names in AstDB by key; None when Asterisk cannot be asked."""
    keys = [f"{number}/cidname" for number in numbers]
    try:
        stored = {key: system.astdb.get("AMPUSER", key) for key in keys}
    except (AmiUnavailable, AmiRefused):
        return None
    return {key: name for key, name in stored.items() if name is not None}


def display_name(system: System, extension: str) -> str | None:
    """The name that Asterisk shows to those who are called, None when there is none.

    Raises Problem 503 while Asterisk cannot be asked.
    """
    try:
        return system.astdb.get("AMPUSER", f"{extension}/cidname")
    except (AmiUnavailable, AmiRefused) as error:
        raise unavailable("Asterisk cannot be asked now") from error


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
