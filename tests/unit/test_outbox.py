"""Effects are applied in order, once they can be, and never lost."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, select

from nethvoice.store.database import Database
from nethvoice.store.outbox import (
    ATTEMPTS_BEFORE_PARKING,
    SECONDS_BEFORE_PARKING,
    Operation,
    Outbox,
    TargetDown,
)
from nethvoice.store.tables import rest_outbox


class Recorder:
    """A target that remembers what was applied; `fail` may raise for an operation."""

    def __init__(self, joins: bool = False) -> None:
        self.joins_transaction = joins
        self.applied: list[Operation] = []
        self.fail: Callable[[Operation], None] = lambda _operation: None

    def apply(self, operations: Sequence[Operation], connection: Connection | None = None) -> None:
        assert (connection is not None) == self.joins_transaction
        for operation in operations:
            self.fail(operation)
        self.applied += operations


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def _record(database: Database, *operations: list[Any], target: str = "box") -> None:
    with database.write() as connection:
        Outbox.record(connection, target, list(operations))


def _rows(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(rest_outbox).order_by(rest_outbox.c.id)))


@pytest.mark.parametrize("joins", [False, True])
def test_effects_are_applied_in_order_and_forgotten(database: Database, joins: bool) -> None:
    target = Recorder(joins)
    outbox = Outbox(database, {"box": target})
    _record(database, ["a"], ["b"])
    _record(database, ["c"])
    outbox.drain()
    assert target.applied == [["a"], ["b"], ["c"]]
    assert _rows(database) == []
    outbox.drain()
    assert len(target.applied) == 3


def test_a_rolled_back_change_has_no_effects(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as connection:
        Outbox.record(connection, "box", [["a"]])
        raise RuntimeError
    assert _rows(database) == []


def test_many_effects(database: Database) -> None:
    target = Recorder()
    for number in range(450):
        _record(database, [number])
    Outbox(database, {"box": target}).drain()
    assert target.applied == [[number] for number in range(450)]


@pytest.mark.parametrize("joins", [False, True])
def test_a_target_that_is_down_keeps_everything(database: Database, joins: bool) -> None:
    target = Recorder()
    other = Recorder(joins)

    def down(_operation: Operation) -> None:
        raise TargetDown("no connection")

    target.fail = down
    outbox = Outbox(database, {"box": target, "other": other})
    _record(database, ["a"])
    _record(database, ["b"], target="other")
    for _ in range(ATTEMPTS_BEFORE_PARKING + 1):
        outbox.drain()
    # The other target goes on, and being down does not count as failing.
    assert other.applied == [["b"]]
    assert [row.attempts for row in _rows(database)] == [0]
    target.fail = lambda _operation: None
    outbox.drain()
    assert target.applied == [["a"]]


@pytest.mark.parametrize("joins", [False, True])
def test_a_failing_effect_holds_back_those_behind_it_until_it_is_parked(
    database: Database, joins: bool
) -> None:
    target = Recorder(joins)

    def picky(operation: Operation) -> None:
        if operation == ["bad"]:
            raise ValueError("no such thing")

    target.fail = picky
    clock = Clock()
    outbox = Outbox(database, {"box": target}, clock)
    _record(database, ["first"])
    _record(database, ["bad"])
    _record(database, ["behind"])
    outbox.drain()
    assert target.applied == [["first"]]
    for _ in range(ATTEMPTS_BEFORE_PARKING):
        outbox.drain()
    assert outbox.pending().parked == 0, "not before an hour has passed"
    clock.now += SECONDS_BEFORE_PARKING
    outbox.drain()
    assert target.applied == [["first"], ["behind"]]
    assert (outbox.pending().waiting, outbox.pending().parked) == (0, 1)
    assert "no such thing" in _rows(database)[0].last_error
    # The operator mends it and lets it be tried again.
    target.fail = lambda _operation: None
    assert outbox.retry_parked() == 1
    outbox.drain()
    assert target.applied[-1] == ["bad"]
    assert _rows(database) == []


@pytest.mark.parametrize("joins", [False, True])
def test_each_caller_finds_its_effect_applied(database: Database, joins: bool) -> None:
    """Callers share rounds, but nobody returns before a round that saw his effect."""
    target = Recorder(joins)
    outbox = Outbox(database, {"box": target})
    missed: list[int] = []
    start = threading.Barrier(6)

    def change(number: int) -> None:
        start.wait(20)
        for turn in range(15):
            _record(database, [number, turn])
            outbox.drain(wait=20)
            if [number, turn] not in target.applied:
                missed.append(number)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert missed == []
    assert len(target.applied) == 90
    for number in range(6):
        assert [turn for who, turn in target.applied if who == number] == list(range(15))


def test_every_target_is_down_with_much_to_do(database: Database) -> None:
    def down(_operation: Operation) -> None:
        raise TargetDown("no connection")

    targets = {name: Recorder() for name in ("box", "other")}
    for name, target in targets.items():
        target.fail = down
        for number in range(150):
            _record(database, [number], target=name)
    Outbox(database, targets).drain()
    assert len(_rows(database)) == 300
