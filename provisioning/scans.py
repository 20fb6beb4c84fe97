"""Scanning a network for phones and gateways, and keeping what was found.

A result is kept under the MD5 of the network's text, as clients compute it, in `rest_scans`; the
row of the canonical network holds it, the others lead there. The two files of the former service
are written as well, when the scan has ended.
"""

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from sqlalchemy import Connection, select, update

from nethvoice.pbx.phone_inventory import KnownModel, store_detected
from nethvoice.store import tables as t
from nethvoice.store.prepared import Prepared
from nethvoice.store.rows import insert_ignore
from nethvoice.store.tasks import Report
from nethvoice.system import System
from provisioning import detection
from provisioning.hosts import Host, find_hosts
from provisioning.leases import host_names
from provisioning.makers import GATEWAY_MAKERS, PROBED_MAKERS, maker_of, organisation_of
from provisioning.networks import allowed_networks, scan_id, scan_network

log = logging.getLogger(__name__)

_scans = t.rest_scans
_SHOWN = ("mac", "ipv4", "manufacturer", "type")
_SHARE_OF_FINDING = 85.0

Found = dict[str, Any]
"""A `Device` as it is kept."""


@dataclass(frozen=True)
class Device:
    """A host that was found. `type` is phone, gateway or unknown; `model` as detection told it.

    `organisation` is the holder of the address block in the IEEE register, `name` the host name of
    the DHCP lease.
    """

    mac: str
    ipv4: str
    manufacturer: str | None
    type: str
    model: str | None = None
    organisation: str | None = None
    name: str | None = None


def start_scan(system: System, text: str) -> str:
    """Begin to scan the network that a client named; returns the task's id.

    A scan of the same network that runs already is joined. Raises Problem 400 and 422.
    """
    network = scan_network(text, allowed_networks(system.settings))
    canonical = str(network)
    # The rows come first: whoever asks by the task's id or by either MD5 finds the scan.
    with system.database.write() as connection:
        rows = [{"id": key, "network": canonical} for key in {scan_id(text), scan_id(canonical)}]
        insert_ignore(connection, _scans, rows)

    def work(report: Report) -> None:
        report.progress(0, f"Looking for hosts in {canonical}")
        hosts = find_hosts(
            system.settings, network, lambda share: report.progress(share * _SHARE_OF_FINDING)
        )
        report.progress(_SHARE_OF_FINDING, f"Asking {len(hosts)} hosts what they are")
        _keep(system, canonical, _identify(system, hosts))

    task = system.tasks.start_or_join(f"scan {canonical}", work)
    with system.database.write() as connection:
        connection.execute(
            update(_scans).where(_scans.c.id == scan_id(canonical)).values(task=task)
        )
    return task


# --- what hosts are -------------------------------------------------------------------------------


def _identify(system: System, hosts: Iterable[Host]) -> list[Device]:
    names = host_names(system.settings.dhcp_leases)
    devices = [_device(system, host, names) for host in hosts]
    return asyncio.run(_ask(devices))


def _device(system: System, host: Host, names: Mapping[str, str]) -> Device:
    maker = maker_of(system.settings, host.mac)
    if maker is None or maker in PROBED_MAKERS:
        kind = "unknown"
    else:
        kind = "gateway" if maker in GATEWAY_MAKERS else "phone"
    return Device(
        host.mac,
        host.ipv4,
        maker,
        kind,
        organisation=organisation_of(host.mac),
        name=names.get(host.mac),
    )


async def _ask(devices: list[Device]) -> list[Device]:
    """Tell gateways from phones where the maker makes both, then the models of the phones."""
    return await detection.all_of(_identified, devices, _unanswered)


async def _identified(client: httpx.AsyncClient, device: Device) -> Device:
    kind = device.type
    if device.manufacturer in PROBED_MAKERS:
        kind = "gateway" if await detection.is_gateway(client, device.ipv4) else "phone"
    if kind != "phone" or device.manufacturer is None:
        return _with(device, type=kind)
    model = await detection.model(client, device.manufacturer, device.ipv4, device.name)
    return _with(device, type=kind, model=model)


def _unanswered(device: Device) -> Device:
    """A device that gave no answer in time: whoever makes both is taken for a maker of phones."""
    if device.manufacturer in PROBED_MAKERS:
        return _with(device, type="phone", model="")
    return _with(device, model="") if device.type == "phone" else device


def _with(device: Device, **changes: Any) -> Device:
    return Device(**{**asdict(device), **changes})


# --- keeping --------------------------------------------------------------------------------------


def _keep(system: System, canonical: str, devices: list[Device]) -> None:
    text = orjson.dumps([asdict(device) for device in devices]).decode()
    with system.database.write() as connection:
        connection.execute(
            update(_scans)
            .where(_scans.c.id == scan_id(canonical))
            .values(hosts=text, finished=time.time())
        )
        ids = connection.scalars(select(_scans.c.id).where(_scans.c.network == canonical)).all()
    store_detected(
        system,
        [
            KnownModel(device.mac, device.manufacturer, device.model)
            for device in devices
            if device.type == "phone" and device.manufacturer and device.model
        ],
    )
    for kind in ("phone", "gateway"):
        rows = [shown(asdict(device)) for device in devices if device.type == kind]
        for key in ids:
            _write(system.settings.run_folder / f"{key}.{kind}s.scan", orjson.dumps(rows) + b"\n")


def _write(path: Path, content: bytes) -> None:
    """Replace a file in one step: readers see the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".scan-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


# --- reading --------------------------------------------------------------------------------------


def is_running(system: System, network_id: str) -> bool:
    """Whether the network that this id names is being scanned now."""
    own = select(_scans.c.network).where(_scans.c.id == network_id).scalar_subquery()
    query = select(_scans.c.task).where(_scans.c.network == own, _scans.c.task.is_not(None))
    with system.read() as connection:
        task_id = connection.scalar(query)
    task = system.tasks.get(task_id) if task_id else None
    return task is not None and task.state == "running"


def result(connection: Connection, network_id: str) -> list[Found] | None:
    """What the last scan of the network found; None when none has ended."""
    own = select(_scans.c.network).where(_scans.c.id == network_id).scalar_subquery()
    text = connection.scalar(
        select(_scans.c.hosts).where(_scans.c.network == own, _scans.c.hosts.is_not(None))
    )
    return None if text is None else _read(text)


def all_results(connection: Connection) -> list[Found]:
    """What the last scans of all networks found, older scans first."""
    return [device for (text,) in _ALL.rows(connection) for device in _read(text)]


def shown(found: Found) -> Found:
    """A device as lists and files have it."""
    return {key: found[key] for key in _SHOWN}


_ALL = Prepared(
    select(_scans.c.hosts).where(_scans.c.hosts.is_not(None)).order_by(_scans.c.finished)
)


def _read(text: str) -> list[Found]:
    found: list[Found] = orjson.loads(text)
    return found
