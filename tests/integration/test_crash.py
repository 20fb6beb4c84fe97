"""`kill -9` at any instant leaves every extension wholly there or wholly absent."""

import contextlib
import itertools
import random
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import httpx
import pytest

from nethvoice.store import tables as t
from tests.integration.conftest import Store
from tests.processes import Process
from tests.support import eventually

KILLS = 12
PEOPLE = 400


@pytest.mark.timeout(900)
def test_sigkill_during_creations(store: Store, tmp_path: Path) -> None:
    names = [f"user{number}" for number in range(PEOPLE)]
    store.people(names)
    waiting = iter(enumerate(names))
    guard = threading.Lock()
    answered: set[str] = set()
    chance = random.Random(20)
    process = Process(tmp_path / "server.log", **store.settings)
    for _ in itertools.count():
        process.start()
        gone = threading.Event()
        workers = [
            threading.Thread(target=_create, args=(process, waiting, guard, gone, answered))
            for _ in range(6)
        ]
        for worker in workers:
            worker.start()
        # A random moment, counted in answers so that a slow machine is hit as well as a quick one.
        target = len(answered) + chance.randint(1, PEOPLE // KILLS)
        eventually(partial(_enough, answered, target, workers), 120)
        process.kill()
        gone.set()
        for worker in workers:
            worker.join(60)
        with guard:
            left = next(waiting, None)
        if left is None:
            break
    process.start()
    eventually(lambda: store.rows(t.rest_outbox) == [], 30)
    eventually(
        lambda: not [r for r in store.rows(t.rest_tasks) if r["state"] in ("queued", "running")], 60
    )
    process.stop()
    _assert_whole(store, answered)


def _enough(answered: set[str], target: int, workers: list[threading.Thread]) -> bool:
    return len(answered) >= target or not any(worker.is_alive() for worker in workers)


def _create(process, waiting, guard, gone, answered) -> None:  # type: ignore[no-untyped-def]
    with contextlib.suppress(httpx.TransportError), process.client() as client:
        while not gone.is_set():
            with guard:
                item = next(waiting, None)
            if item is None:
                return
            number, name = item
            extension = str(3000 + number)
            answer = client.post("/mainextensions", json={"username": name, "extension": extension})
            assert answer.status_code == 201, answer.text
            link = client.post("/physicalextensions", json={"mainextension": extension})
            second = client.post("/physicalextensions", json={"mainextension": extension})
            if link.status_code == second.status_code == 200:
                with guard:
                    answered.add(extension)


def _assert_whole(store: Store, answered: set[str]) -> None:
    users = {row["extension"] for row in store.rows(t.users)}
    mains = {
        row["default_extension"]
        for row in store.rows(t.userman_users)
        if row["default_extension"] != "none"
    }
    sip = Counter(row["id"] for row in store.rows(t.sip))
    ampuser = Counter(key.partition("/")[0] for key in store.read_astdb("AMPUSER"))
    device = Counter(key.partition("/")[0] for key in store.read_astdb("DEVICE"))
    assert {row["id"] for row in store.rows(t.devices)} == users
    assert set(sip) == users == set(ampuser) == set(device)
    assert set(sip.values()) <= {54}
    assert set(device.values()) <= {5}
    assert set(ampuser.values()) <= {22}
    assert {number for number in users if not number.startswith("91")} == mains
    phones = [row["extension"] for row in store.rows(t.rest_devices_phones)]
    assert len(phones) == len(set(phones))
    assert set(phones) <= users
    assert answered <= users
    assert {f"91{number}" for number in answered} <= users
    members = store.read_astdb("AMPUSER")
    for number in answered:
        assert members[f"{number}/device"] == f"{number}&91{number}"
        assert members[f"91{number}/cidnum"] == number
