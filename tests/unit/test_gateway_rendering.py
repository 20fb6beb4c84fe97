"""The configuration of every gateway model, read back as a device would read it.

`tests/golden/gateways/` holds the text of each model, for people to read in review. After a change
of a template, write the files anew and look at the difference:

    NETHVOICE_RENEW_GOLDEN=1 python -m pytest tests/unit/test_gateway_rendering.py -k golden
    git diff tests/golden
"""

import os
import re
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.gateway_config import GatewayConfig, PhonePort, TrunkPort
from provisioning.gateway_files import (
    NO_MAC,
    file_names,
    gateway_files,
    render_gateway,
    sets_admin_password,
)
from provisioning.gateway_models import (
    PORT_KINDS,
    Family,
    GatewayModel,
    PortKind,
    find_model,
    gateway_models,
)
from provisioning.rendering import Format, Unrenderable, quote
from provisioning.rendering import _environment as environment
from tests.gateway_texts import (
    DgwText,
    Found,
    PattonText,
    VegaText,
    grandstream_ports,
    grandstream_values,
    read_ports,
)

WHEN = datetime(2026, 11, 25, 9, 5, 7)
GOLDEN = Path(__file__).parents[1] / "golden" / "gateways"
MODELS = gateway_models()
PROXY = "proxy.example.org"

every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.model)
every_mode = pytest.mark.parametrize("proxy", ["", PROXY], ids=["direct", "registered"])


def model_of(name: str) -> GatewayModel:
    return next(model for model in MODELS if model.model == name)


def trunk(model: GatewayModel, kind: PortKind, index: int, position: int) -> TrunkPort:
    return TrunkPort(
        number=f"20{position + 1:03d}",
        name=f"{model.manufacturer}_0b1cda_{kind}_{index + model.first_port}",
        secret=f"Secret{kind}{index:02d}",
        protocol="pmp" if kind == "isdn" and index % 2 else "pp",
        line_number=f"072140{index:04d}" if kind == "fxo" else "",
    )


def gateway(model: GatewayModel, proxy: str = "", **changes: Any) -> GatewayConfig:
    """A gateway with every port of the model set up."""
    ports: dict[str, Any] = {}
    position = 0
    for kind in PORT_KINDS[:3]:
        count = model.ports(kind)
        ports[kind] = tuple(trunk(model, kind, i, position + i) for i in range(count))
        position += count
    ports["fxs"] = tuple(
        PhonePort(extension=f"91{200 + i}", secret=f"Secretfxs{i:02d}") for i in range(model.fxs)
    )
    values = {
        "mac": "00:A0:BA:0B:1C:DA",
        "address": "192.168.5.250",
        "netmask": "255.255.254.0",
        "default_gateway": "192.168.5.254",
        "pbx": "192.168.5.1",
        "proxy": proxy,
    }
    return GatewayConfig(model=model, **values | ports | changes)


def some(config: GatewayConfig, keep: Any) -> GatewayConfig:
    """The same gateway with only those ports set up whose number in their kind `keep` accepts."""
    return replace(
        config,
        **{
            kind: tuple(p if keep(i) else None for i, p in enumerate(getattr(config, kind)))
            for kind in PORT_KINDS
        },
    )


def expected(config: GatewayConfig) -> list[Found]:
    """What a configuration has to say of the ports of a gateway."""
    found = []
    for kind in PORT_KINDS:
        for index, port in enumerate(getattr(config, kind)):
            if index >= config.model.ports(kind) or port is None:
                continue
            if isinstance(port, PhonePort):
                found.append(Found(kind, index, port.extension, port.secret, registers=True))
            else:
                user = port.name if config.proxy else port.number
                protocol = port.protocol if kind == "isdn" else ""
                line = port.line_number if kind == "fxo" else ""
                found.append(
                    Found(
                        kind,
                        index,
                        user,
                        port.secret,
                        port.number,
                        line,
                        protocol,
                        bool(config.proxy),
                    )
                )
    return found


def check(config: GatewayConfig) -> str:
    """Render a gateway, check what holds for every file, and read its ports back."""
    text = render_gateway(config, WHEN)
    assert text.isascii()
    assert text.endswith("\n")
    assert not text.endswith(("\n\n", "\r\n\r\n"))
    # `="None"` is a word of the Mediatrix language.
    assert not re.search(
        r"\{[{%#]|[%#]\}|(?<!=.)\bNone\b|[Uu]ndefined|\bTrue\b|\bFalse\b|CONFIGVERSION-", text
    )
    assert not re.search(
        r"TRUNK(NUMBER|SECRET|USERNAME)|FXS(EXTENSION|PASS)\d|LINENUMBER|PROTOCOLTYPE|ASTERISKIP"
        r"|GATEWAYIP|DEFGATEWAY|NETMASK|UTIME|\b(MAC|DATE|PROXY|IP\d|MASK\d|DNS\d|GATE\d)\b",
        text,
    )
    assert "&lt;" not in text or config.model.family is Family.GRANDSTREAM
    own = {config.address, config.netmask, config.default_gateway, config.pbx, "0.0.0.0"}
    assert set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text)) <= own
    assert not re.search(r"\b(user1|public|vega|viewer|testing123|authpassword)\b", text)
    assert read_ports(config.model, text) == expected(config)
    return text


# ---------------------------------------------------------------- every model


@every_model
@every_mode
def test_every_port_of_every_model(model: GatewayModel, proxy: str) -> None:
    check(gateway(model, proxy))


@every_model
@every_mode
def test_no_port_one_port_and_holes(model: GatewayModel, proxy: str) -> None:
    full = gateway(model, proxy)
    empty = check(some(full, lambda i: False))
    check(some(full, lambda i: i == 0))
    check(some(full, lambda i: i % 2))
    check(some(full, lambda i: i == 47))
    # A list that ends early is the same as one with holes at its end.
    nothing: dict[str, Any] = dict.fromkeys(PORT_KINDS, ())
    assert render_gateway(replace(full, **nothing), WHEN) == empty


@every_model
@every_mode
def test_a_deleted_trunk_moves_no_other_port(model: GatewayModel, proxy: str) -> None:
    full = gateway(model, proxy)
    without = some(full, lambda i: i != 0)
    rest = [port for port in read_ports(model, render_gateway(full, WHEN)) if port.index]
    assert read_ports(model, render_gateway(without, WHEN)) == rest


@every_model
def test_rows_that_the_model_has_no_port_for_are_not_rendered(model: GatewayModel) -> None:
    config = gateway(model)
    more = {
        kind: (
            *getattr(config, kind),
            PhonePort(extension="98765", secret="MoreSecret")
            if kind == "fxs"
            else replace(trunk(model, kind, 40, 700), secret="MoreSecret"),
        )
        for kind in PORT_KINDS
    }
    text = render_gateway(replace(config, **{"isdn": more["isdn"], "fxs": more["fxs"]}), WHEN)
    assert "MoreSecret" not in text
    assert text == render_gateway(config, WHEN)


@every_model
@every_mode
def test_the_least_that_a_gateway_may_have(model: GatewayModel, proxy: str) -> None:
    config = gateway(model, proxy, mac="", default_gateway="")
    fxo = tuple(replace(port, line_number="") for port in config.fxo if port)
    text = check(replace(config, fxo=fxo))
    assert "<mac>" not in text
    assert not re.search(r"map default to *$|subscriber-number *$|TEL:\"", text, re.MULTILINE)


@every_model
@every_mode
def test_the_same_input_gives_the_same_bytes(model: GatewayModel, proxy: str) -> None:
    first = gateway_files(gateway(model, proxy), WHEN)
    again = gateway_files(gateway(model, proxy), WHEN)
    later = gateway_files(gateway(model, proxy), datetime(2031, 1, 2))
    assert first == again
    assert first.keys() == later.keys()
    for name, content in first.items():
        before, after = content.splitlines(), later[name].splitlines()
        different = [line for line in before if line not in after]
        # Only the comment that says when.
        assert len(before) == len(after)
        assert len(different) == (0 if name.endswith("script.txt") else 1)
        assert all(b"2026-11-25 09:05:07" in line for line in different)


@every_model
def test_golden_files(model: GatewayModel) -> None:
    files = {"": gateway(model)}
    if model.model in REGISTERED_GOLDEN:
        files[".registered"] = gateway(model, PROXY)
    extension = {Family.VEGA: "txt", Family.GRANDSTREAM: "xml"}.get(model.family, "cfg")
    for suffix, config in files.items():
        path = GOLDEN / f"{model.model}{suffix}.{extension}"
        content = render_gateway(config, WHEN).encode()
        if os.environ.get("NETHVOICE_RENEW_GOLDEN"):
            path.write_bytes(content)
        assert path.read_bytes() == content, f"{path.name} differs; see the top of this module"


REGISTERED_GOLDEN = {
    "4554", "4114fxs_fxo", "4970", "TRI_ISDN_2", "TRI_PRI_1", "TRI_FXO_8", "Vega_60_2isdn",
    "Vega_50_4fxs_2fxo", "M4402", "ht802", "ht802TLS", "gxw4248TLS",
}  # fmt: skip


def test_golden_files_have_models() -> None:
    names = {path.name.partition(".")[0] for path in GOLDEN.iterdir()}
    assert names == {model.model for model in MODELS}
    assert {p.name.split(".")[0] for p in GOLDEN.glob("*.registered.*")} == REGISTERED_GOLDEN


# ---------------------------------------------------------------- Patton

PATTON = [m for m in MODELS if m.manufacturer == "Patton"]
patton_models = pytest.mark.parametrize("model", PATTON, ids=lambda model: model.model)


@patton_models
@every_mode
def test_patton_facts(model: GatewayModel, proxy: str) -> None:
    config = gateway(model, proxy)
    patton = PattonText(render_gateway(config, WHEN))
    patton.check_references()
    root, trinity = patton.root, model.family is Family.TRINITY
    assert root.has("cli", "version", "4.00" if trinity else "3.20")
    assert root.has("clock", "local", "default-offset", "+01:00")
    rule = root.rest("clock", "local", "dst-rule")
    if trinity:
        assert root.one("ntp").has("server", "192.168.5.1")
        assert root.one("dns-client").has("name-server", "192.168.5.254")
        assert root.one("snmp-server").has("shutdown")
        ip = root.one("context", "ip", "ROUTER")
        assert ip.one("interface").has("ipaddress", "WAN", "192.168.5.250", "255.255.254.0")
        default = ("route", "0.0.0.0/0", "gateway", "192.168.5.254", "metric", "0")
        assert ip.one("routing-table", "DEFAULT").has(*default)
        assert " ".join(rule[1:]) == (
            "+01:00 from mar last sunday 02:00 2020 until oct last sunday 03:00 2037"
        )
    else:
        assert root.rest("sntp-client", "server")[:2] == ("primary", "192.168.5.1")
        ip = root.one("context", "ip", "router")
        assert ip.one("interface").has("ipaddress", "192.168.5.250", "255.255.254.0")
        assert ip.has("route", "0.0.0.0", "0.0.0.0", "192.168.5.254", "0")
        assert " ".join(rule[1:]) == (
            "+02:00 from 02:00 mar last sunday until 03:00 oct last sunday"
        )
    voip = root.one("profile", "voip")
    codecs = [n.words[2] for n in voip.all("codec")]
    names = ["g711alaw64k", "g711ulaw64k", "g729"]
    assert codecs == ([names[2], *names[:2]] if proxy else names)
    assert patton.switch.has("national-prefix", "0")
    assert patton.switch.has("international-prefix", "00")
    assert patton.switch.has("no", "shutdown")
    location = ("location", "1", "tftp://192.168.5.1/$(system.mac).cfg")
    assert root.one("profile", "provisioning").has(*location)
    for interface in patton.sip_interfaces():
        peer = PROXY if proxy else "192.168.5.1"
        secure = trinity and proxy
        assert interface.has("remote", peer, "5061" if secure else "5060")
    for kind, word in (("isdn", "bri"), ("pri", "e1t1")):
        if getattr(model, kind):
            clocks = [n.words[2:] for n in patton.system.all("clock-source")]  # type: ignore[union-attr]
            assert clocks == [(word, "0", str(i)) for i in range(getattr(model, kind))]


@patton_models
def test_without_a_proxy_every_trunk_is_reached_at_5060(model: GatewayModel) -> None:
    patton = PattonText(render_gateway(gateway(model), WHEN))
    (interface,) = patton.sip_interfaces()
    gateway_name = interface.rest("bind", "context", "sip-gateway")[0]
    transport, port = patton.listener(gateway_name)
    assert (transport, port) == ("udp+tcp" if patton.trinity else "udp", 5060)
    assert len(patton.stripped()) == model.isdn + model.pri + model.fxo
    assert len(patton.extensions()) == model.fxs


@patton_models
def test_behind_a_proxy_every_trunk_has_a_listener(model: GatewayModel) -> None:
    patton = PattonText(render_gateway(gateway(model, PROXY), WHEN))
    trunks = model.isdn + model.pri + model.fxo
    listeners = [
        patton.listener(i.rest("bind", "context", "sip-gateway")[0])
        for i in patton.sip_interfaces()
    ]
    first, transport = (5061, "tls") if patton.trinity else (5060, "udp")
    count = trunks + bool(model.fxs)
    assert listeners == [(transport, first + 2 * i) for i in range(count)]
    for interface in patton.sip_interfaces():
        if interface.words[2] == "SIP_FXS":
            continue
        (user,) = patton.identities(interface.words[2])
        start = ("address-translation", "outgoing-call")
        assert interface.rest(*start, "from-header", "user-part", "fix")[0] == user
        # Without it the PBX sees no caller number.
        assert interface.rest(*start, "identity-header", "user-part")[0] == "call"
    if patton.trinity:
        assert patton.root.one("profile", "voip").has("srtp", "transmission", "preferred")
        for location in patton.root.all("location-service"):
            registration = location.one("identity").one("registration", "outbound")
            assert registration.has("registrar", "192.168.5.1", "5061")
            assert registration.has("force-destination", "manual", PROXY, "5061")
            assert registration.has("proxy", "1", PROXY, "5061")


@patton_models
def test_unused_patton_ports_are_shut(model: GatewayModel) -> None:
    patton = PattonText(render_gateway(some(gateway(model), lambda i: False), WHEN))
    ports = [n for n in patton.root.all("port") if n.words[1] != "ethernet"]
    assert all(n.has("shutdown") and not n.has("no", "shutdown") for n in ports)
    words = {"isdn": "bri", "pri": "e1t1", "fxo": "fxo", "fxs": "fxs"}
    counts = Counter(n.words[1] for n in ports)
    spare = {"isdn": model.spare_isdn, "pri": model.spare_pri}
    assert counts == {
        words[kind]: model.ports(kind) + spare.get(kind, 0)
        for kind in PORT_KINDS
        if model.ports(kind)
    }
    assert patton.sip_interfaces() == []
    sockets = list(patton.root.all("port", "ethernet"))
    assert [n.has("no", "shutdown") for n in sockets] == [True] + [False] * (
        model.ethernet_ports - 1
    )


@pytest.mark.parametrize("model", [m for m in PATTON if m.fxo], ids=lambda m: m.model)
def test_lines_that_hang_up_or_are_busy(model: GatewayModel) -> None:
    """Lesson 28: disconnect signals, busy hunt group, no ringing while dialling, congestion."""
    patton = PattonText(render_gateway(gateway(model), WHEN))
    trinity = patton.trinity
    for n in range(1, model.fxo + 1):
        interface = patton.switch.one("interface", "fxo", f"FXO_{n}")
        where = patton.root.one("profile", "fxo", "DEFAULT") if trinity else interface
        signals = {node.words[1] for node in where.all("disconnect-signal")}
        reversal = "polarity-reversal" if trinity else "battery-reversal"
        assert signals == {"loop-break", "busy-tone", reversal}
        assert interface.has("mute-dialing") != trinity
        causes = patton.switch.one("service", "hunt-group", f"OUT_FXO_{n}").all("drop-cause")
        assert "user-busy" in {node.words[1] for node in causes}
    name = "defaultCongestiontone" if trinity else "TONE_CONGESTION"
    tone = patton.root.one("profile", "call-progress-tone", name)
    assert [node.words[2] for node in tone.children] == ["200", "200"]
    assert tone.children[0].words[3] == "425"
    if not trinity:
        assert patton.root.one("profile", "sip").has(
            "map", "cause", "to-sip", "user-busy", "to", "502"
        )


def test_trinity_is_another_language_than_smartware() -> None:
    """Lesson 29: what one device reads is an error to the other."""
    trinity = render_gateway(gateway(model_of("TRI_ISDN_2")), WHEN)
    smartware = render_gateway(gateway(model_of("4554")), WHEN)
    for words in ("context cs SWITCH", "context ip ROUTER", "bind interface SWITCH BRI_1"):
        assert words in trinity
        assert words not in smartware
    for words in ("context cs switch", "context ip router", "bind interface BRI_1 switch"):
        assert words in smartware
        assert words not in trinity
    # Point to multipoint is what SmartWare does unless told; Trinity is told.
    assert "protocol pmp" in trinity
    assert "protocol pmp" not in smartware


def test_names_need_a_name_server() -> None:
    model = model_of("4554")
    assert "dns-client" not in render_gateway(gateway(model), WHEN)
    text = render_gateway(gateway(model, pbx="pbx.example.org"), WHEN)
    assert "dns-client server 192.168.5.254\n" in text
    assert "remote pbx.example.org 5060\n" in text
    assert "dns-client server 9.9.9.9\n" in render_gateway(
        gateway(model, PROXY, dns="9.9.9.9"), WHEN
    )


def test_telnet_can_be_shut() -> None:
    model = model_of("TRI_PRI_1")
    for telnet in (True, False):
        server = PattonText(render_gateway(gateway(model, telnet=telnet), WHEN)).root.one(
            "telnet-server"
        )
        assert server.has("no", "shutdown") == telnet
        assert server.has("shutdown") != telnet
        vega = VegaText(render_gateway(gateway(model_of("Vega_60_2isdn"), telnet=telnet), WHEN))
        assert vega.values["telnet.enable"] == str(int(telnet))


# ---------------------------------------------------------------- Sangoma

vega_models = pytest.mark.parametrize(
    "model", [m for m in MODELS if m.family is Family.VEGA], ids=lambda model: model.model
)


@vega_models
@every_mode
def test_vega_facts(model: GatewayModel, proxy: str) -> None:
    vega = VegaText(render_gateway(gateway(model, proxy), WHEN))
    values = vega.values
    assert values["lan.if.1.ip"] == "192.168.5.250"
    assert values["lan.if.1.subnet"] == "255.255.254.0"
    assert values["lan.if.1.use_dhcp"] == "0"
    assert values["lan.gateway.ip"] == "192.168.5.254"
    assert values["dns.1.ip"] == "192.168.5.254"
    assert values["tftp.ip"] == values["ntp.ip"] == "192.168.5.1"
    assert values["_advanced.autoexec.scriptfile1"] == "%mscript.txt"
    assert values["sip.local_rx_port"] == "5060"
    assert values["sip.accept_non_proxy_invites"] == "0"
    assert values["sip.reg_enable"] == ("1" if proxy or model.fxs else "0")
    assert values["systime.local_offset"] == values["systime.dst_offset"] == "0100"
    assert values["systime.dst_end.mon"] == "Oct"
    assert values["systime.dst_end.day_instance"] == "Last"
    codecs = [cap["codec"] for cap in vega.entries("media.cap").values()]
    assert codecs == (
        ["g729", "g711Alaw64k", "g711Ulaw64k"] if proxy else ["g711Alaw64k", "g711Ulaw64k", "g729"]
    )
    assert values["media.capset.1.caps"] == "1,2,3"
    profiles = vega.entries("sip.profile")
    mixed = model.fxo and model.fxs
    assert [p["interface"] for p in profiles.values()] == ["9901", "9902"][: 2 if mixed else 1]
    for profile in profiles.values():
        assert profile["reg_domain"] == "192.168.5.1"
        assert (
            profile["proxy.1.ipname"] == profile["registrar.1.ipname"] == (proxy or "192.168.5.1")
        )
        assert profile["dtmf_transport"].startswith("rfc2833")
        assert profile["capset"] == "1"
    assert "17" in values["planner.group.99.cause"].split(",") or not (model.fxo or model.fxs)
    if model.fxo:
        assert values["_advanced.pots.fxo.1.tone_detect"] == "1"
        assert values["_advanced.pots.fxo.1.impedance"] == "CTR21"


@vega_models
def test_unused_vega_ports_are_off(model: GatewayModel) -> None:
    vega = VegaText(render_gateway(some(gateway(model), lambda i: False), WHEN))
    assert vega.entries("sip.auth.user") == vega.entries("sip.reg.user") == {}
    assert vega.plans() == []
    for path, off, count in (
        ("bri.port", "off", model.isdn),
        ("e1t1.port", "off", model.pri + model.spare_pri),
        ("pots.port", "0", model.fxo + model.fxs),
    ):
        assert [port["enable"] for port in vega.entries(path).values()] == [off] * count


def test_the_version_of_a_vega_file_changes_with_its_statements_only() -> None:
    config = gateway(model_of("Vega_60_4fxo"))

    def version(config: GatewayConfig, when: datetime) -> str:
        (found,) = re.findall(
            r"^; CONFIGVERSION:nethvoice:([0-9a-f]{16})$", render_gateway(config, when), re.M
        )
        return str(found)

    assert version(config, WHEN) == version(config, datetime(2030, 1, 1))
    fxo = (replace(config.fxo[0], secret="Another"), *config.fxo[1:])  # type: ignore[type-var]
    assert version(config, WHEN) != version(replace(config, fxo=fxo), WHEN)


def test_vega_script() -> None:
    files = gateway_files(gateway(model_of("Vega_60_4fxo")), WHEN)
    assert list(files) == ["00A0BA0B1CDAconfig.txt", "00A0BA0B1CDAscript.txt"]
    script = files["00A0BA0B1CDAscript.txt"]
    assert script == b"get %mconfig.txt ifdiff save rebootifneededwhenidle apply\n"


# ---------------------------------------------------------------- Mediatrix


@pytest.mark.parametrize("name", ["M4401", "M4402", "M4404"])
@every_mode
def test_mediatrix_facts(name: str, proxy: str) -> None:
    model = model_of(name)
    dgw = DgwText(render_gateway(gateway(model, proxy), WHEN))
    values = dgw.values
    uplink = "Bni.NetworkInterfaces[InterfaceName=Uplink]."
    assert values[uplink + "StaticIpAddr"] == "192.168.5.250/23"
    assert (
        values[uplink + "StaticDefaultRouter"]
        == values["Hoc.StaticDefaultRouter"]
        == "192.168.5.254"
    )
    assert values["Hoc.StaticDnsServers[Priority=1].IpAddress"] == "192.168.5.254"
    assert values["Hoc.StaticSntpServerHost"] == "192.168.5.1:123"
    assert values["Hoc.StaticTimeZone"] == "STD-1DST-2,M3.5.0/02:00:00,M10.5.0/03:00:00"
    assert values["SipEp.DefaultStaticRegistrarServerHost"] == "192.168.5.1:0"
    assert values["SipEp.DefaultStaticProxyOutboundHost"] == (f"{PROXY}:5060" if proxy else "")
    assert values["Conf.ScriptSpecificFileName"] == "%mac%.cfg"
    assert values["Conf.ScriptsTransferSrvHostname"] == "192.168.5.1"
    assert values["TelIf.CountrySelection"] == "Italy1"
    assert [row["Port"] for row in dgw.rows("SipEp.Gateway").values()] == [
        str(5060 + i) for i in range(model.isdn)
    ]
    assert values["Mipt.DefaultCodecT38DataEnable"] == "Disable"
    assert values["Mipt.DefaultDtmfTransportMethod"] == "OutOfBandUsingRtp"
    assert values["CRout.AutoRoutingEnable"] == "Disable"
    assert values[uplink + "ConnectionType"] == "IpStatic"
    priority = {
        name: int(values[f"Mipt.DefaultCodec{name}VoicePriority"])
        for name in ("G711Alaw", "G711Mulaw", "G729")
    }
    order = sorted(priority, key=lambda codec: -priority[codec])
    assert order == (
        ["G729", "G711Alaw", "G711Mulaw"] if proxy else ["G711Alaw", "G711Mulaw", "G729"]
    )
    for service in ("EnableSnmpV1", "EnableSnmpV2", "EnableSnmpV3", "EnableTrap"):
        assert values[f"Snmp.{service}"] == "Disable"
    assert (values["Cli.EnableTelnet"], values["Web.HttpMode"]) == ("Disable", "Secure")


def test_unused_mediatrix_ports_are_locked() -> None:
    dgw = DgwText(render_gateway(some(gateway(model_of("M4404")), lambda i: i == 2), WHEN))
    states = {
        key: row["InitialAdminStateConfig"] for key, row in dgw.rows("EpAdm.Endpoint").items()
    }
    assert states == {"Bri1": "Locked", "Bri2": "Locked", "Bri3": "Unlocked", "Bri4": "Locked"}
    assert dgw.values["MbXgw.ClockReference"] == "Bri3"
    assert dgw.inserted["Route"] == 2


# ---------------------------------------------------------------- Grandstream

GRANDSTREAM = [m for m in MODELS if m.family is Family.GRANDSTREAM]
grandstream_models = pytest.mark.parametrize("model", GRANDSTREAM, ids=lambda model: model.model)


@grandstream_models
@every_mode
def test_grandstream_facts(model: GatewayModel, proxy: str) -> None:
    text = render_gateway(gateway(model, proxy), WHEN)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    assert "<mac>00a0ba0b1cda</mac>" in text
    values = grandstream_values(text)
    assert ".".join(values[n] for n in range(8, 25)) == (
        "1.192.168.5.250.255.255.254.0.192.168.5.254.192.168.5.254"
    )
    assert values[30] == values[237] == "192.168.5.1"
    own = model.variant == "ht80x"
    columns = [(47, 48, 130, 183, 40, 57, 850, 79, 228)]
    if own and model.fxs == 2:
        columns.append((747, 748, 830, 443, 740, 757, 860, 779, 710))
    port = "5061" if model.tls else "5060"
    for i, column in enumerate(columns):
        server, outbound, transport, srtp, local, codec, dtmf, payload, fax = column
        assert values[server] == "192.168.5.1" + (":5061" if model.tls and not proxy else "")
        assert values[outbound] == (f"{PROXY}:{port}" if proxy else "")
        assert values[transport] == values[srtp] == ("2" if model.tls else "0")
        assert values[local] == str(int(port) + 2 * i)
        order = ["18", "8", "0"] if proxy else ["8", "0", "18"]
        assert [values[codec + n] for n in range(6)] == order + [order[-1]] * 3
        assert [values[dtmf + n] for n in range(3)] == ["101", "102", "100"]
        assert (values[payload], values[fax]) == ("101", "1")
    gxw = model.variant == "gxw42xx"
    assert values[64] == ("customize" if gxw else "CET-1CEST-2,M3.5.0/02:00:00,M10.5.0/03:00:00")
    assert values.get(246) == ("CET-1CEST-2,M3.5.0,M10.5.0" if gxw else None)
    assert (values[854], values[853]) == ("7" if gxw else "4", "1")
    assert values[4000] == "f1=425@-12,f2=425@-12,c=200/200-600/1000;"
    assert values[4001] == "f1=425@-20,f2=425@-20,c=1000/4000;"
    assert values[4002] == "f1=425@-20,f2=425@-20,c=500/500;"
    assert values[4003] == "f1=425@-20,f2=425@-20,c=200/200;"
    assert values[4040] == "c=1000/4000;"
    # By TFTP, no DHCP option over it, no firmware from elsewhere.
    assert (values[212], values[145], values[238]) == ("0", "0", "2")
    assert values[4200].startswith("{")
    assert (values[1409], values[21896], values[276], values[277]) == ("0", "0", "1", "1")
    if not own:
        assert [values[n] for n in (271, 401, 501, 601)] == ["1", "0", "0", "0"]
    # Serial numbers, hashes and keys of the exported device that the original's files carry.
    assert not values.keys() & {8206, 8203, 8207, 8208, 8214, 4509, 8201, 8212, 8213}


@grandstream_models
def test_a_phone_that_is_taken_away_is_written_as_taken_away(model: GatewayModel) -> None:
    """Lesson 54: a device keeps what a file does not mention."""
    full = grandstream_values(render_gateway(gateway(model), WHEN))
    empty = grandstream_values(render_gateway(some(gateway(model), lambda i: False), WHEN))
    assert empty.keys() == full.keys()
    assert grandstream_ports(model, empty) == []
    assert "Secretfxs" not in " ".join(empty.values())


@grandstream_models
def test_plain_and_tls_differ_in_transport_only(model: GatewayModel) -> None:
    if model.tls:
        return
    secure = model_of(model.model + "TLS")
    for proxy in ("", PROXY):
        plain = grandstream_values(render_gateway(gateway(model, proxy), WHEN))
        tls = grandstream_values(render_gateway(gateway(secure, proxy), WHEN))
        assert plain.keys() == tls.keys()
        changed = {n for n in plain if plain[n] != tls[n]}
        assert changed <= {47, 48, 130, 183, 40, 747, 748, 830, 443, 740}
        assert {130, 183, 40} <= changed


def test_more_than_nine_ports_are_not_mixed_up() -> None:
    """Lesson 30: the original put the value of port 1 into the name of port 10."""
    model = model_of("gxw4248")
    ports = read_ports(model, render_gateway(gateway(model), WHEN))
    assert [(p.index, p.user, p.secret) for p in ports] == [
        (i, f"91{200 + i}", f"Secretfxs{i:02d}") for i in range(48)
    ]
    model = model_of("4661fxs4_fxo4_isdn4")
    patton = PattonText(render_gateway(gateway(model), WHEN))
    assert patton.stripped()["20001"] == "BRI_1"
    config = gateway(model, isdn=(replace(trunk(model, "isdn", 0, 0), number="2000"),))
    with_prefix = PattonText(render_gateway(config, WHEN))
    assert with_prefix.stripped()["2000"] == "BRI_1"


# ---------------------------------------------------------------- values that could break out

ONE_OF_EACH = ["4118fxs_fxo", "TRI_ISDN_4", "Vega_50_4fxs_2fxo", "M4402", "ht802", "gxw4216TLS"]


def with_secret(model: GatewayModel, secret: str) -> GatewayConfig:
    """A gateway whose first port of each kind has that secret."""
    config = gateway(model)
    return replace(
        config,
        **{
            kind: (replace(getattr(config, kind)[0], secret=secret), *getattr(config, kind)[1:])
            for kind in PORT_KINDS
            if model.ports(kind)
        },
    )


HOSTILE = [
    "a\nreload", "a\r\nreload", "a\x00b", "a\x1bb", "a\tb", "a\x85b", "a\u2028b", 'a"b', '"', "a;b",
    "a<b", "a&b", "a>b</P34><P2>x", "&lt;", "]]>", "a b", " a ", "#a", "a#", "!a", "$a",
    "$(dhcp.66)", "\\", "a\\1", "%s", "{{ 7*7 }}", "{% x %}", "{# x", "a'b", "`a`", "a|b", "a?b",
    "\u00e9\u00e8", "\U0001f600", "\ud800", "NULL", "password", "-a", "/a", "x" * 200,
]  # fmt: skip


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize("secret", HOSTILE, ids=ascii)
def test_a_secret_is_read_back_as_it_is_or_refused(name: str, secret: str) -> None:
    model = model_of(name)
    problem = None
    try:
        config = with_secret(model, secret)
        text = render_gateway(config, WHEN)
    except Unrenderable as error:
        problem = error
    if problem is None:
        assert read_ports(model, text) == expected(config)
    else:
        assert problem.status == 422
        assert problem.detail.startswith("The secret of port ")
        assert len(secret) == 1 or secret == "NULL" or secret not in problem.detail


@pytest.mark.parametrize("secret", ["a\nb", "a\x00b", "", "\ud800"])
@every_model
def test_no_language_takes_control_characters(model: GatewayModel, secret: str) -> None:
    with pytest.raises(Unrenderable, match="control characters"):
        with_secret(model, secret)


def test_xml_takes_what_the_lines_refuse() -> None:
    secret = "a\"b<c>&d'\u00e9"
    model = model_of("ht801")
    text = render_gateway(with_secret(model, secret), WHEN)
    assert "&lt;c&gt;&amp;d" in text
    assert "&#233;" in text
    assert grandstream_values(text)[34] == secret
    for name in ("TRI_ISDN_1", "4112fxs", "Vega_60_2isdn", "M4401"):
        with pytest.raises(Unrenderable, match="secret of port"):
            render_gateway(with_secret(model_of(name), secret), WHEN)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=40), st.sampled_from(ONE_OF_EACH))
def test_any_secret_is_read_back_as_it_is_or_refused(secret: str, name: str) -> None:
    model = model_of(name)
    try:
        config = with_secret(model, secret)
        text = render_gateway(config, WHEN)
    except Unrenderable:
        return
    assert text.isascii()
    assert read_ports(model, text) == expected(config)


@settings(deadline=None, max_examples=60)
@given(
    st.text(alphabet=st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
    st.sampled_from(MODELS),
)
def test_generated_secrets_are_never_refused(secret: str, model: GatewayModel) -> None:
    if secret == "NULL" and model.family is Family.VEGA:
        return
    config = with_secret(model, secret)
    assert read_ports(model, render_gateway(config, WHEN)) == expected(config)


def port(**changes: Any) -> TrunkPort:
    return TrunkPort(**{"number": "1", "name": "n", "secret": "s"} | changes)


REFUSED_FIELDS: list[tuple[str, Any, str]] = [
    ("mac", "00:A0:BA:0B:1C", "mac"),
    ("mac", "../../etc/passwd", "mac"),
    ("address", "", "ipv4_new"),
    ("address", "192.168.5.250\n", "ipv4_new"),
    ("address", "192.168.5.256", "ipv4_new"),
    ("address", "fe80::1", "ipv4_new"),
    ("netmask", "", "netmask_green"),
    ("netmask", "255.0.255.0", "netmask_green"),
    ("netmask", "0.0.0.255", "netmask_green"),
    ("netmask", "24", "netmask_green"),
    ("netmask", "0.0.0.0", "netmask_green"),
    ("default_gateway", "gateway.example.org", "gateway"),
    ("pbx", "", "ipv4_green"),
    ("pbx", "pbx example", "ipv4_green"),
    ("pbx", "pbx\nreload", "ipv4_green"),
    ("pbx", "192.168.5", "ipv4_green"),
    ("pbx", '"', "ipv4_green"),
    ("pbx", "-x", "ipv4_green"),
    ("proxy", "sip:", "proxy"),
    ("proxy", "a b", "proxy"),
    ("proxy", "<x>", "proxy"),
    ("dns", "x", "dns"),
    ("ntp", "a;b", "ntp"),
    ("codecs", ("alaw", "opus"), "codecs"),
    ("codecs", ("alaw", "alaw"), "codecs"),
    ("country_code", "XX", "country"),
    ("zone_name", "Europe/Roma", "time zone"),
    ("admin_password", "a\nb", "administrator"),
    ("isdn", (port(number="2 0001"),), "trunk number of port BRI 1"),
    ("isdn", (port(number=""),), "trunk number of port BRI 1"),
    ("isdn", (port(number="\u0662"),), "trunk number of port BRI 1"),
    ("isdn", (port(name="a b"),), "trunk name of port BRI 1"),
    ("isdn", (None, port(name="")), "trunk name of port BRI 2"),
    ("isdn", (port(protocol="x"),), "protocol of port BRI 1"),
    ("isdn", (port(secret=""),), "secret of port BRI 1"),
    ("isdn", (port(), port(name="b")), "twice"),
    ("fxo", (port(line_number="0;reload"),), "line number of port FXO 1"),
    ("fxo", (port(line_number="0\n1"),), "line number of port FXO 1"),
    ("fxo", (port(line_number="0<1>"),), "line number of port FXO 1"),
    ("fxs", (PhonePort(extension="20x", secret="s"),), "extension of port FXS 1"),
    ("fxs", (PhonePort(extension="", secret="s"),), "extension of port FXS 1"),
]


@pytest.mark.parametrize(("field", "value", "named"), REFUSED_FIELDS)
def test_fields_that_are_no_addresses_or_numbers_are_named(
    field: str, value: Any, named: str
) -> None:
    with pytest.raises(Unrenderable) as caught:
        gateway(model_of("4661fxs2_fxo2_isdn2"), **{field: value})
    assert caught.value.status == 422
    assert named in caught.value.detail


def test_line_numbers_may_have_the_keys_of_a_telephone() -> None:
    for name in ("4112fxo", "TRI_FXO_2", "Vega_60_4fxo"):
        model = model_of(name)
        config = gateway(model)
        fxo = (replace(config.fxo[0], line_number="+39*0721#"), *config.fxo[1:])  # type: ignore[type-var]
        ports = read_ports(model, render_gateway(replace(config, fxo=fxo), WHEN))
        assert ports[0].line_number == "+39*0721#"


def test_secrets_are_not_shown() -> None:
    config = gateway(model_of("4661fxs2_fxo2_isdn2"), admin_password="Sesame1")
    assert "Secret" not in repr(config)
    assert "Sesame1" not in repr(config)
    assert "Secret" not in repr(config.ports())


# ---------------------------------------------------------------- passwords, proxies, names


@every_model
def test_the_password_of_the_device_is_left_alone_unless_one_is_set(model: GatewayModel) -> None:
    plain = render_gateway(gateway(model), WHEN)
    changed = render_gateway(gateway(model, admin_password="Sesame 1!"), WHEN)
    assert not re.search(r"^administrator |^Aaa\.|<P2>|method \d", plain, re.MULTILINE)
    assert (changed != plain) == sets_admin_password(model) == ("Sesame 1!" in changed)
    if model.family is Family.SMARTWARE:
        root = PattonText(changed).root
        assert root.rest("administrator", "admin", "password") == ("Sesame 1!",)
        assert [n.words for n in root.one("profile", "aaa", "default").children] == [
            ("method", "1", "local")
        ]
    if model.family is Family.MEDIATRIX:
        assert DgwText(changed).values["Aaa.Users[UserName=admin].Password"] == "Sesame 1!"
    if model.family is Family.GRANDSTREAM:
        assert grandstream_values(changed)[2] == "Sesame 1!"


def test_a_password_that_the_language_cannot_hold_is_refused() -> None:
    for name in ("4554", "M4401"):
        with pytest.raises(Unrenderable, match="administrator's password may not have any of"):
            render_gateway(gateway(model_of(name), admin_password='a"b'), WHEN)


@pytest.mark.parametrize(
    ("stored", "host"),
    [
        ("", ""),
        ("proxy.example.org", "proxy.example.org"),
        ("sip:10.5.4.1:5060;lr", "10.5.4.1"),
        ("sip:10.5.4.1:5060", "10.5.4.1"),
        ("sips:proxy.example.org;lr", "proxy.example.org"),
    ],
)
def test_proxies_as_older_rows_have_them(stored: str, host: str) -> None:
    config = gateway(model_of("ht801"), stored)
    assert config.proxy_host == host
    assert config.mode == ("registered" if stored else "direct")
    values = grandstream_values(render_gateway(config, WHEN))
    assert values[48] == (f"{host}:5060" if stored else "")


@pytest.mark.parametrize(
    ("manufacturer", "mac", "names"),
    [
        ("Patton", "00:a0:ba:0b:1c:da", ("00A0BA0B1CDA.cfg",)),
        ("Mediatrix", "0090F80B1CDA", ("0090F80B1CDA.cfg",)),
        ("Sangoma", "00-50-58-0B-1C-DA", ("0050580B1CDAconfig.txt", "0050580B1CDAscript.txt")),
        ("Grandstream", "00:0B:82:0B:1C:DA", ("000B820B1CDA.cfg", "cfg000b820b1cda.xml")),
        ("grandstream", "", (f"{NO_MAC}.cfg", "cfgaaaaaaaaaaaa.xml")),
        ("Patton", "", (f"{NO_MAC}.cfg",)),
        ("Sangoma", "", (f"{NO_MAC}config.txt", f"{NO_MAC}script.txt")),
    ],
)
def test_file_names(manufacturer: str, mac: str, names: tuple[str, ...]) -> None:
    assert file_names(manufacturer, mac) == names


@pytest.mark.parametrize(
    "mac", ["../../../etc/x", "00A0BA0B1CDA/..", "00A0BA0B1C", "00A0BA0B1CDA.cfg", "x"]
)
def test_only_an_address_becomes_a_file_name(mac: str) -> None:
    with pytest.raises(ValueError, match="not a MAC address"):
        file_names("Patton", mac)


@every_model
def test_files_are_what_is_rendered(model: GatewayModel) -> None:
    config = gateway(model)
    files = gateway_files(config, WHEN)
    assert tuple(files) == file_names(model.manufacturer, config.mac)
    text = render_gateway(config, WHEN).encode("ascii")
    if model.family is Family.VEGA:
        assert files["00A0BA0B1CDAconfig.txt"] == text
    else:
        assert set(files.values()) == {text}


@every_model
def test_other_codecs_zones_and_servers(model: GatewayModel) -> None:
    config = gateway(model, codecs=("ulaw",), zone_name="Asia/Kolkata", ntp="ntp.example.org")
    text = render_gateway(config, WHEN)
    assert read_ports(model, text) == expected(config)
    assert "ntp.example.org" in text
    match model.family:
        case Family.SMARTWARE | Family.TRINITY:
            assert "clock local default-offset +05:30\n" in text
            assert "dst-rule" not in text
            assert re.findall(r"codec \d .*", text) == [
                "codec 1 g711ulaw64k rx-length 20 tx-length 20"
            ]
        case Family.VEGA:
            assert 'systime.local_offset="0530"' in text
            assert 'logger.DST_adjust="0"' in text
            assert re.findall(r'cap\.\d\.codec="(.*)"', text) == ["g711Ulaw64k"]
        case Family.MEDIATRIX:
            assert 'StaticTimeZone="STD-5:30"' in text
            assert 'DefaultCodecG711AlawVoiceEnable="Disable"' in text
        case Family.GRANDSTREAM:
            assert "IST-5:30" in text
            assert "<P57>0</P57>" in text
            assert "<P98>0</P98>" in text


# ---------------------------------------------------------------- the formats themselves


@pytest.mark.parametrize("format_", list(Format))
def test_a_template_prints_words_unless_it_quotes(format_: Format) -> None:
    def text(source: str, **variables: Any) -> str:
        return environment(format_).from_string(source).render(variables)

    assert text("{{ a }} {{ b }}", a="x-1", b=7) == "x-1 7"
    for nothing in (None, True, 1.5, ["x"]):
        with pytest.raises(TypeError):
            text("{{ a }}", a=nothing)
    for source in (
        "{{ a }}",
        "{{ a.b }}",
        "{{ a | quoted }}",
        "{% for x in a %}{% endfor %}",
        "{% if a %}{% endif %}",
    ):
        with pytest.raises(jinja2.UndefinedError):
            text(source)
    if format_ is not Format.XML:
        for value in ("a b", "a\nb", "a;b", "<a>", "", "\u00e9", '"'):
            with pytest.raises(Unrenderable):
                text("{{ a }}", a=value)
        # What a macro printed has been escaped for HTML where it is joined to other text.
        with pytest.raises(TypeError):
            text("{% macro m() %}a{% endmacro %}{{ (m() ~ '<1>') | quoted }}")


def test_quoting_rules() -> None:
    assert quote(Format.PATTON, "word") == "word"
    assert quote(Format.PATTON, "two words; #1") == '"two words; #1"'
    assert quote(Format.PATTON, "") == '""'
    assert quote(Format.VEGA, "a&b") == '"a&b"'
    assert quote(Format.VEGA, "") == '"NULL"'
    assert quote(Format.DGW, r"\1") == r'"\\1"'
    assert quote(Format.XML, "<&>") == "&lt;&amp;&gt;"


def test_models_have_templates() -> None:
    assert {model.family for model in MODELS} == set(Family)
    assert find_model("Patton", "4554") is model_of("4554")
