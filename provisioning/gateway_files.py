"""The configuration files of a gateway: their names and their text.

`render_gateway` gives the text of a `GatewayConfig`, `gateway_files` what lies in the TFTP root.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from provisioning.gateway_config import LABELS, GatewayConfig, Port
from provisioning.gateway_models import PORT_KINDS, Family, GatewayModel, PortKind
from provisioning.grandstream import account_values, profiles
from provisioning.mac_vendors import normalise_mac
from provisioning.rendering import Format, render
from provisioning.time_zones import signed_clock

NO_MAC = "AAAAAAAAAAAA"
"""What files of the one gateway that may have no MAC address are named after."""

_TEMPLATES = {
    Family.SMARTWARE: (Format.PATTON, "gateways/patton/smartware.cfg.j2"),
    Family.TRINITY: (Format.PATTON, "gateways/patton/trinity.cfg.j2"),
    Family.VEGA: (Format.VEGA, "gateways/sangoma/vega.txt.j2"),
    Family.MEDIATRIX: (Format.DGW, "gateways/mediatrix/dgw.cfg.j2"),
    Family.GRANDSTREAM: (Format.XML, "gateways/grandstream/gateway.xml.j2"),
}
_VEGA_SCRIPT = "gateways/sangoma/script.txt.j2"
_GENERATED = re.compile(r"generated (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_VERSION_MARK = "CONFIGVERSION-OF-THIS-TEXT"


@dataclass(frozen=True)
class Endpoint:
    """A SIP listener of a Patton gateway and the ports whose accounts it holds.

    `trunk` is the one port that calls come from, where the listener belongs to one trunk.
    """

    name: str
    port: int
    ports: tuple[Port, ...]
    trunk: Port | None = None


class Endpoints(tuple[Endpoint, ...]):
    """The SIP listeners of a gateway.

    The PBX calls every trunk at port 5060 of the device's address, so in the direct profile one
    listener knows all of them. Where trunks register, each has a listener of its own, as a trunk is
    one account; their ports are 2 apart, by the position of the trunk's port, so that a port that
    is set up later moves no other. All telephones share one.
    """

    __slots__ = ()

    @classmethod
    def of_gateway(cls, gateway: GatewayConfig, first_port: int) -> "Endpoints":
        trunks, phones = gateway.trunks(), gateway.phones()
        if not gateway.registered:
            every = (*trunks, *phones)
            return cls([Endpoint("PBX", first_port, every)] if every else [])
        endpoints = [
            Endpoint(trunk.label, first_port + 2 * trunk.position, (trunk,), trunk)
            for trunk in trunks
        ]
        if phones:
            behind = len(gateway.ports("isdn", "pri", "fxo"))
            endpoints.append(Endpoint("FXS", first_port + 2 * behind, tuple(phones)))
        return cls(endpoints)

    def of(self, port: Port) -> str:
        """The name of the listener that calls from a port go through."""
        return next(endpoint.name for endpoint in self if port in endpoint.ports)


def file_names(manufacturer: str, mac: str) -> tuple[str, ...]:
    """The names of a gateway's files in the TFTP root, the configuration itself first.

    `mac` is in any form, "" for a gateway without; raises ValueError for what is no MAC address.
    """
    if mac:
        address = normalise_mac(mac)
        if address is None:
            raise ValueError("not a MAC address")
        digits = address.replace(":", "")
    else:
        digits = NO_MAC
    match manufacturer.lower():
        case "sangoma":
            return f"{digits}config.txt", f"{digits}script.txt"
        case "grandstream":
            # The devices ask for the second; the first is where other software looks.
            return f"{digits}.cfg", f"cfg{digits.lower()}.xml"
        case _:
            return (f"{digits}.cfg",)


def generation_time(text: str) -> datetime | None:
    """The local time that is written into a configuration, None when there is none."""
    found = _GENERATED.search(text)
    try:
        return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S") if found else None
    except ValueError:
        return None


def gateway_files(gateway: GatewayConfig, when: datetime) -> dict[str, bytes]:
    """Names and contents of every file of a gateway, as they are to lie in the TFTP root."""
    names = file_names(gateway.model.manufacturer, gateway.mac)
    text = render_gateway(gateway, when).encode("ascii")
    if gateway.model.family is Family.VEGA:
        script = render(Format.VEGA, _VEGA_SCRIPT).encode("ascii")
        return dict(zip(names, (text, script), strict=True))
    return dict.fromkeys(names, text)


def sets_admin_password(model: GatewayModel) -> bool:
    """Whether the language of the model has a way to set the administrator's password in a file.

    For the others it has to be set at the device: no statement of theirs is known to do it.
    """
    return model.family not in (Family.TRINITY, Family.VEGA)


def render_gateway(gateway: GatewayConfig, when: datetime) -> str:
    """The configuration of a gateway: ASCII, with the line ends that its device expects.

    `when` is the local time that is written into the file. Raises Unrenderable (422) for a value
    that the language of the device cannot hold.
    """
    family = gateway.model.family
    format_, template = _TEMPLATES[family]
    digital = [port for port in gateway.ports("isdn", "pri") if port.configured]
    variables: dict[str, object] = {
        "gw": gateway,
        "date": f"{when:%Y-%m-%d}",
        "time": f"{when:%H:%M:%S}",
        "clock_source": next(iter(digital), None),
    }
    match family:
        case Family.SMARTWARE | Family.TRINITY:
            first = 5061 if family is Family.TRINITY and gateway.registered else 5060
            variables |= {
                "sip_port": first,
                "endpoints": Endpoints.of_gateway(gateway, first),
                "clock": signed_clock,
            }
        case Family.VEGA:
            variables |= {
                "version": _VERSION_MARK,
                "accounts": [*gateway.trunks(), *gateway.phones()],
                "host_name": _vega_host_name(gateway.model),
                "offset": lambda minutes: signed_clock(minutes).replace(":", "").lstrip("+"),
                "interface": _vega_interface,
                "labels": LABELS,
            }
        case Family.GRANDSTREAM:
            variables |= {
                "columns": profiles(gateway.model),
                "accounts": account_values(gateway),
            }
        case Family.MEDIATRIX:
            pass
    text = _tidy(render(format_, template, **variables))
    if family is Family.VEGA:
        text = _with_version(text)
    return text.replace("\n", "\r\n") if family is Family.MEDIATRIX else text


def _vega_host_name(model: GatewayModel) -> str:
    """`sangoma4BRI`, `sangoma4FXS2FXO`"""
    kinds = reversed(PORT_KINDS)
    parts = (f"{model.ports(kind)}{LABELS[kind]}" for kind in kinds if model.ports(kind))
    return "sangoma" + "".join(parts)


def _vega_interface(port: Port) -> str:
    """The four digits by which the dial plan knows a port: `0203` is the third FXO port."""
    kinds: dict[PortKind, int] = {"fxs": 1, "fxo": 2, "isdn": 3, "pri": 4}
    return f"{kinds[port.kind]:02d}{port.n:02d}"


def _tidy(text: str) -> str:
    """Without blanks at line ends, with at most one empty line in a row and none at the end."""
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def _with_version(text: str) -> str:
    """Put the version that a Vega compares in its place.

    A Vega loads a file, and perhaps restarts, when its CONFIGVERSION is another than the last one.
    It is made of the statements alone, so a file that only has a new date changes nothing.
    """
    statements = "\n".join(_statements(text))
    return text.replace(_VERSION_MARK, hashlib.sha256(statements.encode()).hexdigest()[:16])


def _statements(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line and not line.startswith(";"))
