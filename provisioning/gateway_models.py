"""The gateways that can be configured: their ports, their language, their rows in the database.

The table is `data/gateway_models.yaml`. An installation adds or changes models in a file of the
same form in the data directory (`OVERLAY_NAME`).
"""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

OVERLAY_NAME = "gateway_models.yaml"
"""File of the data directory, in the form of the shipped table, whose models go before it."""

PortKind = Literal["isdn", "pri", "fxo", "fxs"]
PORT_KINDS: tuple[PortKind, ...] = get_args(PortKind)
"""In the order in which the ports of a gateway are saved and numbered."""

MAX_PORTS = 48

_NAME = re.compile(r"(?!.*--)[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # also stands in XML comments
_MEMBERS: dict[str, type] = {
    **dict.fromkeys(("model", "manufacturer", "description", "variant"), str),
    **dict.fromkeys(("id", "isdn", "pri", "fxo", "fxs", "slot", "first_port"), int),
    **dict.fromkeys(("spare_isdn", "spare_pri", "ethernet_ports"), int),
    "tls": bool,
}
_VARIANTS = {
    "smartware": {""},
    "trinity": {""},
    "vega": {"vega50", "vega60", "vega100", "vega200", "vega3000"},
    "mediatrix": {""},
    "grandstream": {"ht80x", "ht81x", "gxw42xx"},
}


class Family(StrEnum):
    """A configuration language; each has templates of its own."""

    SMARTWARE = "smartware"
    TRINITY = "trinity"
    VEGA = "vega"
    MEDIATRIX = "mediatrix"
    GRANDSTREAM = "grandstream"


_SERVED: dict[Family, set[PortKind]] = {
    Family.SMARTWARE: {"isdn", "pri", "fxo", "fxs"},
    Family.TRINITY: {"isdn", "pri", "fxo"},
    Family.VEGA: {"isdn", "pri", "fxo", "fxs"},
    Family.MEDIATRIX: {"isdn"},
    Family.GRANDSTREAM: {"fxs"},
}


@dataclass(frozen=True, kw_only=True)
class GatewayModel:
    """A model: what its row in `gateway_models` holds, and what its templates need to know.

    `id` is None for models that are in no fresh table. `model` is the exact name in the table.
    """

    model: str
    manufacturer: str
    family: Family
    id: int | None = None
    isdn: int = 0
    pri: int = 0
    fxo: int = 0
    fxs: int = 0
    description: str = ""
    tls: bool = False
    variant: str = ""
    slot: int = 0
    first_port: int = 1
    spare_isdn: int = 0
    spare_pri: int = 0
    ethernet_ports: int = 1

    def __post_init__(self) -> None:
        for name in (self.model, self.manufacturer):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a model or manufacturer")
        if self.variant not in _VARIANTS[self.family]:
            known = ", ".join(sorted(_VARIANTS[self.family])) or "none"
            raise ValueError(f"model {self.model}: variant {self.variant!r} is not one of {known}")
        for kind in PORT_KINDS:
            if not 0 <= self.ports(kind) <= (MAX_PORTS if kind in _SERVED[self.family] else 0):
                raise ValueError(f"model {self.model}: {self.family} has no {kind} ports like that")
        if not any(map(self.ports, PORT_KINDS)):
            raise ValueError(f"model {self.model} has no ports")

    def ports(self, kind: PortKind) -> int:
        """How many ports of that kind lines or telephones are connected to."""
        count: int = getattr(self, kind)
        return count

    @property
    def tech(self) -> PortKind:
        """The technology that the wizard files the model under: its first kind of port."""
        return next(kind for kind in PORT_KINDS if self.ports(kind))

    def row(self) -> dict[str, Any]:
        """The model's row in the table `gateway_models`; `id` only where it has a fixed one."""
        columns: dict[str, Any] = {} if self.id is None else {"id": self.id}
        return columns | {
            "model": self.model,
            "manufacturer": self.manufacturer,
            "tech": self.tech,
            "n_pri_trunks": self.pri,
            "n_isdn_trunks": self.isdn,
            "n_fxo_trunks": self.fxo,
            "n_fxs_ext": self.fxs,
            "description": self.description,
        }


def gateway_models(overlay: Path | None = None) -> tuple[GatewayModel, ...]:
    """Every known model: those with an id first and in its order, then the others by name.

    Raises ValueError, naming the file, when the overlay cannot be used.
    """
    return tuple(_table(overlay).values())


def seeded_models(overlay: Path | None = None) -> tuple[GatewayModel, ...]:
    """The models of a fresh `gateway_models` table, by id."""
    return tuple(model for model in gateway_models(overlay) if model.id is not None)


def find_model(manufacturer: str, model: str, overlay: Path | None = None) -> GatewayModel | None:
    """The model of that manufacturer and name, in any case, as a database row has them; else None.

    Ids are no key: on machines that were updated often they are not those of a fresh table.
    """
    return _table(overlay).get((manufacturer.lower(), model.lower()))


def _table(overlay: Path | None) -> Mapping[tuple[str, str], GatewayModel]:
    if overlay is None:
        return _shipped()
    try:
        version = overlay.stat()
    except FileNotFoundError:
        return _shipped()
    return _overlaid(overlay, version.st_mtime_ns, version.st_size)


@functools.cache
def _shipped() -> Mapping[tuple[str, str], GatewayModel]:
    text = (files("provisioning") / "data" / "gateway_models.yaml").read_text("utf-8")
    return _indexed(_parse(text))


@functools.lru_cache(maxsize=1)
def _overlaid(overlay: Path, _changed: int, _size: int) -> Mapping[tuple[str, str], GatewayModel]:
    try:
        own = _indexed(_parse(overlay.read_text("utf-8")))
        return _indexed([*(m for k, m in _shipped().items() if k not in own), *own.values()])
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{overlay.name}: {error}") from error


def _indexed(models: Iterable[GatewayModel]) -> dict[tuple[str, str], GatewayModel]:
    ordered = sorted(models, key=lambda m: (m.id is None, m.id or 0, m.model.lower()))
    table: dict[tuple[str, str], GatewayModel] = {}
    ids: set[int] = set()
    for model in ordered:
        key = (model.manufacturer.lower(), model.model.lower())
        if key in table or (model.id is not None and model.id in ids):
            raise ValueError(f"model {model.model} or its id is there twice")
        table[key] = model
        if model.id is not None:
            ids.add(model.id)
    return table


def _parse(text: str) -> list[GatewayModel]:
    groups: Any = yaml.safe_load(text)
    if not isinstance(groups, list):
        raise ValueError("a list of families is expected")
    models = []
    for group in groups:
        match group:
            case {"family": str(family), "models": [*entries], **common} if family in _VARIANTS:
                models += [_model(Family(family), common, entry) for entry in entries]
            case _:
                raise ValueError(f"not a family with models: {group!r}")
    return models


def _model(family: Family, common: dict[Any, Any], entry: object) -> GatewayModel:
    if not isinstance(entry, dict):
        raise ValueError(f"not a model: {entry!r}")
    values: dict[str, Any] = {**common, **entry}
    name = values.get("model")
    if values.keys() - _MEMBERS.keys() or not {"model", "manufacturer"} <= values.keys():
        raise ValueError(f"model {name!r} has members that mean nothing here, or lacks a name")
    for member, value in values.items():
        # An unquoted 4552 is a number to YAML, and 4970_4 is one too.
        if type(value) is not _MEMBERS[member]:
            raise ValueError(f"{member} of model {name!r} must be {_MEMBERS[member].__name__}")
    return GatewayModel(family=family, **values)
