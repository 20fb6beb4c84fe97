"""Mobile numbers of people."""

import re

from sqlalchemy import select

from nethvoice.pbx.people import find_person, require_person, set_rest_user
from nethvoice.problems import not_found, unprocessable
from nethvoice.store.rows import text_row
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


def list_mobiles(system: System) -> list[dict[str, str | None]]:
    """Everybody whose mobile, password or profile was ever stored, with the mobile or null."""
    query = (
        select(rest_users.c.mobile, userman_users.c.username)
        .join(userman_users, userman_users.c.id == rest_users.c.user_id)
        .order_by(userman_users.c.username)
    )
    with system.read() as connection:
        return [text_row(row._mapping) for row in connection.execute(query)]


def get_mobile(system: System, username: str) -> str:
    """The number of a person. Raises Problem 404 when there is none."""
    with system.read() as connection:
        person = find_person(connection, username)
        number = person and connection.scalar(
            select(rest_users.c.mobile).where(rest_users.c.user_id == person.id)
        )
    if not number or number == "0":
        raise not_found("no mobile number is stored for this user")
    return str(number)


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
        stored = unit.conn.scalar(
            select(rest_users.c.mobile).where(rest_users.c.user_id == user_id)
        )
        if stored is None:
            return False
    return set_rest_user(unit, user_id, mobile=digits)
