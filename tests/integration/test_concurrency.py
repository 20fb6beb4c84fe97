"""32 clients on two server processes: no number is given twice, none is lost."""

import threading
from collections import Counter
from pathlib import Path

from nethvoice.store import tables as t
from tests.integration.conftest import Store
from tests.processes import Process

CLIENTS = 32
MAINS = ("200", "201", "202", "1200")


def test_numbers_are_unique_across_processes(store: Store, tmp_path: Path) -> None:
    names = [f"user{position}" for position in range(len(MAINS))]
    store.people(names)
    given: list[tuple[str, str]] = []
    refused: Counter[str] = Counter()
    odd: list[str] = []
    guard = threading.Lock()
    start = threading.Barrier(CLIENTS)

    def client(server: Process, first: int) -> None:
        with server.client() as http:
            start.wait(30)
            # All clients go for the same main extension first, then for different ones.
            for turn in range(3):
                main = MAINS[0] if turn == 0 else MAINS[(first + turn) % len(MAINS)]
                answer = http.post("/physicalextensions", json={"mainextension": main})
                with guard:
                    if answer.status_code == 200:
                        given.append((main, answer.json()["extension"]))
                    elif answer.status_code == 409:
                        refused[main] += 1
                    else:
                        odd.append(answer.text)

    with (
        Process(tmp_path / "one.log", **store.settings) as one,
        Process(tmp_path / "two.log", **store.settings) as two,
    ):
        with one.client() as http:
            for name, main in zip(names, MAINS, strict=True):
                body = {"username": name, "extension": main}
                assert http.post("/mainextensions", json=body).status_code == 201
        threads = [
            threading.Thread(target=client, args=((one, two)[number % 2], number))
            for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        with two.client() as http:
            late = http.post("/physicalextensions", json={"mainextension": MAINS[0]})
    assert odd == []
    assert late.status_code == 409
    assert late.json()["status"] == "There aren't available extension numbers"
    numbers = [number for _, number in given]
    assert len(numbers) == len(set(numbers))
    for main in MAINS:
        mine = sorted(number for owner, number in given if owner == main)
        assert mine == sorted([main, *(f"9{digit}{main}" for digit in range(1, 8))])
    assert sum(refused.values()) == CLIENTS * 3 - len(given)
    assert sorted(row["extension"] for row in store.rows(t.users)) == sorted(numbers)
    registered = [row["extension"] for row in store.rows(t.rest_devices_phones)]
    assert sorted(registered) == sorted(numbers)
    keys = store.read_astdb("AMPUSER")
    for main in MAINS:
        assert sorted(keys[f"{main}/device"].split("&")) == sorted(
            number for owner, number in given if owner == main
        )


def test_one_number_for_one_person(store: Store, tmp_path: Path) -> None:
    """Many people ask for the same main extension at once; one gets it."""
    names = [f"user{number}" for number in range(16)]
    store.people(names)
    codes: Counter[int] = Counter()
    guard = threading.Lock()

    def client(server: Process, name: str) -> None:
        with server.client() as http:
            body = {"username": name, "extension": "300"}
            answer = http.post("/mainextensions", json=body)
        with guard:
            codes[answer.status_code] += 1

    with (
        Process(tmp_path / "one.log", **store.settings) as one,
        Process(tmp_path / "two.log", **store.settings) as two,
    ):
        threads = [
            threading.Thread(target=client, args=((one, two)[number % 2], name))
            for number, name in enumerate(names)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert codes == {201: 1, 422: 15}
    assert [row["extension"] for row in store.rows(t.users)] == ["300"]
