"""Restarting Asterisk when no call is up: what a reload does not bring into force.

PJSIP transports keep the addresses they were made with until Asterisk starts anew. The need is
kept in `rest_state`, so that it outlives us, and several changes in a row cause one restart.
"""

import logging
import time
from dataclasses import asdict, dataclass, replace

import orjson
from sqlalchemy import Connection, delete

from nethvoice.store.ami import AmiClient, AmiRefused, AmiUnavailable
from nethvoice.store.database import Database
from nethvoice.store.rows import change_rows
from nethvoice.store.state import get_state, set_state
from nethvoice.store.tables import rest_state
from nethvoice.store.tasks import Report

log = logging.getLogger(__name__)

KEYWORD = "asterisk_restart"
COMMAND = "core restart when convenient"

SETTLED_AFTER = 5.0
"""Seconds without another change; the wizard sends two at once."""


@dataclass(frozen=True)
class _Wish:
    """`at` is when it was made (Unix seconds). It is `ready` once its change is reloaded. `since`
    is when Asterisk had started at our last try, `refused` that it did not let us."""

    at: float
    ready: bool = False
    since: str | None = None
    refused: bool = False

    def text(self) -> str:
        return orjson.dumps(asdict(self)).decode()


def want_restart(connection: Connection) -> None:
    """Note that Asterisk is to be restarted once this change is reloaded."""
    set_state(connection, KEYWORD, _Wish(time.time()).text())


class Restarts:
    """Requests the restart that changes have asked for. `by_hand` says that there is an Asterisk
    although the manager interface is not configured."""

    def __init__(self, database: Database, ami: AmiClient | None, *, by_hand: bool) -> None:
        self._database = database
        self._ami = ami
        self._by_hand = by_hand

    def wanted(self) -> bool:
        """True while Asterisk still runs with old values and nobody restarted it."""
        wish = self._wish()
        return wish is not None and not self._restarted_since(wish)

    def reloaded(self, report: Report) -> None:
        """Changes so far are reloaded: a restart that waits for that may come."""
        wish = self._wish()
        if wish is None:
            return
        if self._ami is None and not self._by_hand:
            self._forget(wish)
        else:
            self._replace(wish, replace(wish, ready=True, refused=False))
        report.write("Asterisk is to restart when no call is up")

    def carry_out(self) -> None:
        """Request the restart if one is due; called every few seconds."""
        wish = self._wish()
        if wish is None or not wish.ready or self._ami is None:
            return
        if self._restarted_since(wish):
            self._forget(wish)
            return
        if wish.refused or time.time() - wish.at < SETTLED_AFTER:
            return
        since = self._running_since()
        if since is None:
            return
        mine = replace(wish, since=since)
        # Else another process is at it, or another change was made.
        if mine == wish or self._replace(wish, mine):
            self._request(self._ami, mine)

    def _request(self, ami: AmiClient, mine: _Wish) -> None:
        try:
            ami.action("Command", {"Command": COMMAND}, timeout=5.0)
        except AmiUnavailable:
            return  # perhaps it restarts already; its time of start will tell
        except AmiRefused as error:
            log.warning("Asterisk must be restarted by hand", extra={"reason": error.message})
            self._replace(mine, replace(mine, refused=True))
            return
        log.info("Asterisk restarts as soon as no call is up")
        self._forget(mine)

    def _wish(self) -> _Wish | None:
        with self._database.read() as connection:
            text = get_state(connection, KEYWORD)
        return _Wish(**orjson.loads(text)) if text else None

    def _restarted_since(self, wish: _Wish) -> bool:
        return wish.since is not None and self._running_since() not in (None, wish.since)

    def _running_since(self) -> str | None:
        if self._ami is None:
            return None
        try:
            status = self._ami.action("CoreStatus", {}).headers
        except (AmiUnavailable, AmiRefused):
            return None
        return f"{status.get('CoreStartupDate')} {status.get('CoreStartupTime')}"

    def _replace(self, wish: _Wish, new: _Wish) -> bool:
        """False when the wish is not the stored one any more."""
        where = (rest_state.c.keyword == KEYWORD) & (rest_state.c.value == wish.text())
        with self._database.write() as connection:
            return change_rows(connection, rest_state, where, {"value": new.text()}) > 0

    def _forget(self, wish: _Wish) -> None:
        where = (rest_state.c.keyword == KEYWORD) & (rest_state.c.value == wish.text())
        with self._database.write() as connection:
            connection.execute(delete(rest_state).where(where))
