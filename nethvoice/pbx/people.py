"""People: rows of FreePBX's user manager, found by their names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, literal, or_, select

from nethvoice.problems import not_found
from nethvoice.store.prepared import Prepared
from nethvoice.store.rows import put_row
from nethvoice.store.tables import (
    rest_users,
    userman_directories,
    userman_users,
)
from nethvoice.store.unit import Unit
from nethvoice.system import System

NO_EXTENSION = "none"
"""`userman_users.default_extension` of a person without a main extension."""

RESERVED = frozenset({"admin", "administrator", "guest", "krbtgt", "ldapservice"})
PATH_WORDS = frozenset({"true", "false", "all", "count", "sync"})


@dataclass(frozen=True)
class Person:
    """One user of the telephone system. `extension` is None while there is no main extension."""

    id: int
    username: str
    displayname: str | None
    extension: str | None
    email: str | None
    directory: str | None
    mobile: str | None

    @property
    def name(self) -> str:
        """What the telephone system shows: the display name, or the user name without one."""
        return self.displayname or self.username


# --- names that are hidden ------------------------------------------------------------------------


def is_reserved(system: System, username: str) -> bool:
    """True for names that lists and counts do not show and that nobody may take.

    Compares the part before `@`, in lower case.
    """
    name = username.lower().partition("@")[0]
    return name in RESERVED | PATH_WORDS or bool(name and name == _portal(system))


def _portal(system: System) -> str:
    return system.settings.user_portal_username.lower()


def _hidden() -> ColumnElement[bool]:
    name = userman_users.c.username
    fixed = sorted(RESERVED | PATH_WORDS)
    return or_(
        name.in_([literal(word) for word in fixed]),
        *(name.startswith(word + "@", autoescape=True) for word in fixed),
        name == bindparam("portal"),
        name.like(bindparam("portal_anywhere"), escape="/"),
    )


VISIBLE: ColumnElement[bool] = userman_users.c.id.not_in(
    select(userman_users.c.id).where(_hidden())
)
"""SQL condition: the user's name is not reserved. Needs the parameters of `portal`."""


def portal(system: System) -> dict[str, str]:
    """The parameters of VISIBLE."""
    name = _portal(system) or next(iter(RESERVED))  # without one, nothing else is hidden
    return {"portal": name, "portal_anywhere": _literally(f"{name}@") + "%"}


def _literally(text: str) -> str:
    """A pattern of LIKE, with the escape `/`, that matches the text itself."""
    return re.sub(r"([/%_])", r"/\1", text)


# --- finding --------------------------------------------------------------------------------------

_FOUND = (
    userman_users.c.id,
    userman_users.c.username,
    userman_users.c.displayname,
    userman_users.c.default_extension,
    userman_users.c.email,
    userman_users.c.auth,
    rest_users.c.mobile,
)
PEOPLE = userman_users.outerjoin(rest_users, rest_users.c.user_id == userman_users.c.id)
"""People with the service's own row of them, which not all have."""

_NAMED = or_(
    userman_users.c.username == bindparam("name"),
    userman_users.c.username == bindparam("bare"),
    userman_users.c.username.like(bindparam("anywhere"), escape="/"),
)
BY_NAME = select(*_FOUND).select_from(PEOPLE).where(_NAMED)
"""Everybody whose name is like the one of `names`; `best` chooses."""

_FIND = Prepared(BY_NAME)
_FIND_BY_EXTENSION = Prepared(
    select(*_FOUND)
    .select_from(PEOPLE)
    .where(userman_users.c.default_extension == bindparam("extension"))
    .order_by(userman_users.c.id)
    .limit(1)
)
_DIRECTORIES = Prepared(select(userman_directories.c.id, userman_directories.c.order))


def find_person(connection: Connection, username: str) -> Person | None:
    """Resolve a user name: exact, then in other letter case, then with or without a domain.

    Among equals the directory with the lowest order wins.
    """
    rows = _FIND.rows(connection, names(username))
    row = best(connection, username, rows)
    return None if row is None else _person(row)


def names(username: str) -> dict[str, str]:
    """The parameters of BY_NAME."""
    bare, at, _ = username.partition("@")
    return {
        "name": username,
        "bare": bare,
        "anywhere": _literally(username) if at else _literally(f"{bare}@") + "%",
    }


def best(connection: Connection, username: str, found: Sequence[Any]) -> Any | None:
    """The row that is meant by the name, of those whose names are like it."""
    # MariaDB also takes names for equal that differ in accents or in blanks at the end.
    rows = [row for row in found if same_name(row.username or "", username)]
    if len(rows) < 2:
        return rows[0] if rows else None
    order = {str(row.id): int(row.order) for row in _DIRECTORIES.rows(connection)}

    def rank(row: Any) -> tuple[int, int, int]:
        name = row.username or ""
        likeness = 0 if name == username else 1 if name.lower() == username.lower() else 2
        return likeness, order.get(str(row.auth), 1_000_000), int(row.id)

    return min(rows, key=rank)


def same_name(stored: str, name: str) -> bool:
    """True when the names are equal in any letter case, with a domain on at most one side."""
    stored, name = stored.casefold(), name.casefold()
    if ("@" in stored) != ("@" in name):
        stored, name = stored.partition("@")[0], name.partition("@")[0]
    return stored == name


def person_by_extension(connection: Connection, extension: str) -> Person | None:
    """The person whose main extension this is."""
    if not extension or extension == NO_EXTENSION:
        return None
    row = _FIND_BY_EXTENSION.first(connection, {"extension": extension})
    return None if row is None else _person(row)


def require_person(connection: Connection, username: str) -> Person:
    """As `find_person`; raises Problem 404 with the member `message` when there is nobody."""
    person = find_person(connection, username)
    if person is None:
        raise not_found("User not found", message="User not found")
    return person


def _person(row: Any) -> Person:
    extension = row.default_extension
    return Person(
        id=int(row.id),
        username=row.username or "",
        displayname=row.displayname,
        extension=None if extension in (None, "", NO_EXTENSION) else str(extension),
        email=row.email,
        directory=row.auth,
        mobile=row.mobile,
    )


def set_rest_user(unit: Unit, user_id: int, **columns: object) -> bool:
    """Write columns of the service's own row of a person; True when something changed."""
    return put_row(unit.conn, rest_users, {"user_id": user_id}, columns)
