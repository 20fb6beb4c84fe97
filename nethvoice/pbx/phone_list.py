"""The lists of phones: those that are known, and those that a scan found."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, and_, case, func, or_, select

from nethvoice.pbx.extension_states import UNKNOWN, State, extension_states
from nethvoice.pbx.phone_inventory import KnownModel, store_detected
from nethvoice.problems import not_found
from nethvoice.store import tables as t
from nethvoice.store.packed import Packed, Rows
from nethvoice.store.prepared import Prepared
from nethvoice.store.remembered import remember_last
from nethvoice.store.rows import json_row
from nethvoice.system import System
from provisioning import detection, scans
from provisioning.leases import host_names
from provisioning.mac_vendors import normalise_mac
from provisioning.tftp_requests import requesters

CUSTOM_MANUFACTURER = " _"
CUSTOM_MODEL = "custom"
"""What clients know custom SIP devices by."""

_Line = tuple[str | None, str, str | None, str]
"""Model, JSON of the phone, extension, JSON of the line."""

_SECONDS_TO_WAIT = 60.0
_POLL = 0.25

_phones = t.rest_devices_phones
_people = t.userman_users


# --- known phones ---------------------------------------------------------------------------------


def list_phones(system: System) -> bytes:
    """The JSON array of custom devices, then scanned phones whose model is known, then the others.

    Costs three SQL statements and one AMI action however many phones there are.
    """
    with system.read() as connection:
        rows = _INVENTORY.rows(connection)
        found = scans.all_results(connection)
        gateways = gateway_macs(connection)
    states = extension_states(system) if rows else None
    return _listed(rows, found, gateways, states)


@remember_last
def _listed(
    rows: Rows,
    found: Sequence[scans.Found],
    gateways: set[str],
    states: Mapping[str, State] | None,
) -> bytes:
    elements = []
    known: dict[str, list[_Line]] = {}
    facts = orjson.loads(f"[{','.join([fact for fact, _, _ in rows])}]")
    for (mac, model, extension), (_, head, line) in zip(facts, rows, strict=True):
        if mac is None:
            elements.append(f'{_CUSTOM},"lines":[{line}]}}')
            continue
        # Rows of older versions have addresses in other writings.
        known.setdefault(normalise_mac(mac) or mac, []).append((model, head, extension, line))
    # The newest scan that saw a phone tells where it is now.
    scanned = {device["mac"]: device for device in found if device["type"] == "phone"}
    for mac, device in scanned.items():
        lines = known.get(mac, ())
        model = next((model for model, *_ in lines if model), None)
        if model is None or mac in gateways:
            continue
        del known[mac]
        head = orjson.dumps({**scans.shown(device), "model": model}).decode()
        elements.append(_element(head, [line for *_, line in lines]))
    for lines in known.values():
        head = next((head for model, head, *_ in lines if model), lines[0][1])
        told = [_with_state(extension, line, states) for *_, extension, line in lines]
        elements.append(_element(head, told))
    return f"[{','.join(elements)}]".encode()


def _inventory() -> Packed:
    """All phones and custom devices: MAC address, model and extension, then the phone, then its
    line, each as JSON."""
    line: dict[str, Any] = {
        "extension": _phones.c.extension,
        "mainextension": _people.c.default_extension,
        "line": func.coalesce(_phones.c.line, 1),
        "secret": _phones.c.secret,
    }
    person = {"username": _people.c.username, "displayname": _people.c.displayname}
    web = {"web_user": _phones.c.web_user, "web_password": _phones.c.web_password}
    custom = json_row({**line, **web, **person}.items())
    hardware = json_row({**line, **person}.items())
    mac = func.upper(func.replace(_phones.c.mac, "-", ":"))
    phone = {"mac": mac, "model": _phones.c.model, "manufacturer": _phones.c.vendor}
    query = (
        select(
            func.json_array(_phones.c.mac, _phones.c.model, _phones.c.extension),
            json_row(phone.items()),
            case((_phones.c.mac.is_(None), custom), else_=hardware),
        )
        .select_from(_phones.outerjoin(_people, _people.c.id == _phones.c.user_id))
        .where(
            or_(
                _phones.c.type == "physical",
                and_(_phones.c.type == "temporaryphysical", _phones.c.mac.is_(None)),
            )
        )
    )
    return Packed(query, _phones.c.id)


_INVENTORY = _inventory()
_CUSTOM = f'{{"model":"{CUSTOM_MODEL}","manufacturer":"{CUSTOM_MANUFACTURER}"'


def _element(head: str, lines: list[str]) -> str:
    return f'{head[:-1]},"lines":[{",".join(lines)}]}}'


def _with_state(extension: str | None, line: str, states: Mapping[str, State] | None) -> str:
    if states is None or not extension:
        return line[:-1] + ',"status":null,"statusText":null}'
    status, words = states.get(extension, UNKNOWN)
    return f'{line[:-1]},"status":{_text(status)},"statusText":{_text(words)}}}'


def _text(value: str) -> str:
    return orjson.dumps(value).decode()


# --- scanned phones -------------------------------------------------------------------------------


async def wait_for_scanned_phones(system: System, network_id: str) -> list[dict[str, Any]]:
    """As `scanned_phones`, after the end of a scan that runs, for which it waits up to a minute
    without keeping a thread."""
    deadline = time.monotonic() + _SECONDS_TO_WAIT
    while time.monotonic() < deadline:
        if not await asyncio.to_thread(scans.is_running, system, network_id):
            break
        await asyncio.sleep(_POLL)
    return await asyncio.to_thread(scanned_phones, system, network_id)


def scanned_phones(system: System, network_id: str) -> list[dict[str, Any]]:
    """The phones that the last scan of a network found, and those that asked by TFTP.

    `network_id` is the MD5 of the network's text. Raises Problem 404 when no scan has ended.
    """
    with system.read() as connection:
        found = scans.result(connection, network_id)
        if found is None:
            raise not_found(f"Scan for network {network_id} doesn't exist!")
        models = _models(connection)
        gateways = gateway_macs(connection)
        gateways |= {
            device["mac"] for device in scans.all_results(connection) if device["type"] == "gateway"
        }
        asked = [
            item for item in requesters(connection, system.settings) if item.mac not in gateways
        ]
    phones: dict[tuple[str, str], dict[str, Any]] = {}
    for device in found:
        mac = device["mac"]
        if device["type"] == "phone" and mac not in gateways:
            row = {**scans.shown(device), "model": models.get(mac) or device["model"]}
            phones[mac, device["ipv4"]] = row
    names = host_names(system.settings.dhcp_leases) if asked else {}
    detected: list[KnownModel] = []
    for item in asked:
        seen = [phone for (other, _), phone in phones.items() if other == item.mac]
        for phone in seen:
            phone["tftp-requested"] = True
        if not seen:
            model = models.get(item.mac)
            if model is None:
                name = names.get(item.mac)
                model = item.model or detection.model_by_name(item.manufacturer, name)
                detected.append(KnownModel(item.mac, item.manufacturer, model or ""))
            phones[item.mac, ""] = {
                "mac": item.mac,
                "type": "phone",
                "ipv4": "",
                "manufacturer": item.manufacturer,
                "model": model,
                "tftp-requested": True,
            }
    store_detected(system, detected)
    return list(phones.values())


def _models(connection: Connection) -> dict[str, str]:
    query = select(_phones.c.mac, _phones.c.model).where(
        and_(_phones.c.mac.is_not(None), _phones.c.model.is_not(None), _phones.c.model != "")
    )
    return {normalise_mac(mac) or mac: model for mac, model in connection.execute(query)}


def gateway_macs(connection: Connection) -> set[str]:
    """MAC addresses of the configured gateways, as lists have them."""
    rows = _GATEWAYS.rows(connection)
    return {normal for (mac,) in rows if mac and (normal := normalise_mac(mac))}


_GATEWAYS = Prepared(select(t.gateway_config.c.mac))
