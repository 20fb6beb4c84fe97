"""Readers of rendered gateway configurations, one for each language.

They know the languages from their descriptions, not from our templates: what a device would do with
a file is what `read_ports` finds in it. A port is read back as a `Found`; an account or route that
leads nowhere makes reading fail.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

from provisioning.gateway_models import Family, GatewayModel


@dataclass(frozen=True)
class Found:
    """What a configuration says about one port; "" where it says nothing."""

    kind: str
    index: int
    user: str = ""
    secret: str = ""
    number: str = ""
    line_number: str = ""
    protocol: str = ""
    registers: bool = False


def read_ports(model: GatewayModel, text: str) -> list[Found]:
    """Every port that the text switches on, in the order isdn, pri, fxo, fxs."""
    readers = {
        Family.SMARTWARE: lambda: PattonText(text).ports(),
        Family.TRINITY: lambda: PattonText(text).ports(),
        Family.VEGA: lambda: VegaText(text).ports(),
        Family.MEDIATRIX: lambda: DgwText(text).ports(),
        Family.GRANDSTREAM: lambda: grandstream_ports(model, grandstream_values(text)),
    }
    kinds = ["isdn", "pri", "fxo", "fxs"]
    return sorted(readers[model.family](), key=lambda port: (kinds.index(port.kind), port.index))


# ---------------------------------------------------------------- Patton


@dataclass
class Node:
    """A statement and the statements below it."""

    words: tuple[str, ...]
    children: list["Node"] = field(default_factory=list)

    def all(self, *words: str) -> Iterator["Node"]:
        """The statements below this one that begin with these words."""
        return (child for child in self.children if child.words[: len(words)] == words)

    def one(self, *words: str) -> "Node":
        found = list(self.all(*words))
        assert len(found) == 1, (self.words, words, len(found))
        return found[0]

    def rest(self, *words: str) -> tuple[str, ...]:
        """The words after these in the one statement that begins with them."""
        return self.one(*words).words[len(words) :]

    def has(self, *words: str) -> bool:
        return any(child.words == words for child in self.children)


def _words(line: str) -> tuple[str, ...]:
    found = re.findall(r'"([^"]*)"|(\S+)', line)
    assert " ".join(b or f'"{a}"' for a, b in found) == line.strip(), line
    return tuple(b or a for a, b in found)


class PattonText:
    """A configuration of SmartWare or Trinity; contexts are told by their indentation."""

    def __init__(self, text: str) -> None:
        self.root = Node(())
        stack: list[tuple[int, Node]] = [(-1, self.root)]
        for line in text.splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            indent = len(line) - len(line.lstrip(" "))
            while stack[-1][0] >= indent:
                stack.pop()
            parent, words = stack[-1][1], _words(line)
            # A context that is opened again is the same context.
            node = next((c for c in parent.children if indent == 0 and c.words == words), None)
            if node is None:
                node = Node(words)
                parent.children.append(node)
            stack.append((indent, node))
        self.trinity = self.root.has("cli", "version", "4.00")
        self.switch = self.root.one("context", "cs")
        self.names: dict[str, set[str]] = {
            "dest-interface": {n.words[2] for n in self.switch.all("interface")},
            "dest-table": {n.words[2] for n in self.switch.all("routing-table")},
            "dest-service": {n.words[2] for n in self.switch.all("service")},
            "map": {n.words[4] for n in self.switch.all("mapping-table")},
            "gateway": {n.words[2] for n in self.root.all("context", "sip-gateway")},
            "location": {n.words[1] for n in self.root.all("location-service")},
            "authentication": {n.words[1] for n in self.root.all("authentication-service")},
        }

    def check_references(self) -> None:
        """Every name that is used is defined, as an object of the kind that the keyword says."""
        for context in self.switch.children:
            for child in context.children:
                words = child.words
                for keyword in ("dest-interface", "dest-table", "dest-service"):
                    if keyword in words:
                        place = words.index(keyword)
                        assert words[place + 1] in self.names[keyword], words
                        if len(words) > place + 2:
                            assert words[place + 2] in self.names["map"], words
        gateways = [n.rest("bind", "context", "sip-gateway")[0] for n in self.sip_interfaces()]
        assert sorted(gateways) == sorted(self.names["gateway"])
        assert len(self.names["location"]) == len(gateways)
        listeners = [self.listener(name)[1] for name in gateways]
        assert len(set(listeners)) == len(listeners)
        for node in self.root.all("context", "sip-gateway"):
            assert node.rest("bind", "location-service")[0] in self.names["location"]
            assert node.has("no", "shutdown")
        for profile in self.root.all("profile", "tone-set", "default"):
            tones = {n.words[2] for n in self.root.all("profile", "call-progress-tone")}
            assert {n.words[3] for n in profile.all("map")} == tones
            assert len(list(profile.all("map"))) == 5
        ethernet = self.root.one("port", "ethernet", "0", "0")
        bind = ethernet.rest("bind", "interface")
        assert bind == (("ROUTER", "WAN") if self.trinity else ("WAN", "router"))
        clocks = [n.words[1] for n in self.system.all("clock-source")] if self.system else []
        assert len(set(clocks)) == len(clocks)

    @property
    def system(self) -> Node | None:
        return next(self.root.all("system"), None)

    def sip_interfaces(self) -> list[Node]:
        return list(self.switch.all("interface", "sip"))

    def listener(self, gateway: str) -> tuple[str, int]:
        """Transport and port of a SIP gateway."""
        interface = self.root.one("context", "sip-gateway", gateway).one("interface")
        if not self.trinity:
            return "udp", int(interface.one("bind", "interface").words[-1])
        assert interface.rest("bind", "ipaddress")[0] == "ROUTER"
        transport = interface.one("transport-protocol").words
        assert interface.has("no", "transport-protocol", "udp+tcp") == (transport[1] == "tls")
        return transport[1], int(transport[2])

    def table(self, name: str) -> list[tuple[str, ...]]:
        return [n.words[1:] for n in self.switch.one("routing-table", "called-e164", name).children]

    def stripped(self) -> dict[str, str]:
        """Dialled prefix to the interface behind it, services followed; the map must strip it."""
        prefixes: dict[str, str] = {}
        for interface in self.sip_interfaces():
            for route in self.table(interface.rest("route", "call", "dest-table")[0]):
                if route[0].endswith(".%"):
                    number = route[0].removesuffix(".%")
                    target = route[2]
                    if route[1] == "dest-service":
                        service = self.switch.one("service", "hunt-group", target)
                        assert len(list(service.all("drop-cause"))) == 9
                        target = service.rest("route", "call", "1", "dest-interface")[0]
                    strip = self.switch.one(
                        "mapping-table", "called-e164", "to", "called-e164", route[3]
                    )
                    assert strip.has("map", f"{number}(.%)", "to", r"\1")
                    assert prefixes.setdefault(number, target) == target
        return prefixes

    def extensions(self) -> dict[str, str]:
        """Extension to the interface that it rings at."""
        return {
            route[0]: route[2]
            for interface in self.sip_interfaces()
            for route in self.table(interface.rest("route", "call", "dest-table")[0])
            if route[0].isdigit()
        }

    def way_out(self, interface: Node) -> tuple[str, str]:
        """The SIP interface that calls from a port go to, and the DID that they get."""
        route = interface.rest("route", "call")
        if route[0] == "dest-interface":
            return route[1], ""
        (entry,) = self.table(route[1])
        assert entry[1] == "dest-interface"
        did = ""
        if len(entry) > 3:
            table = self.switch.one("mapping-table", "called-e164", "to", "called-e164", entry[3])
            did = table.rest("map", "default", "to")[0]
        return entry[2], did

    def account(self, sip_interface: str, user: str) -> tuple[str, bool]:
        """Secret of a user, and whether it registers, found from the SIP interface on."""
        interface = self.switch.one("interface", "sip", sip_interface)
        gateway = interface.rest("bind", "context", "sip-gateway")[0]
        location = self.root.one("context", "sip-gateway", gateway).rest("bind", "location-service")
        identity = self.root.one("location-service", *location).one("identity", user)
        outbound = identity.one("authentication", "outbound")
        service, _, name = outbound.rest("authenticate", "1", "authentication-service")
        assert name == user
        accounts = self.root.one("authentication-service", service)
        (words,) = [n.words for n in accounts.all("username", user)]
        registers = False
        for registration in identity.all("registration", "outbound"):
            registers = registration.has("register", "auto")
            peer = interface.rest("remote")
            domain = self.root.one("location-service", *location).rest("domain", "1")[0]
            assert registration.rest("registrar") == (domain, peer[1])
            if peer[0] != domain:
                assert registration.rest("proxy", "1")[0] == peer[0]
        return words[3], registers

    def identities(self, sip_interface: str) -> list[str]:
        interface = self.switch.one("interface", "sip", sip_interface)
        gateway = interface.rest("bind", "context", "sip-gateway")[0]
        location = self.root.one("context", "sip-gateway", gateway).rest("bind", "location-service")
        return [n.words[1] for n in self.root.one("location-service", *location).all("identity")]

    def ports(self) -> list[Found]:
        found = []
        kinds = {"bri": "isdn", "e1t1": "pri", "fxo": "fxo", "fxs": "fxs"}
        prefixes = {target: number for number, target in self.stripped().items()}
        extensions = {target: user for user, target in self.extensions().items()}
        for port in self.root.all("port"):
            if port.words[1] == "ethernet" or port.has("shutdown"):
                continue
            assert port.has("no", "shutdown"), port.words
            kind, index = kinds[port.words[1]], int(port.words[3])
            layer = port
            if kind in ("isdn", "pri"):
                layer = port.one("q921").one("q931")
                assert port.has("encapsulation", "q921")
                assert port.one("q921").has("encapsulation", "q931")
                assert layer.has("encapsulation", "cc-isdn")
                assert layer.has("protocol", "dss1")
                assert layer.has("uni-side", "user")
            elif not self.trinity:
                assert port.has("encapsulation", f"cc-{kind}")
                assert port.has("use", "profile", kind, "etsi")
            bind = layer.rest("bind", "interface")
            name = bind[1] if self.trinity else bind[0]
            word = "isdn" if kind == "pri" else kind
            interface = self.switch.one("interface", word, name)
            out, did = self.way_out(interface)
            number = prefixes.get(name, "")
            if kind == "fxs":
                user = extensions[name]
                assert interface.rest("subscriber-number") == (user,)
            else:
                users = self.identities(out)
                user = number if number in users else users[0]
            if kind == "fxo" and self.trinity and any(port.all("subscriber-number")):
                did = port.rest("subscriber-number")[0]
            secret, registers = self.account(out, user)
            protocol = ""
            if kind == "isdn":
                stated = [n.words[1] for n in port.one("q921").all("protocol")]
                protocol = stated[0] if stated else "pmp"
            found.append(Found(kind, index, user, secret, number, did, protocol, registers))
        return found


# ---------------------------------------------------------------- Sangoma


class VegaText:
    """A configuration of a Vega: the values, and that every list entry is set inside its `cp`."""

    def __init__(self, text: str) -> None:
        self.values: dict[str, str] = {}
        entered, emptied = "", set()
        for line in text.splitlines():
            if not line or line.startswith(";"):
                continue
            if match := re.fullmatch(r'set \.([\w.-]+)="([^"]*)"', line):
                path, value = match[1], match[2]
                assert path not in self.values, f"set twice: {line}"
                entry = re.match(r".*\.\d+(?=\.)", path)
                if entry and not path.startswith("_advanced."):
                    assert entry[0] == entered, (line, entered)
                self.values[path] = "" if value == "NULL" else value
            elif match := re.fullmatch(r"cp \.(.*)", line):
                entered = match[1]
            else:
                purge = re.fullmatch(r"purge \.([\w.]+)", line)
                assert purge, f"no statement: {line}"
                assert purge[1] not in emptied
                emptied.add(purge[1])
        assert entered == ""

        self.lists: dict[str, dict[int, dict[str, str]]] = {}
        for path, value in self.values.items():
            for entry in re.finditer(r"\.(\d+)\.", path):
                found = self.lists.setdefault(path[: entry.start()], {})
                found.setdefault(int(entry[1]), {})[path[entry.end() :]] = value
        # What a device had in a list before must not stay in it.
        kept = {name for name in self.lists if name.startswith("_advanced.")}
        used = self.lists.keys() - kept - {"media.pkt_profile"}
        always = {"users", "snmp.mib2.communities", "snmp.mib2.managers", "dns"}
        assert emptied >= used | always | {"sip.auth.user", "sip.reg.user"}

    def entries(self, path: str) -> dict[int, dict[str, str]]:
        """The entries of a list by number, each with the rest of the paths below it."""
        return self.lists.get(path, {})

    def plans(self) -> list[tuple[int, str, str]]:
        plans = []
        for number, profile in self.entries("planner.profile").items():
            assert profile["enable"] == "1"
            for plan in self.entries(f"planner.profile.{number}.plan").values():
                # Calls to a line that fails go on to the next plan of the group.
                assert plan["group"] == ("0" if number == 20 else "99")
                plans.append((number, plan["srce"], plan["dest"]))
        return plans

    def ports(self) -> list[Found]:
        hardware: list[tuple[str, str, int, str]] = []
        interfaces: list[str] = []
        for path, kind in (("bri.port", "isdn"), ("e1t1.port", "pri")):
            for n, port in self.entries(path).items():
                if "group.1.interface" in port:
                    interfaces.append(port["group.1.interface"])
                if port["enable"] == "on":
                    hardware.append(
                        (kind, port["group.1.interface"], n - 1, port.get("line_type", ""))
                    )
        for port in self.entries("pots.port").values():
            interface = port["if.1.interface"]
            interfaces.append(interface)
            kind = {"01": "fxs", "02": "fxo"}[interface[:2]]
            assert port["if.1.profile"] == {"fxs": "1", "fxo": "2"}[kind]
            if port["enable"] == "1":
                hardware.append((kind, interface, int(interface[2:]) - 1, ""))
        assert len(set(interfaces)) == len(interfaces)
        return [self._port(*one) for one in hardware]

    def _port(self, kind: str, interface: str, index: int, protocol: str) -> Found:
        accounts = self.entries("sip.auth.user")
        profiles = self.entries("sip.profile")
        ((entry, account),) = [
            (n, a) for n, a in accounts.items() if a["subscriber"] == f"IF:{interface}"
        ]
        profile = profiles[int(account["sip_profile"])]
        assert (
            account["enable"] == profile["proxy.1.enable"] == profile["registrar.1.enable"] == "1"
        )
        registrations = [
            r for r in self.entries("sip.reg.user").values() if r["auth_user_index"] == str(entry)
        ]
        for registration in registrations:
            assert registration["username"] == account["username"]
            assert registration["sip_profile"] == account["sip_profile"]
            assert registration["enable"] == "1"
            assert profile["from_header_userinfo"] == "auth_username"
        number, line = "", ""
        for table, source, destination in self.plans():
            if kind == "fxs" and table == 24 and destination == f"IF:{interface}":
                assert source == f"IF:99..,TEL:({account['username']})"
                assert any(p == 20 and s == "IF:0[1]..,TEL:<.*>" for p, s, _ in self.plans())
            elif destination == f"IF:{interface},TEL:<1>":
                assert table == {"pri": 21, "isdn": 22, "fxo": 23}[kind]
                number = re.fullmatch(r"IF:99\.\.,TEL:(\d+)<\(\.\*\)>", source)[1]  # type: ignore[index]
            elif kind == "fxo" and source == f"IF:{interface}":
                line = destination.removeprefix("IF:9901").removeprefix(",TEL:")
        if kind in ("isdn", "pri"):
            assert (20, f"IF:{interface},TEL:<.*>", "IF:9901,TEL:<1>") in self.plans()
        registers = bool(registrations) and self.values["sip.reg_enable"] == "1"
        return Found(
            kind, index, account["username"], account["password"], number, line, protocol, registers
        )


# ---------------------------------------------------------------- Mediatrix


class DgwText:
    """A script of a Mediatrix: its values, and that rows are there before they are set."""

    def __init__(self, text: str) -> None:
        assert text.count("\n") == text.count("\r\n")
        self.values: dict[str, str] = {}
        self.inserted: dict[str, int] = {}
        self.commands: list[str] = []
        for line in text.split("\r\n"):
            if not line or line.startswith("#"):
                continue
            if match := re.fullmatch(
                r'([\w.]+(?:\[\w+=\w+\])?(?:\.\w+)?)="((?:[^"\\]|\\\\)*)"', line
            ):
                assert match[1] not in self.values, f"set twice: {line}"
                self.values[match[1]] = match[2].replace("\\\\", "\\")
                if row := re.match(r"CRout\.(\w+)\[Index=(\d+)\]", line):
                    assert int(row[2]) <= self.inserted[row[1]]
                if row := re.match(r"SipEp\.Gateway\[Name=(\w+)\]", line):
                    assert f"SipEp.InsertGateway Name={row[1]}" in self.commands
                if row := re.match(r"(CRout\.\w+|SipEp\.(Gateway|Authentication))\[", line):
                    assert f"{row[1]}.DeleteAllRows" in self.commands
            else:
                assert re.fullmatch(r"\w+\.[\w.]+( \w+=\w+)?", line), f"no statement: {line}"
                self.commands.append(line)
                if match := re.fullmatch(r"CRout\.Insert(\w+)", line):
                    self.inserted[match[1]] = self.inserted.get(match[1], 0) + 1
        start = self.commands.index("Bni.NetworkInterfaces.DeleteAllRows")
        assert self.commands[start + 1] == "Bni.AddNetwork Name=Uplink"
        assert self.commands[-2:] == ["CRout.ApplyConfig", "Scm.RestartRequiredServices"]

        self.tables: dict[str, dict[str, dict[str, str]]] = {}
        for name, value in self.values.items():
            if match := re.fullmatch(r"([\w.]+)\[\w+=(\w+)\]\.(\w+)", name):
                table = self.tables.setdefault(match[1], {})
                table.setdefault(match[2], {})[match[3]] = value

    def rows(self, table: str) -> dict[str, dict[str, str]]:
        """The rows of a table by key, each with its columns."""
        return self.tables.get(table, {})

    def ports(self) -> list[Found]:
        routes = self.rows("CRout.Route")
        for table in ("Route", "MappingType", "MappingExpression"):
            assert len(self.rows(f"CRout.{table}")) == self.inserted.get(table, 0)
        types = {row["Name"] for row in self.rows("CRout.MappingType").values()}
        maps = {row["Name"]: row for row in self.rows("CRout.MappingExpression").values()}
        assert types == maps.keys()
        found = []
        for endpoint, state in self.rows("EpAdm.Endpoint").items():
            if state["InitialAdminStateConfig"] != "Unlocked":
                continue
            (out,) = [r for r in routes.values() if r["SourceCriteria"] == f"isdn-{endpoint}"]
            (into,) = [r for r in routes.values() if r["Destination"] == f"isdn-{endpoint}"]
            gateway = out["Destination"].removeprefix("sip-")
            assert {out["Mappings"], into["Mappings"]} <= maps.keys()
            assert {out["SignalingProperties"], into["SignalingProperties"]} == {
                row["Name"] for row in self.rows("CRout.SignalingProperties").values()
            }
            assert (out["PropertiesCriteria"], into["PropertiesCriteria"]) == ("None", "CalledE164")
            assert self.rows("SipEp.Gateway")[gateway]["NetworkInterface"] == "Uplink"
            agent = self.rows("SipEp.UserAgent")[endpoint]
            registers = agent["Register"] == "Enable"
            # Without registration every call arrives at port 5060, where the first gateway listens.
            listening = into["SourceCriteria"].removeprefix("sip-")
            if registers:
                assert listening == agent["GatewayName"] == gateway
            else:
                assert self.rows("SipEp.Gateway")[listening]["Port"] == "5060"
            number = into["ExpressionCriteria"].removesuffix(".+")
            strip = maps[into["Mappings"]]
            assert (strip["Criteria"], strip["Transformation"]) == (f"{number}(.+)", r"\1")
            (account,) = [
                row
                for row in self.rows("SipEp.Authentication").values()
                if row["ApplyTo"] == "Gateway" and row["GatewayName"] == gateway
            ]
            assert agent["Username"] == (account["Username"] if registers else "")
            basic_rate = self.rows("Isdn.BasicRateInterface")[endpoint]
            assert (basic_rate["EndpointType"], basic_rate["NetworkLocation"]) == ("Te", "User")
            assert self.rows("Isdn.SignalingChannel")[endpoint]["Protocol"] == "Dss1"
            line = basic_rate["ConnectionType"]
            found.append(
                Found(
                    "isdn",
                    int(endpoint.removeprefix("Bri")) - 1,
                    account["Username"],
                    account["Password"],
                    number,
                    protocol={"PointToPoint": "pp", "PointToMultiPoint": "pmp"}[line],
                    registers=registers,
                )
            )
        return found


# ---------------------------------------------------------------- Grandstream


def grandstream_values(text: str) -> dict[int, str]:
    """Number and value of every parameter; a number that comes twice fails."""
    root = ElementTree.fromstring(text)  # noqa: S314 - our own text
    assert root.tag == "gs_provision"
    config = root.find("config")
    assert config is not None
    values: dict[int, str] = {}
    for element in config:
        assert re.fullmatch(r"P\d+", element.tag)
        number = int(element.tag[1:])
        assert number not in values, element.tag
        values[number] = element.text or ""
    return values


def _account_numbers(n: int) -> tuple[int, int, int, int, int]:
    """User, login, password, display name and switch of port n, as the contract's tables say."""
    i = n - 1
    if i < 20:
        numbers = (4060 + i, 4090 + i, 4120 + i, 4180 + i)
    elif i < 30:
        numbers = (4060 + i, 4090 + i, 4120 + i, 4252 + i - 20)
    elif i < 32:
        numbers = (4240 + i - 30, 4242 + i - 30, 4244 + i - 30, 4262 + i - 30)
    else:
        numbers = (21000 + i - 32, 21064 + i - 32, 21128 + i - 32, 21192 + i - 32)
    return *numbers, 4595 + i if i < 32 else 21384 + i - 32


def grandstream_ports(model: GatewayModel, values: dict[int, str]) -> list[Found]:
    found = []
    for n in range(1, model.fxs + 1):
        if model.variant == "ht80x":
            numbers = [(35, 36, 34, 3, 271), (735, 736, 734, 703, 401)][n - 1]
            profile = (31, 731)[n - 1]
        else:
            numbers, profile = _account_numbers(n), 31
        user, login, secret, name, switch = (values[number] for number in numbers)
        assert user == login == name
        if switch == "1":
            assert values[profile] == "1"
            found.append(Found("fxs", n - 1, user, secret, registers=True))
        else:
            assert (switch, user, secret) == ("0", "", "")
    return found
