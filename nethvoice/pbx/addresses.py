"""The addresses of this host, as devices on its networks see them."""

import ipaddress
import socket
from ipaddress import IPv4Interface

import psutil

from nethvoice.system import System

DEFAULT_NETMASK = "255.255.255.0"


def lan_interfaces() -> list[IPv4Interface]:
    """IPv4 addresses with their networks on the interfaces that are up, loopback left out."""
    state = psutil.net_if_stats()
    found = []
    for name, addresses in psutil.net_if_addrs().items():
        if name not in state or not state[name].isup:
            continue
        for item in addresses:
            if item.family == socket.AF_INET and item.netmask:
                interface = IPv4Interface(f"{item.address}/{item.netmask}")
                if not interface.is_loopback:
                    found.append(interface)
    return found


def pbx_address(system: System, near: str | None = None) -> str:
    """The address at which a device reaches the telephone system; empty when there is none.

    `PBX_ADDRESS` when it is set, else our address in the network of the device's address `near`,
    else our first private address, else our first one.
    """
    if system.settings.pbx_address:
        return system.settings.pbx_address
    interfaces = lan_interfaces()
    same = _around(interfaces, near)
    if same is not None:
        return str(same.ip)
    first = next((item for item in interfaces if item.is_private), None)
    first = first or next(iter(interfaces), None)
    return str(first.ip) if first else ""


def netmask_near(address: str | None) -> str:
    """The mask of our network that holds a device's address, else `255.255.255.0`."""
    interface = _around(lan_interfaces(), address)
    return str(interface.netmask) if interface else DEFAULT_NETMASK


def _around(interfaces: list[IPv4Interface], address: str | None) -> IPv4Interface | None:
    """The interface whose network holds the address; the narrowest of several."""
    try:
        wanted = ipaddress.IPv4Address(address or "")
    except ValueError:
        return None
    inside = [item for item in interfaces if wanted in item.network]
    return max(inside, key=lambda item: item.network.prefixlen, default=None)
