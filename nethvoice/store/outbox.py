"""The outbox: effects outside SQL, written with the change and applied after its commit.

A row holds the operations of one change for one target (AstDB, mailboxes ...), as JSON that can be
applied again without harm. Rows of a target are applied in the order of their ids, by one process
at a time, so that a later change is never overtaken by a left-over of an earlier one.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, delete, func, insert, select, update

from nethvoice.store.database import Database, LockBusy
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

    @staticmethod
    def record(connection: Connection, target: str, operations: Sequence[Operation]) -> None:
        """Write the effects into the transaction of the change that causes them."""
        if operations:
            text = orjson.dumps(list(operations)).decode()
            connection.execute(insert(rest_outbox).values(target=target, operations=text))

    def drain(self, wait: float = _OWN_TURN) -> None:
        """Apply what waits. Failures stay in the outbox; nothing is raised for them."""
        if not self._turn.acquire(timeout=wait):
            return
        try:
            with self._database.lock("nethvoice.outbox", wait):
                for name, target in self._targets.items():
                    while self._apply_batch(name, target):
                        pass
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

    def _apply_batch(self, name: str, target: Target) -> bool:
        """Apply one batch of a target; True when there may be more to do."""
        if target.joins_transaction:
            try:
                with self._database.write() as connection:
                    rows = self._waiting(connection, name)
                    if rows:
                        target.apply([op for _, ops in rows for op in ops], connection)
                        self._forget(connection, rows)
            except Exception:
                log.warning("effects on %s failed together, trying one by one", name)
                return self._apply_singly(name, target)
            return len(rows) == _BATCH
        with self._database.read() as connection:
            rows = self._waiting(connection, name)
        if not rows:
            return False
        try:
            target.apply([op for _, ops in rows for op in ops])
        except TargetDown as error:
            log.warning("%s is out of reach, its effects wait: %s", name, error)
            return False
        except Exception:
            log.warning("effects on %s failed together, trying one by one", name)
            return self._apply_singly(name, target)
        with self._database.write() as connection:
            self._forget(connection, rows)
        return len(rows) == _BATCH

    def _apply_singly(self, name: str, target: Target) -> bool:
        """Find the effect that fails; what stands before it is applied, what follows waits."""
        with self._database.read() as connection:
            rows = self._waiting(connection, name)
        for row in rows:
            try:
                if target.joins_transaction:
                    with self._database.write() as connection:
                        target.apply(row[1], connection)
                        self._forget(connection, [row])
                    continue
                target.apply(row[1])
            except TargetDown as error:
                log.warning("%s is out of reach, its effects wait: %s", name, error)
                return False
            except Exception as error:
                log.exception("an effect on %s failed", name, extra={"outbox_id": row[0]})
                if not self._count_failure(row[0], error):
                    return False
                continue
            with self._database.write() as connection:
                self._forget(connection, [row])
        return False

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

    @staticmethod
    def _waiting(connection: Connection, name: str) -> list[tuple[int, list[Operation]]]:
        rows = connection.execute(
            select(rest_outbox.c.id, rest_outbox.c.operations)
            .where(rest_outbox.c.target == name, ~rest_outbox.c.parked)
            .order_by(rest_outbox.c.id)
            .limit(_BATCH)
        )
        return [(row_id, orjson.loads(operations)) for row_id, operations in rows]

    @staticmethod
    def _forget(connection: Connection, rows: Sequence[tuple[int, Any]]) -> None:
        connection.execute(delete(rest_outbox).where(rest_outbox.c.id.in_([r[0] for r in rows])))
