"""Rows of people in FreePBX's internal directory, as FreePBX's user manager writes them."""

import re
from typing import Any

import bcrypt
from sqlalchemy import Connection, insert, select

from nethvoice.pbx.people import NO_EXTENSION, Person
from nethvoice.store.rows import change_rows, present
from nethvoice.store.tables import userman_directories, userman_users
from nethvoice.store.unit import Unit
from nethvoice.system import System

INTERNAL_DRIVER = "Freepbx"
LEGACY_DIRECTORY = "freepbx"
"""`auth` of FreePBX 13 and older, which had only the internal directory."""

_COST = 8
_BCRYPT_BYTES = 72
_SPACES = re.compile(r"\s+")


def internal_directory(connection: Connection) -> str | None:
    """Id of the internal directory, the default one where there are several."""
    return _directory(connection, only_internal=True)


def default_directory(connection: Connection) -> str | None:
    """Id of the directory that FreePBX itself puts new people into."""
    return _directory(connection, only_internal=False)


def _directory(connection: Connection, *, only_internal: bool) -> str | None:
    table = userman_directories
    query = select(table.c.id).where(table.c.active == 1)
    if only_internal:
        query = query.where(table.c.driver == INTERNAL_DRIVER)
    query = query.order_by(table.c.default.desc(), table.c.order, table.c.id).limit(1)
    found = connection.scalar(query)
    return None if found is None else str(found)


def is_internal(connection: Connection, directory: str | None) -> bool:
    """True when the people of this directory are FreePBX's own rows and nobody else's copy."""
    if directory is None or directory == LEGACY_DIRECTORY:
        return True
    found = connection.scalar(
        select(userman_directories.c.driver).where(userman_directories.c.id == directory)
    )
    return found is None or found == INTERNAL_DRIVER


def directory_name(connection: Connection, directory: str | None) -> str:
    """The name that administrators know the directory by."""
    found = directory and connection.scalar(
        select(userman_directories.c.name).where(userman_directories.c.id == directory)
    )
    return str(found or "the user directory")


def add_person(system: System, unit: Unit, directory: str, username: str, fullname: str) -> None:
    """A person without password and without extension."""
    first, last = split_name(fullname)
    values: dict[str, Any] = {
        "auth": directory,
        "username": username,
        "description": "",
        "default_extension": NO_EXTENSION,
        "displayname": fullname,
        "fname": first,
        "lname": last,
        "email": "",
    }
    values = _clipped(system, present(system.database, userman_users, values))
    unit.conn.execute(insert(userman_users).values(values))


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
