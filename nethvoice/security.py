"""Who may use the API: the two headers of every request, and what slows down guessing.

`Secretkey` is `sha1(name + password_sha1 + shared secret)` in hex, with the administrator's name
and hash as FreePBX's `ampusers` has them. Failures are counted in the database, so that all
processes know of them.
"""

import hmac
import logging
import time
from collections.abc import Callable
from typing import NoReturn

from sqlalchemy import Connection, delete, insert, select

from nethvoice.pbx.administrators import find_administrator, has_password, sha1_hex
from nethvoice.problems import Problem
from nethvoice.store.tables import rest_login_failures
from nethvoice.system import System

log = logging.getLogger(__name__)

WINDOW = 60.0
"""Seconds over which failures are counted."""

_HEADERS = "headers"
_TESTAUTH = "testauth"


class Authenticator:
    """Checks the headers of requests. A right key is always accepted at once."""

    def __init__(self, system: System, clock: Callable[[], float] = time.time) -> None:
        self._system = system
        self._clock = clock
        self._secret = system.settings.shared_secret  # without one the service does not start

    def cached(self, user: str, key: str) -> str | None:
        """The administrator, when the pair was right a moment ago."""
        return self._system.known_keys.find(user, key)

    def check(self, user: str | None, key: str | None, address: str) -> str:
        """The administrator's name as it is stored.

        Raises Problem 403 for missing or wrong headers, and 429 for wrong ones after too many from
        one address.
        """
        if user is None or key is None:
            raise _forbidden("Forbidden: no credentials")
        with self._system.read() as connection:
            administrator = find_administrator(connection, _utf8(user))
        if administrator is None:
            self._refuse(user, address, "Forbidden: invalid user")
        name = administrator.name
        right = sha1_hex(name + administrator.password_sha1 + self._secret)
        if not hmac.compare_digest(right.encode(), key.encode()):
            self._refuse(user, address, "Forbidden: wrong secret key")
        self._system.known_keys.remember(user, key, name)
        return name

    def _refuse(self, user: str, address: str, text: str) -> NoReturn:
        now = self._clock()
        limit = self._system.settings.login_failure_limit
        log.warning("refused", extra={"reason": text, "claimed": user[:64], "address": address})
        with self._system.read() as connection:
            recent = _recent(connection, _HEADERS, address, now - WINDOW, limit)
        if len(recent) >= limit:
            raise _too_many(recent[-1] + WINDOW - now)
        with self._system.database.write() as connection:
            _record(connection, _HEADERS, address, now)
        raise _forbidden(text)


def shared_secret(
    system: System,
    username: str,
    password: str,
    address: str,
    clock: Callable[[], float] = time.time,
) -> str:
    """The shared secret, for an administrator who proves the password.

    Raises Problem 401. After `TESTAUTH_FAILURE_LIMIT` failures in a minute everybody at the
    address is answered 429 for a minute, since whoever guesses right learns the secret.
    """
    now = clock()
    limit = system.settings.testauth_failure_limit
    failed = False
    with system.database.write(f"nethvoice.{_TESTAUTH}") as connection:
        # The newest failures: as many as the limit within one window close the door for a window.
        recent = _recent(connection, _TESTAUTH, address, now - 2 * WINDOW, limit)
        if len(recent) >= limit and recent[0] - recent[-1] <= WINDOW and recent[0] > now - WINDOW:
            raise _too_many(recent[0] + WINDOW - now)
        administrator = find_administrator(connection, username) if username else None
        if administrator is None or not has_password(administrator, password):
            failed = True
            _record(connection, _TESTAUTH, address, now)
    if failed:
        log.warning("refused", extra={"reason": "wrong password", "claimed": username[:64]})
        text = "Wrong user name or password"
        raise Problem(401, "Unauthorized", text, error=text)
    return system.settings.shared_secret


def _recent(
    connection: Connection, kind: str, address: str, since: float, limit: int
) -> list[float]:
    """When the last failures of an address happened, newest first, at most `limit` of them."""
    table = rest_login_failures
    query = (
        select(table.c.at)
        .where(table.c.kind == kind, table.c.address == address, table.c.at > since)
        .order_by(table.c.at.desc())
        .limit(limit)
    )
    return [float(at) for at in connection.scalars(query)]


def _record(connection: Connection, kind: str, address: str, now: float) -> None:
    table = rest_login_failures
    connection.execute(insert(table).values(kind=kind, address=address, at=now))
    connection.execute(delete(table).where(table.c.at < now - 3 * WINDOW))


def _forbidden(text: str) -> Problem:
    return Problem(403, "Forbidden", text, error=text)


def _too_many(seconds: float) -> Problem:
    headers = {"Retry-After": str(max(1, int(seconds + 0.999)))}
    return Problem(
        429, "Too many requests", "too many wrong credentials from this address", headers=headers
    )


def _utf8(header: str) -> str:
    """A header as text: HTTP hands its bytes over as Latin-1, clients send UTF-8."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header
