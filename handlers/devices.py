"""Phones and gateways on the network, and what can be done with phones."""

from typing import Any

import orjson

from nethvoice import bodies
from nethvoice.answers import RawJson
from nethvoice.pbx import phone_actions, phone_inventory, phone_list, phone_models
from nethvoice.system import System
from provisioning import makers, scans


def start_network_scan(*, body: bodies.NetworkToScan, system: System) -> bodies.TaskReference:
    """Begin to look for devices."""
    return {"result": scans.start_scan(system, body["network"])}


def get_device_brand(*, mac: str, system: System) -> RawJson:
    """The maker of a device, null for an unknown one."""
    return RawJson(orjson.dumps(makers.maker_of(system.settings, mac)))


def list_phones(*, system: System) -> RawJson:
    """Custom devices and all known phones."""
    return RawJson(phone_list.list_phones(system))


async def list_scanned_phones(*, network_id: str, system: System) -> list[dict[str, Any]]:
    """The phones that a scan found."""
    return await phone_list.wait_for_scanned_phones(system, network_id)


def list_phone_manufacturers(*, system: System) -> dict[str, list[str]]:
    """Makers with their models."""
    return phone_models.list_models(system)


def set_phone_model(*, body: bodies.PhoneMakerAndModel, system: System) -> None:
    """Set what a phone is."""
    phone_inventory.set_model(system, body["mac"], body.get("vendor"), body["model"])


def provision_phone(*, body: bodies.PhoneReference, system: System) -> None:
    """See that a phone can be provisioned."""
    phone_actions.check_provisioning(system, body["mac"])


def reboot_phone(*, body: bodies.PhoneReference, system: System) -> None:
    """Restart a phone."""
    phone_actions.reboot(system, body["mac"])


def reload_phone_configuration(*, extension: str, system: System) -> None:
    """Make a phone read its configuration again."""
    phone_actions.reload_configuration(system, extension)
