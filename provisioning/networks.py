"""Which networks may be scanned, and the ids under which their results are kept."""

import contextlib
import hashlib
import re
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network, IPv6Network

from nethvoice.pbx.addresses import lan_interfaces
from nethvoice.problems import bad_request, unprocessable
from nethvoice.settings import Settings

WIDEST = 16
"""Prefix length of the largest network that is scanned."""

_CIDR = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,2}")


def allowed_networks(settings: Settings) -> list[IPv4Network | IPv6Network]:
    """What `SCAN_NETWORKS` says; when nobody has set it, this host's own networks as well as the
    private ones, for clients offer to scan those."""
    if "scan_networks" in settings.model_fields_set:
        return settings.scan_networks
    own = [interface.network for interface in lan_interfaces()]
    for item in settings.host_local_networks:
        with contextlib.suppress(ValueError):
            own.append(IPv4Interface(f"{item.network}/{item.netmask}").network)
    return [*settings.scan_networks, *own]


def scan_network(text: str, allowed: Iterable[IPv4Network | IPv6Network]) -> IPv4Network:
    """The network that a client named as `192.168.1.0/24` or by a host in it, `192.168.1.1/24`.

    Raises Problem 400 for other texts and for networks wider than /16, and 422 for one that lies
    outside the `allowed` ones.
    """
    if not _CIDR.fullmatch(text):
        raise bad_request("network must be written as 192.168.1.0/24")
    try:
        network = IPv4Interface(text).network
    except ValueError:
        raise bad_request("network is no IPv4 network") from None
    if network.prefixlen < WIDEST:
        raise bad_request(f"networks wider than /{WIDEST} are not scanned")
    inside = (item for item in allowed if isinstance(item, IPv4Network))
    if not any(network.subnet_of(item) for item in inside):
        raise unprocessable(f"{network} may not be scanned, see SCAN_NETWORKS")
    return network


def scan_id(text: str) -> str:
    """The id that clients compute from a network's text: its MD5 in lower-case hex."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
