"""The networks of this host, from what the kernel and psutil say."""

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nethvoice.settings import HostNetwork
from nethvoice.store import interfaces

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth1\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0
eth0\t00000000\t0105A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0005A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
tun0\t00000080\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
"""
Host = Callable[[dict[str, list[tuple[str, str]]]], None]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    routes = tmp_path / "route"
    routes.write_text(ROUTES)
    monkeypatch.setattr(interfaces, "_ROUTES", routes)

    def describe(found: dict[str, list[tuple[str, str]]], down: str = "") -> None:
        addresses: dict[str, Any] = {
            name: [
                SimpleNamespace(family=socket.AF_INET, address=address, netmask=mask)
                for address, mask in pairs
            ]
            for name, pairs in found.items()
        }
        for pairs in addresses.values():
            pairs.append(SimpleNamespace(family=socket.AF_INET6, address="fe80::1", netmask=None))
        monkeypatch.setattr(interfaces.psutil, "net_if_addrs", lambda: addresses)
        states = {name: SimpleNamespace(isup=name != down) for name in addresses}
        monkeypatch.setattr(interfaces.psutil, "net_if_stats", lambda: states)

    return describe


def network(network: str, ip: str, gateway: str, netmask: str = "255.255.255.0") -> HostNetwork:
    return HostNetwork(network=network, ip=ip, netmask=netmask, gateway=gateway)


def test_private_networks_with_their_gateways(host: Host) -> None:
    mask = "255.255.255.0"
    host(
        {
            "lo": [("127.0.0.1", "255.0.0.0")],
            "eth0": [("192.168.5.14", mask), ("10.9.0.1", "255.255.0.0")],
            "eth1": [("192.168.7.2", mask)],
            "eth2": [("203.0.113.7", mask)],
            "eth3": [("169.254.3.4", "255.255.0.0")],
            "br0": [("172.16.3.4", "255.240.0.0")],
            "docker0": [("172.17.0.1", "255.255.0.0")],
            "br-5f0c": [("172.18.0.1", "255.255.0.0")],
            "veth12": [("10.1.0.1", mask)],
            "virbr0": [("192.168.122.1", mask)],
            "tun0": [("10.8.0.1", mask)],
            "wg0": [("10.7.0.1", mask)],
        }
    )
    assert interfaces.lan_networks() == {
        "br0": network("172.16.0.0", "172.16.3.4", "172.16.3.4", "255.240.0.0"),
        "eth0": network("192.168.5.0", "192.168.5.14", "192.168.5.1"),
        "eth0:1": network("10.9.0.0", "10.9.0.1", "10.9.0.1", "255.255.0.0"),
        "eth1": network("192.168.7.0", "192.168.7.2", "192.168.7.2"),
    }


def test_interfaces_that_are_down_are_left_out(host: Host) -> None:
    host({"eth0": [("192.168.5.14", "255.255.255.0")]}, down="eth0")  # type: ignore[call-arg]
    assert interfaces.lan_networks() == {}


def test_a_host_without_routes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host({"eth0": [("192.168.5.14", "255.255.255.0")]})
    monkeypatch.setattr(interfaces, "_ROUTES", Path("/no/such/file"))
    assert interfaces.lan_networks() == {
        "eth0": network("192.168.5.0", "192.168.5.14", "192.168.5.14")
    }
