"""Registering phones with their makers' redirect services (RPS)."""

import functools
import re
from importlib.resources import files

import yaml

from nethvoice.problems import bad_request
from nethvoice.store.redirect_gateway import RedirectGateway
from nethvoice.system import System
from provisioning import makers
from provisioning.mac_vendors import normalise_mac, vendor_of

_CRC = re.compile(r"[A-Za-z0-9]{4}")


async def register_phone(system: System, mac: str, url: str | None, crc: str | None) -> None:
    """Make a phone's maker send it to `url` for its configuration; a `%` in it stays as it is.

    `crc` are the four characters that Gigaset prints beside the address. Raises Problem 400 for a
    malformed address or `crc`, a missing `url`, or a maker without such a service, and what the
    gateway's client raises.
    """
    address = normalise_mac(mac)
    if address is None:
        raise bad_request(f"Malformed MAC address: {mac[:40]}")
    if not url:
        raise bad_request("url is required")
    if crc and not _CRC.fullmatch(crc):
        raise bad_request("crc must be four letters or digits", error="invalid_mac-id_crc_format")
    settings = system.settings
    vendor = vendor_of(address, makers.overlay(settings))
    provider = {**_shipped(), **settings.rps_providers}.get(vendor or "")
    if provider is None:
        named = f"phones of {vendor}" if vendor else "phones of unknown makers"
        raise bad_request(f"{named} have no redirect service", error="provider_not_supported")
    gateway = RedirectGateway(
        settings.rps_url,
        settings.rps_username,
        settings.rps_password.get_secret_value(),
        settings.rps_timeout,
    )
    hyphens = address.replace(":", "-")
    await gateway.register(provider, hyphens, url, crc.upper() if crc else None)


@functools.cache
def _shipped() -> dict[str, str]:
    text = (files("provisioning") / "data" / "redirect_providers.yaml").read_text("utf-8")
    table: dict[str, str] = yaml.safe_load(text)
    return table
