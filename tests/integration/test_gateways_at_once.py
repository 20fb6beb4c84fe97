"""Gateways saved through two server processes at once, and by one that is killed: trunks, numbers
and files neither mix nor stay behind."""

import contextlib
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from nethvoice.store import tables as t
from tests.integration.conftest import Store
from tests.processes import Process
from tests.support import eventually

GATEWAYS = 6
PORTS = 4
ROUNDS = 3
KILLS = 4


def _body(number: int, ports: int) -> dict[str, Any]:
    return {
        "name": f"gateway {number}",
        "mac": f"00:A0:BA:00:00:{number:02X}",
        "model": "18",
        "ipv4_new": f"192.168.1.{number + 1}",
        "gateway": "192.168.1.254",
        "netmask_green": "255.255.255.0",
        "ipv4_green": "192.168.1.200",
        "trunks_isdn": [{"type": "pp"}] * ports,
        "trunks_fxs": [{"linked_extension": "200"}],
    }


def test_gateways_do_not_mix(store: Store, tmp_path: Path) -> None:
    """Each gateway is saved by two clients, one on each process, with ports that come and go, and
    every other one is deleted in between. All telephones are of one person."""
    store.people(["alice"])
    codes: Counter[int] = Counter()
    guard = threading.Lock()
    start = threading.Barrier(2 * GATEWAYS)

    def client(server: Process, number: int) -> None:
        with server.client() as http:
            start.wait(60)
            for turn in range(ROUNDS):
                answers = [http.post("/devices/gateways", json=_body(number, 1 + turn))]
                if number % 2:
                    gateway_id = answers[0].json().get("id", "0")
                    answers.append(http.delete(f"/devices/gateways/{gateway_id}"))
                answers.append(http.post("/devices/gateways", json=_body(number, PORTS)))
                with guard:
                    codes.update(answer.status_code for answer in answers)

    with (
        Process(tmp_path / "one.log", **store.settings) as one,
        Process(tmp_path / "two.log", **store.settings) as two,
    ):
        with one.client() as http:
            body = {"username": "alice", "extension": "200"}
            assert http.post("/mainextensions", json=body).status_code == 201
        threads = [
            threading.Thread(target=client, args=(server, number))
            for number in range(GATEWAYS)
            for server in (one, two)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)

    assert set(codes) == {200}
    gateways = {row["id"]: row for row in store.rows(t.gateway_config)}
    assert sorted(row["mac"] for row in gateways.values()) == [
        f"00:A0:BA:00:00:{number:02X}" for number in range(GATEWAYS)
    ]
    trunks = {row["trunkid"]: row for row in store.rows(t.trunks)}
    ports = store.rows(t.gateway_config_isdn)
    assert len(ports) == len(trunks) == GATEWAYS * PORTS
    assert {row["trunk"] for row in ports} == set(trunks)
    assert len({row["trunknumber"] for row in ports}) == len(ports)
    for row in ports:
        trunk, gateway = trunks[row["trunk"]], gateways[row["config_id"]]
        uid = gateway["mac"].replace(":", "")[-6:].lower()
        assert trunk["name"].startswith(f"Patton_{uid}_isdn_")
        assert trunk["dialoutprefix"] == str(row["trunknumber"])
    settings = store.rows(t.pjsip)
    assert {row["id"] for row in settings} == {str(number) for number in trunks}

    phones = store.rows(t.gateway_config_fxs)
    numbers = sorted(row["physical_extension"] for row in phones)
    assert len(numbers) == len(set(numbers)) == GATEWAYS
    assert set(numbers) <= {"200", *(f"9{n}200" for n in range(1, 8))}
    devices = [row["extension"] for row in store.rows(t.rest_devices_phones)]
    assert sorted(devices) == numbers
    extensions = {row["extension"] for row in store.rows(t.users)}
    assert extensions == {"200", *numbers}

    folder = Path(store.settings["DATA_DIR"]) / "tftpboot"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"00A0BA0000{number:02X}.cfg" for number in range(GATEWAYS)
    ]
    for row in ports:
        mac = gateways[row["config_id"]]["mac"].replace(":", "")
        assert row["secret"] in (folder / f"{mac}.cfg").read_text("ascii")
    assert store.rows(t.rest_outbox) == []


def test_sigkill_during_saves(store: Store, tmp_path: Path) -> None:
    """A gateway is there with its trunks and its file, or nothing of it is."""
    store.people(["alice"])
    process = Process(tmp_path / "server.log", **store.settings)
    chance = random.Random(7)
    count = 0
    gone = threading.Event()

    def client(number: int) -> None:
        nonlocal count
        with contextlib.suppress(httpx.TransportError), process.client() as http:
            while not gone.is_set():
                answer = http.post("/devices/gateways", json=_body(number, PORTS))
                assert answer.status_code == 200, answer.text
                count += 1
                if chance.random() < 0.7:
                    http.delete(f"/devices/gateways/{answer.json()['id']}")

    for turn in range(KILLS):
        process.start()
        if turn == 0:
            with process.client() as http:
                body = {"username": "alice", "extension": "200"}
                assert http.post("/mainextensions", json=body).status_code == 201
        gone.clear()
        clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for thread in clients:
            thread.start()
        goal = count + chance.randint(2, 12)
        eventually(lambda goal=goal: count >= goal, 120)
        process.kill()
        gone.set()
        for thread in clients:
            thread.join(60)
    process.start()
    eventually(lambda: store.rows(t.rest_outbox) == [], 30)
    process.stop()

    gateways = {row["id"]: row for row in store.rows(t.gateway_config)}
    ports = store.rows(t.gateway_config_isdn)
    trunks = {row["trunkid"] for row in store.rows(t.trunks)}
    assert Counter(row["config_id"] for row in ports) == dict.fromkeys(gateways, PORTS)
    assert {row["trunk"] for row in ports} == trunks
    assert {row["id"] for row in store.rows(t.pjsip)} == {str(number) for number in trunks}
    numbers = [row["physical_extension"] for row in store.rows(t.gateway_config_fxs)]
    assert len(numbers) == len(set(numbers)) == len(gateways)
    assert sorted(row["extension"] for row in store.rows(t.rest_devices_phones)) == sorted(numbers)
    assert {row["extension"] for row in store.rows(t.users)} == {"200", *numbers}
    members = store.read_astdb("AMPUSER")["200/device"].split("&")
    assert sorted(members) == sorted({"200", *numbers})
    folder = Path(store.settings["DATA_DIR"]) / "tftpboot"
    assert {path.name for path in folder.glob("[!.]*")} == {
        f"{row['mac'].replace(':', '')}.cfg" for row in gateways.values()
    }
    for row in ports:
        mac = gateways[row["config_id"]]["mac"].replace(":", "")
        assert row["secret"] in (folder / f"{mac}.cfg").read_text("ascii")
