"""Devices on the network: makers, lists of phones and gateways, models, messages to phones."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from nethvoice.pbx import addresses, notify
from nethvoice.pbx.phone_inventory import KnownModel, store_detected
from nethvoice.store import tables as t
from nethvoice.store.tasks import TaskEngine
from nethvoice.system import System
from provisioning import networks
from provisioning.networks import scan_id
from provisioning.scans import Device
from provisioning.tftp_requests import RequestRecorder, record_request
from tests.support import BASE, Service, eventually

YEALINK = "00:15:65:AA:BB:CC"
SNOM = "00:04:13:00:00:01"
PATTON = "00:A0:BA:0B:1C:DA"
NETWORK = "10.99.1.0/24"


def scanned(service: Service, *devices: Device, network: str = NETWORK, at: float = 1.0) -> str:
    """The result of a scan, as if one had ended at `at`; returns its id."""
    hosts = orjson.dumps(list(devices)).decode()
    row = {"id": scan_id(network), "network": network, "finished": at, "hosts": hosts}
    service.add(t.rest_scans, row)
    return scan_id(network)


def phone(mac: str = YEALINK, ipv4: str = "10.99.1.33", **more: Any) -> Device:
    return Device(mac, ipv4, more.pop("manufacturer", "Yealink/Dreamwave"), "phone", **more)


def gateway(mac: str = PATTON, ipv4: str = "10.99.1.245") -> Device:
    return Device(mac, ipv4, "Patton", "gateway")


def selects(statements: list[str]) -> list[str]:
    return [text for text in statements if text.startswith("SELECT")]


# --- makers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "maker"),
    [
        ("00:50:58:50:C3:3C", "Sangoma"),
        ("00-50-58-50-c3-3c", "Sangoma"),
        ("00505850C33C", "Sangoma"),
        ("00:50:58", "Sangoma"),
        ("001565", "Yealink/Dreamwave"),
        ("00:00:00", "CloudTC"),
        ("00:00:00:00:00:00", None),
        ("34:97:D7:00:00:01", "Yealink/Dreamwave"),  # newer block, from the IEEE register
        ("3497D7", "Yealink/Dreamwave"),
        ("00:1B:21:00:00:01", None),  # Intel
        ("FF:FF:FF:FF:FF:FF", None),
        ("nonsense", None),
        ("' OR 1=1 --", None),
    ],
)
def test_brand(service: Service, text: str, maker: str | None) -> None:
    answer = service.client.get(f"/devices/{text}/brand")
    assert answer.status_code == 200
    assert answer.json() == maker
    assert answer.content != b""


def test_brand_of_an_own_range(service: Service) -> None:
    overlay = service.settings.data_dir / "mac_vendors.yaml"
    overlay.write_text("- {vendor: Acme, ranges: ['0202AC']}\n")
    try:
        assert service.get("/devices/02:02:AC:00:00:01/brand") == "Acme"
        assert "Acme" in service.get("/lib/macAddressMap.json")
    finally:
        overlay.unlink()


def test_mac_address_map_is_public(service: Service) -> None:
    answer = httpx.get(f"http://127.0.0.1:{service.port}{BASE}/lib/macAddressMap.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    found = answer.json()
    assert found["Patton"] == [{"start": "00-A0-BA-00-00-00", "end": "00-A0-BA-FF-FF-FF"}]
    assert found["CloudTC"][0]["start"] == "00-00-00-00-00-01"


# --- GET /devices/phones/list ---------------------------------------------------------------------


def test_lists_are_arrays_when_there_is_nothing(service: Service) -> None:
    """Lessons 18: a list is an array, empty ones too."""
    for path in ("/devices/phones/list", "/devices/gateways/list", "/devices/gateways/list/foo"):
        assert service.get(path) == []
    problem = service.refused("GET", f"/devices/phones/list/{'0' * 32}", 404)
    assert problem["detail"] == f"Scan for network {'0' * 32} doesn't exist!"


def test_phone_list_in_three_groups(service: Service) -> None:
    service.person("alice", "201", displayname="Alice Rossi")
    service.post("/physicalextensions", {"mainextension": "201", "mac": YEALINK})
    service.post("/physicalextensions", {"mainextension": "201"})
    service.post(
        "/physicalextensions",
        {"mainextension": "201", "mac": "0C383E112233", "model": "fanvil-X4U"},
    )
    service.post("/devices/phones/model", {"mac": SNOM, "vendor": "Snom", "model": "320"})
    scanned(
        service,
        phone(ipv4="10.99.1.30"),  # in the inventory, but without model: not among scanned ones
        phone(SNOM, "10.99.1.31", manufacturer="Snom"),
        phone("00:15:65:00:00:09", "10.99.1.32", model="T46G"),  # not in the inventory
        gateway(),
    )
    custom, found, first, other = service.get("/devices/phones/list")
    secret = service.sip("91201")["secret"]
    assert custom == {
        "model": "custom",
        "manufacturer": " _",
        "lines": [
            {
                "extension": "91201",
                "mainextension": "201",
                "line": "1",
                "secret": secret,
                "web_user": None,
                "web_password": None,
                "username": "alice",
                "displayname": "Alice Rossi",
            }
        ],
    }
    assert found == {
        "mac": SNOM,
        "ipv4": "10.99.1.31",
        "manufacturer": "Snom",
        "type": "phone",
        "model": "320",
        "lines": [
            {
                "extension": None,
                "mainextension": None,
                "line": "1",
                "secret": None,
                "username": None,
                "displayname": None,
            }
        ],
    }
    assert (first["mac"], first["model"], first["manufacturer"]) == (
        YEALINK,
        None,
        "Yealink/Dreamwave",
    )
    assert set(first) == {"mac", "model", "manufacturer", "lines"}
    assert (other["mac"], other["model"]) == ("0C:38:3E:11:22:33", "fanvil-X4U")
    state = (None, None) if service.asterisk is None else ("-1", "Unknown")
    (line,) = other["lines"]
    assert (line["status"], line["statusText"]) == state
    assert (line["extension"], line["mainextension"]) == ("92201", "201")


def test_a_phone_with_several_lines_is_one_element(service: Service) -> None:
    service.add(
        t.rest_devices_phones,
        {"mac": SNOM, "vendor": "Snom", "model": "M700", "line": 1, "extension": "201"},
        {"mac": SNOM, "vendor": "Snom", "model": "M700", "line": 2, "extension": None},
    )
    (base,) = service.get("/devices/phones/list")
    assert [line["line"] for line in base["lines"]] == ["1", "2"]
    assert [line["extension"] for line in base["lines"]] == ["201", None]
    assert base["lines"][1]["status"] is None


def test_the_newest_scan_tells_where_a_phone_is(service: Service) -> None:
    service.post("/devices/phones/model", {"mac": YEALINK, "model": "T46G"})
    scanned(service, phone(ipv4="10.99.1.30"), at=2.0)
    scanned(service, phone(ipv4="10.98.1.30"), network="10.98.1.0/24", at=1.0)
    (found,) = service.get("/devices/phones/list")
    assert found["ipv4"] == "10.99.1.30"


def test_addresses_in_other_writings_are_the_same_phone(service: Service) -> None:
    """Lessons 31: addresses compare in one form."""
    service.add(
        t.rest_devices_phones,
        {"mac": YEALINK.lower(), "vendor": "Yealink/Dreamwave", "model": "T46G", "line": 1},
    )
    network_id = scanned(service, phone())
    (found,) = service.get("/devices/phones/list")
    assert (found["mac"], found["ipv4"]) == (YEALINK, "10.99.1.33")
    assert service.get(f"/devices/phones/list/{network_id}")[0]["model"] == "T46G"


def test_names_that_need_escaping(service: Service) -> None:
    service.person("eve", "202", displayname='E"ve \\ <b> ù %')
    service.post("/physicalextensions", {"mainextension": "202"})
    (custom,) = service.get("/devices/phones/list")
    assert custom["lines"][0]["displayname"] == 'E"ve \\ <b> ù %'


def test_states_come_from_hints(production_service: Service) -> None:
    service = production_service
    service.reset()
    service.person("alice", "203")
    service.post("/physicalextensions", {"mainextension": "203", "mac": YEALINK, "model": "x"})
    service.settle()  # a reload takes away what was added by hand
    service.asterisk.cli("dialplan add extension 203,hint,Custom:desk into ext-local")

    def state() -> tuple[str, str]:
        (found,) = service.get("/devices/phones/list")
        return found["lines"][0]["status"], found["lines"][0]["statusText"]

    try:
        # Asterisk works out the state of a new hint by and by.
        eventually(lambda: state() == ("0", "Idle"))
    finally:
        service.asterisk.cli("dialplan remove extension 203@ext-local")


def test_a_thousand_phones_cost_as_many_statements_as_one(service: Service) -> None:
    def fill(count: int) -> None:
        service.add(
            t.rest_devices_phones,
            *(
                {
                    "mac": f"00:15:65:00:{n // 256:02X}:{n % 256:02X}",
                    "vendor": "Yealink/Dreamwave",
                    "model": "T46G" if n % 2 else None,
                    "line": 1,
                    "extension": str(2000 + n),
                    "secret": "s" * 32,
                }
                for n in range(count)
            ),
        )

    counts = []
    for count in (1, 1000):
        service.reset()
        fill(count)
        scanned(
            service,
            *(
                phone(f"00:15:65:00:{n // 256:02X}:{n % 256:02X}", f"10.99.{n // 256}.{n % 256}")
                for n in range(count)
            ),
        )
        service.get("/devices/phones/list")
        with service.statements() as seen:
            started = time.perf_counter()
            found = service.get("/devices/phones/list")
            took = time.perf_counter() - started
        assert len(found) == count
        counts.append(len(selects(seen)))
    assert counts[0] == counts[1] == 3, seen
    print(f"{service.name}: 1,000 phones in {took * 1000:.1f} ms, {counts[1]} statements")
    assert took < 2


# --- GET /devices/phones/list/{network_id} --------------------------------------------------------


def test_scanned_phones(service: Service) -> None:
    service.post("/devices/phones/model", {"mac": SNOM, "vendor": "Snom", "model": "snom-D785"})
    network_id = scanned(
        service,
        phone(model="T46G"),
        phone(SNOM, "10.99.1.34", manufacturer="Snom", model="785"),
        phone("0C:38:3E:00:00:01", "10.99.1.35", manufacturer="Fanvil"),
        phone("00:0B:82:00:00:01", "10.99.1.36", manufacturer="Grandstream", model=""),
        gateway(),
        Device("00:1B:21:00:00:01", "10.99.1.9", None, "unknown", organisation="Intel Corporate"),
    )
    found = service.get(f"/devices/phones/list/{network_id}")
    assert found[0] == {
        "mac": YEALINK,
        "ipv4": "10.99.1.33",
        "manufacturer": "Yealink/Dreamwave",
        "type": "phone",
        "model": "T46G",
    }
    assert [row["model"] for row in found] == ["T46G", "snom-D785", None, ""]
    for bad in (network_id.upper(), "x", network_id[:-1], "..%2f..%2fetc%2fpasswd"):
        service.refused("GET", f"/devices/phones/list/{bad}", 404)


def test_phones_that_asked_by_tftp(service: Service) -> None:
    network_id = scanned(service, phone(model="T46G"))
    record_request(service.database, "001565aabbcc.cfg", served=True)
    record_request(service.database, "/000413000001.xml", served=False)
    for common in (
        "y000000000028.cfg",
        "y000000000028.boot",
        "000000000028-license.cfg",
        "00A0BA0B1CDAscript.txt",
        "00A0BA0B1CDA.cfg",  # a gateway
        "firmware.rom",
        "DEADBEEF0001.cfg",  # nobody's
    ):
        record_request(service.database, common, served=False)
    record_request(service.database, "cfgdeadbeef0002.xml", served=False)
    first, app, snom = service.get(f"/devices/phones/list/{network_id}")
    assert (first["mac"], first["tftp-requested"]) == (YEALINK, True)
    assert (
        app
        == {
            "mac": "DE:AD:BE:EF:00:02",
            "type": "phone",
            "ipv4": "",
            "manufacturer": "CTI App",
            "model": "GS Wave",
            "tftp-requested": True,
        }
        or snom["manufacturer"] == "CTI App"
    )
    by_maker = {row["manufacturer"]: row for row in (app, snom)}
    assert by_maker["Snom"]["ipv4"] == ""
    assert by_maker["Snom"]["model"] == ""
    assert service.row(t.rest_devices_phones, mac="DE:AD:BE:EF:00:02")["model"] == "GS Wave"
    before = service.everything()
    service.get(f"/devices/phones/list/{network_id}")
    assert service.everything() == before


def test_models_of_phones_that_only_asked(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    leases = tmp_path / "leases"
    leases.write_text("0 00:15:65:aa:bb:cc 10.99.1.33 SIP-T46G *\n")
    monkeypatch.setattr(service.settings, "dhcp_leases", [leases])
    for name in ("001565AABBCC.cfg", "0C383E000001.cfg"):
        record_request(service.database, name, served=False)
    found = service.get(f"/devices/phones/list/{scanned(service)}")
    assert {row["mac"]: row["model"] for row in found} == {
        YEALINK: "T46G",
        "0C:38:3E:00:00:01": None,  # Fanvil's cannot be told
    }
    assert service.row(t.rest_devices_phones)["model"] == "T46G"


def test_old_requests_are_forgotten(service: Service) -> None:
    old = {"mac": SNOM, "file": "x", "served": 0, "at": time.time() - 8 * 86400}
    recent = {**old, "mac": PATTON, "at": time.time() - 6 * 86400}
    service.add(t.rest_tftp_requests, old, recent)
    recorder = RequestRecorder(service.settings)
    recorder.note("001565aabbcc.cfg", True)
    try:
        eventually(lambda: not service.rows(t.rest_tftp_requests, mac=SNOM))
        service.add(t.rest_tftp_requests, old)
        recorder.note("001565aabbcd.cfg", True)
    finally:
        recorder.close()
    # Not with each request.
    kept = {row["mac"] for row in service.rows(t.rest_tftp_requests)}
    assert kept == {SNOM, PATTON, YEALINK, "00:15:65:AA:BB:CD"}


def test_a_gateway_is_never_listed_as_a_phone(service: Service) -> None:
    vega = "00:50:58:00:00:01"
    service.add(t.gateway_models, {"id": 23, "model": "Vega_60_4fxo", "manufacturer": "Sangoma"})
    service.add(t.gateway_config, {"id": 1, "model_id": 23, "name": "v", "mac": vega})
    record_request(service.database, "005058000001config.txt", served=True)
    network_id = scanned(service, phone(vega, manufacturer="Sangoma", model="S500"))
    assert service.get(f"/devices/phones/list/{network_id}") == []


def test_a_gateway_of_another_network_is_no_phone_either(service: Service) -> None:
    moved, app = "00:50:58:00:00:01", "DE:AD:BE:EF:00:02"
    scanned(service, gateway(moved), gateway(app), network="10.99.2.0/24")
    record_request(service.database, "005058000001config.txt", served=True)
    record_request(service.database, "cfgdeadbeef0002.xml", served=False)
    network_id = scanned(service, phone(moved, manufacturer="Sangoma", model="S500"))
    assert service.get(f"/devices/phones/list/{network_id}") == []
    assert service.rows(t.rest_devices_phones) == []


def test_the_list_waits_for_a_running_scan(service: Service) -> None:
    network_id = scan_id(NETWORK)
    task = "5" * 32
    with service.database.write() as connection:
        # A living process of another host, as far as this one can tell.
        TaskEngine.insert(
            connection, task, f"scan {NETWORK}", state="running", owner="elsewhere:1:1"
        )
    service.add(t.rest_scans, {"id": network_id, "network": NETWORK, "task": task})
    alias = scan_id("10.99.1.7/24")
    service.add(t.rest_scans, {"id": alias, "network": NETWORK})

    def end() -> None:
        with service.database.write() as connection:
            connection.execute(
                t.rest_scans.update()
                .where(t.rest_scans.c.id == network_id)
                .values(hosts=orjson.dumps([phone()]).decode(), finished=time.time())
            )
            connection.execute(
                t.rest_tasks.update().where(t.rest_tasks.c.id == task).values(state="succeeded")
            )

    with ThreadPoolExecutor(24) as pool:
        # More waiting calls than the service has threads: others are served meanwhile.
        waiting = [
            pool.submit(httpx.Client.get, service.client, f"/devices/phones/list/{key}")
            for key in [network_id, alias] * 12
        ]
        assert service.get("/devices/gateways/list") == []
        assert not any(call.done() for call in waiting)
        end()
        for call in waiting:
            assert call.result().status_code == 200
            assert call.result().json()[0]["mac"] == YEALINK


# --- scanning -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "status"),
    [
        ("", 400),
        ("192.168.1.0", 400),
        ("192.168.1.0/33", 400),
        ("192.168.300.0/24", 400),
        ("192.168.1.0/255.255.255.0", 400),
        ("10.0.0.0/8", 400),
        ("10.0.0.0/15", 400),
        ("0.0.0.0/0", 400),
        ("fd00::/64", 400),
        ("192.168.1.0/24 ", 400),
        (" 192.168.1.0/24", 400),
        ("-iL/etc/passwd", 400),
        ("--script=x 10.0.0.0/24", 400),
        ("10.0.0.0/24;reboot", 400),
        ("10.0.0.0/24\n10.0.1.0/24", 400),
        ("$(id)/24", 400),
        ("\u0661\u0660.0.0.0/24", 400),
        (7, 400),
        (["10.0.0.0/24"], 400),
        ("8.8.8.0/24", 422),
        ("127.0.0.0/24", 422),
        ("100.64.0.0/24", 422),
        ("224.0.0.0/24", 422),
        ("172.32.0.0/16", 422),
    ],
)
def test_networks_that_are_not_scanned(
    service: Service, monkeypatch: pytest.MonkeyPatch, network: object, status: int
) -> None:
    monkeypatch.setattr(networks, "lan_interfaces", list)
    service.refused("POST", "/devices/scan", status, json={"network": network})
    assert service.rows(t.rest_scans) == []
    assert service.rows(t.rest_tasks) == []


def test_scan_without_network(service: Service) -> None:
    service.refused("POST", "/devices/scan", 400, json={})
    service.refused("POST", "/devices/scan", 400)


# --- models ---------------------------------------------------------------------------------------


def test_model_of_an_unknown_phone(service: Service) -> None:
    body = {"mac": "C4-64-13-3d-15-f7", "vendor": "Cisco/Linksys", "model": "ATA186"}
    answer = service.call("POST", "/devices/phones/model", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" not in answer.headers
    row = service.row(t.rest_devices_phones)
    assert (row["mac"], row["vendor"], row["model"]) == (
        "C4:64:13:3D:15:F7",
        "Cisco/Linksys",
        "ATA186",
    )
    assert (row["line"], row["type"], row["extension"]) == (1, "physical", None)
    before = service.everything()
    service.post("/devices/phones/model", body)
    assert service.everything() == before


def test_model_keeps_links_and_lines(service: Service) -> None:
    """Lessons 15: learning the model of a phone never unlinks it."""
    user = service.person("ada", "200")
    service.post("/physicalextensions", {"mainextension": "200", "mac": YEALINK})
    service.add(t.rest_devices_phones, {"mac": YEALINK, "line": 2})
    linked = service.row(t.rest_devices_phones, line=1)
    # As a form, without maker, as older clients send it.
    answer = service.call(
        "POST", "/devices/phones/model", data={"mac": YEALINK, "vendor": "", "model": "T46G"}
    )
    assert answer.status_code == 200
    first, second = service.rows(t.rest_devices_phones)
    assert first == {**linked, "model": "T46G", "vendor": "Yealink/Dreamwave"}
    assert (first["user_id"], first["extension"]) == (user, "200")
    assert (second["model"], second["line"]) == ("T46G", 2)


@pytest.mark.parametrize(
    "body",
    [
        {"mac": "x", "vendor": "Snom", "model": "320"},
        {"mac": "00:04:13:00:00:01' OR '1'='1", "vendor": "Snom", "model": "320"},
        {"vendor": "Snom", "model": "320"},
        {"mac": SNOM, "vendor": "Snom"},
        {"mac": SNOM, "model": ""},
        {"mac": SNOM, "model": "m" * 65},
        {"mac": SNOM, "model": "a\nb"},
    ],
)
def test_models_that_are_refused(service: Service, body: dict[str, str]) -> None:
    """Lessons 2: addresses are validated at the edge, values are bound."""
    service.add(t.rest_devices_phones, {"mac": SNOM, "line": 1, "model": "kept"})
    service.refused("POST", "/devices/phones/model", 400, json=body)


@pytest.mark.parametrize("written", ["00-15-65-aa-bb-cc", "00:15:65:aa:bb:cc", "001565aabbcc"])
def test_addresses_in_other_writings(service: Service, written: str) -> None:
    """Older versions stored what they were given."""
    service.add(
        t.rest_devices_phones,
        {"mac": written, "line": 1, "extension": "91200"},
        {"mac": written, "line": 2, "extension": None},
    )
    system = System(service.settings)
    try:
        # As a scan does, whose task would fail and keep nothing.
        store_detected(system, [KnownModel(YEALINK, "Yealink/Dreamwave", "T46G")])
        store_detected(system, [KnownModel(YEALINK, "Yealink/Dreamwave", "T48G")])
    finally:
        system.stop()
    rows = service.rows(t.rest_devices_phones)
    assert [(row["mac"], row["model"]) for row in rows] == [(written, "T46G")] * 2
    service.post("/devices/phones/model", {"mac": YEALINK, "model": "T48G"})
    rows = service.rows(t.rest_devices_phones)
    assert [(row["mac"], row["model"]) for row in rows] == [(written, "T48G")] * 2
    assert [row["extension"] for row in rows] == ["91200", None]


def test_detected_models_cost_the_same_statements(service: Service) -> None:
    def store(count: int) -> list[str]:
        service.reset()
        macs = [f"00:15:65:00:00:{n:02X}" for n in range(2 * count)]
        service.add(t.rest_devices_phones, *({"mac": mac.lower()} for mac in macs[:count]))
        with service.statements() as seen:
            store_detected(system, [KnownModel(mac, "Snom", "M700") for mac in macs])
        assert {row["model"] for row in service.rows(t.rest_devices_phones)} == {"M700"}
        return seen

    system = System(service.settings)
    try:
        store(1)
        assert len(store(1)) == len(store(100))
    finally:
        system.stop()


def test_lines_of_dect_bases(service: Service) -> None:
    """FreePBX's endpoint manager tells how many there are; without it, there is one."""
    there = service.database.live(t.endpointman_model_list) is not None
    if there:
        service.add(
            t.endpointman_brand_list, {"id": "1", "name": "Aastra"}, {"id": "6", "name": "Snom"}
        )
        service.add(
            t.endpointman_model_list,
            {"id": "11", "brand": 1, "model": "M700", "max_lines": 9},
            {"id": "61", "brand": 6, "model": "M700", "max_lines": 3},
            {"id": "62", "brand": 6, "model": "M300", "max_lines": 0},
            {"id": "63", "brand": 6, "model": "320", "max_lines": 12},
        )
    second, third, fourth = "00:04:13:00:00:02", "00:04:13:00:00:03", "00:04:13:00:00:04"
    service.post("/devices/phones/model", {"mac": SNOM, "vendor": "Snom", "model": "M700"})
    service.post("/devices/phones/model", {"mac": fourth, "vendor": "Snom", "model": "320"})
    system = System(service.settings)
    try:
        store_detected(
            system, [KnownModel(second, "Snom", "M700"), KnownModel(third, "Snom", "M300")]
        )
    finally:
        system.stop()

    def lines(mac: str) -> list[tuple[int, str]]:
        return [(r["line"], r["model"]) for r in service.rows(t.rest_devices_phones, mac=mac)]

    three = [(line, "M700") for line in range(1, 4 if there else 2)]
    assert lines(SNOM) == lines(second) == three
    assert (lines(third), lines(fourth)) == ([(1, "M300")], [(1, "320")])
    # What is known keeps its lines.
    before = service.everything()
    service.post("/devices/phones/model", {"mac": SNOM, "vendor": "Snom", "model": "M700"})
    assert service.everything() == before


def test_two_at_once_make_one_phone(service: Service) -> None:
    def post(model: str) -> int:
        body = {"mac": SNOM, "model": model}
        return service.client.post("/devices/phones/model", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(post, [f"m{n}" for n in range(8)])) == {200}
    assert len(service.rows(t.rest_devices_phones)) == 1


def test_manufacturers_of_our_catalogue(service: Service) -> None:
    found = service.get("/devices/phones/manufacturers")
    assert "yealink-T46" in found["Yealink/Dreamwave"]
    assert "snom-D785" in found["Snom"]
    assert found["CTI App"] == ["GS Wave"]
    assert {"Akuvox", "Fanvil", "Gigaset", "Nethesis", "Sangoma"} <= set(found)


def test_manufacturers_of_the_endpoint_manager(embedded_service: Service) -> None:
    """The other store's database has no such tables, as many FreePBX systems have none."""
    service = embedded_service
    service.reset()
    service.add(t.endpointman_brand_list, {"id": "1", "name": "Aastra"}, {"id": "98", "name": "AT"})
    service.add(
        t.endpointman_model_list,
        {"id": "11", "brand": 1, "model": "9133i"},
        {"id": "12", "brand": 1, "model": "9112i"},
        {"id": "981", "brand": 98, "model": "IP150"},
    )
    assert service.get("/devices/phones/manufacturers") == {
        "AT": ["IP150"],
        "Aastra": ["9112i", "9133i"],
    }


# --- messages to phones ---------------------------------------------------------------------------


class SipPhone:
    """Where an endpoint of Asterisk has its contact: a socket that answers NOTIFYs."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)
        self.port = self.socket.getsockname()[1]

    def event(self) -> str:
        """The Event header of the next NOTIFY, which is answered with 200."""
        while True:
            data, peer = self.socket.recvfrom(65536)
            lines = data.decode().split("\r\n")
            if not lines[0].startswith("NOTIFY "):
                continue
            headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
            kept = [f"{name}: {headers[name]}" for name in ("Via", "From", "To", "Call-ID", "CSeq")]
            self.socket.sendto(
                "\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]).encode(), peer
            )
            return headers["Event"]


@pytest.fixture
def sip_phone(service: Service) -> Iterator[SipPhone | None]:
    """An endpoint 200 that is loaded, with its contact; None without Asterisk."""
    if service.asterisk is None:
        yield None
        return
    phone = SipPhone()
    conf: Path = service.asterisk.home / "etc" / "pjsip.conf"
    before = conf.read_text()
    conf.write_text(
        before + "[200]\ntype=endpoint\naors=200\ncontext=lab\ndisallow=all\nallow=ulaw\n"
        f"[200]\ntype=aor\ncontact=sip:200@127.0.0.1:{phone.port}\n"
    )
    service.asterisk.cli("module reload res_pjsip.so")
    eventually(lambda: "200" in service.asterisk.cli("pjsip show aors"))
    try:
        yield phone
    finally:
        conf.write_text(before)
        service.asterisk.cli("module reload res_pjsip.so")
        phone.socket.close()


def link(service: Service, vendor: str = "Yealink/Dreamwave", extension: str | None = "200") -> str:
    service.add(
        t.rest_devices_phones,
        {"mac": YEALINK, "line": 1, "vendor": vendor, "extension": None},
        {"mac": YEALINK, "line": 2, "vendor": vendor, "extension": extension},
    )
    return "00-15-65-aa-bb-cc"


def test_reboot_and_reload_differ(service: Service, sip_phone: SipPhone | None) -> None:
    """Lessons 32: a phone that is to restart is told so, one that is to read again is not."""
    mac = link(service)
    body = {"mac": mac, "ip": "10.0.0.1"}
    answer = service.call("POST", "/devices/phones/reboot", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    answer = service.call("POST", "/devices/phones/reload/200", content=b"<whatever>")
    assert (answer.status_code, answer.content) == (202, b"")
    sent = service.rows(t.rest_notifies)
    assert [(row["extension"], row["event"]) for row in sent] == [
        ("200", "check-sync;reboot=true"),
        ("200", "check-sync;reboot=false"),
    ]
    assert {bool(row["sent"]) for row in sent} == {service.asterisk is not None}
    if sip_phone is not None:
        assert sip_phone.event() == "check-sync;reboot=true"
        assert sip_phone.event() == "check-sync;reboot=false"


def test_asterisk_does_not_know_the_endpoint(service: Service) -> None:
    mac = link(service, extension="299")
    if service.asterisk is None:
        service.post("/devices/phones/reboot", {"mac": mac})
        return
    for path, body in (("reboot", {"mac": mac}), ("reload/299", None)):
        problem = service.refused("POST", f"/devices/phones/{path}", 502, json=body)
        assert "299" in problem["detail"]
    assert service.rows(t.rest_notifies) == []


@pytest.mark.parametrize("vendor", ["2N", "Mitel", "Grandstream", "Patton", "", None])
def test_makers_that_cannot_be_restarted(service: Service, vendor: str | None) -> None:
    mac = link(service, vendor)  # type: ignore[arg-type]
    problem = service.refused("POST", "/devices/phones/reboot", 422, json={"mac": mac})
    assert "vendor not supported" in problem["detail"]


def test_events_of_all_makers() -> None:
    """Each maker of the contract's table has an event, and each that restarts says so."""
    assert len(notify.REBOOT_EVENTS) == 17
    assert set(notify.REBOOT_EVENTS.values()) == {
        "check-sync",
        "check-sync;reboot=true",
        "restart_now",
    }


def test_phones_that_cannot_be_told(service: Service) -> None:
    for path in ("provision", "reboot"):
        problem = service.refused("POST", f"/devices/phones/{path}", 404, json={"mac": YEALINK})
        assert problem["message"] == "device not found"
        service.refused("POST", f"/devices/phones/{path}", 400, json={"mac": "x"})
        service.refused("POST", f"/devices/phones/{path}", 400, json={})
    mac = link(service, extension=None)
    service.post("/devices/phones/provision", {"mac": mac})
    problem = service.refused("POST", "/devices/phones/reboot", 422, json={"mac": mac})
    assert "no extension" in problem["detail"]


@pytest.mark.parametrize(
    "row",
    [
        None,
        {"mac": None, "vendor": "Snom", "type": "physical"},
        {"mac": SNOM, "vendor": None, "type": "physical"},
        {"mac": SNOM, "vendor": "", "type": "physical"},
        {"mac": SNOM, "vendor": "Snom", "type": "webrtc"},
    ],
)
def test_extensions_without_a_phone(service: Service, row: dict[str, Any] | None) -> None:
    if row is not None:
        service.add(t.rest_devices_phones, {**row, "extension": "200", "line": 1})
    # 1200 ends in 200 but is another number.
    service.add(
        t.rest_devices_phones,
        {"mac": YEALINK, "vendor": "Snom", "extension": "1200", "line": 1},
    )
    problem = service.refused("POST", "/devices/phones/reload/200", 403)
    assert "error" not in problem
    service.refused("POST", "/devices/phones/reload/2x0", 404)


# --- gateways -------------------------------------------------------------------------------------


@pytest.fixture
def configured(service: Service) -> None:
    service.add(
        t.gateway_models,
        {"id": 17, "model": "TRI_ISDN_2", "manufacturer": "Patton"},
        {"id": 31, "model": "ht801", "manufacturer": "Grandstream"},
    )
    service.add(
        t.gateway_config,
        {"id": 3, "model_id": 17, "name": "Patton-TRINITY ISDN 2 Porte", "ipv4": "10.99.1.250",
         "ipv4_new": "10.99.1.250", "gateway": "10.99.1.254", "ipv4_green": "10.99.1.1",
         "netmask_green": "255.255.255.0", "mac": PATTON},
        {"id": 5, "model_id": 31, "name": "ht", "ipv4": "", "ipv4_new": "10.99.1.9",
         "gateway": None, "ipv4_green": None, "netmask_green": None, "mac": ""},
    )  # fmt: skip
    service.add(
        t.gateway_config_isdn,
        {"config_id": 3, "trunk": 5, "trunknumber": 20005, "protocol": "pmp", "secret": "12345678"},
        {"config_id": 3, "trunk": 4, "trunknumber": 20004, "protocol": "pp", "secret": "12345678"},
    )
    service.add(
        t.gateway_config_pri,
        {"config_id": 5, "trunk": 6, "trunknumber": 20006, "secret": "12345678"},
    )
    service.add(
        t.gateway_config_fxo,
        {"config_id": 5, "trunk": 7, "trunknumber": 20007, "number": "0721", "secret": "1"},
    )
    service.add(
        t.gateway_config_fxs,
        {"config_id": 5, "extension": "201", "physical_extension": "91201", "secret": "1"},
        {"config_id": 5, "extension": "", "physical_extension": "", "secret": ""},
    )


def test_found_and_configured_gateways(service: Service, configured: None) -> None:
    network_id = scanned(
        service, gateway("00:A0:BA:0C:00:01", "10.99.1.246"), gateway(), phone(model="T46G")
    )
    other, patton, manual = service.get(f"/devices/gateways/list/{network_id}")
    assert other == {
        "mac": "00:A0:BA:0C:00:01",
        "ipv4": "10.99.1.246",
        "manufacturer": "Patton",
        "type": "gateway",
        "isConnected": True,
        "isConfigured": False,
    }
    assert patton == {
        "mac": PATTON,
        "ipv4": "10.99.1.250",
        "manufacturer": "Patton",
        "type": "gateway",
        "isConnected": True,
        "isConfigured": True,
        "id": "3",
        "model_id": "17",
        "model": "17",
        "name": "Patton-TRINITY ISDN 2 Porte",
        "ipv4_new": "10.99.1.250",
        "gateway": "10.99.1.254",
        "ipv4_green": "10.99.1.1",
        "netmask_green": "255.255.255.0",
        "proxy": None,
        "trunks_isdn": [{"name": "5", "type": "pmp"}, {"name": "4", "type": "pp"}],
    }
    assert (manual["isConnected"], manual["isConfigured"]) == (False, True)
    assert manual["trunks_pri"] == [{"linked_trunk": "6"}]
    assert manual["trunks_fxo"] == [{"linked_trunk": "7", "number": "0721"}]
    assert manual["trunks_fxs"] == [{"linked_extension": "201"}, {"linked_extension": ""}]
    assert "trunks_isdn" not in manual
    assert "type" not in manual
    assert service.get("/devices/gateways/list")[1]["mac"] == PATTON


def test_any_text_names_no_scan(service: Service, configured: None) -> None:
    for key in ("foo", "e2fa272b0b69291f2916ccf63f55d0e8", "..%2f..%2fetc", "x" * 128):
        found = service.get(f"/devices/gateways/list/{key}")
        assert [row["id"] for row in found] == ["3", "5"]
        assert not any(row["isConnected"] for row in found)
    service.refused("GET", f"/devices/gateways/list/{'x' * 129}", 404)


def test_many_gateways_cost_as_many_statements_as_one(service: Service, configured: None) -> None:
    network_id = scanned(service, gateway())
    service.get(f"/devices/gateways/list/{network_id}")
    with service.statements() as few:
        service.get(f"/devices/gateways/list/{network_id}")
    service.add(
        t.gateway_config,
        *({"model_id": 17, "name": f"g{n}", "mac": f"00:A0:BA:00:01:{n:02X}"} for n in range(200)),
    )
    with service.statements() as many:
        assert len(service.get(f"/devices/gateways/list/{network_id}")) == 202
    assert len(selects(few)) == len(selects(many)) == 6, many


# --- our addresses --------------------------------------------------------------------------------


def test_addresses_near_a_device(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from ipaddress import IPv4Interface

    system = System(service.settings)
    mine = [IPv4Interface(text) for text in ("93.184.216.4/24", "10.1.2.3/16", "10.1.9.3/24")]
    monkeypatch.setattr(addresses, "lan_interfaces", lambda: mine)
    try:
        assert addresses.pbx_address(system) == "10.1.2.3"
        assert addresses.pbx_address(system, "10.1.9.200") == "10.1.9.3"
        assert addresses.pbx_address(system, "10.1.8.200") == "10.1.2.3"
        assert addresses.pbx_address(system, "nonsense") == "10.1.2.3"
        assert addresses.netmask_near("10.1.9.200") == "255.255.255.0"
        assert addresses.netmask_near("10.1.8.200") == "255.255.0.0"
        assert addresses.netmask_near("192.0.2.1") == "255.255.255.0"
        mine.clear()
        assert addresses.pbx_address(system) == ""
        system.settings.pbx_address = "pbx.example.org"
        assert addresses.pbx_address(system, "10.1.9.200") == "pbx.example.org"
    finally:
        system.settings.pbx_address = ""
        system.stop()


def test_real_interfaces_have_networks() -> None:
    assert all(not item.is_loopback for item in addresses.lan_interfaces())
