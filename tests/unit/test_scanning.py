"""The parts of a network scan: nmap's output, leases, models, and what happens when it fails."""

import asyncio
import contextlib
import hashlib
import stat
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, ip_network
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, inspect, select

from nethvoice import first_start
from nethvoice.doctor import examine
from nethvoice.problems import Problem
from nethvoice.settings import PRIVATE_NETWORKS, Settings
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from nethvoice.store.tasks import TaskFailed
from nethvoice.system import System
from provisioning import detection, networks, scans
from provisioning.hosts import Host, find_hosts
from provisioning.leases import host_names, names_in
from provisioning.makers import maker_of, organisation_of
from provisioning.networks import allowed_networks, scan_id, scan_network
from tests.services.mariadb import MariaDB
from tests.services.web_device import PAGES, start
from tests.support import eventually

PRIVATE = [ip_network(text) for text in PRIVATE_NETWORKS]
NETWORK = IPv4Network("10.99.1.0/24")

NMAP = """<?xml version="1.0"?><!DOCTYPE nmaprun>
<nmaprun scanner="nmap">
<taskbegin task="ARP Ping Scan" time="1"/>
<taskprogress task="ARP Ping Scan" time="1" percent="50.00" remaining="1" etc="2"/>
<taskend task="ARP Ping Scan" time="2" extrainfo="255 total hosts"/>
<host><status state="down" reason="no-response"/><address addr="10.99.1.2" addrtype="ipv4"/></host>
<host><status state="up" reason="arp-response"/><address addr="10.99.1.33" addrtype="ipv4"/>
<address addr="00:15:65:AA:BB:CC" addrtype="mac" vendor="x"/><hostnames></hostnames></host>
<host><status state="up" reason="arp-response"/><address addr="10.99.1.4" addrtype="ipv4"/>
<address addr="00:A0:BA:00:00:01" addrtype="mac"/></host>
<host><status state="up" reason="localhost-response"/><address addr="10.99.1.1" addrtype="ipv4"/>
</host>
<taskend task="Ping Scan" time="2" extrainfo="1 total hosts"/>
<runstats><finished time="3" exit="success"/><hosts up="3" down="253" total="256"/></runstats>
</nmaprun>
"""


# --- networks -------------------------------------------------------------------------------------


@given(st.text(max_size=30))
def test_any_text_is_a_network_or_refused(text: str) -> None:
    with contextlib.suppress(Problem):
        assert scan_network(text, PRIVATE).is_private


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_every_network(address: int, prefix: int) -> None:
    text = f"{'.'.join(str(byte) for byte in address.to_bytes(4))}/{prefix}"
    network = ip_network(text, strict=False)
    inside = any(network.subnet_of(item) for item in PRIVATE)  # type: ignore[arg-type]
    if prefix >= 16 and inside:
        assert scan_network(text, PRIVATE) == network
    else:
        with pytest.raises(Problem):
            scan_network(text, PRIVATE)


def test_more_networks_by_setting(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, scan_networks="198.18.0.0/15 fd00::/8")
    assert str(scan_network("198.19.1.7/24", settings.scan_networks)) == "198.19.1.0/24"
    with pytest.raises(Problem):
        scan_network("10.0.0.0/24", settings.scan_networks)


def test_own_networks_may_be_scanned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = [IPv4Interface("203.0.113.9/24"), IPv4Interface("100.64.0.1/10")]
    monkeypatch.setattr(networks, "lan_interfaces", lambda: mine)
    host = [
        {"network": "198.51.100.0", "ip": "198.51.100.1", "netmask": "255.255.255.0"},
        {"network": "nonsense", "ip": "", "netmask": ""},
    ]
    allowed = allowed_networks(Settings(data_dir=tmp_path, host_local_networks=host))
    for text in ("203.0.113.7/24", "100.64.3.0/24", "198.51.100.0/24", "192.168.1.0/24"):
        assert scan_network(text, allowed) == ip_network(text, strict=False)
    for text in ("203.0.112.0/23", "100.64.0.0/10", "192.0.2.0/24", "127.0.0.0/24"):
        with pytest.raises(Problem):
            scan_network(text, allowed)
    # Whoever names networks means these and no others.
    chosen = Settings(data_dir=tmp_path, host_local_networks=host, scan_networks="10.0.0.0/8")
    assert allowed_networks(chosen) == [ip_network("10.0.0.0/8")]


def test_ids_are_those_that_clients_compute() -> None:
    assert scan_id("192.168.1.1/24") == "79e6ccd70a0d1b71735b0ef9196d0891"
    assert scan_id("x") == hashlib.md5(b"x").hexdigest()


# --- nmap -----------------------------------------------------------------------------------------


def script(folder: Path, text: str) -> list[str]:
    """A command that stands for nmap and notes its arguments, one a line."""
    path = folder / "nmap"
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/arguments\n{text}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return [str(path), "--privileged"]


def find(folder: Path, text: str, timeout: float = 10) -> tuple[list[Host], list[float]]:
    settings = Settings(data_dir=folder, scan_command=script(folder, text), scan_timeout=timeout)
    shares: list[float] = []
    return find_hosts(settings, NETWORK, shares.append), shares


def test_arguments_hosts_and_progress(tmp_path: Path) -> None:
    (tmp_path / "xml").write_text(NMAP)
    hosts, shares = find(tmp_path, f"cat {tmp_path}/xml")
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "--privileged", "-oX", "-", "10.99.1.0/24", "-sn", "-n", "-v", "--stats-every", "1s",
    ]  # fmt: skip
    assert hosts == [
        Host("00:A0:BA:00:00:01", "10.99.1.4"),
        Host("00:15:65:AA:BB:CC", "10.99.1.33"),
    ]
    assert shares == [0.5, 255 / 256, 1.0]


def test_output_in_small_pieces(tmp_path: Path) -> None:
    (tmp_path / "xml").write_text(NMAP)
    hosts, _ = find(tmp_path, f"dd if={tmp_path}/xml bs=7 2>/dev/null")
    assert len(hosts) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo 'sudo: a password is required' >&2; exit 1", "sudo: a password is required"),
        ("exit 0", "code 0: no reason given"),
        ("echo nothing like XML", "something else than XML"),
        ("echo '<nmaprun>'; exit 0", "code 0"),
        ("exec sleep 60", "did not end within 0.5 s"),
        ("echo '<nmaprun>'; exec sleep 60", "did not end within 0.5 s"),
        ("while :; do echo '<nmaprun>'; done", "did not end within 0.5 s"),
    ],
)
def test_scanners_that_fail(tmp_path: Path, text: str, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(TaskFailed, match=reason):
        find(tmp_path, text, 0.5 if "0.5" in reason else 10)
    assert time.monotonic() - started < 8


def test_a_scanner_that_is_not_there(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, scan_command=["/nowhere/nmap"])
    with pytest.raises(TaskFailed, match="cannot be run"):
        find_hosts(settings, NETWORK, lambda share: None)


def test_doctor_tells_how_networks_are_scanned(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def finding(**more: object) -> tuple[str, str]:
        settings = system.settings.model_copy(update=more)
        found = next(item for item in examine(settings) if item.name == "network scan")
        return found.state, found.text

    command = script(tmp_path, "exit 0")
    assert finding(scan_command=command) == ("ok", " ".join(command))
    assert finding(scan_command=["/nowhere/nmap"]) == ("fail", "/nowhere/nmap is not found")
    monkeypatch.setenv("PATH", "/nowhere")
    assert finding()[0] == "note"


# --- whole scans ----------------------------------------------------------------------------------


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    settings = Settings(data_dir=tmp_path / "data", secret="x", admin_password="x")
    first_start.initialise(settings)
    made = System(settings)
    yield made
    made.stop()


def ended(system: System, task_id: str) -> str:
    task = system.tasks.get(task_id)
    assert task is not None
    return "" if task.state == "running" else task.state


def test_a_failed_scan_keeps_the_last_result(system: System, tmp_path: Path) -> None:
    (tmp_path / "xml").write_text(NMAP)
    system.settings.scan_command = script(tmp_path, f"cat {tmp_path}/xml")
    task = scans.start_scan(system, "10.99.1.7/24")
    assert eventually(lambda: ended(system, task)) == "succeeded"
    with system.read() as connection:
        result = scans.result(connection, scan_id("10.99.1.7/24"))
    assert result is not None
    assert [(d["mac"], d["type"]) for d in result] == [
        ("00:A0:BA:00:00:01", "gateway"),
        ("00:15:65:AA:BB:CC", "phone"),
    ]
    system.settings.scan_command = script(tmp_path, "exit 3")
    task = scans.start_scan(system, "10.99.1.0/24")
    assert eventually(lambda: ended(system, task)) == "failed"
    with system.read() as connection:
        assert scans.result(connection, scan_id("10.99.1.0/24")) == result
        assert scans.result(connection, scan_id("10.99.2.0/24")) is None


def test_a_scan_that_never_ended_has_no_result(system: System, tmp_path: Path) -> None:
    system.settings.scan_command = script(tmp_path, "exit 3")
    task = scans.start_scan(system, "10.99.1.0/24")
    assert eventually(lambda: ended(system, task)) == "failed"
    assert not scans.is_running(system, scan_id("10.99.1.0/24"))
    with system.read() as connection:
        assert scans.result(connection, scan_id("10.99.1.0/24")) is None
    assert list(system.settings.run_folder.glob("*.scan")) == []


def test_scan_files_are_replaced_in_one_step(system: System, tmp_path: Path) -> None:
    """Lessons: a reader never sees half a file."""
    (tmp_path / "xml").write_text(NMAP)
    system.settings.scan_command = script(tmp_path, f"cat {tmp_path}/xml")
    file = system.settings.run_folder / f"{scan_id('10.99.1.0/24')}.phones.scan"
    stop = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not stop.is_set():
            if file.exists():
                seen.add(file.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(5):
            task = scans.start_scan(system, "10.99.1.0/24")
            eventually(lambda task=task: ended(system, task))  # type: ignore[misc]
    finally:
        stop.set()
        reader.join()
    row = b'{"mac":"00:15:65:AA:BB:CC","ipv4":"10.99.1.33","manufacturer":"Yealink/Dreamwave",'
    assert seen == {b"[" + row + b'"type":"phone"}]\n'}


# --- leases ---------------------------------------------------------------------------------------


def test_dnsmasq_leases(tmp_path: Path) -> None:
    file = tmp_path / "leases"
    file.write_text(
        "1700000000 00:15:65:aa:bb:cc 192.168.1.33 SIP-T46G 01:00:15:65:aa:bb:cc\n"
        "1700000001 00:04:13:00:00:01 192.168.1.34 * *\n"
        "0 00:04:13:00:00:02 192.168.1.35 snom320-000413000002 *\n"
        "duid 00:01:00:01:2a:2b:2c:2d\n"
        "nonsense\n\n"
    )
    assert host_names([file, tmp_path / "missing"]) == {
        "00:15:65:AA:BB:CC": "SIP-T46G",
        "00:04:13:00:00:02": "snom320-000413000002",
    }


def test_isc_leases(tmp_path: Path) -> None:
    file = tmp_path / "dhcpd.leases"
    file.write_text(
        "# The format of this file is documented in the dhcpd.leases(5) manual page.\n"
        'lease 192.168.1.33 {\n  starts 2 2025/06/03 09:00:00;\n  binding state active;\n'
        '  hardware ethernet 00:15:65:aa:bb:cc;\n  uid "\\001\\000\\025e";\n'
        '  client-hostname "old-name";\n}\n'
        "lease 192.168.1.34 {\n  hardware ethernet 00:04:13:00:00:01;\n}\n"
        "lease 192.168.1.33 {\n  hardware ethernet 00:15:65:aa:bb:cc;\n"
        '  client-hostname "SIP-T46G";\n}\n'
        "lease 192.168.1.35 {\n"
    )  # fmt: skip
    assert host_names([file]) == {"00:15:65:AA:BB:CC": "SIP-T46G"}


@given(st.text(max_size=300))
def test_any_leases_file(text: str) -> None:
    assert isinstance(names_in(text), dict)
    assert isinstance(names_in("lease 10.0.0.1 {" + text), dict)


# --- models ---------------------------------------------------------------------------------------


def ask(vendor: str, kind: str | None, name: str | None = None) -> str | None:
    """What detection finds for a device that really answers on loopback."""

    async def run() -> str | None:
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            if kind is None:
                return await detection.model(client, vendor, "", name)
            server = await start("127.0.0.1", 0, kind)
            async with server:
                port = server.sockets[0].getsockname()[1]
                return await detection.model(client, vendor, f"127.0.0.1:{port}", name)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("vendor", "kind", "name", "model"),
    [
        ("Cisco/Linksys", "cisco", None, "SPA504"),
        ("Cisco/Linksys", "plain", None, ""),
        ("Grandstream", "plain", None, ""),
        ("Sangoma", None, "S500-005058", "S500"),
        ("Sangoma", "s500", "reception", "S500"),
        ("Sangoma", "plain", None, ""),
        ("Snom", None, "snom320-000413AABBCC", "320"),
        ("Snom", None, "snomD785-000413AABBCC", "D785"),
        ("Snom", "snom", "front-desk", "320"),
        ("Snom", "m700", "IPDECT-M700", "M700"),
        ("Snom", "snom", None, "320"),
        ("Yealink/Dreamwave", None, "SIP-T46G", "T46G"),
        ("Yealink/Dreamwave", None, "sip-T46S-001565", "T46S"),
        ("Yealink/Dreamwave", "yealink-json", "front-desk", "T46G"),
        ("Yealink/Dreamwave", "yealink-title", None, "T48G"),
        ("Yealink/Dreamwave", "yealink-t38", None, "T38"),
        ("Yealink/Dreamwave", "garbage", None, ""),
        ("Yealink/Dreamwave", "elsewhere", None, ""),
        ("Fanvil", "plain", "x", None),
        ("Patton", "plain", None, None),
    ],
)
def test_models(vendor: str, kind: str | None, name: str | None, model: str | None) -> None:
    assert kind is None or kind in PAGES or kind in ("garbage", "elsewhere")
    assert ask(vendor, kind, name) == model


@pytest.mark.parametrize(
    ("vendor", "name", "model"),
    [
        ("Snom", "snom320-000413AABBCC", "320"),
        ("Snom", "IPDECT-M700", ""),
        ("Yealink/Dreamwave", None, ""),
        ("Cisco/Linksys", "SPA504", ""),
        ("Fanvil", "x", None),
    ],
)
def test_models_by_name(vendor: str, name: str | None, model: str | None) -> None:
    assert detection.model_by_name(vendor, name) == model


# --- makers ---------------------------------------------------------------------------------------


def test_makers_of_the_ieee_register(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert organisation_of("00:1B:21:00:00:01") == "Intel Corporate"
    assert organisation_of("nonsense") is None
    # The product's table goes first: the register has another name for this block.
    assert organisation_of("00:90:33") == "INNOVAPHONE AG"
    assert maker_of(settings, "00:90:33:00:00:01") == "AG"
    assert maker_of(settings, "64:4f:56:00:00:01") == "Yealink/Dreamwave"
    assert maker_of(settings, "00:1B:21:00:00:01") is None


@given(st.text(max_size=20))
def test_any_text_has_a_maker_or_none(text: str) -> None:
    assert isinstance(maker_of(Settings(data_dir=Path("/nowhere")), text), str | None)


# --- tables ---------------------------------------------------------------------------------------


def test_gateway_tables_on_an_empty_database(mariadb: MariaDB, tmp_path: Path) -> None:
    database = Database(mariadb.create_database("gateways"), tmp_path)
    try:
        made = database.create_missing()
        assert "gateway_config_fxs" in made
        assert database.create_missing() == []
        with database.write() as connection:
            connection.execute(insert(t.gateway_models).values(id=17, model="m"))
            connection.execute(insert(t.gateway_config).values(id=1, model_id=17, mac="x"))
            connection.execute(insert(t.gateway_config_fxs).values(config_id=1, extension="1"))
            connection.execute(t.gateway_config.delete())
            # The ports of a gateway go with it.
            assert connection.execute(select(t.gateway_config_fxs)).all() == []
            columns = {c["name"]: c for c in inspect(connection).get_columns("gateway_config")}
        assert columns["mac"]["type"].compile().startswith("CHAR(18)")
        assert columns["proxy"]["type"].length == 255
    finally:
        database.close()
