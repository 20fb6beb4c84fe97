"""Restarting Asterisk when no call is up: what a reload does not bring into force.

PJSIP transports keep the addresses they were made with until Asterisk starts anew. The need is
kept in `rest_state`, so that it outlives us and several changes cause one restart.
"""

import logging
import time

import orjson
from sqlalchemy import ColumnElement, Connection, delete

from nethvoice.store.ami import AmiClient, AmiRefused, AmiUnavailable
from nethvoice.store.database import Database
from nethvoice.store.rows import change_rows
from nethvoice.store.state import get_state, set_state
from nethvoice.store.tables import rest_state
from nethvoice.store.tasks import Report

log = logging.getLogger(__name__)

KEYWORD = "asterisk_restart"
COMMAND = "core restart when convenient"


def want_restart(connection: Connection) -> None:
    """Note that Asterisk is to be restarted after the next reload."""
    set_state(connection, KEYWORD, orjson.dumps({"at": time.time(), "since": None}).decode())


class Restarts:
    """Requests the restart that changes have asked for. `by_hand` says that there is an Asterisk
    although the manager interface is not configured."""

    def __init__(self, database: Database, ami: AmiClient | None, *, by_hand: bool) -> None:
        self._database = database
        self._ami = ami
        self._by_hand = by_hand

    def wanted(self) -> bool:
        """True while Asterisk still runs with old values and nobody restarted it."""
        stored = self._stored()
        return stored is not None and not self._restarted_since(stored)

    def carry_out(self, report: Report) -> None:
        """Request the restart if one is wanted; failures leave it wanted and fail nothing."""
        stored = self._stored()
        if stored is None:
            return
        if self._ami is None:
            if not self._by_hand:
                self._forget(stored)
            report.write("restart Asterisk for the change to take effect")
            return
        if self._restarted_since(stored):
            self._forget(stored)
            return
        report.phase("restarting Asterisk when no call is up", 80)
        try:
            self._ami.action("Command", {"Command": COMMAND}, timeout=10.0)
        except (AmiUnavailable, AmiRefused) as error:
            log.warning("Asterisk must be restarted, but did not let us", extra={"reason": error})
            report.write(f"Asterisk must be restarted: {error}")
            self._remember(stored)
            return
        self._forget(stored)
        report.write("Asterisk restarts as soon as no call is up")

    def _stored(self) -> str | None:
        with self._database.read() as connection:
            return get_state(connection, KEYWORD)

    def _restarted_since(self, stored: str) -> bool:
        """Asterisk's own time of start tells, compared with the one it had at our last try."""
        before = orjson.loads(stored)["since"]
        return before is not None and self._running_since() not in (None, before)

    def _running_since(self) -> str | None:
        if self._ami is None:
            return None
        try:
            status = self._ami.action("CoreStatus", {}).headers
        except (AmiUnavailable, AmiRefused):
            return None
        return f"{status.get('CoreStartupDate')} {status.get('CoreStartupTime')}"

    def _remember(self, stored: str) -> None:
        since = self._running_since()
        if since is None:
            return
        value = orjson.dumps({**orjson.loads(stored), "since": since}).decode()
        with self._database.write() as connection:
            change_rows(connection, rest_state, self._is(stored), {"value": value})

    def _forget(self, stored: str) -> None:
        """Unless another change has asked meanwhile: its own reload is still to come."""
        with self._database.write() as connection:
            connection.execute(delete(rest_state).where(self._is(stored)))

    @staticmethod
    def _is(stored: str) -> ColumnElement[bool]:
        return (rest_state.c.keyword == KEYWORD) & (rest_state.c.value == stored)
