"""What clients have done to a phone: checked for provisioning, restarted, made to read again."""

from sqlalchemy import select

from nethvoice.pbx import notify
from nethvoice.pbx.notify import PhoneLine
from nethvoice.pbx.phone_inventory import require_mac
from nethvoice.problems import Problem, not_found
from nethvoice.store import tables as t
from nethvoice.system import System

NOT_FOUND = "device not found"


def check_provisioning(system: System, mac: str) -> None:
    """See that a phone is known: its configuration is rendered whenever it asks.

    Raises Problem 400 for a malformed address and 404, with the member `message`, for an unknown
    phone.
    """
    _require_phone(system, mac)


def reboot(system: System, mac: str) -> None:
    """Restart a phone by SIP NOTIFY. Raises as `check_provisioning` and `notify.reboot` do."""
    notify.reboot(system, _require_phone(system, mac))


def reload_configuration(system: System, extension: str) -> None:
    """Make the phone of an extension read its configuration again.

    Raises Problem 501 with the older provisioning engine, 403 when the extension has no phone of a
    known maker, and what `notify.send` raises.
    """
    if system.settings.provisioning_engine == "freepbx":
        raise Problem(
            501, "Not implemented", "the provisioning engine freepbx does not know this operation"
        )
    phones = t.rest_devices_phones
    query = select(phones.c.id).where(
        phones.c.extension == extension,
        phones.c.mac.is_not(None),
        phones.c.vendor.is_not(None),
        phones.c.vendor != "",
        phones.c.type == "physical",
    )
    with system.read() as connection:
        known = connection.execute(query.limit(1)).first()
    if known is None:
        raise Problem(403, "Forbidden", f"extension {extension} has no phone that can be told")
    notify.reload_configuration(system, extension)


def _require_phone(system: System, mac: str) -> PhoneLine:
    normal = require_mac(mac)
    with system.read() as connection:
        phone = notify.find_phone(connection, normal)
    if phone is None:
        raise not_found(NOT_FOUND, message=NOT_FOUND)
    return phone
