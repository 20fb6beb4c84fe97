"""Scanning a network that the test makes: a bridge, and hosts in network namespaces."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from nethvoice.settings import Settings
from nethvoice.store import tables as t
from provisioning.hosts import find_hosts, read_neighbours, sweep
from provisioning.networks import scan_id
from tests.integration.conftest import Store
from tests.processes import Process
from tests.services.lan import Lan
from tests.support import eventually

PATTON = "00:A0:BA:0B:1C:DA"
YEALINK = "00:15:65:AA:BB:CC"
SNOM = "00:04:13:00:00:01"
VEGA = "00:50:58:00:00:01"
INTEL = "00:1B:21:00:00:01"
NEW_YEALINK = "34:97:D7:00:00:01"


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with Lan() as made:
        made.add_host(245, PATTON)
        made.add_host(33, YEALINK)
        made.add_host(34, SNOM, web="snom")
        made.add_host(35, VEGA, web="vega")
        made.add_host(36, INTEL, web="plain")
        made.add_host(37, NEW_YEALINK)
        yield made


@pytest.fixture
def service(store: Store, lan: Lan, tmp_path: Path) -> Iterator[httpx.Client]:
    leases = tmp_path / "dnsmasq.leases"
    leases.write_text(f"1700000000 {YEALINK.lower()} {lan.network[33]} SIP-T46G-1 *\n")
    settings = {**store.settings, "DHCP_LEASES": leases}
    with Process(tmp_path / "log", **settings) as process, process.client() as client:
        yield client


def scan(client: httpx.Client, text: str) -> str:
    answer = client.post("/devices/scan", json={"network": text})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["result"])


def follow(client: httpx.Client, task: str) -> list[int]:
    """The progress as a client sees it until the end."""
    seen: list[int] = []

    def ended() -> bool:
        answer = client.get(f"/tasks/{task}")
        assert answer.status_code == 200, answer.text
        seen.append(answer.json()["progress"])
        return seen[-1] == 100

    eventually(ended, 60)
    return seen


def get(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_phones_and_gateways_are_found(service: httpx.Client, store: Store, lan: Lan) -> None:
    posted = f"{lan.gateway}/24"
    missing = service.get(f"/devices/phones/list/{scan_id(posted)}")
    assert missing.status_code == 404
    seen = follow(service, scan(service, posted))
    assert seen == sorted(seen)
    assert any(0 < progress < 100 for progress in seen), seen
    phones = get(service, f"/devices/phones/list/{scan_id(posted)}")
    assert phones == [
        _phone(lan, 33, YEALINK, "Yealink/Dreamwave", "T46G"),
        _phone(lan, 34, SNOM, "Snom", "320"),
        _phone(lan, 37, NEW_YEALINK, "Yealink/Dreamwave", ""),
    ]
    gateways = [_found(lan, 35, VEGA, "Sangoma"), _found(lan, 245, PATTON, "Patton")]
    state = {"isConnected": True, "isConfigured": False}
    listed = get(service, f"/devices/gateways/list/{scan_id(posted)}")
    assert listed == [{**row, **state} for row in gateways]
    # The network's own text names the same scan.
    assert get(service, f"/devices/phones/list/{scan_id(str(lan.network))}") == phones
    assert get(service, "/devices/gateways/list") == gateways
    run = Settings(data_dir=store.settings["DATA_DIR"]).run_folder
    for key in (posted, str(lan.network)):
        text = (run / f"{scan_id(key)}.gateways.scan").read_bytes()
        assert text == orjson.dumps(gateways) + b"\n"
        rows = orjson.loads((run / f"{scan_id(key)}.phones.scan").read_bytes())
        assert rows == [{k: v for k, v in row.items() if k != "model"} for row in phones]
    assert not list(run.glob(".scan-*"))
    # Detected models enter the inventory; others and gateways do not.
    inventory = {row["mac"]: row["model"] for row in store.rows(t.rest_devices_phones)}
    assert inventory == {YEALINK: "T46G", SNOM: "320"}
    kept = orjson.loads(
        next(row["hosts"] for row in store.rows(t.rest_scans) if row["hosts"] is not None)
    )
    intel = next(host for host in kept if host["mac"] == INTEL)
    assert (intel["type"], intel["organisation"]) == ("unknown", "Intel Corporate")


def _found(lan: Lan, last: int, mac: str, maker: str, kind: str = "gateway") -> dict[str, Any]:
    return {"mac": mac, "ipv4": str(lan.network[last]), "manufacturer": maker, "type": kind}


def _phone(lan: Lan, last: int, mac: str, maker: str, model: str) -> dict[str, Any]:
    return {**_found(lan, last, mac, maker, "phone"), "model": model}


def test_the_list_waits_for_the_scan(service: httpx.Client, lan: Lan) -> None:
    """A client that does not poll asks for the list at once."""
    posted = f"{lan.network[33]}/24"
    scan(service, posted)
    assert len(get(service, f"/devices/phones/list/{scan_id(posted)}")) == 3


def test_a_running_scan_is_joined(service: httpx.Client, lan: Lan) -> None:
    first = scan(service, str(lan.network))
    second = scan(service, f"{lan.gateway}/24")
    part = scan(service, f"{lan.network[32]}/29")
    assert first == second != part
    for task in (first, part):
        follow(service, task)
    assert len(get(service, f"/devices/phones/list/{scan_id(f'{lan.gateway}/24')}")) == 3
    found = get(service, f"/devices/phones/list/{scan_id(f'{lan.network[32]}/29')}")
    assert [row["ipv4"][-2:] for row in found] == ["33", "34", "37"]
    assert scan(service, str(lan.network)) != first


def test_links_survive_a_scan(service: httpx.Client, store: Store, lan: Lan) -> None:
    """Lessons: finding a phone must not wipe the user of one whose model is not known."""
    store.people(["ada"])
    body = {"username": "ada", "extension": "200"}
    assert service.post("/mainextensions", json=body).status_code == 201
    body = {"mainextension": "200", "mac": YEALINK}
    assert service.post("/physicalextensions", json=body).status_code == 200
    before = next(row for row in store.rows(t.rest_devices_phones) if row["mac"] == YEALINK)
    follow(service, scan(service, str(lan.network)))
    after = next(row for row in store.rows(t.rest_devices_phones) if row["mac"] == YEALINK)
    assert after == {**before, "model": "T46G"}
    # What people chose stays.
    body = {"mac": YEALINK, "vendor": "Yealink/Dreamwave", "model": "yealink-T46"}
    assert service.post("/devices/phones/model", json=body).status_code == 200
    follow(service, scan(service, str(lan.network)))
    found = get(service, f"/devices/phones/list/{scan_id(str(lan.network))}")
    assert found[0]["model"] == "yealink-T46"


def test_a_scan_costs_what_nmap_costs(service: httpx.Client, lan: Lan) -> None:
    alone, ours = [], []
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run(
            ["nmap", "-oX", "-", str(lan.network), "-sn", "-n"],
            check=True,
            capture_output=True,
            timeout=60,
        )
        alone.append(time.perf_counter() - started)
        started = time.perf_counter()
        task = scan(service, str(lan.network))
        follow(service, task)
        ours.append(time.perf_counter() - started)
    print(f"/24: nmap alone {min(alone):.2f} s, scan {min(ours):.2f} s")
    assert min(ours) < min(alone) + 1


def test_odd_hosts_do_not_hold_up_a_scan(store: Store, tmp_path: Path) -> None:
    """Lessons 31: each host has its own end, and the others get their answers."""
    kinds = ["silent", "drip", "endless", "garbage", "elsewhere", "vega"]
    with Lan() as lan:
        for number, kind in enumerate(kinds):
            lan.add_host(10 + number, f"00:50:58:00:01:{number:02X}", web=kind)
        for number, kind in enumerate(("silent", "drip", "yealink-json")):
            lan.add_host(50 + number, f"00:15:65:00:01:{number:02X}", web=kind)
        with Process(tmp_path / "log", **store.settings) as process, process.client() as client:
            started = time.perf_counter()
            follow(client, scan(client, str(lan.network)))
            took = time.perf_counter() - started
            found = get(client, f"/devices/phones/list/{scan_id(str(lan.network))}")
            gateways = get(client, "/devices/gateways/list")
    print(f"/24 with {len(kinds) + 1} odd hosts: {took:.2f} s")
    assert took < 15
    assert [row["mac"][-2:] for row in gateways] == ["05"]
    models = [(row["mac"], row["model"]) for row in found]
    assert len(models) == 8
    assert models[-3:] == [
        ("00:15:65:00:01:00", ""),
        ("00:15:65:00:01:01", ""),
        ("00:15:65:00:01:02", "T46G"),
    ]


def test_a_sweep_where_nmap_is_missing(
    lan: Lan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    settings = Settings(data_dir=tmp_path)
    by_nmap = find_hosts(settings, lan.network, lambda share: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    by_sweep = find_hosts(settings, lan.network, shares.append)
    assert by_sweep == by_nmap
    assert {host.mac for host in by_sweep} == {PATTON, YEALINK, SNOM, VEGA, INTEL, NEW_YEALINK}
    assert shares == [1.0]
    assert (str(lan.network[33]), YEALINK) in read_neighbours()


def test_a_sweep_of_a_network_that_is_not_there(lan: Lan) -> None:
    """Nothing answers in a part of our network without hosts; the sweep ends all the same."""
    (part,) = [item for item in lan.network.subnets(new_prefix=26) if lan.network[64] in item]
    started = time.perf_counter()
    assert sweep(part, 30, lambda share: None) == []
    assert time.perf_counter() - started < 5
