"""A gateway to be configured, as plain data.

Whoever keeps gateways builds a `GatewayConfig` from its rows and hands it to
`provisioning.gateway_files`. Nothing here knows tables, and nothing there knows rows:

    GatewayConfig(
        model=find_model("Patton", "TRI_ISDN_2"),
        mac="00:A0:BA:0B:1C:DA",            # gateway_config.mac, "" when it has none
        address="192.168.1.250",            # ipv4_new
        netmask="255.255.255.0",            # netmask_green
        default_gateway="192.168.1.254",    # gateway
        pbx="192.168.1.1",                  # ipv4_green
        proxy="",                           # proxy; set: the ports register, through it
        isdn=(
            TrunkPort(number="20001", name="Patton_0b1cda_isdn_0", secret="...", protocol="pp"),
            None,                           # a port without a row, or whose trunk was deleted
        ),
    )

Ports are in the order of their rows' ids. A list may be shorter than the model has ports (the rest
is rendered shut down) or longer (what the model has no port for is not rendered).
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Literal

from provisioning.countries import DEFAULT_COUNTRY, Country, find_country, known_countries
from provisioning.gateway_models import PORT_KINDS, GatewayModel, PortKind
from provisioning.mac_vendors import normalise_mac
from provisioning.rendering import Unrenderable, unprintable
from provisioning.time_zones import DEFAULT_ZONE, UnknownZone, Zone, time_zone

Codec = Literal["alaw", "ulaw", "g729"]

CODECS: dict[str, tuple[Codec, ...]] = {
    "direct": ("alaw", "ulaw", "g729"),
    "registered": ("g729", "alaw", "ulaw"),
}
"""Codecs in order of preference, by mode, where a gateway does not name its own."""

LABELS: dict[PortKind, str] = {"isdn": "BRI", "pri": "PRI", "fxo": "FXO", "fxs": "FXS"}

_DIGITS = re.compile(r"[0-9]{1,20}")
_LINE = re.compile(r"[0-9+*#]{0,40}")
_TRUNK_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
                   r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrunkPort:
    """A port of a telephone line, which the PBX has a trunk for.

    `number` is the trunk number (`20001`): the PBX dials it before the called number, and the
    gateway picks the port by it and strips it. `name` is the trunk's name, the SIP user name in the
    proxy profile. `protocol` is for BRI only: `pp` point to point, `pmp` point to multipoint.
    `line_number` is for FXO only: the called number of calls that come from that line, "" for none.
    """

    number: str
    name: str
    secret: str = field(repr=False)
    protocol: Literal["pp", "pmp"] = "pp"
    line_number: str = ""


@dataclass(frozen=True, kw_only=True)
class PhonePort:
    """An FXS port: the extension of the PBX that its telephone is, and its SIP secret."""

    extension: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Port:
    """A port of the model as templates see it, configured or not.

    `index` counts from 0 and `n` from 1 within its kind, `position` from 0 over all ports, trunks
    first. `user` is the SIP user; `number` is the trunk number, "" for telephones.
    """

    kind: PortKind
    index: int
    position: int
    configured: bool = False
    user: str = ""
    secret: str = field(default="", repr=False)
    number: str = ""
    line_number: str = ""
    protocol: str = "pp"

    @property
    def n(self) -> int:
        return self.index + 1

    @property
    def label(self) -> str:
        """Name for the objects of this port: `BRI_1`."""
        return f"{LABELS[self.kind]}_{self.n}"

    @property
    def what(self) -> str:
        """How an error names the port's secret."""
        return f"The secret of port {LABELS[self.kind]} {self.n}"


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """Everything that the configuration of one gateway depends on. Raises Unrenderable (422).

    `pbx` is the PBX as the device sees it, address or host name: SIP server, NTP and TFTP server.
    `proxy` is the SIP proxy that devices must go through, as host name, address or SIP URI; with it
    trunks register (mode `registered`), without it the PBX calls the device's address (`direct`).
    `admin_password` changes the device's login; "" leaves it alone. `telnet` False shuts Telnet
    where the language can; the push to Patton and Sangoma devices needs it.
    """

    model: GatewayModel
    mac: str
    address: str
    netmask: str
    default_gateway: str
    pbx: str
    proxy: str = ""
    isdn: tuple[TrunkPort | None, ...] = ()
    pri: tuple[TrunkPort | None, ...] = ()
    fxo: tuple[TrunkPort | None, ...] = ()
    fxs: tuple[PhonePort | None, ...] = ()
    codecs: tuple[Codec, ...] = ()
    ntp: str = ""
    dns: str = ""
    country_code: str = DEFAULT_COUNTRY
    zone_name: str = DEFAULT_ZONE
    admin_password: str = field(default="", repr=False)
    telnet: bool = True

    def __post_init__(self) -> None:
        if self.mac and normalise_mac(self.mac) is None:
            raise Unrenderable("mac", "is not a MAC address")
        _address("ipv4_new", self.address)
        _netmask(self.netmask)
        if self.default_gateway:
            _address("gateway", self.default_gateway)
        if self.dns:
            _address("dns", self.dns)
        _host("ipv4_green", self.pbx)
        if self.ntp:
            _host("ntp", self.ntp)
        if self.proxy:
            _host("proxy", self.proxy_host)
        if not set(self.codecs) <= set(CODECS["direct"]) or len(set(self.codecs)) < len(
            self.codecs
        ):
            raise Unrenderable("codecs", f"must be different ones of {', '.join(CODECS['direct'])}")
        if find_country(self.country_code) is None:
            raise Unrenderable("country", f"must be one of {', '.join(known_countries())}")
        try:
            time_zone(self.zone_name)
        except UnknownZone as error:
            raise Unrenderable("time zone", str(error)) from None
        if unprintable(self.admin_password):
            raise Unrenderable("The administrator's password", "has control characters")
        self._check_ports()

    def _check_ports(self) -> None:
        for kind in PORT_KINDS:
            for n, port in enumerate(getattr(self, kind), 1):
                if port is not None:
                    _check_port(f"port {LABELS[kind]} {n}", port)
        for key in ("user", "number"):
            used = [getattr(port, key) for port in self.ports() if port.configured]
            used = [value for value in used if value]
            if len(set(used)) < len(used):
                raise Unrenderable("The ports", f"have the same {key} twice")

    @property
    def mode(self) -> Literal["direct", "registered"]:
        """`registered` behind a SIP proxy, else `direct`."""
        return "registered" if self.proxy else "direct"

    @property
    def registered(self) -> bool:
        return self.mode == "registered"

    @property
    def proxy_host(self) -> str:
        """The proxy without scheme, port and parameters, as older rows have them; "" without."""
        return re.sub(r"^sips?:", "", self.proxy.strip()).partition(";")[0].partition(":")[0]

    @property
    def sip_server(self) -> str:
        """Where SIP requests of the device go: the proxy if there is one, else the PBX."""
        return self.proxy_host or self.pbx

    @property
    def mac_digits(self) -> str:
        """`00A0BA0B1CDA`, "" without a MAC."""
        return (normalise_mac(self.mac) or "").replace(":", "")

    @property
    def prefix_length(self) -> int:
        return IPv4Network(f"0.0.0.0/{self.netmask}").prefixlen

    @property
    def dns_server(self) -> str:
        """The name server: its own, else the default gateway, "" without either."""
        return self.dns or self.default_gateway

    @property
    def names_used(self) -> bool:
        """Whether the device has to resolve host names."""
        return not all(_is_address(host) for host in (self.pbx, self.sip_server, self.ntp_server))

    @property
    def ntp_server(self) -> str:
        return self.ntp or self.pbx

    @property
    def codec_list(self) -> tuple[Codec, ...]:
        return self.codecs or CODECS[self.mode]

    @property
    def country(self) -> Country:
        found = find_country(self.country_code)
        assert found is not None  # noqa: S101 - checked when the gateway was made
        return found

    @property
    def zone(self) -> Zone:
        return time_zone(self.zone_name)

    @cached_property
    def _ports(self) -> tuple[Port, ...]:
        ports: list[Port] = []
        for kind in PORT_KINDS:
            given = getattr(self, kind)
            for index in range(self.model.ports(kind)):
                source = given[index] if index < len(given) else None
                ports.append(self._port(kind, index, len(ports), source))
        return tuple(ports)

    def _port(
        self, kind: PortKind, index: int, position: int, source: TrunkPort | PhonePort | None
    ) -> Port:
        match source:
            case TrunkPort():
                user = source.name if self.registered else source.number
                return Port(
                    kind, index, position, True, user, source.secret,
                    source.number, source.line_number, source.protocol,
                )  # fmt: skip
            case PhonePort():
                return Port(kind, index, position, True, source.extension, source.secret)
            case None:
                return Port(kind, index, position)

    def ports(self, *kinds: PortKind) -> list[Port]:
        """The model's ports of these kinds (all without an argument), trunks before telephones."""
        return [port for port in self._ports if not kinds or port.kind in kinds]

    def trunks(self) -> list[Port]:
        """The configured ports of lines."""
        return [port for port in self._ports if port.configured and port.kind != "fxs"]

    def phones(self) -> list[Port]:
        """The configured ports of telephones."""
        return [port for port in self._ports if port.configured and port.kind == "fxs"]


def _check_port(where: str, port: TrunkPort | PhonePort) -> None:
    if isinstance(port, PhonePort):
        if not _DIGITS.fullmatch(port.extension):
            raise Unrenderable(f"The extension of {where}", "is not a number")
    else:
        if not _DIGITS.fullmatch(port.number):
            raise Unrenderable(f"The trunk number of {where}", "is not a number")
        if not _TRUNK_NAME.fullmatch(port.name):
            raise Unrenderable(f"The trunk name of {where}", "has other than letters, digits, _.-")
        if port.protocol not in ("pp", "pmp"):
            raise Unrenderable(f"The protocol of {where}", "is neither pp nor pmp")
        if not _LINE.fullmatch(port.line_number):
            raise Unrenderable(f"The line number of {where}", "has other than digits, +, * and #")
    if not port.secret or unprintable(port.secret):
        raise Unrenderable(f"The secret of {where}", "is empty or has control characters")


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _address(what: str, text: str) -> None:
    if not _is_address(text):
        raise Unrenderable(what, "is not an IPv4 address")


def _netmask(text: str) -> None:
    try:
        network = IPv4Network(f"0.0.0.0/{text}")
    except (NetmaskValueError, AddressValueError, ValueError):
        raise Unrenderable("netmask_green", "is not a netmask") from None
    # The module also takes prefix lengths and inverted masks.
    if str(network.netmask) != text or network.prefixlen in (0, 32):
        raise Unrenderable("netmask_green", "is not a netmask")


def _host(what: str, text: str) -> None:
    if not (_is_address(text) or (_HOST.fullmatch(text) and not re.fullmatch(r"[0-9.]+", text))):
        raise Unrenderable(what, "is neither an IPv4 address nor a host name")
