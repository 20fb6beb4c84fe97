"""A configured gateway as its rows tell, and as its configuration needs it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from nethvoice.pbx.addresses import netmask_near, pbx_address
from nethvoice.pbx.gateway_request import PROTOCOLS
from nethvoice.problems import conflict, not_found, unprocessable
from nethvoice.store import tables as t
from nethvoice.system import System
from provisioning.gateway_config import GatewayConfig, PhonePort, TrunkPort
from provisioning.gateway_models import OVERLAY_NAME, GatewayModel, find_model
from provisioning.mac_vendors import normalise_mac

NOT_FOUND = "Configuration not found"

LINE_TABLES: dict[str, Table] = {
    "isdn": t.gateway_config_isdn,
    "pri": t.gateway_config_pri,
    "fxo": t.gateway_config_fxo,
}
"""Tables of the ports that have a trunk each, in the order in which ports are made."""

_DEVICES = t.rest_devices_phones


@dataclass(frozen=True)
class Line:
    """The row of a port with a trunk. `trunk` is the trunk's name, None when the trunk is gone:
    the port then is a hole that keeps its place, number and secret."""

    row_id: int
    trunk_id: int
    trunk: str | None
    number: int
    secret: str = field(repr=False)
    protocol: str = PROTOCOLS[0]
    line_number: str = ""


@dataclass(frozen=True)
class Phone:
    """The row of an FXS port: the main extension it was asked for, and the number of its own that
    it registers with. `alive` is False when that number is no longer this port's."""

    row_id: int
    main: str
    number: str
    alive: bool
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Gateway:
    """A row of `gateway_config` with its model and ports, these in port order."""

    id: int
    name: str
    mac: str
    model_id: int
    model: str
    manufacturer: str
    current: str
    address: str
    gateway: str
    pbx: str
    netmask: str
    proxy: str | None
    lines: dict[str, list[Line]]
    phones: list[Phone]

    def line_name(self, kind: str, index: int, first: int) -> str:
        """The name of a port's trunk; `first` is the number of the model's first port."""
        return line_name(self.manufacturer, self.mac, kind, first + index)

    def alive_lines(self) -> list[Line]:
        """The ports that have a trunk."""
        return [line for lines in self.lines.values() for line in lines if line.trunk is not None]


def line_name(manufacturer: str, mac: str, kind: str, number: int) -> str:
    """`Patton_0b1cda_isdn_0`: clients read maker, device, technology and port out of it."""
    return f"{manufacturer}_{mac.replace(':', '')[-6:].lower()}_{kind}_{number}"


# --- finding --------------------------------------------------------------------------------------


def find_ids(
    connection: Connection, name: str | None = None, mac: str | None = None
) -> list[tuple[int, str]]:
    """Ids and MAC addresses of the gateways with that name, with that MAC address, or both.

    MAC addresses are compared in one form, the name in any letter case. `mac` "" finds those
    without one.
    """
    rows = connection.execute(
        select(t.gateway_config.c.id, t.gateway_config.c.name, t.gateway_config.c.mac).order_by(
            t.gateway_config.c.id
        )
    )
    found = []
    for row in rows:
        stored = normalise_mac(row.mac or "") or ""
        if name is not None and (row.name or "").casefold() != name.casefold():
            continue
        if mac is not None and stored != mac:
            continue
        found.append((int(row.id), stored))
    return found


def require_id(connection: Connection, name: str, mac: str | None) -> int:
    """The id of the gateway that a client names, `mac` to tell equal names apart.

    Raises Problem 404 for an unknown one and 409 when several fit.
    """
    found = find_ids(connection, name, mac)
    if not found:
        raise not_found(NOT_FOUND)
    if len(found) > 1:
        raise conflict(f"{len(found)} gateways are named {name}: tell the MAC address too")
    return found[0][0]


# --- reading --------------------------------------------------------------------------------------


def require_gateway(connection: Connection, gateway_id: int) -> Gateway:
    """As `read_gateway`. Raises Problem 404 for an unknown id."""
    gateway = read_gateway(connection, gateway_id)
    if gateway is None:
        raise not_found(NOT_FOUND)
    return gateway


def read_gateway(connection: Connection, gateway_id: int) -> Gateway | None:
    """The gateway, None when there is none. At most nine statements, however many ports it has."""
    config, models = t.gateway_config, t.gateway_models
    row = connection.execute(
        select(config, models.c.model, models.c.manufacturer)
        .select_from(config.outerjoin(models, models.c.id == config.c.model_id))
        .where(config.c.id == gateway_id)
    ).first()
    if row is None:
        return None
    manufacturer, mac = row.manufacturer or "", normalise_mac(row.mac or "") or ""
    return Gateway(
        id=row.id,
        name=row.name or "",
        mac=mac,
        model_id=row.model_id,
        model=row.model or "",
        manufacturer=manufacturer,
        current=row.ipv4 or "",
        address=row.ipv4_new or "",
        gateway=row.gateway or "",
        pbx=row.ipv4_green or "",
        netmask=row.netmask_green or "",
        proxy=row.proxy or None,
        lines=_lines(connection, gateway_id, line_name(manufacturer, mac, "", 0)[:-2]),
        phones=_phones(connection, gateway_id),
    )


def _rows(connection: Connection, table: Table, gateway_id: int) -> Sequence[Row[Any]]:
    query = select(table).where(table.c.config_id == gateway_id).order_by(table.c.id)
    return connection.execute(query).all()


def _lines(connection: Connection, gateway_id: int, own: str) -> dict[str, list[Line]]:
    """Lines by kind; `own` is what the names of the gateway's trunks begin with."""
    rows = {kind: _rows(connection, table, gateway_id) for kind, table in LINE_TABLES.items()}
    ids = {int(row.trunk) for found in rows.values() for row in found}
    trunks = {}
    secrets: dict[str, str] = {}
    if ids:
        trunk = t.trunks.c
        query = select(trunk.trunkid, trunk.name, trunk.dialoutprefix).where(
            trunk.trunkid.in_(ids), trunk.tech == "pjsip"
        )
        trunks = {int(row.trunkid): row for row in connection.execute(query)}
        secrets = _pjsip_secrets(connection, [str(number) for number in ids])
    lines: dict[str, list[Line]] = {}
    for kind, found in rows.items():
        lines[kind] = []
        for row in found:
            values = row._mapping
            number = int(values["trunknumber"])
            trunk_row = trunks.get(int(values["trunk"]))
            # Trunk ids are given out again. The number tells that the trunk is still this port's,
            # also after somebody has renamed it.
            name = None
            if trunk_row is not None and (
                trunk_row.dialoutprefix == str(number)
                or (trunk_row.name or "").startswith(f"{own}{kind}_")
            ):
                name = trunk_row.name or ""
            secret = values["secret"] or ""
            if name is not None:
                secret = secrets.get(str(values["trunk"])) or secret
            lines[kind].append(
                Line(
                    row_id=int(values["id"]),
                    trunk_id=int(values["trunk"]),
                    trunk=name,
                    number=number,
                    secret=secret,
                    protocol=values.get("protocol") or PROTOCOLS[0],
                    line_number=values.get("number") or "",
                )
            )
    return lines


def _pjsip_secrets(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    rows = connection.execute(
        select(t.pjsip.c.id, t.pjsip.c.data).where(
            t.pjsip.c.id.in_(ids), t.pjsip.c.keyword == "secret"
        )
    )
    return {str(key): data for key, data in rows}


def _phones(connection: Connection, gateway_id: int) -> list[Phone]:
    rows = [row._mapping for row in _rows(connection, t.gateway_config_fxs, gateway_id)]
    numbers = {row["physical_extension"] for row in rows if row["physical_extension"]}
    secrets = _device_secrets(connection, numbers) if numbers else {}
    return [
        Phone(
            row_id=int(row["id"]),
            main=row["extension"] or "",
            number=row["physical_extension"] or "",
            alive=row["physical_extension"] in secrets,
            secret=secrets.get(row["physical_extension"]) or row["secret"] or "",
        )
        for row in rows
    ]


def _device_secrets(connection: Connection, numbers: Collection[str]) -> dict[str, str]:
    """Present SIP secrets of the numbers that are devices without a MAC address, as ports are."""
    custom = connection.scalars(
        select(_DEVICES.c.extension).where(
            _DEVICES.c.extension.in_(numbers), _DEVICES.c.mac.is_(None)
        )
    ).all()
    rows = connection.execute(
        select(t.sip.c.id, t.sip.c.data).where(t.sip.c.id.in_(custom), t.sip.c.keyword == "secret")
    )
    return {str(number): secret or "" for number, secret in rows}


# --- as a device needs it -------------------------------------------------------------------------


def model_of(system: System, manufacturer: str, model: str) -> GatewayModel:
    """What is known of a model. Raises Problem 422 for one that has no template."""
    found = find_model(manufacturer, model, system.settings.data_dir / OVERLAY_NAME)
    if found is None:
        raise unprocessable(f"there is no configuration template for {manufacturer} {model}")
    return found


def gateway_config(system: System, gateway: Gateway) -> GatewayConfig:
    """The gateway as its configuration is made from. Raises Problem 422 for unusable values."""
    password = system.settings.gateway_admin_password
    return GatewayConfig(
        model=model_of(system, gateway.manufacturer, gateway.model),
        mac=gateway.mac,
        address=gateway.address,
        netmask=gateway.netmask or netmask_near(gateway.address),
        default_gateway=gateway.gateway,
        pbx=gateway.pbx or pbx_address(system, gateway.address),
        proxy=gateway.proxy or "",
        isdn=_trunk_ports(gateway, "isdn"),
        pri=_trunk_ports(gateway, "pri"),
        fxo=_trunk_ports(gateway, "fxo"),
        fxs=tuple(_phone_port(phone) for phone in gateway.phones),
        admin_password=password.get_secret_value() if password is not None else "",
    )


def _trunk_ports(gateway: Gateway, kind: str) -> tuple[TrunkPort | None, ...]:
    return tuple(_trunk_port(line) for line in gateway.lines[kind])


def _trunk_port(line: Line) -> TrunkPort | None:
    if line.trunk is None:
        return None
    return TrunkPort(
        number=str(line.number),
        name=line.trunk,
        secret=line.secret,
        protocol="pmp" if line.protocol == "pmp" else "pp",
        line_number=line.line_number,
    )


def _phone_port(phone: Phone) -> PhonePort | None:
    return PhonePort(extension=phone.number, secret=phone.secret) if phone.alive else None
