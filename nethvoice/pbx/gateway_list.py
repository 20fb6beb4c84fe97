"""The lists of gateways: those that scans found, and those that are configured."""

import re
from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, select

from nethvoice.store import tables as t
from nethvoice.store.rows import live_columns, text_row, text_value
from nethvoice.system import System
from provisioning import scans
from provisioning.mac_vendors import normalise_mac

Row = dict[str, Any]

_PORTS = {
    "trunks_isdn": (t.gateway_config_isdn, {"name": "trunk", "type": "protocol"}),
    "trunks_pri": (t.gateway_config_pri, {"linked_trunk": "trunk"}),
    "trunks_fxo": (t.gateway_config_fxo, {"linked_trunk": "trunk", "number": "number"}),
    "trunks_fxs": (t.gateway_config_fxs, {"linked_extension": "extension"}),
}
"""Members of a configured gateway: the table of its ports and the columns that are shown."""

_SCAN_ID = re.compile(r"[0-9a-f]{32}")


def list_detected(system: System) -> list[Row]:
    """The gateways that the last scans of all networks found, each once."""
    with system.read() as connection:
        found = scans.all_results(connection)
    rows = {(d["mac"], d["ipv4"]): scans.shown(d) for d in found if d["type"] == "gateway"}
    return list(rows.values())


def list_gateways(system: System, network_id: str) -> list[Row]:
    """The gateways that a scan found, merged by MAC address with all configured ones.

    `network_id` is the MD5 of the network's text; any other text means no scan. Costs six SQL
    statements however many gateways there are.
    """
    with system.read() as connection:
        known = scans.result(connection, network_id) if _SCAN_ID.fullmatch(network_id) else None
        configured = _configured(system, connection)
    merged: list[Row] = []
    by_mac: dict[str, Row] = {}
    for device in known or ():
        if device["type"] == "gateway" and device["mac"] not in by_mac:
            row = {**scans.shown(device), "isConnected": True, "isConfigured": False}
            by_mac[device["mac"]] = row
            merged.append(row)
    for gateway in configured:
        scanned = by_mac.get(normalise_mac(gateway["mac"] or "") or "")
        if scanned is None:
            merged.append({**gateway, "isConnected": False})
        else:
            scanned.update(gateway)
    return merged


def _configured(system: System, connection: Connection) -> list[Row]:
    config, models = t.gateway_config, t.gateway_models
    columns = [item for _, item in live_columns(system.database, config)]
    query = (
        select(*columns, models.c.manufacturer)
        .select_from(config.outerjoin(models, models.c.id == config.c.model_id))
        .order_by(config.c.id)
    )
    ports: dict[str, dict[str, list[Row]]] = {
        name: _ports(connection, table, members) for name, (table, members) in _PORTS.items()
    }
    gateways = []
    for found in connection.execute(query).mappings():
        row: Row = dict(text_row(found))
        row["model"] = row["model_id"]
        row["isConfigured"] = True
        for name, by_gateway in ports.items():
            if row["id"] in by_gateway:
                row[name] = by_gateway[row["id"]]
        gateways.append(row)
    return gateways


def _ports(connection: Connection, table: Any, members: dict[str, str]) -> dict[str, list[Row]]:
    """The ports of each gateway in port order."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in connection.execute(select(table).order_by(table.c.id)).mappings():
        port = {name: text_value(row[column]) for name, column in members.items()}
        found[str(row["config_id"])].append(port)
    return found
