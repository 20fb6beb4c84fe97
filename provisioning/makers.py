"""What a host is by its MAC address: maker, and whether it is a phone or a gateway.

The product's own table of ranges comes first. Makers get new ranges faster than any table of ours
learns of them, so an address that it does not know is looked up in the IEEE register
(package `aiooui`), where some organisations are known to be makers of our table.
"""

import asyncio
import re
import threading
from pathlib import Path

import aiooui

from nethvoice.settings import Settings
from provisioning.mac_vendors import OVERLAY_NAME, normalise_mac, vendor_of

GATEWAY_MAKERS = frozenset({"Mediatrix", "Patton"})
PROBED_MAKERS = frozenset({"Sangoma"})
"""Makers of both phones and gateways; the device itself is asked."""

_ORGANISATIONS = {
    "2n telekomunikace": "2N",
    "aastra": "Aastra",
    "akuvox": "Akuvox",
    "digium": "Digium",
    "fanvil": "Fanvil",
    "gigaset": "Gigaset",
    "grandstream": "Grandstream",
    "media5": "Mediatrix",
    "mediatrix": "Mediatrix",
    "mitel": "Mitel",
    "nethesis": "Nethesis",
    "norphonic": "Norphonic",
    "panasonic communications": "Panasonic",
    "patton electronics": "Patton",
    "polycom": "Polycom",
    "sangoma": "Sangoma",
    "snom": "Snom",
    "xiamen yealink": "Yealink/Dreamwave",
    "xorcom": "Xorcom",
    "yealink": "Yealink/Dreamwave",
}
"""How organisations begin in the IEEE register, and what the product calls the maker. Those that
make much else (Cisco, Thomson) are left out."""

_BLOCK = re.compile(r"([0-9A-Fa-f]{2}[:-]?){2}[0-9A-Fa-f]{2}")

_loading = threading.Lock()


def overlay(settings: Settings) -> Path:
    """The operator's own table of ranges, which need not exist."""
    return settings.data_dir / OVERLAY_NAME


def organisation_of(mac: str) -> str | None:
    """Who holds the block of an address (or the bare block) in the IEEE register."""
    digits = normalise_mac(mac.strip())
    if digits is None:
        if not _BLOCK.fullmatch(mac.strip()):
            return None
        digits = mac.strip().replace("-", ":")
    with _loading:
        if not aiooui.is_loaded():
            asyncio.run(aiooui.async_load())
    return aiooui.get_vendor(digits.upper())


def maker_of(settings: Settings, mac: str) -> str | None:
    """The maker's name as clients know it, None for an unknown one; never raises.

    `mac` is an address in any writing, a bare block, or any other text.
    """
    known = vendor_of(mac, overlay(settings))
    if known is not None:
        return known
    organisation = (organisation_of(mac) or "").lower()
    found = (name for start, name in _ORGANISATIONS.items() if organisation.startswith(start))
    return next(found, None)
