"""People: rows of FreePBX's user manager, found by name and listed with their devices."""

import re
from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select

from nethvoice.problems import Problem, not_found
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.astdb import AstDB
from nethvoice.store.rows import json_row, live_columns, put_row
from nethvoice.store.tables import (
    rest_devices_phones,
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

_CONTACT = re.compile(r"contact/([0-9]+);@[a-z0-9]+")


@dataclass(frozen=True)
class Person:
    """One user of the telephone system. `extension` is None while there is no main extension."""

    id: int
    username: str
    displayname: str | None
    extension: str | None
    email: str | None
    directory: str | None

    @property
    def name(self) -> str:
        """What the telephone system shows: the display name, or the user name without one."""
        return self.displayname or self.username


def reserved_names(system: System) -> frozenset[str]:
    """Names that lists and counts do not show and that nobody may take, lower case."""
    portal = system.settings.user_portal_username.lower()
    return RESERVED | PATH_WORDS | ({portal} if portal else frozenset())


def is_reserved(system: System, username: str) -> bool:
    """Compare the part before `@`, in lower case."""
    return username.lower().partition("@")[0] in reserved_names(system)


def visible(system: System) -> ColumnElement[bool]:
    """SQL condition: the user's name is not reserved."""
    name = userman_users.c.username
    hidden = []
    for word in sorted(reserved_names(system)):
        hidden += [name == word, name.startswith(word + "@", autoescape=True)]
    return not_(or_(*hidden))


def find_person(connection: Connection, username: str) -> Person | None:
    """Resolve a user name: exact, then in other letter case, then with or without a domain.

    Among equals the directory with the lowest order wins.
    """
    bare, at, _ = username.partition("@")
    name = userman_users.c.username
    same = [name == username, name == bare]
    if not at:
        same.append(name.startswith(bare + "@", autoescape=True))
    rows = connection.execute(
        select(
            userman_users.c.id,
            name,
            userman_users.c.displayname,
            userman_users.c.default_extension,
            userman_users.c.email,
            userman_users.c.auth,
        ).where(or_(*same))
    ).all()
    # MariaDB also takes names for equal that differ in accents or in blanks at the end.
    rows = [row for row in rows if same_name(row.username or "", username)]
    if not rows:
        return None
    order = _directory_order(connection) if len(rows) > 1 else {}

    def rank(row: object) -> tuple[int, int, int]:
        found = getattr(row, "username", "") or ""
        if found == username:
            likeness = 0
        elif found.lower() == username.lower():
            likeness = 1
        else:
            likeness = 2
        directory = order.get(str(getattr(row, "auth", "")), 1_000_000)
        return likeness, directory, int(getattr(row, "id", 0))

    return _person(min(rows, key=rank))


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
    row = connection.execute(
        select(
            userman_users.c.id,
            userman_users.c.username,
            userman_users.c.displayname,
            userman_users.c.default_extension,
            userman_users.c.email,
            userman_users.c.auth,
        )
        .where(userman_users.c.default_extension == extension)
        .order_by(userman_users.c.id)
        .limit(1)
    ).first()
    return None if row is None else _person(row)


def require_person(connection: Connection, username: str) -> Person:
    """As `find_person`; raises Problem 404 with the member `message` when there is nobody."""
    person = find_person(connection, username)
    if person is None:
        raise not_found("User not found", message="User not found")
    return person


def _person(row: object) -> Person:
    extension = getattr(row, "default_extension", None)
    return Person(
        id=int(getattr(row, "id", 0)),
        username=getattr(row, "username", None) or "",
        displayname=getattr(row, "displayname", None),
        extension=None if extension in (None, "", NO_EXTENSION) else str(extension),
        email=getattr(row, "email", None),
        directory=getattr(row, "auth", None),
    )


def _directory_order(connection: Connection) -> dict[str, int]:
    rows = connection.execute(select(userman_directories.c.id, userman_directories.c.order))
    return {str(directory): int(order) for directory, order in rows}


def set_rest_user(unit: Unit, user_id: int, **columns: object) -> bool:
    """Write columns of the service's own row of a person; True when something changed."""
    return put_row(unit.conn, rest_users, {"user_id": user_id}, columns)


# --- reading -------------------------------------------------------------------------------------


def list_people(system: System, *, configured_only: bool = False) -> bytes:
    """The JSON array of all people with their devices, ordered by user name.

    `configured_only` leaves out those without a main extension. Costs two SQL statements and one
    AstDB read however many there are.
    """
    where = visible(system)
    if configured_only:
        where = and_(where, userman_users.c.default_extension.not_in([NO_EXTENSION, ""]))
    return b"[" + b",".join(_people(system, where)) + b"]"


def get_person(system: System, username: str) -> bytes:
    """The JSON object of one person. Raises Problem 404."""
    with system.read() as connection:
        person = find_person(connection, username)
    if person is None or is_reserved(system, person.username):
        raise not_found(f"there is no user {username}")
    return _people(system, userman_users.c.id == person.id, owner=person.id)[0]


def count_people(system: System) -> int:
    """How many people the list shows."""
    with system.read() as connection:
        query = select(func.count()).select_from(userman_users).where(visible(system))
        return int(connection.scalar(query) or 0)


def count_configured(system: System) -> int:
    """How many of them have a main extension."""
    with system.read() as connection:
        query = (
            select(func.count())
            .select_from(userman_users)
            .where(visible(system), userman_users.c.default_extension.not_in([NO_EXTENSION, ""]))
        )
        return int(connection.scalar(query) or 0)


def _people(system: System, where: ColumnElement[bool], owner: int | None = None) -> list[bytes]:
    columns = [
        (name, rest_users.c.password if name == "password" else item)
        for name, item in live_columns(system.database, userman_users)
    ]
    columns.append(("dn", func.coalesce(userman_users.c.displayname, userman_users.c.username)))
    columns.append(("profile", rest_users.c.profile_id))
    people = (
        select(userman_users.c.id, json_row(columns))
        .select_from(
            userman_users.outerjoin(rest_users, rest_users.c.user_id == userman_users.c.id)
        )
        .where(where)
        .order_by(userman_users.c.username, userman_users.c.id)
    )
    devices = select(
        rest_devices_phones.c.user_id,
        rest_devices_phones.c.extension,
        json_row(live_columns(system.database, rest_devices_phones)),
    ).order_by(rest_devices_phones.c.id)
    if owner is None:
        devices = devices.where(rest_devices_phones.c.user_id.is_not(None))
    else:
        devices = devices.where(rest_devices_phones.c.user_id == owner)
    with system.read() as connection:
        people_rows = connection.execute(people).all()
        device_rows = connection.execute(devices).all()
    registered = registered_extensions(system.astdb) if device_rows else frozenset()
    owned: dict[int, list[str]] = defaultdict(list)
    for user_id, extension, text in device_rows:
        state = "true" if extension in registered else "false"
        owned[user_id].append(f'{text[:-1]},"registered":{state}}}')
    return [
        f'{text[:-1]},"devices":[{",".join(owned.get(user_id, ()))}]}}'.encode()
        for user_id, text in people_rows
    ]


def registered_extensions(astdb: AstDB) -> frozenset[str]:
    """Extensions that a device is registered to: PJSIP keeps its contacts in AstDB `registrar`.

    Nobody counts as registered while Asterisk cannot be asked.
    """
    try:
        contacts = astdb.tree("registrar")
    except (AmiUnavailable, AmiRefused):
        return frozenset()
    found = (_CONTACT.fullmatch(key) for key in contacts)
    return frozenset(match[1] for match in found if match)


def stored_password(system: System, username: str) -> str:
    """The clear password that was set through this service. Raises Problem 404."""
    with system.read() as connection:
        person = find_person(connection, username)
        if person is not None and is_reserved(system, person.username):
            person = None
        password = person and connection.scalar(
            select(rest_users.c.password).where(rest_users.c.user_id == person.id)
        )
    if not password:
        raise Problem(404, "Not found", "no password is stored for this user")
    return str(password)
