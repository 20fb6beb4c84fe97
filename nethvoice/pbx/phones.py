"""Looking at phones and their extensions, and making one read its configuration again."""

from sqlalchemy import select

from nethvoice.pbx import notify
from nethvoice.pbx.phone_reboots import required_mac
from nethvoice.problems import bad_request, not_found, unavailable
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.system import System

HINTS = "ext-local"
"""Dialplan context in which FreePBX has the hints of extensions."""

_LONGEST_NUMBER = 16


def get_account(system: System, mac: str) -> dict[str, str | None]:
    """Extension and SIP password of a phone: of its first line that has an extension.

    Both are None for a phone that is linked to nobody; an unknown one has neither. Raises Problem
    400 for a malformed address.
    """
    phones = t.rest_devices_phones
    query = (
        select(phones.c.extension, phones.c.secret)
        .where(phones.c.mac == required_mac(mac))
        .order_by(phones.c.line, phones.c.id)
    )
    with system.read() as connection:
        rows = connection.execute(query).all()
    if not rows:
        return {}
    row = next((row for row in rows if row.extension), rows[0])
    return {"extension": row.extension, "secret": row.secret}


def list_states(system: System) -> dict[str, dict[str, str | bool]]:
    """What Asterisk says about the hint of each extension, by number, with one action for all.

    An extension without a hint has status -1, as all have without an Asterisk. Raises Problem 503
    when Asterisk cannot be asked.
    """
    with system.read() as connection:
        numbers = connection.scalars(
            select(t.users.c.extension).distinct().order_by(t.users.c.extension)
        ).all()
    hints = _hints(system) if numbers else {}
    return {number: _state(number, hints.get(number, {})) for number in numbers}


def _hints(system: System) -> dict[str, dict[str, str]]:
    if system.ami is None:
        return {}
    try:
        rows = system.ami.list_action("ExtensionStateList", {})
    except AmiUnavailable as error:
        raise unavailable("Asterisk cannot be reached") from error
    except AmiRefused:
        return {}  # what it answers when the dialplan has no hints
    return {row.get("Exten", ""): row for row in rows if row.get("Context") == HINTS}


def _state(number: str, row: dict[str, str]) -> dict[str, str | bool]:
    return {
        "Response": "Success",
        "Message": "Extension Status",
        "Exten": number,
        "Context": HINTS,
        "Hint": row.get("Hint") or False,
        "Status": row.get("Status", "-1"),
        "StatusText": row.get("StatusText", "Unknown"),
    }


def reconfigure(system: System, extension: str) -> None:
    """Make the phone of an extension read its configuration again.

    Raises Problem 400 for what is no number, 404 for an unknown extension, 502 when Asterisk
    refuses and 503 when it cannot be asked.
    """
    if not (extension.isascii() and extension.isdigit() and len(extension) <= _LONGEST_NUMBER):
        raise bad_request("extension must be a number")
    with system.read() as connection:
        query = select(t.devices.c.id).where(t.devices.c.id == extension).limit(1)
        if connection.execute(query).first() is None:
            raise not_found(f"there is no extension {extension}")
    notify.reload_configuration(system, extension)
