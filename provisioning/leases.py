"""Host names from the leases files of DHCP servers: dnsmasq's and ISC dhcpd's."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from provisioning.mac_vendors import normalise_mac

log = logging.getLogger(__name__)

_LARGEST = 16 * 1024 * 1024
_ISC_LEASE = re.compile(r"^\s*lease\s+[0-9.]+\s*\{(.*?)^\s*\}", re.MULTILINE | re.DOTALL)
_ISC_MAC = re.compile(r"^\s*hardware\s+ethernet\s+([0-9A-Fa-f:]+)\s*;", re.MULTILINE)
_ISC_NAME = re.compile(r'^\s*client-hostname\s+"([^"\n]*)"\s*;', re.MULTILINE)


def host_names(files: Iterable[Path]) -> dict[str, str]:
    """MAC address, as it is stored, to the name that the host gave itself.

    Later leases win, in a file and over files. A file that cannot be read is passed over: names
    only help to tell models.
    """
    found: dict[str, str] = {}
    for file in files:
        try:
            with file.open("rb") as opened:
                text = opened.read(_LARGEST).decode("utf-8", "replace")
        except OSError as error:
            log.warning("leases file %s cannot be read: %s", file, error.strerror)
            continue
        found |= names_in(text)
    return found


def names_in(text: str) -> dict[str, str]:
    """The names of one file, of whichever form."""
    return _isc(text) if _ISC_LEASE.search(text) else _dnsmasq(text)


def _isc(text: str) -> dict[str, str]:
    """`lease 10.0.0.5 { ... hardware ethernet 00:15:65:..; client-hostname "SIP-T46G"; }`."""
    found = {}
    for lease in _ISC_LEASE.finditer(text):
        mac, name = _ISC_MAC.search(lease[1]), _ISC_NAME.search(lease[1])
        normal = normalise_mac(mac[1]) if mac else None
        if normal and name and name[1]:
            found[normal] = name[1]
    return found


def _dnsmasq(text: str) -> dict[str, str]:
    """`1700000000 00:15:65:aa:bb:cc 192.168.1.33 SIP-T46G 01:00:15:65:aa:bb:cc`; `*` is no name."""
    found = {}
    for line in text.splitlines():
        match line.split():
            case [expiry, mac, _, name, *_] if expiry.isdigit() and name != "*":
                normal = normalise_mac(mac)
                if normal:
                    found[normal] = name
    return found
