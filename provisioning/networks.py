"""Which networks may be scanned, and the ids under which their results are kept."""

import hashlib
import re
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network, IPv6Network

from nethvoice.problems import bad_request, unprocessable

WIDEST = 16
"""Prefix length of the largest network that is scanned."""

_CIDR = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,2}")


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
        raise unprocessable(f"{network} is no private network and is not in SCAN_NETWORKS")
    return network


def scan_id(text: str) -> str:
    """The id that clients compute from a network's text: its MD5 in lower-case hex."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
