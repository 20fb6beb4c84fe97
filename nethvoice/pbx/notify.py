"""Telling phones by SIP NOTIFY to restart or to read their configuration again.

Asterisk sends it to the contacts of an endpoint (AMI `PJSIPNotify`, headers in `Variable`), so no
notify file is needed. Without AMI the wish is recorded and counts as carried out.
"""

import logging
import time
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from nethvoice.problems import Problem, unavailable, unprocessable
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable, Fields
from nethvoice.system import System

log = logging.getLogger(__name__)

RELOAD_EVENT = "check-sync;reboot=false"
"""Read the configuration again, without a restart if the phone can do without."""

REBOOT_EVENTS = {
    "Aastra": "check-sync",
    "Akuvox": "check-sync;reboot=true",
    "Alcatel": "check-sync;reboot=true",
    "Alcatel Temporis": "check-sync;reboot=true",
    "Cisco/Linksys": "restart_now",
    "Digium": "check-sync",
    "Fanvil": "check-sync;reboot=true",
    "Gigaset": "check-sync;reboot=true",
    "Nethesis": "check-sync;reboot=true",
    "Panasonic": "check-sync;reboot=true",
    "Polycom": "check-sync",
    "Sangoma": "check-sync;reboot=true",
    "Snom": "check-sync;reboot=true",
    "Temporis": "check-sync;reboot=true",
    "Thomson": "check-sync;reboot=true",
    "Xorcom": "check-sync;reboot=true",
    "Yealink/Dreamwave": "check-sync;reboot=true",
}
"""Value of the Event header that restarts the phones of a maker (`rest_devices_phones.vendor`)."""

_KEPT_FOR = 7 * 86400.0


@dataclass(frozen=True)
class PhoneLine:
    """Whose phone it is, and the first of its lines that has an extension (None: no line has)."""

    vendor: str | None
    extension: str | None


def find_phone(connection: Connection, mac: str) -> PhoneLine | None:
    """The phone with this MAC address, written as it is stored; None when it is unknown."""
    phones = t.rest_devices_phones
    rows = connection.execute(
        select(phones.c.vendor, phones.c.extension)
        .where(phones.c.mac == mac)
        .order_by(phones.c.line, phones.c.id)
    ).all()
    if not rows:
        return None
    row = next((row for row in rows if row.extension), rows[0])
    return PhoneLine(row.vendor or None, row.extension or None)


def reboot(system: System, phone: PhoneLine) -> None:
    """Make a phone restart.

    Raises Problem 422 for a phone without extension or of a maker whose phones do not restart on a
    NOTIFY, and what `send` raises.
    """
    if phone.extension is None:
        raise unprocessable("no extension is associated with this phone")
    event = REBOOT_EVENTS.get(phone.vendor or "")
    if event is None:
        vendor = phone.vendor or "unknown makers"
        raise unprocessable(f"phones of {vendor} cannot be restarted: vendor not supported")
    send(system, phone.extension, event)


def reload_configuration(system: System, extension: str) -> None:
    """Make the phone of an extension read its configuration again. Raises as `send` does."""
    send(system, extension, RELOAD_EVENT)


def send(system: System, extension: str, event: str) -> None:
    """Send a NOTIFY with this Event to the phones that are registered at an extension.

    Success means that Asterisk took it on; it does not tell whether a phone was there to hear it.
    Raises Problem 502 when Asterisk refuses (no such endpoint) and 503 when it cannot be asked.
    """
    if system.ami is not None:
        fields: Fields = {"Endpoint": extension, "Variable": [f"Event={event}"]}
        try:
            system.ami.action("PJSIPNotify", fields)
        except AmiRefused as error:
            raise Problem(502, "Refused by Asterisk", error.message or "refused") from error
        except AmiUnavailable as error:
            raise unavailable("Asterisk cannot be reached, nothing was sent") from error
    log.info("NOTIFY", extra={"extension": extension, "event": event, "sent": bool(system.ami)})
    _record(system, extension, event)


def _record(system: System, extension: str, event: str) -> None:
    now = time.time()
    rows = t.rest_notifies
    with system.database.write() as connection:
        connection.execute(
            insert(rows).values(extension=extension, event=event, sent=bool(system.ami), at=now)
        )
        connection.execute(delete(rows).where(rows.c.at < now - _KEPT_FOR))
