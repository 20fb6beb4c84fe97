"""The CTI server's own database: per-user settings that a new profile brings."""

from collections.abc import Sequence

from sqlalchemy import Connection

from nethvoice.problems import Problem
from nethvoice.store.database import Database
from nethvoice.store.outbox import Operation, TargetDown
from nethvoice.store.rows import insert_ignore
from nethvoice.store.tables import user_settings


class CtiSettings:
    """The outbox target `cti`: `[username, key, value]` is inserted unless the key is there."""

    def __init__(self, database: Database, *, same_database: bool) -> None:
        self._database = database
        self.joins_transaction = same_database

    def apply(self, operations: Sequence[Operation], connection: Connection | None = None) -> None:
        """Insert the missing rows."""
        rows = [
            {"username": user[:50], "key_name": key, "value": value}
            for user, key, value in operations
        ]
        if connection is not None:
            insert_ignore(connection, user_settings, rows)
            return
        try:
            with self._database.write() as own:
                insert_ignore(own, user_settings, rows)
        except Problem as error:
            raise TargetDown(error.detail) from error
