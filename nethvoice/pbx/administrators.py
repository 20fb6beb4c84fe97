"""Administrators: rows of FreePBX's `ampusers` that may use every section."""

import hashlib
import hmac
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from nethvoice.problems import conflict, not_found, unprocessable
from nethvoice.store.rows import change_rows, require_width
from nethvoice.store.tables import ampusers
from nethvoice.system import System

_ALL_SECTIONS = "*"


@dataclass(frozen=True)
class Administrator:
    """`password_sha1` is the lower-case hex SHA-1 of the password, as FreePBX stores it."""

    name: str
    password_sha1: str


def find_administrator(connection: Connection, name: str) -> Administrator | None:
    """The administrator of that name in any letter case; None for others and for empty hashes."""
    row = connection.execute(
        select(ampusers.c.username, ampusers.c.password_sha1, ampusers.c.sections).where(
            ampusers.c.username == name
        )
    ).first()
    if row is None or not row.password_sha1 or not _is_full(row.sections):
        return None
    return Administrator(row.username, row.password_sha1)


def has_password(administrator: Administrator, password: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(
        sha1_hex(password).encode(), administrator.password_sha1.lower().encode()
    )


def list_administrators(system: System) -> list[str]:
    """Names of all who may use the API, in order."""
    query = select(ampusers.c.username, ampusers.c.sections).order_by(ampusers.c.username)
    with system.read() as connection:
        return [row.username for row in connection.execute(query) if _is_full(row.sections)]


def add_administrator(system: System, name: str, password: str) -> None:
    """Add somebody who may use every section. Raises Problem 409 (exists), 422 (bad name)."""
    name = name.strip()
    if not name or any(ord(character) < 32 for character in name):
        raise unprocessable("the name of an administrator must be text without control characters")
    require_width(system.database, ampusers, "username", name, "the name")
    _require_password(password)
    with system.change("nethvoice.administrators") as unit:
        known = unit.conn.execute(
            select(ampusers.c.username).where(ampusers.c.username == name)
        ).first()
        if known is not None:
            raise conflict(f"there is a FreePBX user {known.username} already")
        unit.conn.execute(
            insert(ampusers).values(
                username=name, password_sha1=sha1_hex(password), sections=_ALL_SECTIONS
            )
        )


def set_password(system: System, name: str, password: str) -> None:
    """Set an administrator's password, and reload when it is another one.

    Keys computed from the old password are refused from then on. Raises Problem 404 for an unknown
    administrator, 422 (with `result`) for an empty password.
    """
    _require_password(password)
    with system.change("nethvoice.administrators") as unit:
        known = unit.conn.execute(
            select(ampusers.c.username).where(ampusers.c.username == name)
        ).first()
        if known is None:
            raise not_found(f"there is no administrator {name}")
        values = {"password_sha1": sha1_hex(password)}
        if change_rows(unit.conn, ampusers, ampusers.c.username == name, values):
            unit.reload()
    system.known_keys.forget()


def sha1_hex(text: str) -> str:
    """SHA-1 of the text's UTF-8 bytes, which is what FreePBX and the API's keys are made of."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _require_password(password: str) -> None:
    if not password:
        raise unprocessable("Password is required", result="Password is required")


def _is_full(sections: object) -> bool:
    text = sections.decode("utf-8", "replace") if isinstance(sections, bytes) else str(sections)
    return _ALL_SECTIONS in text.split(";")
