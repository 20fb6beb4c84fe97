"""Planned reboots by a clock of our own: when they come, who does them, and what a crash leaves."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import insert, select

from nethvoice.pbx import phone_reboots
from nethvoice.store import tables as t
from nethvoice.system import System

PHONE = "00-15-65-11-22-33"
OTHER = "00-15-65-11-22-44"
MakeSystem = Callable[..., System]


class Clock:
    """Local time as the tests want it."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def rome(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone with summer time."""
    monkeypatch.setenv("TZ", "Europe/Rome")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def clock() -> Clock:
    return Clock("2026-03-10 21:00:00")


@pytest.fixture
def system(make_system: MakeSystem) -> System:
    made = make_system()
    with made.database.write() as connection:
        connection.execute(
            insert(t.rest_devices_phones),
            [
                {"mac": mac.replace("-", ":"), "vendor": "Snom", "extension": number, "line": 1,
                 "type": "physical"}
                for mac, number in ((PHONE, "91200"), (OTHER, "91201"))
            ],
        )  # fmt: skip
    return made


def sent(system: System) -> list[str]:
    with system.read() as connection:
        rows = connection.execute(select(t.rest_notifies).order_by(t.rest_notifies.c.id))
        return [row.extension for row in rows]


def plan(system: System, clock: Clock, mac: str, hours: int, minutes: int) -> None:
    wish = {mac: {"hours": hours, "minutes": minutes}}
    assert phone_reboots.reboot_phones(system, wish, clock) == {mac: {"code": 204}}


def local(moment: float) -> str:
    return datetime.fromtimestamp(moment).isoformat(sep=" ")


def test_it_comes_once_at_its_minute(system: System, clock: Clock) -> None:
    plan(system, clock, PHONE, 22, 5)
    for moment in ("2026-03-10 21:00:05", "2026-03-10 22:04:59"):
        clock.set(moment)
        phone_reboots.run_due(system, clock)
        assert sent(system) == []
        assert list(phone_reboots.list_reboots(system)) == [PHONE]
    for moment in ("2026-03-10 22:05:02", "2026-03-10 22:05:07", "2026-03-11 22:05:02"):
        clock.set(moment)
        phone_reboots.run_due(system, clock)
        assert sent(system) == ["91200"]
    assert phone_reboots.list_reboots(system) == {}


def test_a_time_that_is_over_is_tomorrow(system: System, clock: Clock) -> None:
    clock.set("2026-03-10 22:05:00")
    plan(system, clock, PHONE, 22, 5)
    plan(system, clock, OTHER, 6, 0)
    phone_reboots.run_due(system, clock)
    clock.set("2026-03-10 22:06:00")
    phone_reboots.run_due(system, clock)
    assert sent(system) == []
    clock.set("2026-03-11 06:00:01")
    phone_reboots.run_due(system, clock)
    assert sent(system) == ["91201"]
    clock.set("2026-03-11 22:05:00")
    phone_reboots.run_due(system, clock)
    assert sent(system) == ["91201", "91200"]


@pytest.mark.parametrize(
    ("now", "hour", "minute", "due"),
    [
        ("2026-03-10 21:00:00", 21, 0, "2026-03-11 21:00:00"),
        ("2026-03-10 20:59:59", 21, 0, "2026-03-10 21:00:00"),
        ("2026-12-31 23:59:30", 0, 0, "2027-01-01 00:00:00"),
        # 02:00 to 03:00 does not exist on 29 March, and exists twice on 25 October.
        ("2026-03-28 23:00:00", 2, 30, "2026-03-29 03:30:00"),
        ("2026-03-28 23:00:00", 4, 0, "2026-03-29 04:00:00"),
        ("2026-10-24 23:00:00", 2, 30, "2026-10-25 02:30:00"),
        ("2026-10-24 23:00:00", 4, 0, "2026-10-25 04:00:00"),
    ],
)
def test_the_next_occurrence(now: str, hour: int, minute: int, due: str) -> None:
    moment = datetime.fromisoformat(now).timestamp()
    assert local(phone_reboots.next_occurrence(hour, minute, moment)) == due


def test_an_hour_that_comes_twice_is_used_once(system: System, clock: Clock) -> None:
    clock.set("2026-10-24 23:00:00")
    plan(system, clock, PHONE, 2, 30)
    first = datetime.fromisoformat("2026-10-25T02:30:01+02:00").timestamp()
    for clock.now in (first, first + 3600):
        phone_reboots.run_due(system, clock)
        assert sent(system) == ["91200"]


def test_what_was_missed_waits_for_the_next_night(
    system: System, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that comes back in the morning does not restart phones in office hours."""
    plan(system, clock, PHONE, 22, 5)
    clock.set("2026-03-11 09:00:00")
    phone_reboots.run_due(system, clock)
    assert sent(system) == []
    assert "a planned reboot was missed" in caplog.text
    assert phone_reboots.list_reboots(system) == {PHONE: {"hours": "22", "minutes": "05"}}
    clock.set("2026-03-11 22:05:03")
    phone_reboots.run_due(system, clock)
    assert sent(system) == ["91200"]


def test_a_short_outage_only_delays(system: System, clock: Clock) -> None:
    plan(system, clock, PHONE, 22, 5)
    clock.set("2026-03-10 22:13:00")
    phone_reboots.run_due(system, clock)
    assert sent(system) == ["91200"]


def test_a_failed_try_is_logged_and_dropped(
    system: System, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = "00-15-65-99-99-99"
    plan(system, clock, unknown, 22, 5)
    plan(system, clock, PHONE, 22, 5)
    clock.set("2026-03-10 22:05:01")
    phone_reboots.run_due(system, clock)
    assert sent(system) == ["91200"]
    assert phone_reboots.list_reboots(system) == {}
    [record] = [r for r in caplog.records if r.message == "planned reboot failed"]
    assert vars(record)["reason"] == "phone not found"


def test_it_survives_the_process(make_system: MakeSystem, system: System, clock: Clock) -> None:
    plan(system, clock, PHONE, 22, 5)
    clock.set("2026-03-10 22:05:01")
    phone_reboots.run_due(make_system(), clock)
    assert sent(system) == ["91200"]


def test_many_processes_do_it_once(make_system: MakeSystem, system: System, clock: Clock) -> None:
    plan(system, clock, PHONE, 22, 5)
    plan(system, clock, OTHER, 22, 5)
    clock.set("2026-03-10 22:05:01")
    systems = [make_system() for _ in range(6)]
    start = threading.Barrier(len(systems))

    def work(one: System) -> None:
        start.wait()
        phone_reboots.run_due(one, clock)

    threads = [threading.Thread(target=work, args=(one,)) for one in systems]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(sent(system)) == ["91200", "91201"]


def test_another_process_takes_over_from_one_that_died(
    make_system: MakeSystem, system: System, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the claim and the NOTIFY."""
    plan(system, clock, PHONE, 22, 5)
    clock.set("2026-03-10 22:05:01")

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(phone_reboots.notify, "reboot", die)
        with pytest.raises(Killed):
            phone_reboots.run_due(system, clock)
    other = make_system()
    clock.set("2026-03-10 22:05:40")
    phone_reboots.run_due(other, clock)
    assert sent(system) == []  # the first one may still be at it
    clock.set("2026-03-10 22:06:05")
    phone_reboots.run_due(other, clock)
    assert sent(system) == ["91200"]
    assert phone_reboots.list_reboots(system) == {}


def test_a_plan_made_while_the_old_one_is_done_is_kept(
    system: System, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(system, clock, PHONE, 22, 5)
    clock.set("2026-03-10 22:05:01")

    def replan(*_: Any) -> None:
        plan(system, clock, PHONE, 22, 5)

    monkeypatch.setattr(phone_reboots.notify, "reboot", replan)
    phone_reboots.run_due(system, clock)
    assert list(phone_reboots.list_reboots(system)) == [PHONE]
    with system.read() as connection:
        due = connection.scalar(select(t.rest_phone_reboots.c.due))
    assert local(due or 0) == "2026-03-11 22:05:00"


def test_cancelling_in_time(system: System, clock: Clock) -> None:
    plan(system, clock, PHONE, 22, 5)
    plan(system, clock, OTHER, 22, 5)
    phone_reboots.cancel_reboots(system, [PHONE])
    clock.set("2026-03-10 22:05:01")
    phone_reboots.run_due(system, clock)
    assert sent(system) == ["91201"]


def test_the_running_service_does_what_is_due(make_system: MakeSystem, system: System) -> None:
    """The thread that `attach` makes, by the real clock."""
    from tests.support import eventually

    with system.database.write() as connection:
        connection.execute(
            insert(t.rest_phone_reboots).values(
                mac=PHONE.replace("-", ":"), hour=0, minute=0, due=time.time() - 1
            )
        )
    running = make_system()
    phone_reboots.attach(running)
    running.start()
    eventually(lambda: sent(system) == ["91200"])
    eventually(lambda: phone_reboots.list_reboots(system) == {})
