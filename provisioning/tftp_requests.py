"""Which devices asked for their configuration by TFTP: phones that no scan need find.

The TFTP server tells each request; the lists of phones read them.
"""

import contextlib
import logging
import queue
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from nethvoice.pbx.devices import GRANDSTREAM_APP
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from provisioning.mac_vendors import normalise_mac
from provisioning.makers import GATEWAY_MAKERS, maker_of

log = logging.getLogger(__name__)

_QUEUE = 1000
_END_WAIT = 5.0

APP_BRAND = "CTI App"
"""Maker of softphones that fetch a file as a phone does."""

_KEPT_FOR = 7 * 86400.0
_FRESH = 3600.0
_FORGET_EVERY = 3600.0
_COMMON_FILE = re.compile(
    r"(?:y\d{12}\.(?:cfg|boot)|\d{12}-license\.cfg|[0-9a-f]{12}script\.txt)", re.IGNORECASE
)
"""Names that are no phone's own: files for all phones of a model, scripts of gateways."""

_OWN_FILE = re.compile(r"(?<![0-9a-f])([0-9a-f]{12})(?![0-9a-f])", re.IGNORECASE)
_APP_FILE = re.compile(r"cfg[0-9a-f]{12}\.xml", re.IGNORECASE)

_requests = t.rest_tftp_requests


@dataclass(frozen=True)
class Requester:
    """A phone that asked. `model` is known for the softphone only."""

    mac: str
    manufacturer: str
    model: str | None = None


def record_request(database: Database, file: str, *, served: bool) -> None:
    """Note that a file was asked for, and whether there was one; names without MAC are ignored.

    Writes once an hour for each device that asks the same again.
    """
    name = file.rpartition("/")[2][:255]
    if _COMMON_FILE.fullmatch(name):
        return
    digits = _OWN_FILE.search(name)
    mac = normalise_mac(digits[1]) if digits else None
    if mac is None:
        return
    values = {"file": name, "served": served, "at": time.time()}
    query = select(_requests).where(_requests.c.mac == mac)
    with database.read() as connection:
        row = connection.execute(query).first()
    if row and (row.file, bool(row.served)) == (name, served) and time.time() - row.at < _FRESH:
        return
    with database.write(lock="nethvoice.tftp") as connection:
        if connection.execute(query).first() is None:
            connection.execute(insert(_requests).values(mac=mac, **values))
        else:
            connection.execute(update(_requests).where(_requests.c.mac == mac).values(values))


def forget_old(database: Database) -> None:
    """Delete the requests that are too old for `requesters`."""
    with database.write(lock="nethvoice.tftp") as connection:
        connection.execute(delete(_requests).where(_requests.c.at <= time.time() - _KEPT_FOR))


def requesters(connection: Connection, settings: Settings) -> Iterator[Requester]:
    """The phones among those who asked in the last week, gateways left out by their makers."""
    query = (
        select(_requests.c.mac, _requests.c.file, _requests.c.served)
        .where(_requests.c.at > time.time() - _KEPT_FOR)
        .order_by(_requests.c.mac)
    )
    for mac, file, served in connection.execute(query):
        maker = maker_of(settings, mac)
        if maker is not None:
            if maker not in GATEWAY_MAKERS:
                yield Requester(mac, maker)
        elif not served and _APP_FILE.fullmatch(file):
            yield Requester(mac, APP_BRAND, GRANDSTREAM_APP)


class RequestRecorder:
    """Records requests in a thread of its own, so that the database never holds up a transfer.

    What comes faster than the database takes it is dropped: a device asks again. Old requests are
    deleted on the occasion, at most once an hour.
    """

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.sql_url, settings.run_folder, connections=1)
        self._forget_at = 0.0
        self._waiting: queue.Queue[tuple[str, bool] | None] = queue.Queue(_QUEUE)
        self._thread = threading.Thread(target=self._work, name="tftp-requests", daemon=True)
        self._thread.start()

    def note(self, file: str, served: bool) -> None:
        """Have a request recorded; never blocks."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait((file, served))

    def close(self) -> None:
        """Record what waits, for a moment at most, and end."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=_END_WAIT)
        self._thread.join(_END_WAIT)
        self._database.close()

    def _work(self) -> None:
        while True:
            item = self._waiting.get()
            if item is None:
                return
            try:
                record_request(self._database, item[0], served=item[1])
                if time.monotonic() >= self._forget_at:
                    forget_old(self._database)
                    self._forget_at = time.monotonic() + _FORGET_EVERY
            except Exception as error:
                # Without its table, or with the database away, files are served all the same.
                log.warning("a TFTP request is not recorded: %s", type(error).__name__)
