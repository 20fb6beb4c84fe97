"""Trunks made by REST, written out as PJSIP configuration and loaded by Asterisk 22.

This Asterisk lives in a network namespace with nothing but a loopback device, and a hosts file
gives it addresses there for the real names of the providers: it can reach none of them.
"""

import re
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import yaml

from nethvoice.pbx.provider_catalogue import parse
from nethvoice.store import tables as t
from tests import pjsip_writer
from tests.services.asterisk import Asterisk
from tests.services.base import cannot
from tests.support import Service, eventually

TRANSPORTS = """[0.0.0.0-udp]
type=transport
protocol=udp
bind=127.0.0.1:5070

[0.0.0.0-tcp]
type=transport
protocol=tcp
bind=127.0.0.1:5070

"""


class IsolatedAsterisk(Asterisk):
    """An Asterisk 22 without a network. `addresses` are what names resolve to."""

    def __init__(self, addresses: dict[str, str]) -> None:
        super().__init__(22)
        self._conf("pjsip", TRANSPORTS)
        self.hosts = self.folder / "hosts"
        self.hosts.write_text("".join(f"{ip} {name}\n" for name, ip in addresses.items()))
        (self.root / "etc/hosts").touch()  # the new file is laid over it, for this process only
        self.isolate = [
            "unshare", "--net", "--mount", "sh", "-c",
            'ip link set lo up && mount --bind "$0" "$1" && shift && exec "$@"',
            str(self.hosts), str(self.root / "etc/hosts"),
        ]  # fmt: skip
        if subprocess.run([*self.isolate, "true"], timeout=10, check=False).returncode != 0:
            self.close()
            cannot("this machine does not let us make network and mount namespaces")

    def launch(self, command: list[str], **more: Any) -> None:
        super().launch([*self.isolate, *command], **more)

    def _booted(self) -> bool:
        # Its manager cannot be reached from outside; its command line can.
        try:
            return "fully booted" in self.cli("core waitfullybooted")
        except subprocess.CalledProcessError:
            return False

    def load(self, text: str) -> None:
        """Take over this PJSIP configuration."""
        self._conf("pjsip", TRANSPORTS + text)
        self.cli("module reload")


@pytest.fixture(scope="module")
def addresses() -> dict[str, str]:
    """An address for the server of each provider."""
    text = (files("nethvoice") / "data" / "providers.yaml").read_text("utf-8")
    servers = [facts.options["sip_server"] for facts in parse(yaml.safe_load(text), None).values()]
    names = [server for server in servers if not re.fullmatch("[0-9.]+", server)]
    return {name: f"127.0.1.{number}" for number, name in enumerate(names, 1)}


@pytest.fixture(scope="module")
def isolated(addresses: dict[str, str]) -> Iterator[IsolatedAsterisk]:
    with IsolatedAsterisk(addresses) as asterisk:
        yield asterisk


def rows_of(service: Service, trunk_id: str) -> dict[str, str]:
    return {row["keyword"]: row["data"] for row in service.rows(t.pjsip, id=trunk_id)}


def create(service: Service, provider: str, **more: Any) -> str:
    body = {"provider": provider, "password": "s3cret", "phone": "0721405516", **more}
    trunk_id: str = service.post("/trunks", body)["trunkid"]
    return trunk_id


def load(service: Service, asterisk: IsolatedAsterisk) -> None:
    ids = [trunk["trunkid"] for trunk in service.get("/trunks")]
    asterisk.load(pjsip_writer.write([rows_of(service, trunk_id) for trunk_id in ids]))


def endpoints(asterisk: IsolatedAsterisk) -> set[str]:
    text = asterisk.cli("pjsip show endpoints")
    return set(re.findall(r"^ Endpoint:  ([^<\s/]+)", text, re.MULTILINE))


def registrations(asterisk: IsolatedAsterisk) -> dict[str, str]:
    """Server by trunk."""
    found = {}
    for line in asterisk.cli("pjsip show registrations").splitlines():
        match = re.match(r" ([^/\s<]+)/(\S+) ", line)
        if match:
            found[match[1]] = match[2]
    return found


def identified(asterisk: IsolatedAsterisk) -> dict[str, str]:
    """The address that calls of a trunk come from, by trunk."""
    text = asterisk.cli("pjsip show identifies")
    pairs = re.findall(r"Identify:  ([^/\s]+)/\S+\s+Match: ([0-9.]+)/32", text)
    return dict(pairs)


def shown(asterisk: IsolatedAsterisk, what: str, name: str) -> dict[str, str]:
    """The parameters of one object, as `pjsip show endpoint X` lists them."""
    text = asterisk.cli(f"pjsip show {what} {name}")
    return dict(re.findall(r"^ (\w+) +: (.*?) *$", text, re.MULTILINE))


def test_trunks_of_four_providers(
    service: Service, isolated: IsolatedAsterisk, addresses: dict[str, str]
) -> None:
    # The first has the name of its own user, which must not confuse anybody.
    create(service, "vivavox", username="0721000111", name="0721000111", codecs=["alaw", "ulaw"],
           forceCodec=True)  # fmt: skip
    create(service, "wic-voip", username="account7", name="My line")
    create(service, "enegan", username="ene-user")
    create(service, "elevenlabs", username="labs", codecs=["g722"], forceCodec=True)
    load(service, isolated)
    eventually(lambda: endpoints(isolated) == {"0721000111", "My_line", "enegan", "elevenlabs"})

    assert registrations(isolated) == {
        "0721000111": "sip:sip.vivavox.it:5060",
        "My_line": "sip:voip.mywic.it:5060",
        "enegan": "sip:sip.enegan.it:5060",
    }
    first = shown(isolated, "registration", "0721000111")
    assert first["client_uri"] == "sip:0721000111@sip.vivavox.it:5060"
    assert (first["transport"], first["contact_user"]) == ("0.0.0.0-udp", "0721000111")
    assert (first["line"], first["endpoint"]) == ("true", "0721000111")
    assert (first["expiration"], first["max_retries"]) == ("300", "10000")
    second = shown(isolated, "registration", "My_line")
    assert second["client_uri"] == "sip:0721405516@voip.mywic.it:5060"
    assert second["endpoint"] == "My_line"
    third = shown(isolated, "registration", "enegan")
    assert third["client_uri"] == "sip:ene-user@sip.enegan.it:5060"
    assert third["outbound_proxy"] == "sip:proxysip.tlc.enegan.it;lr;hide"

    expected = {
        "0721000111": ("(alaw|ulaw)", "0.0.0.0-udp", "from-pstn", "sip.vivavox.it"),
        "My_line": ("(alaw|ulaw)", "0.0.0.0-udp", "from-pstn-toheader", "voip.mywic.it"),
        "enegan": ("(g729|ulaw|alaw)", "0.0.0.0-udp", "from-pstn-toheader", "sip.enegan.it"),
        "elevenlabs": ("(g722)", "0.0.0.0-tcp", "from-internal", "sip.rtc.elevenlabs.io"),
    }
    for name, facts in expected.items():
        found = shown(isolated, "endpoint", name)
        keys = ("allow", "transport", "context", "from_domain")
        assert tuple(found[key] for key in keys) == facts
        assert found["aors"] == name
    users = {"0721000111": "0721000111", "My_line": "account7", "enegan": "ene-user"}
    for name, user in users.items():
        assert shown(isolated, "endpoint", name)["outbound_auth"] == name
        assert shown(isolated, "auth", name)["username"] == user
        assert shown(isolated, "auth", name)["password"] == "s3cret"
    # This one registers nowhere: it is called, and has to say who it is.
    assert shown(isolated, "endpoint", "elevenlabs")["auth"] == "elevenlabs"
    assert shown(isolated, "auth", "elevenlabs")["username"] == "labs"

    assert identified(isolated) == {
        name: addresses[server]
        for name, server in {
            "0721000111": "sip.vivavox.it",
            "My_line": "voip.mywic.it",
            "enegan": "sip.enegan.it",
            "elevenlabs": "sip.rtc.elevenlabs.io",
        }.items()
    }

    assert service.call("PATCH", "/trunks/2", json={"username": "account8", "phone": "0541"})
    assert service.call("DELETE", "/trunks/3").status_code == 200
    load(service, isolated)
    eventually(lambda: "enegan" not in endpoints(isolated))
    assert "enegan" not in registrations(isolated)
    assert shown(isolated, "auth", "My_line")["username"] == "account8"
    changed = shown(isolated, "registration", "My_line")
    assert changed["client_uri"] == "sip:0541@voip.mywic.it:5060"


def test_every_provider_loads(service: Service, isolated: IsolatedAsterisk) -> None:
    keys = {provider["provider"] for provider in service.get("/providers")}
    for key in keys:
        create(service, key, username="0721000111")
    load(service, isolated)
    eventually(lambda: endpoints(isolated) == keys)
    silent = {"opensolution_gnr", "elevenlabs"}
    assert set(registrations(isolated)) == keys - silent
    assert set(identified(isolated)) == keys
