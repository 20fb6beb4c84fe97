"""What a client wants a gateway to be, checked before anything is written."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from sqlalchemy import Connection, select

from nethvoice import bodies
from nethvoice.pbx.addresses import netmask_near, pbx_address
from nethvoice.pbx.people import find_person
from nethvoice.problems import Problem
from nethvoice.store import tables as t
from nethvoice.system import System
from provisioning.mac_vendors import normalise_mac

PROTOCOLS = ("pp", "pmp")
NO_EXTENSION = "none"
NAME_WIDTH = 100

_LINE_NUMBER = re.compile(r"[0-9+*#]{0,40}")
_EXTENSION = re.compile(r"[0-9]{1,16}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class WantedGateway:
    """A gateway as asked for. Ports are in port order, an empty text in `phones` is a port without
    extension. `current` is the device's present address, empty when it is not known."""

    name: str
    mac: str
    model_id: int
    current: str
    address: str
    gateway: str
    netmask: str
    pbx: str
    isdn: tuple[str, ...]
    pri: int
    fxo: tuple[str, ...]
    phones: tuple[str, ...]
    users: tuple[str, ...]


def refusal(errors: Sequence[str], status: int = 422) -> Problem:
    """A refused gateway, in the form that its clients know."""
    title = {400: "Bad request", 409: "Conflict"}.get(status, "Refused")
    return Problem(status, title, "; ".join(errors), errors=list(errors), warnings=[], infos=[])


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Give refusals of other parts that form too."""
    try:
        yield
    except Problem as problem:
        if problem.status not in (400, 409, 422) or "errors" in problem.members:
            raise
        raise refusal([problem.detail], problem.status) from problem


def wanted_gateway(system: System, body: bodies.GatewayToSave) -> WantedGateway:
    """A gateway from what a client wrote, missing addresses filled in.

    Raises Problem 400 (malformed MAC address) and 422 with all `errors`.
    """
    mac = ""
    if written := (body.get("mac") or "").strip():
        normal = normalise_mac(written)
        if normal is None:
            raise refusal([f"{written[:40]} is no MAC address"], 400)
        mac = normal
    errors: list[str] = []
    name = body["name"].strip()
    if not name or len(name) > NAME_WIDTH or _CONTROL.search(name):
        errors.append(f"name must be text of 1 to {NAME_WIDTH} characters")
    address = body["ipv4_new"].strip()
    for label, text in (("ipv4_new", address), ("gateway", body["gateway"].strip())):
        if not _is_address(text):
            errors.append(f"{label} is not an IPv4 address")
    current = (body.get("ipv4") or "").strip()
    if current and not _is_address(current):
        errors.append("ipv4 is not an IPv4 address")
    model = str(body["model"]).strip()
    if not re.fullmatch("[0-9]{1,9}", model):
        errors.append(f"there is no gateway model {model[:40]}")
    isdn = tuple(port.get("type") or PROTOCOLS[0] for port in body.get("trunks_isdn") or ())
    errors += [f"type must be pp or pmp, not {x[:20]}" for x in isdn if x not in PROTOCOLS]
    fxo = tuple(_text(port.get("number")) for port in body.get("trunks_fxo") or ())
    errors += [
        f"number of FXO port {n} has other than digits, +, * and #"
        for n, number in enumerate(fxo, 1)
        if not _LINE_NUMBER.fullmatch(number)
    ]
    phones = tuple(
        _extension(port.get("linked_extension")) for port in body.get("trunks_fxs") or ()
    )
    errors += [
        f"{text[:40]} is not the number of an extension"
        for text in phones
        if text and not _EXTENSION.fullmatch(text)
    ]
    users = (
        () if phones else tuple(_text(x.get("linked_user")) for x in body.get("users_fxs") or ())
    )
    if errors:
        raise refusal(errors)
    return WantedGateway(
        name=name,
        mac=mac,
        model_id=int(model),
        current=current,
        address=address,
        gateway=body["gateway"].strip(),
        netmask=(body.get("netmask_green") or "").strip() or netmask_near(address),
        pbx=(body.get("ipv4_green") or "").strip() or pbx_address(system, address),
        isdn=isdn,
        pri=len(body.get("trunks_pri") or ()),
        fxo=fxo,
        phones=phones,
        users=users,
    )


def main_extensions(connection: Connection, wanted: WantedGateway) -> list[str]:
    """The main extension of each FXS port, empty for a port without one.

    Raises Problem 422 for users and extensions that are not there.
    """
    if wanted.users:
        return [_of_user(connection, name) for name in wanted.users]
    named = {text for text in wanted.phones if text}
    column = t.userman_users.c.default_extension
    known = set(connection.scalars(select(column).where(column.in_(named)))) if named else set()
    missing = sorted(named - known)
    if missing:
        raise refusal([f"extension {number} is no user's main extension" for number in missing])
    return list(wanted.phones)


def _of_user(connection: Connection, name: str) -> str:
    if not name or name == NO_EXTENSION:
        return ""
    person = find_person(connection, name)
    if person is None:
        raise refusal([f"there is no user {name[:100]}"])
    if not person.extension:
        raise refusal([f"user {name[:100]} has no main extension"])
    return person.extension


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _extension(value: Any) -> str:
    text = _text(value)
    return "" if text.lower() == NO_EXTENSION else text
