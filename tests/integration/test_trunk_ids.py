"""Many clients on two server processes: no trunk id is given twice, none is left out."""

import threading
from collections import Counter
from pathlib import Path

from nethvoice.store import tables as t
from tests.integration.conftest import Store
from tests.processes import Process

CLIENTS = 16
ROUNDS = 4


def test_ids_are_unique_across_processes(store: Store, tmp_path: Path) -> None:
    """Each client makes four trunks and deletes one of them at once, so that ids come back."""
    kept: list[str] = []
    codes: Counter[int] = Counter()
    guard = threading.Lock()
    start = threading.Barrier(CLIENTS)

    def client(server: Process, number: int) -> None:
        with server.client() as http:
            start.wait(30)
            for turn in range(ROUNDS):
                body = {
                    "provider": "vivavox",
                    "name": f"line-{number}-{turn}",
                    "username": "u",
                    "password": "p",
                    "phone": "0541",
                }
                answer = http.post("/trunks", json=body)
                trunk_id = answer.json().get("trunkid", "")
                with guard:
                    codes[answer.status_code] += 1
                if turn == 1:
                    gone = http.delete(f"/trunks/{trunk_id}")
                    with guard:
                        codes[gone.status_code] += 1
                else:
                    with guard:
                        kept.append(trunk_id)

    with (
        Process(tmp_path / "one.log", **store.settings) as one,
        Process(tmp_path / "two.log", **store.settings) as two,
    ):
        threads = [
            threading.Thread(target=client, args=((one, two)[number % 2], number))
            for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert codes == {200: CLIENTS * (ROUNDS + 1)}
    assert len(kept) == len(set(kept)) == CLIENTS * (ROUNDS - 1)
    trunks = store.rows(t.trunks)
    assert sorted(str(row["trunkid"]) for row in trunks) == sorted(kept)
    names = {
        row["id"]: row["data"] for row in store.rows(t.pjsip) if row["keyword"] == "trunk_name"
    }
    assert names == {str(row["trunkid"]): row["name"] for row in trunks}
    # Ids are given out from below: what is left over is no more than what was deleted.
    assert max(row["trunkid"] for row in trunks) <= CLIENTS * ROUNDS
    assert len(store.rows(t.kvstore_nethcti3)) == 2 * len(trunks)
