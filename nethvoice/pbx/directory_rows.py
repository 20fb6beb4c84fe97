"""Rows of people in FreePBX's internal directory, as FreePBX's user manager writes them."""

import re
from typing import Any

import bcrypt
from sqlalchemy import ColumnElement, Connection, insert, select, true

from nethvoice.pbx.people import NO_EXTENSION, Person
from nethvoice.store.rows import change_rows, present
from nethvoice.store.tables import userman_directories, userman_users
from nethvoice.store.unit import Unit
from nethvoice.system import System

INTERNAL_DRIVER = "Freepbx"
LEGACY_DIRECTORY = "freepbx"
"""`auth` of FreePBX 13 and older, which had only the internal directory."""

_directories = userman_directories

_COST = 8
_BCRYPT_BYTES = 72
_SPACES = re.compile(r"\s+")


def internal_directory(connection: Connection) -> str | None:
    """Id of the internal directory, the default one where there are several."""
    found = _first_active(connection, _directories.c.driver == INTERNAL_DRIVER)
    return None if found is None else str(found.id)


def default_directory(connection: Connection) -> tuple[str, str, bool] | None:
    """Where FreePBX itself puts new people: id, name, and whether it is an internal directory."""
    found = _first_active(connection, true())
    if found is None:
        return None
    return str(found.id), found.name or "", found.driver == INTERNAL_DRIVER


def _first_active(connection: Connection, where: ColumnElement[bool]) -> Any:
    columns = _directories.c
    return connection.execute(
        select(columns.id, columns.name, columns.driver)
        .where(columns.active == 1, where)
        .order_by(columns.default.desc(), columns.order, columns.id)
        .limit(1)
    ).first()


def directory_of(connection: Connection, person: Person) -> tuple[str, bool]:
    """Name of a person's directory, and whether its people are FreePBX's own rows.

    They are unless the directory is a copy of another system's.
    """
    if person.directory is None or person.directory == LEGACY_DIRECTORY:
        return "", True
    found = connection.execute(
        select(_directories.c.name, _directories.c.driver).where(
            _directories.c.id == person.directory
        )
    ).first()
    if found is None:
        return "", True
    return found.name or "", found.driver == INTERNAL_DRIVER


def add_person(
    system: System,
    unit: Unit,
    directory: str,
    *,
    username: str,
    fullname: str,
    hashed: str | None,
) -> int:
    """A person without extension; without `hashed` also without password. Returns the id."""
    first, last = split_name(fullname)
    values: dict[str, Any] = {
        "auth": directory,
        "username": username,
        "description": "",
        "password": hashed,
        "default_extension": NO_EXTENSION,
        "displayname": fullname,
        "fname": first,
        "lname": last,
        "email": "",
    }
    values = _clipped(system, present(system.database, userman_users, values))
    key = unit.conn.execute(insert(userman_users).values(values)).inserted_primary_key
    return int(key[0])  # type: ignore[index]


def rename_person(system: System, unit: Unit, person: Person, fullname: str) -> bool:
    """Another full name; first and last name follow unless they were set by hand."""
    row = unit.conn.execute(
        select(userman_users.c.fname, userman_users.c.lname).where(userman_users.c.id == person.id)
    ).first()
    values = {"displayname": fullname}
    old = ("", "") if row is None else (row.fname or "", row.lname or "")
    if old in (("", ""), split_name(person.displayname or "")):
        values["fname"], values["lname"] = split_name(fullname)
    values = _clipped(system, values)
    return change_rows(unit.conn, userman_users, userman_users.c.id == person.id, values) > 0


def split_name(fullname: str) -> tuple[str, str]:
    """First name and the rest."""
    first, _, last = _SPACES.sub(" ", fullname.strip()).partition(" ")
    return first, last


def _clipped(system: System, values: dict[str, Any]) -> dict[str, Any]:
    live = system.database.live(userman_users)
    widths = live.widths if live else {}
    return {
        name: value[: widths[name]] if isinstance(value, str) and name in widths else value
        for name, value in values.items()
    }


# --- passwords -----------------------------------------------------------------------------------


def stored_hash(connection: Connection, person: Person) -> str | None:
    """The hash that FreePBX checks this person's password with."""
    query = select(userman_users.c.password).where(userman_users.c.id == person.id)
    return connection.scalar(query)


def store_hash(unit: Unit, person: Person, hashed: str) -> None:
    """Put another one there."""
    where = userman_users.c.id == person.id
    change_rows(unit.conn, userman_users, where, {"password": hashed})


def hash_password(password: str) -> str:
    """The hash that FreePBX 16 stores: bcrypt `$2a$` with cost 8.

    Only the first 72 bytes count, as in PHP's crypt().
    """
    salt = bcrypt.gensalt(_COST, prefix=b"2a")
    return bcrypt.hashpw(password.encode()[:_BCRYPT_BYTES], salt).decode()


def matches(password: str, stored: str | None) -> bool:
    """True when `stored` is a bcrypt hash of the password; the SHA-1 of old versions is not."""
    try:
        return bcrypt.checkpw(password.encode()[:_BCRYPT_BYTES], (stored or "").encode())
    except ValueError:
        return False
