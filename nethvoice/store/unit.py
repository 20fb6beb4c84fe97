"""The unit of work: one SQL transaction and the effects that follow its commit."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection

from nethvoice.store.apply import request_apply, show_need
from nethvoice.store.astdb import AstdbChanges
from nethvoice.store.database import Database
from nethvoice.store.outbox import Operation, Outbox


class Unit:
    """What a domain function changes in one go. Made by `System.change`.

    `conn` is the transaction. `astdb` collects AstDB effects, `mailboxes` mailbox effects and
    `files` those on files of devices; they are recorded with the transaction and applied after it.
    """

    def __init__(self, conn: Connection, database: Database) -> None:
        self.conn = conn
        self.database = database
        self.astdb = AstdbChanges()
        self.mailboxes: list[Operation] = []
        self.cti: list[Operation] = []
        self.crontab: list[Operation] = []
        self.files: list[Operation] = []
        self.wants_reload = False
        self.apply_task: str | None = None

    def reload(self) -> None:
        """Ask for the telephone system to be reloaded: this unit has changed what it reads."""
        self.wants_reload = True

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """A part that is undone alone, effects included, when it raises; the exception goes on."""
        lists = (self.astdb.operations, self.mailboxes, self.cti, self.crontab, self.files)
        marks = [len(operations) for operations in lists]
        wanted = self.wants_reload
        try:
            with self.conn.begin_nested():
                yield
        except BaseException:
            for operations, mark in zip(lists, marks, strict=True):
                del operations[mark:]
            self.wants_reload = wanted
            raise

    @property
    def has_effects(self) -> bool:
        """True when something is to be done outside SQL."""
        targets = (self.astdb.operations, self.mailboxes, self.cti, self.crontab, self.files)
        return any(targets)

    def seal(self, *, defer_reload: bool) -> None:
        """Record the effects and the reload, last thing before the commit.

        A reload that is deferred is shown as needed all the same: its caller may die before it.
        """
        Outbox.record(self.conn, "astdb", self.astdb.operations)
        Outbox.record(self.conn, "mailboxes", self.mailboxes)
        Outbox.record(self.conn, "cti", self.cti)
        Outbox.record(self.conn, "crontab", self.crontab)
        Outbox.record(self.conn, "files", self.files)
        if self.wants_reload and defer_reload:
            show_need(self.conn, self.database)
        elif self.wants_reload:
            self.apply_task = request_apply(self.conn, self.database)
