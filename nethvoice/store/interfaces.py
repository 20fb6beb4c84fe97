"""The networks that this host is in, read from the kernel."""

import re
import socket
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import psutil

from nethvoice.settings import HostNetwork

_ROUTES = Path("/proc/net/route")
_PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
"""Address space of local networks (RFC 1918)."""

_VIRTUAL = re.compile(r"lo|(docker|br-|veth|virbr|cni|cali|flannel|podman|tun|tap|wg|ppp).*")
"""Loopback, tunnels, and what container and virtual machine hosts make for themselves."""


def lan_networks() -> dict[str, HostNetwork]:
    """Private IPv4 networks of the interfaces that are up, by interface name.

    A second address of an interface has the name `eth0:1`. The gateway is the default route's when
    it lies in the network, else the address of this host: devices there can use nothing else.
    """
    gateways = _default_gateways()
    found: dict[str, HostNetwork] = {}
    states = psutil.net_if_stats()
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        state = states.get(name)
        if _VIRTUAL.fullmatch(name) or state is None or not state.isup:
            continue
        for address in addresses:
            if address.family != socket.AF_INET or not address.netmask:
                continue
            network = _network(IPv4Interface(f"{address.address}/{address.netmask}"), gateways)
            if network is not None:
                number = sum(key.partition(":")[0] == name for key in found)
                found[f"{name}:{number}" if number else name] = network
    return found


def _network(interface: IPv4Interface, gateways: list[IPv4Address]) -> HostNetwork | None:
    address = interface.ip
    if not any(address in network for network in _PRIVATE):
        return None
    gateway = next((item for item in gateways if item in interface.network), address)
    return HostNetwork(
        network=str(interface.network.network_address),
        ip=str(address),
        netmask=str(interface.network.netmask),
        gateway=str(gateway),
    )


def _default_gateways() -> list[IPv4Address]:
    """Gateways of the default routes, the preferred one first (proc_pid_net(5), `route`)."""
    try:
        lines = _ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) > 7 and fields[1] == "00000000" == fields[7] and fields[2] != "00000000":
            # The kernel prints the address as a number of this host's byte order.
            packed = socket.htonl(int(fields[2], 16)) if _LITTLE else int(fields[2], 16)
            found.append((int(fields[6]), packed))
    return [IPv4Address(packed) for _, packed in sorted(found)]


_LITTLE = socket.htonl(1) != 1
