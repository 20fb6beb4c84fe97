"""A local network of our own: a bridge on this host and hosts in network namespaces.

Everything has names of this run; nothing outside is touched, and what was made is removed.
"""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Self

from nethvoice.pbx.addresses import lan_interfaces
from tests.services.base import cannot, wait_for

ROOT = Path(__file__).parent.parent.parent


def _ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ip", *arguments], check=check, capture_output=True, text=True, timeout=20
    )


def _free_network() -> IPv4Network:
    taken = [item.network for item in lan_interfaces()]
    while True:
        network = IPv4Network(f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(256)}.0/24")
        if not any(network.overlaps(other) for other in taken):
            return network


class Lan:
    """`network` is a /24, `gateway` our own address in it (the first one)."""

    def __init__(self) -> None:
        self._tag = secrets.token_hex(3)
        self._bridge = f"nv{self._tag}"
        self._spaces: list[str] = []
        self._servers: list[subprocess.Popen[bytes]] = []
        self.network = _free_network()
        self.gateway = str(self.network[1])

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            cannot("network namespaces need root")
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
        except (OSError, subprocess.CalledProcessError) as error:
            cannot(f"this machine allows no bridges: {error}")
        try:
            _ip("addr", "add", f"{self.gateway}/24", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            self._add_space("probe")
        except (OSError, subprocess.CalledProcessError) as error:
            self._remove()
            cannot(f"this machine allows no network namespaces: {error}")
        return self

    def _add_space(self, name: str) -> str:
        space = f"nv{self._tag}-{name}"
        _ip("netns", "add", space)
        self._spaces.append(space)
        return space

    def add_host(self, last: int, mac: str, web: str | None = None) -> str:
        """A host with this MAC address; returns its address, `last` being the last octet of it.

        `web` names what answers on its port 80, see `tests.services.web_device`.
        """
        space = self._add_space(str(last))
        here = f"v{self._tag}{last}"
        address = str(self.network[last])
        _ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", here, "master", self._bridge, "up")
        _ip("-n", space, "link", "set", "eth0", "address", mac, "up")
        _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        if web is not None:
            self._serve(space, address, web)
        return address

    def _serve(self, space: str, address: str, web: str) -> None:
        command = [sys.executable, "-m", "tests.services.web_device", address, web]
        server = subprocess.Popen(
            ["ip", "netns", "exec", space, *command], stdout=subprocess.PIPE, cwd=ROOT
        )
        self._servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        for server in self._servers:
            server.kill()
            server.wait(10)
            if server.stdout is not None:
                server.stdout.close()
        for space in self._spaces:
            _ip("netns", "del", space, check=False)
        _ip("link", "del", self._bridge, check=False)
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not self._left_over(), "the end of our links", 5)

    def _left_over(self) -> bool:
        return f"v{self._tag}" in _ip("-o", "link").stdout


@contextlib.contextmanager
def lan() -> Iterator[Lan]:
    with Lan() as made:
        yield made
