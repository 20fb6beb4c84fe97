"""What Asterisk must know about the networks around it, to be reached from behind a NAT.

FreePBX keeps both values in the key store of its module Sipsettings and writes them into each
PJSIP transport: `external_media_address`, `external_signaling_address` and `local_net`.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Any

import orjson
from sqlalchemy import Connection, select

from nethvoice.pbx.values import number_text
from nethvoice.problems import Problem, bad_request, unprocessable
from nethvoice.store import outgoing
from nethvoice.store import tables as t
from nethvoice.store.interfaces import lan_networks
from nethvoice.store.restarts import want_restart
from nethvoice.store.rows import put_row
from nethvoice.store.unit import Unit
from nethvoice.system import SETTINGS, System

log = logging.getLogger(__name__)

EXTERNAL_IP = "externip"
LOCAL_NETWORKS = "localnets"
_STORE_ID = "noid"
_STORE_WIDTH = 4096
_SUGGESTION_TIMEOUT = 4.0

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_NET = re.compile(r"[0-9A-Fa-f.:]{2,45}")
_PREFIX = re.compile(r"[0-9]{1,3}")

_store = t.kvstore_sipsettings


def is_ip(text: str) -> bool:
    """True for an IPv4 or IPv6 address without a zone."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_host_name(text: str) -> bool:
    """True for a host name (RFC 1123); one of digits only would be a mistyped address."""
    labels = text.split(".")
    return (
        len(text) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )


# --- the address outside --------------------------------------------------------------------------


def get_external_ip(system: System) -> str | bool:
    """The address or name under which the outside reaches the PBX, False when never set."""
    with system.read() as connection:
        value = _stored(system, connection, EXTERNAL_IP)
    return False if value is None else value


def set_external_ip(system: System, address: str) -> None:
    """Store the address and reload. Raises Problem 400 unless it is an IP address or host name.

    Transports keep the old one until Asterisk restarts, which is requested too, except where
    FreePBX is told that transports may be reloaded (`pjsip_allow_reload`).
    """
    if not is_ip(address) and not is_host_name(address):
        text = "the external address must be an IP address or a host name"
        raise bad_request(text, message=text)
    with system.change(SETTINGS) as unit:
        if _put(system, unit, EXTERNAL_IP, address, kind=None):
            unit.reload()
            if _stored(system, unit.conn, "pjsip_allow_reload") != "yes":
                want_restart(unit.conn)


async def suggest_external_ip(system: System) -> str:
    """Our public IPv4 address as another system sees it. Raises Problem 502, 504 after 4 s."""
    url = system.settings.suggested_ip_url
    try:
        answer = await outgoing.request("GET", url, timeout=_SUGGESTION_TIMEOUT)
    except outgoing.RequestTimedOut:
        raise Problem(504, "Timed out", "the service that tells our address is slow") from None
    except outgoing.RequestFailed as error:
        log.warning("our public address is not known", extra={"reason": str(error)})
        raise Problem(502, "No address", "the service that tells our address failed") from None
    text = answer.body.decode("ascii", "replace").strip()
    try:
        if answer.status == 200:
            return str(IPv4Address(text))
    except ValueError:
        pass
    raise Problem(502, "No address", "the service that tells our address answered something else")


# --- local networks -------------------------------------------------------------------------------


def get_local_networks(system: System) -> list[dict[str, str]] | bool:
    """Networks that are not behind the NAT, `net` and `mask` as texts; False when never set."""
    with system.read() as connection:
        value = _stored(system, connection, LOCAL_NETWORKS)
    try:
        stored = orjson.loads(value) if value else None
    except orjson.JSONDecodeError:
        log.warning("FreePBX's local networks cannot be read")
        stored = None
    if not isinstance(stored, list):
        return False
    return [
        {name: number_text(item.get(name)) for name in ("net", "mask")}
        for item in stored
        if isinstance(item, dict)
    ]


def set_local_networks(system: System, networks: Sequence[Mapping[str, Any]]) -> None:
    """Store the networks and reload; Asterisk restarts afterwards when no call is up.

    Entries without `net` are dropped. Raises Problem 400 for one that is no network.
    """
    pairs = [(number_text(item.get("net")), number_text(item.get("mask"))) for item in networks]
    wanted = [_local_network(net, mask) for net, mask in pairs if net]
    text = orjson.dumps(wanted).decode()
    if len(text) > _STORE_WIDTH:
        raise bad_request("these are more networks than FreePBX can store")
    with system.change(SETTINGS) as unit:
        if _put(system, unit, LOCAL_NETWORKS, text, kind="json-arr"):
            unit.reload()
            want_restart(unit.conn)


def _local_network(net: str, mask: str) -> dict[str, str]:
    text = f"{net[:45]}/{mask[:15]} is no network"
    wrong = bad_request(text, message=text)
    if not _NET.fullmatch(net) or not (_PREFIX.fullmatch(mask) or _is_netmask(mask)):
        raise wrong
    try:
        ip_network(f"{net}/{mask}", strict=False)
    except ValueError:
        raise wrong from None
    return {"net": net, "mask": mask}


def _is_netmask(text: str) -> bool:
    """True for `255.255.255.0` and the like; Python would take a wildcard mask as well."""
    try:
        return str(IPv4Network(f"0.0.0.0/{text}").netmask) == text
    except ValueError:
        return False


def list_networks(system: System) -> dict[str, dict[str, str | None]]:
    """The local networks of this host by interface, or those of the settings as `net0` ..."""
    configured = system.settings.host_local_networks
    found = {f"net{index}": network for index, network in enumerate(configured)} or lan_networks()
    return {name: network.model_dump() for name, network in found.items()}


# --- FreePBX's key store --------------------------------------------------------------------------


def _stored(system: System, connection: Connection, key: str) -> str | None:
    if system.database.live(_store) is None:
        return None
    query = select(_store.c.val).where(_store.c.key == key, _store.c.id == _STORE_ID)
    return connection.scalar(query)


def _put(system: System, unit: Unit, key: str, value: str, *, kind: str | None) -> bool:
    if system.database.live(_store) is None:
        raise unprocessable("FreePBX's module Sipsettings is not installed")
    where = {"key": key, "id": _STORE_ID}
    return put_row(unit.conn, _store, where, {"val": value, "type": kind})
