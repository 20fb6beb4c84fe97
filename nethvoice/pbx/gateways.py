"""Gateways to the telephone network: saved with their trunks and telephones, and deleted.

A gateway is known by its MAC address, or by its name where it has none. Saving one that is there
changes it in place: trunks and numbers that it keeps having stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select

from nethvoice import bodies
from nethvoice.pbx import gateway_phones
from nethvoice.pbx.gateway_push import task_kind
from nethvoice.pbx.gateway_request import (
    WantedGateway,
    main_extensions,
    refusal,
    refusals,
    wanted_gateway,
)
from nethvoice.pbx.gateway_rows import (
    LINE_TABLES,
    Gateway,
    Line,
    find_ids,
    line_name,
    model_of,
    read_gateway,
    require_gateway,
    require_id,
)
from nethvoice.pbx.gateway_texts import names_of, put_files, remove_files
from nethvoice.pbx.gateway_trunks import (
    GatewayTrunk,
    Profile,
    TrunkNumbers,
    change_settings,
    create_trunk,
    new_port_secret,
    profile_of,
    refresh_trunk,
    voice_codecs,
)
from nethvoice.pbx.trunks import TRUNKS, remove_trunk
from nethvoice.problems import Problem, bad_request
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows, require_width
from nethvoice.store.tasks import TaskEngine
from nethvoice.store.unit import Unit
from nethvoice.system import NUMBERS, System
from provisioning.gateway_config import LABELS
from provisioning.gateway_models import PORT_KINDS, GatewayModel
from provisioning.mac_vendors import normalise_mac

LOCKS = (NUMBERS, TRUNKS)


# --- saving ---------------------------------------------------------------------------------------


def save_gateway(system: System, body: bodies.GatewayToSave) -> bodies.SavedGateway:
    """Create a gateway or change the one that is there, with trunks, extensions and files.

    Raises Problem 400 (malformed MAC address), 409 (names or numbers in use) and 422 (anything else
    that is refused), with the texts in `errors`.
    """
    wanted = wanted_gateway(system, body)
    with refusals(), system.change(LOCKS) as unit:
        model = _model(system, unit.conn, wanted.model_id)
        mains = main_extensions(unit.conn, wanted)
        old = _present(unit.conn, wanted)
        row = _row(system, wanted, old)
        _check_widths(system, row)
        gateway_id = _put_row(unit, old, row)
        saving = _Saving(
            system=system,
            unit=unit,
            gateway_id=gateway_id,
            model=model,
            wanted=wanted,
            old=old,
            profile=profile_of(system, unit.conn, row["proxy"]),
            codecs=voice_codecs(system, unit.conn),
        )
        saving.put_ports(mains)
        gateway = require_gateway(unit.conn, gateway_id)
        stale = names_of(old) if old is not None else ()
        put_files(system, unit, gateway, stale=stale, always=unit.wants_reload)
    return {
        "status": True,
        "errors": [],
        "warnings": _warnings(model, wanted, mains),
        "infos": [],
        "id": str(gateway_id),
    }


def _model(system: System, connection: Connection, model_id: int) -> GatewayModel:
    models = t.gateway_models
    row = connection.execute(select(models).where(models.c.id == model_id)).first()
    if row is None:
        raise refusal([f"there is no gateway model {model_id}"])
    return model_of(system, row.manufacturer or "", row.model)


def _present(connection: Connection, wanted: WantedGateway) -> Gateway | None:
    """The gateway that is to be changed, None when one is to be made."""
    if wanted.mac:
        found = find_ids(connection, mac=wanted.mac)
    else:
        found = find_ids(connection, wanted.name, "")
        if not found and find_ids(connection, mac=""):
            raise refusal(["another gateway without MAC address is there already"], 409)
    return read_gateway(connection, found[0][0]) if found else None


def _row(system: System, wanted: WantedGateway, old: Gateway | None) -> dict[str, Any]:
    return {
        "model_id": wanted.model_id,
        "name": wanted.name,
        # A scan or a push may have told where the device is.
        "ipv4": wanted.current or (old.current if old is not None else ""),
        "ipv4_new": wanted.address,
        "gateway": wanted.gateway,
        "ipv4_green": wanted.pbx,
        "netmask_green": wanted.netmask,
        "mac": wanted.mac,
        "proxy": system.settings.proxy_for_devices,
    }


def _check_widths(system: System, row: dict[str, Any]) -> None:
    for name, value in row.items():
        if isinstance(value, str):
            require_width(system.database, t.gateway_config, name, value, name)


def _put_row(unit: Unit, old: Gateway | None, row: dict[str, Any]) -> int:
    if old is None:
        unit.reload()
        key: Any = unit.conn.execute(insert(t.gateway_config).values(row)).inserted_primary_key
        return int(key[0])
    if change_rows(unit.conn, t.gateway_config, t.gateway_config.c.id == old.id, row):
        unit.reload()
    return old.id


def _warnings(model: GatewayModel, wanted: WantedGateway, mains: Sequence[str]) -> list[str]:
    counts = {
        "isdn": len(wanted.isdn),
        "pri": wanted.pri,
        "fxo": len(wanted.fxo),
        "fxs": len(mains),
    }
    return [
        f"{counts[kind]} {LABELS[kind]} ports were sent, {model.manufacturer} {model.model} "
        f"has {model.ports(kind)}; the others are not in its configuration"
        for kind in PORT_KINDS
        if counts[kind] > model.ports(kind)
    ]


@dataclass(frozen=True, kw_only=True)
class _Saving:
    """The ports of one gateway on their way from what they are to what they are to be."""

    system: System
    unit: Unit
    gateway_id: int
    model: GatewayModel
    wanted: WantedGateway
    old: Gateway | None
    profile: Profile
    codecs: str

    def put_ports(self, mains: Sequence[str]) -> None:
        """Everything that goes is removed first: what it held may be needed again."""
        ports: dict[str, list[dict[str, Any]]] = {
            "isdn": [{"protocol": protocol} for protocol in self.wanted.isdn],
            "pri": [{} for _ in range(self.wanted.pri)],
            "fxo": [{"number": number} for number in self.wanted.fxo],
        }
        kept = {kind: self._remove_surplus(kind, len(ports[kind])) for kind in LINE_TABLES}
        present = self.old.phones if self.old is not None else []
        if self.old is not None:
            gateway_phones.release_phones(self.system, self.unit, self.old, mains)
        # The numbers of ports that are gone may be given out again from here on.
        numbers = TrunkNumbers(self.unit.conn)
        trunks = {kind: self._put_lines(kind, ports[kind], kept[kind], numbers) for kind in ports}
        before = [phone.number for phone in present if phone.alive]
        after = gateway_phones.put_phones(
            self.system,
            self.unit,
            self.gateway_id,
            present,
            mains,
            encrypted=(self._was_encrypted(), _encrypts(self.model.model, self.wanted.name)),
        )
        self._share_contacts(trunks["fxo"], kept["fxo"], before, after)

    def _name(self, kind: str, index: int) -> str:
        number = self.model.first_port + index
        return line_name(self.model.manufacturer, self.wanted.mac, kind, number)

    def _remove_surplus(self, kind: str, count: int) -> list[Line]:
        """Remove the ports that are no more, or get another name; returns those that stay."""
        if self.old is None:
            return []
        lines = self.old.lines[kind]
        former = self._former_first_port()
        same = self.old.line_name(kind, 0, former) == self._name(kind, 0)
        kept = lines[:count] if same else []
        table = LINE_TABLES[kind]
        for line in lines[len(kept) :]:
            if line.trunk is not None:
                remove_trunk(self.unit, line.trunk_id)
            self.unit.conn.execute(delete(table).where(table.c.id == line.row_id))
            self.unit.reload()
        return kept

    def _former_first_port(self) -> int:
        assert self.old is not None  # noqa: S101 - asked for a gateway that is there only
        if (self.old.manufacturer, self.old.model) == (self.model.manufacturer, self.model.model):
            return self.model.first_port
        try:
            return model_of(self.system, self.old.manufacturer, self.old.model).first_port
        except Problem:
            return self.model.first_port  # of a model that is known no more

    def _put_lines(
        self,
        kind: str,
        ports: Sequence[dict[str, Any]],
        kept: Sequence[Line],
        numbers: TrunkNumbers,
    ) -> list[GatewayTrunk]:
        table = LINE_TABLES[kind]
        trunks = []
        for index, values in enumerate(ports):
            line = kept[index] if index < len(kept) else None
            trunk = self._put_trunk(kind, index, line, numbers)
            row = {
                **values,
                "trunk": trunk.id,
                "trunknumber": trunk.number,
                "secret": trunk.secret,
            }
            if line is None:
                self.unit.conn.execute(insert(table).values(config_id=self.gateway_id, **row))
            else:
                if not self._fits(table, trunk.secret):
                    del row["secret"]  # somebody's own, longer than older columns
                if change_rows(self.unit.conn, table, table.c.id == line.row_id, row):
                    self.unit.reload()
            trunks.append(trunk)
        return trunks

    def _fits(self, table: Table, secret: str) -> bool:
        live = self.unit.database.live(table)
        return live is not None and len(secret) <= live.widths.get("secret", len(secret))

    def _put_trunk(
        self, kind: str, index: int, line: Line | None, numbers: TrunkNumbers
    ) -> GatewayTrunk:
        name = self._name(kind, index)
        if line is not None and line.trunk is not None and self.old is not None:
            trunk = GatewayTrunk(line.trunk_id, kind, line.trunk, line.number, line.secret)
            before: tuple[Profile, str] = (
                profile_of(self.system, self.unit.conn, self.old.proxy),
                self.old.address,
            )
            refresh_trunk(self.unit, trunk, before, (self.profile, self.wanted.address))
            return trunk
        return create_trunk(
            self.unit,
            self.profile,
            kind,
            name,
            # A port whose trunk was deleted gets another one, and the device need not be told.
            number=line.number if line is not None else None,
            secret=(line.secret if line is not None else "") or new_port_secret(self.unit),
            numbers=numbers,
            address=self.wanted.address,
            codecs=self.codecs,
        )

    def _was_encrypted(self) -> bool:
        return self.old is not None and _encrypts(self.old.model, self.old.name)

    def _share_contacts(
        self,
        trunks: Sequence[GatewayTrunk],
        kept: Sequence[Line],
        before: Sequence[str],
        after: Sequence[str],
    ) -> None:
        """On a device with lines and telephones, the contacts of the telephones count as contacts
        of the trunk `..._fxo_0` (Patton, whose ports begin at 0) or `..._fxo_2`."""
        position = 0 if self.model.first_port == 0 else 1
        if len(trunks) <= position:
            return
        trunk = trunks[position]
        stays = len(kept) > position and kept[position].trunk is not None
        query = select(t.pjsip.c.keyword, t.pjsip.c.data).where(
            t.pjsip.c.id == str(trunk.id), t.pjsip.c.keyword == "aors"
        )
        rows = dict(self.unit.conn.execute(query).all())
        old = ",".join([trunk.name, *before]) if stays else trunk.name
        new = ",".join([trunk.name, *after])
        change_settings(self.unit, trunk.id, rows, {"aors": old}, {"aors": new})


def _encrypts(model: str, name: str) -> bool:
    """Whether a model speaks TLS with SRTP; older models tell by the name of the configuration."""
    return model.upper().endswith("TLS") or " TLS " in name


# --- deleting -------------------------------------------------------------------------------------


def delete_gateway(system: System, gateway_id: int) -> None:
    """Delete a gateway with its trunks, extensions and files; an unknown one changes nothing."""
    with system.change(LOCKS) as unit:
        gateway = read_gateway(unit.conn, gateway_id)
        if gateway is not None:
            _delete(system, unit, gateway)


def delete_gateway_by_name(system: System, name: str, mac: str | None = None) -> None:
    """As `delete_gateway`. Raises Problem 404 (none of that name), 409 (several) and 400 (malformed
    MAC address)."""
    normal = None
    if mac:
        normal = normalise_mac(mac)
        if normal is None:
            raise bad_request(f"{mac[:40]} is no MAC address")
    with system.change(LOCKS) as unit:
        gateway = require_gateway(unit.conn, require_id(unit.conn, name, normal))
        _delete(system, unit, gateway)


def _delete(system: System, unit: Unit, gateway: Gateway) -> None:
    for line in gateway.alive_lines():
        remove_trunk(unit, line.trunk_id)
    gateway_phones.release_phones(system, unit, gateway, ())
    for table in (*LINE_TABLES.values(), t.gateway_config_fxs):
        unit.conn.execute(delete(table).where(table.c.config_id == gateway.id))
    unit.conn.execute(delete(t.gateway_config).where(t.gateway_config.c.id == gateway.id))
    TaskEngine.forget(unit.conn, task_kind(gateway.id))
    remove_files(unit, gateway)
    unit.reload()
