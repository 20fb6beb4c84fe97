"""Whether phones reach this very server at a name or address, and may trust its certificate."""

import asyncio
import re
import socket
import time
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from nethvoice import bodies
from nethvoice.problems import Problem, bad_request
from nethvoice.store import outgoing
from nethvoice.store.state import get_state, set_state
from nethvoice.system import SETTINGS, System

PING_PATH = "/provisioning/check/ping"
PING = "ping"
PORTS = {"http": 80, "https": 443}
_TIMEOUT = 4.0

_DOTTED = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_FQDN = re.compile(r"(?=.{4,253}\Z)(?:(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+[A-Za-z]{2,63}")
_NOT_OURS = "localhost.localdomain"


def ping_value(system: System) -> int:
    """A number that only this installation answers with.

    The time of change of `TANCREDI_CONF` where Tancredi serves the phones and answers with it;
    else one of our own, made at the first use and the same for all processes.
    """
    conf = system.settings.tancredi_conf
    if conf is not None:
        try:
            return int(conf.stat().st_mtime)
        except OSError as error:
            text = "TANCREDI_CONF names a file that cannot be looked at"
            raise Problem(500, "Internal error", text) from error
    with system.read() as connection:
        stored = get_state(connection, PING)
    if stored is None:
        with system.change(SETTINGS) as unit:
            stored = get_state(unit.conn, PING)
            if stored is None:
                stored = str(time.time_ns() // 1000)
                set_state(unit.conn, PING, stored)
    return int(stored)


async def check_host(system: System, host: str | None, scheme: str | None) -> bodies.Connectivity:
    """Ask the host for our own ping value, and again with its certificate verified.

    Raises Problem 400 with the reason in `message` for what is no host that phones could use.
    """
    if not host:
        raise _refused("missing host parameter")
    if not scheme:
        raise _refused("missing scheme parameter")
    if scheme not in PORTS:
        raise _refused("Invalid scheme provided")
    kind = _kind(host)
    if kind is None:
        raise _refused("provided host isn't a valid IP address or FQDN")
    expected = await asyncio.to_thread(ping_value, system)
    reachable = await _answers(host, scheme, expected, verify=False)
    valid = (
        reachable
        and scheme == "https"
        and kind == "FQDN"
        and await _answers(host, scheme, expected, verify=True)
    )
    return {"is_reachable": reachable, "valid_certificate": valid, "host_type": kind}


def _refused(text: str) -> Problem:
    return bad_request(text, message=text)


def _kind(host: str) -> Literal["IP", "FQDN"] | None:
    """`IP` or `FQDN`, None for neither and for hosts that a phone cannot mean."""
    if _DOTTED.fullmatch(host):
        try:
            address = IPv4Address(host)
        except ValueError:
            return None
        return None if address.is_loopback or _is_no_target(address) else "IP"
    if _FQDN.fullmatch(host) and host.lower() != _NOT_OURS:
        return "FQDN"
    return None


def _is_no_target(address: IPv4Address | IPv6Address) -> bool:
    """Addresses that no phone is served at; 169.254.169.254 is the metadata service of clouds.

    A name may well be a loopback address here: hosts often have their own name at 127.0.1.1.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_unspecified or address.is_link_local or address.is_multicast


async def _answers(host: str, scheme: str, expected: int, *, verify: bool) -> bool:
    """True when the host answers our ping value. Nothing else of its answer is told."""
    deadline = time.monotonic() + _TIMEOUT
    for address in await _addresses(host):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        shown = f"[{address}]" if address.version == 6 else str(address)
        try:
            answer = await outgoing.request(
                "GET",
                f"{scheme}://{shown}:{PORTS[scheme]}{PING_PATH}",
                timeout=left,
                headers={"Host": host},
                verify=verify,
                server_name=host,
                through_proxy=False,
            )
        except outgoing.RequestFailed:
            continue
        return answer.status == 200 and answer.body.strip() == str(expected).encode()
    return False


async def _addresses(host: str) -> list[IPv4Address | IPv6Address]:
    """Addresses of the host that may be asked. They are looked up once and connected to as they
    are, so that a second, different answer of the name server changes nothing."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, None, type=socket.SOCK_STREAM
            )
    except (OSError, TimeoutError):
        return []
    addresses = [ip_address(str(item[4][0]).partition("%")[0]) for item in found]
    return [item for item in dict.fromkeys(addresses) if not _is_no_target(item)]
