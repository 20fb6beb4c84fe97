"""Remote control of phones."""

from typing import Any

from nethvoice import bodies
from nethvoice.pbx import phone_reboots, phones
from nethvoice.pbx.values import number_text
from nethvoice.system import System
from provisioning import redirect


def list_phone_reboots(*, system: System) -> dict[str, dict[str, str]]:
    """The planned reboots."""
    return phone_reboots.list_reboots(system)


def reboot_phones(*, body: dict[str, Any], system: System) -> dict[str, dict[str, str | int]]:
    """Reboot phones now, or plan it."""
    return phone_reboots.reboot_phones(system, body)


def cancel_phone_reboots(*, body: list[str], system: System) -> dict[str, dict[str, str | int]]:
    """Cancel planned reboots."""
    return phone_reboots.cancel_reboots(system, body)


def get_phone_reboot(*, mac: str, system: System) -> dict[str, dict[str, str]]:
    """The planned reboot of one phone."""
    return phone_reboots.list_reboots(system, mac)


def cancel_phone_reboot(*, mac: str, system: System) -> None:
    """Cancel the planned reboot of one phone."""
    phone_reboots.cancel_reboot(system, mac)


def schedule_phone_reboot(*, mac: str, hours: str, minutes: str, system: System) -> None:
    """Plan the reboot of one phone."""
    phone_reboots.schedule_reboot(system, mac, hours, minutes)


def reconfigure_phone(*, body: bodies.PhoneExtension, system: System) -> None:
    """Make a phone read its configuration again."""
    phones.reconfigure(system, number_text(body["extension"]))


async def register_phone_redirect(*, mac: str, body: bodies.PhoneRedirect, system: System) -> None:
    """Register a phone with its maker's redirect service."""
    await redirect.register_phone(system, mac, body.get("url"), body.get("crc"))


def get_phone_account(*, mac: str, system: System) -> dict[str, str | None]:
    """SIP account of a phone."""
    return phones.get_account(system, mac)


def list_phone_states(*, system: System) -> dict[str, dict[str, str | bool]]:
    """States of all extensions."""
    return phones.list_states(system)
