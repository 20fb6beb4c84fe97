"""Mobile numbers of people."""

import re

from sqlalchemy import bindparam, select

from nethvoice.pbx.people import BY_NAME, best, names, require_person, set_rest_user
from nethvoice.problems import not_found, unprocessable
from nethvoice.store.packed import Packed
from nethvoice.store.prepared import Prepared
from nethvoice.store.remembered import remember_last
from nethvoice.store.rows import json_row
from nethvoice.store.tables import rest_users, userman_users
from nethvoice.store.unit import Unit
from nethvoice.system import System

_MAX_DIGITS = 20


def normalise_number(number: str | None) -> str | None:
    """A leading `+` becomes `00`, everything but digits goes; nothing left is None.

    Raises Problem 422 for more than 20 digits.
    """
    text = (number or "").strip()
    if text.startswith("+"):
        text = "00" + text[1:]
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) > _MAX_DIGITS:
        raise unprocessable(f"mobile has more than {_MAX_DIGITS} digits")
    return digits or None


_MOBILES = Packed(
    select(
        json_row([("mobile", rest_users.c.mobile), ("username", userman_users.c.username)])
    ).join_from(rest_users, userman_users, userman_users.c.id == rest_users.c.user_id),
    userman_users.c.username,
    userman_users.c.id,
)


def list_mobiles(system: System) -> bytes:
    """The JSON array of everybody whose mobile, password or profile was ever stored."""
    with system.read() as connection:
        mobiles = _MOBILES.joined(connection)
    return _listed(mobiles)


@remember_last
def _listed(mobiles: str) -> bytes:
    return f"[{mobiles}]".encode()


_NUMBERS = Prepared(
    BY_NAME.with_only_columns(
        userman_users.c.id, userman_users.c.username, userman_users.c.auth, rest_users.c.mobile
    )
)


def get_mobile(system: System, username: str) -> str:
    """The number of a person. Raises Problem 404 when there is none."""
    with system.read() as connection:
        person = best(connection, username, _NUMBERS.rows(connection, names(username)))
    if person is None or not person.mobile or person.mobile == "0":
        raise not_found("no mobile number is stored for this user")
    return str(person.mobile)


_MOBILE = Prepared(select(rest_users.c.mobile).where(rest_users.c.user_id == bindparam("user")))


def set_mobile(system: System, username: str, number: str | None) -> None:
    """Store or clear a person's number. Raises Problem 404 (unknown user), 422 (too long)."""
    digits = normalise_number(number)
    with system.change() as unit:
        person = require_person(unit.conn, username)
        if store_mobile(unit, person.id, digits):
            unit.reload()


def store_mobile(unit: Unit, user_id: int, digits: str | None) -> bool:
    """As `set_mobile` for a number in its stored form, inside a unit; True when it changed."""
    if digits is None:
        stored = _MOBILE.scalar(unit.conn, {"user": user_id})
        if stored is None:
            return False
    return set_rest_user(unit, user_id, mobile=digits)
