"""The outbox: effects outside SQL, written with the change and applied after its commit.

A row holds the operations of one change for one target (AstDB, mailboxes ...), as JSON that can be
applied again without harm. Rows of a target are applied in the order of their ids, by one process
at a time, so that a later change is never overtaken by a left-over of an earlier one.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, delete, func, literal, select, update

from nethvoice.store.database import Database, LockBusy
from nethvoice.store.prepared import Prepared
from nethvoice.store.rows import delete_rows, insert_row
from nethvoice.store.tables import rest_outbox

log = logging.getLogger(__name__)

Operation = list[Any]

ATTEMPTS_BEFORE_PARKING = 20
SECONDS_BEFORE_PARKING = 3600.0
_BATCH = 200
_OWN_TURN = 2.0
"""Seconds a request waits for another one that is applying effects, its own among them."""


class TargetDown(Exception):
    """The whole target is out of reach; its effects wait and are not counted as failing."""


class Target(Protocol):
    """Something that effects are applied to.

    With `joins_transaction` the operations run in the transaction that also removes them from the
    outbox; the others must not hold one while they talk to the outside.
    """

    joins_transaction: bool

    def apply(self, operations: Sequence[Operation], connection: Connection | None = None) -> None:
        """Apply in order. Raises TargetDown, or anything else for an effect that is refused."""


@dataclass(frozen=True)
class Row:
    """The effects of one change on one target."""

    id: int
    operations: list[Operation]


@dataclass(frozen=True)
class Pending:
    """What waits in the outbox: `waiting` rows, and those `parked` after failing for an hour."""

    waiting: int
    parked: int


class Outbox:
    """Records, applies and reports effects. `targets` are named as in the rows."""

    def __init__(
        self,
        database: Database,
        targets: Mapping[str, Target],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._targets = targets
        self._clock = clock
        self._turn = threading.Lock()
        self._begun = 0
        self._completed = 0

    @staticmethod
    def record(connection: Connection, target: str, operations: Sequence[Operation]) -> None:
        """Write the effects into the transaction of the change that causes them."""
        if operations:
            text = orjson.dumps(list(operations)).decode()
            insert_row(connection, rest_outbox, {"target": target, "operations": text})

    def drain(self, wait: float = _OWN_TURN) -> None:
        """Apply what waits. Failures stay in the outbox; nothing is raised for them."""
        begun_before = self._begun
        if not self._turn.acquire(timeout=wait):
            return
        try:
            if self._completed > begun_before:
                return  # a round that began after this call has tried everything already
            self._begun += 1
            with self._database.lock("nethvoice.outbox", wait):
                self._apply_waiting()
            self._completed = self._begun
        except LockBusy:
            log.info("another process is applying effects")
        finally:
            self._turn.release()

    def pending(self) -> Pending:
        """Count what waits and what is parked."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(rest_outbox.c.parked, func.count()).group_by(rest_outbox.c.parked)
            )
            counts = {bool(parked): int(count) for parked, count in rows}
        return Pending(counts.get(False, 0), counts.get(True, 0))

    def retry_parked(self) -> int:
        """Put parked effects back into the queue; returns how many."""
        with self._database.write() as connection:
            result = connection.execute(
                update(rest_outbox)
                .where(rest_outbox.c.parked)
                .values(parked=False, attempts=0, failing_since=None)
            )
        return int(result.rowcount)

    def _apply_waiting(self) -> None:
        stuck: set[str] = set()
        while stuck != self._targets.keys():
            batch = self._waiting([name for name in self._targets if name not in stuck])
            for name, rows in batch.items():
                if not self._apply(name, rows):
                    stuck.add(name)
            if sum(len(rows) for rows in batch.values()) < _BATCH:
                return

    def _apply(self, name: str, rows: Sequence[Row]) -> bool:
        """Apply effects of one target together; False when what is behind them has to wait."""
        try:
            self._run(name, rows)
        except TargetDown as error:
            log.warning("%s is out of reach, its effects wait: %s", name, error)
            return False
        except Exception:
            log.warning("effects on %s failed together, trying one by one", name)
            return self._apply_singly(name, rows)
        return True

    def _apply_singly(self, name: str, rows: Sequence[Row]) -> bool:
        """Find the effect that fails; what stands before it is applied, what follows waits."""
        for row in rows:
            try:
                self._run(name, [row])
            except TargetDown as error:
                log.warning("%s is out of reach, its effects wait: %s", name, error)
                return False
            except Exception as error:
                log.exception("an effect on %s failed", name, extra={"outbox_id": row.id})
                if not self._count_failure(row.id, error):
                    return False
        return True

    def _run(self, name: str, rows: Sequence[Row]) -> None:
        """Apply the effects and forget them, in one transaction where the target joins it."""
        target = self._targets[name]
        operations = [operation for row in rows for operation in row.operations]
        if not target.joins_transaction:
            target.apply(operations)
        with self._database.write() as connection:
            if target.joins_transaction:
                target.apply(operations, connection)
            if len(rows) == 1:
                delete_rows(connection, rest_outbox, {"id": rows[0].id})
            else:
                ids = [row.id for row in rows]
                connection.execute(delete(rest_outbox).where(rest_outbox.c.id.in_(ids)))

    def _count_failure(self, row_id: int, error: Exception) -> bool:
        """Note one more failure; True when the effect is parked now and no longer in the way."""
        now = self._clock()
        with self._database.write() as connection:
            attempts, since = connection.execute(
                select(rest_outbox.c.attempts, rest_outbox.c.failing_since).where(
                    rest_outbox.c.id == row_id
                )
            ).one()
            since = now if since is None else since
            parked = (
                attempts + 1 >= ATTEMPTS_BEFORE_PARKING and now - since >= SECONDS_BEFORE_PARKING
            )
            connection.execute(
                update(rest_outbox)
                .where(rest_outbox.c.id == row_id)
                .values(
                    attempts=attempts + 1,
                    failing_since=since,
                    last_error=f"{type(error).__name__}: {error}"[:1000],
                    parked=parked,
                )
            )
        return parked

    def _waiting(self, targets: Collection[str]) -> dict[str, list[Row]]:
        """The oldest effects by target, each target's in order."""
        query = _waiting_for(tuple(sorted(targets)))
        found: dict[str, list[Row]] = {}
        with self._database.read() as connection:
            for row_id, target, operations in query.rows(connection):
                found.setdefault(target, []).append(Row(row_id, orjson.loads(operations)))
        return found


@lru_cache(maxsize=32)
def _waiting_for(targets: tuple[str, ...]) -> Prepared:
    return Prepared(
        select(rest_outbox.c.id, rest_outbox.c.target, rest_outbox.c.operations)
        .where(rest_outbox.c.target.in_([literal(name) for name in targets]), ~rest_outbox.c.parked)
        .order_by(rest_outbox.c.id)
        .limit(literal(_BATCH))
    )
