"""Finding the hosts of a local network with their MAC addresses: nmap, or a sweep of our own."""

import contextlib
import errno
import os
import selectors
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from nethvoice.settings import Settings
from nethvoice.store.tasks import TaskFailed
from provisioning.mac_vendors import normalise_mac

Progress = Callable[[float], None]
"""Told the share of the addresses that are done, 0 to 1."""

_PING_GROUP = 4096
"""Addresses that nmap takes on at once (nmap's source, PING_GROUP_SZ)."""

_CHUNK = 256
_SECONDS_FOR_CHUNK = 1.5
"""The kernel repeats an ARP request after a second; a neighbour table holds 1,024 entries."""

_DISCARD = 9
_NEIGHBOURS = Path("/proc/net/arp")
_COMPLETE = 0x2


@dataclass(frozen=True)
class Host:
    """A host that answered: MAC address as `AA:BB:CC:DD:EE:FF`, IPv4 address."""

    mac: str
    ipv4: str


def find_hosts(settings: Settings, network: IPv4Network, progress: Progress) -> list[Host]:
    """The hosts of a network that is directly attached, in the order of their addresses.

    Uses `SCAN_COMMAND`, or nmap where it is installed and the service is root, else the sweep.
    Hosts behind a router show no MAC address and are left out. Raises TaskFailed.
    """
    command = scan_command(settings)
    if command:
        found = _nmap(command, network, settings.scan_timeout, progress)
    else:
        found = sweep(network, settings.scan_timeout, progress)
    return sorted(set(found), key=lambda host: (IPv4Address(host.ipv4), host.mac))


def scan_command(settings: Settings) -> list[str]:
    """How nmap is called here; empty for the sweep."""
    nmap = shutil.which("nmap")
    if settings.scan_command or nmap is None or os.geteuid() != 0:
        return settings.scan_command
    return [nmap]


# --- nmap -----------------------------------------------------------------------------------------


def _nmap(
    command: Sequence[str], network: IPv4Network, timeout: float, progress: Progress
) -> list[Host]:
    # -v makes nmap tell when a group of addresses is done, --stats-every how far the present is.
    arguments = [*command, "-oX", "-", str(network), "-sn", "-n", "-v", "--stats-every", "1s"]
    reader = _NmapReader(network.num_addresses, progress)
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
        except OSError as error:
            raise TaskFailed(f"{command[0]} cannot be run: {error.strerror}") from error
        with process:
            try:
                for chunk in _output(process, timeout):
                    reader.feed(chunk)
                code = process.wait(10)
            except subprocess.TimeoutExpired:
                raise TaskFailed(f"the scan did not end within {timeout:g} s") from None
            except ParseError:
                raise TaskFailed(f"{command[0]} answered something else than XML") from None
            finally:
                # Under sudo it is not ours to kill; it ends when nobody reads what it writes.
                with contextlib.suppress(PermissionError):
                    process.kill()
        if code != 0 or not reader.finished:
            raise TaskFailed(f"{command[0]} ended with code {code}: {_last_line(errors)}")
    return reader.hosts


def _output(process: subprocess.Popen[bytes], timeout: float) -> Iterator[bytes]:
    """What the process writes, as it comes. Raises TimeoutExpired."""
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise subprocess.TimeoutExpired(process.args, timeout)
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                return
            yield chunk


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read(65536).decode("utf-8", "replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "no reason given")


class _NmapReader:
    """Reads nmap's XML while it is written."""

    def __init__(self, addresses: int, progress: Progress) -> None:
        self.hosts: list[Host] = []
        self.finished = False
        self._addresses = addresses
        self._done = 0
        self._progress = progress
        self._parser: XMLPullParser[Element] = XMLPullParser(events=("end",))

    def feed(self, chunk: bytes) -> None:
        """Take what nmap wrote. Raises ParseError."""
        self._parser.feed(chunk)
        events: Iterator[Any] = self._parser.read_events()
        for _, element in events:
            match element.tag:
                case "host":
                    self._host(element)
                case "taskprogress":
                    share = float(element.get("percent", "0")) / 100
                    self._tell(self._done + share * min(_PING_GROUP, self._addresses - self._done))
                case "taskend":
                    self._done += _leading_number(element.get("extrainfo", ""))
                    self._tell(self._done)
                case "finished":
                    self.finished = element.get("exit") == "success"
                case "status" | "address" | "hostnames" | "times":
                    continue
            # Part of a host that is still open keeps its children; the rest is forgotten.
            element.clear()

    def _tell(self, done: float) -> None:
        self._progress(min(1.0, done / self._addresses))

    def _host(self, element: Element) -> None:
        status = element.find("status")
        addresses = {item.get("addrtype"): item.get("addr") for item in element.findall("address")}
        mac = normalise_mac(addresses.get("mac") or "")
        ipv4 = addresses.get("ipv4")
        if mac and ipv4 and status is not None and status.get("state") == "up":
            self.hosts.append(Host(mac, ipv4))


def _leading_number(text: str) -> int:
    word = text.partition(" ")[0]
    return int(word) if word.isdigit() else 0


# --- our own sweep --------------------------------------------------------------------------------


def sweep(
    network: IPv4Network,
    timeout: float,
    progress: Progress,
    neighbours: Callable[[], Iterable[tuple[str, str]]] | None = None,
) -> list[Host]:
    """Send a datagram to each address and read whom the kernel found in its neighbour table.

    The datagram (to the discard port) only makes the kernel ask by ARP; hosts that drop it are
    found all the same, and no rights are needed. Raises TaskFailed.
    """
    deadline = time.monotonic() + timeout
    read = neighbours or read_neighbours
    found: dict[str, str] = {}
    addresses = list(network.hosts())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for start in range(0, len(addresses), _CHUNK):
            if time.monotonic() > deadline:
                raise TaskFailed(f"the scan did not end within {timeout:g} s")
            chunk = addresses[start : start + _CHUNK]
            for address in chunk:
                _knock(sock, address)
            time.sleep(_SECONDS_FOR_CHUNK)
            asked = {str(address) for address in chunk}
            found.update((ipv4, mac) for ipv4, mac in read() if ipv4 in asked)
            progress((start + len(chunk)) / len(addresses))
    return [Host(mac, ipv4) for ipv4, mac in found.items()]


def _knock(sock: socket.socket, address: IPv4Address) -> None:
    for _ in range(3):
        try:
            sock.sendto(b"", (str(address), _DISCARD))
        except OSError as error:
            # Anything else, such as no route, the neighbour table tells by itself.
            if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                time.sleep(0.02)
                continue
        return


def read_neighbours() -> list[tuple[str, str]]:
    """The kernel's neighbours: IPv4 address and MAC address of each that has answered."""
    found = []
    for line in _NEIGHBOURS.read_text("ascii").splitlines()[1:]:
        match line.split():
            case [ipv4, _, flags, mac, *_] if int(flags, 16) & _COMPLETE:
                normal = normalise_mac(mac)
                if normal and normal != "00:00:00:00:00:00":
                    found.append((ipv4, normal))
    return found
