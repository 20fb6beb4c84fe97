"""Planned reboots with whole processes: two of them, and one that is killed."""

import time
from pathlib import Path

from sqlalchemy import insert, update

from nethvoice.store import tables as t
from tests.integration.conftest import Store
from tests.processes import Process
from tests.support import eventually

MAC = "00-15-65-11-22-33"


def prepare(store: Store) -> None:
    """A phone of an extension that Asterisk does not know: a try is made once, whatever comes."""
    with store.database.write() as connection:
        connection.execute(
            insert(t.rest_devices_phones).values(
                mac=MAC.replace("-", ":"), vendor="Snom", extension="91200", type="physical"
            )
        )


def now_due(store: Store) -> None:
    with store.database.write() as connection:
        connection.execute(update(t.rest_phone_reboots).values(due=time.time()))


def tries(*logs: Path) -> int:
    text = "".join(log.read_text(errors="replace") for log in logs)
    return text.count("planned reboot done") + text.count("planned reboot failed")


def test_a_plan_outlives_a_killed_process_and_is_done_once(store: Store, tmp_path: Path) -> None:
    prepare(store)
    settings = {**store.settings, "LOG_LEVEL": "INFO"}
    first = Process(tmp_path / "first.log", **settings).start()
    with first.client() as client:
        wish = {MAC: {"hours": "22", "minutes": "05"}}
        assert client.post("/phones/reboot", json=wish).json() == {MAC: {"code": 204}}
    first.kill()

    logs = [tmp_path / "second.log", tmp_path / "third.log"]
    with Process(logs[0], **settings) as second, Process(logs[1], **settings) as third:
        with second.client() as client:
            assert client.get("/phones/reboot").json() == {MAC: {"hours": "22", "minutes": "05"}}
        assert tries(*logs) == 0
        now_due(store)
        eventually(lambda: tries(*logs) == 1, 30)
        with third.client() as client:
            eventually(lambda: client.get("/phones/reboot").json() == {})
    assert tries(*logs) == 1
    sent = [row["extension"] for row in store.rows(t.rest_notifies)]
    assert sent == (["91200"] if store.name == "embedded" else [])
