"""Reading people with their devices."""

import re
from collections import defaultdict

from sqlalchemy import ColumnElement, bindparam, func, literal, select

from nethvoice.pbx.people import (
    BY_NAME,
    NO_EXTENSION,
    PEOPLE,
    VISIBLE,
    best,
    find_person,
    is_reserved,
    names,
    portal,
)
from nethvoice.problems import Problem, not_found
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.astdb import AstDB
from nethvoice.store.database import Database
from nethvoice.store.packed import Packed, Rows
from nethvoice.store.prepared import Prepared
from nethvoice.store.remembered import remember_last
from nethvoice.store.rows import json_row, live_columns
from nethvoice.store.tables import rest_devices_phones, rest_users, userman_users
from nethvoice.system import System

_CONTACT = re.compile(r"contact/([0-9]+);@[a-z0-9]+")

_HAS_EXTENSION = userman_users.c.default_extension.not_in([literal(NO_EXTENSION), literal("")])
_ALL = select(func.count()).select_from(userman_users).where(VISIBLE)
_COUNT = Prepared(_ALL)
_COUNT_CONFIGURED = Prepared(_ALL.where(_HAS_EXTENSION))


def list_people(system: System, *, configured_only: bool = False) -> bytes:
    """The JSON array of all people with their devices, ordered by user name.

    `configured_only` leaves out those without a main extension. Costs two SQL statements and one
    AstDB read however many there are.
    """
    statement = system.database.statement
    query = statement(_configured_people if configured_only else _visible_people)
    with system.read() as connection:
        people = query.joined(connection, portal(system))
        devices = statement(_all_devices).rows(connection)
    registered = _registered(system, devices)
    return (_configured if configured_only else _visible)(people, devices, registered)


def get_person(system: System, username: str) -> bytes:
    """The JSON object of one person. Raises Problem 404."""
    statement = system.database.statement
    with system.read() as connection:
        rows = statement(_one_person).rows(connection, names(username))
        person = best(connection, username, rows)
        if person is None or is_reserved(system, person.username):
            raise not_found(f"there is no user {username}")
        devices = statement(_devices_of).rows(connection, {"owner": person.id})
    return _with_devices(person.text, devices, _registered(system, devices)).encode()


def count_people(system: System) -> int:
    """How many people the list shows."""
    with system.read() as connection:
        return int(_COUNT.scalar(connection, portal(system)))


def count_configured(system: System) -> int:
    """How many of them have a main extension."""
    with system.read() as connection:
        return int(_COUNT_CONFIGURED.scalar(connection, portal(system)))


def _json(database: Database) -> ColumnElement[str]:
    columns = [
        (name, rest_users.c.password if name == "password" else item)
        for name, item in live_columns(database, userman_users)
    ]
    columns.append(("dn", func.coalesce(userman_users.c.displayname, userman_users.c.username)))
    columns.append(("profile", rest_users.c.profile_id))
    columns.append(("devices", userman_users.c.id))  # their place
    return json_row(columns)


def _visible_people(database: Database, *more: ColumnElement[bool]) -> Packed:
    query = select(_json(database)).select_from(PEOPLE).where(VISIBLE, *more)
    return Packed(query, userman_users.c.username, userman_users.c.id)


def _configured_people(database: Database) -> Packed:
    return _visible_people(database, _HAS_EXTENSION)


def _one_person(database: Database) -> Prepared:
    return Prepared(BY_NAME.add_columns(_json(database).label("text")))


def _all_devices(database: Database) -> Packed:
    return _devices(database, rest_devices_phones.c.user_id.is_not(None))


def _devices_of(database: Database) -> Packed:
    return _devices(database, rest_devices_phones.c.user_id == bindparam("owner"))


def _devices(database: Database, where: ColumnElement[bool]) -> Packed:
    """Owner, JSON and extension of devices."""
    columns = live_columns(database, rest_devices_phones)
    device = rest_devices_phones.c
    query = select(device.user_id, json_row(columns), device.extension).where(where)
    return Packed(query, device.id)


def _registered(system: System, devices: Rows) -> frozenset[str]:
    return registered_extensions(system.astdb) if devices else frozenset()


def _listed(people: str, devices: Rows, registered: frozenset[str]) -> bytes:
    return f"[{_with_devices(people, devices, registered)}]".encode()


_visible, _configured = remember_last(_listed), remember_last(_listed)


def _with_devices(people: str, devices: Rows, registered: frozenset[str]) -> str:
    """JSON of people with their devices, each with whether it is registered."""
    told: dict[str, list[str]] = defaultdict(list)
    for owner, text, extension in devices:
        state = "true" if extension in registered else "false"
        told[owner].append(f'{text[:-1]},"registered":{state}}}')
    # Quotes inside of texts have a backslash before them.
    marker = '"devices":"' if '"devices":"' in people else '"devices": "'
    first, *others = people.split(marker)
    parts = [first]
    for other in others:
        owner, _, rest = other.partition('"')
        parts += ('"devices":[', ",".join(told.get(owner, ())), "]", rest)
    return "".join(parts)


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


_PASSWORD = Prepared(select(rest_users.c.password).where(rest_users.c.user_id == bindparam("user")))


def stored_password(system: System, username: str) -> str:
    """The clear password that was set through this service. Raises Problem 404."""
    with system.read() as connection:
        person = find_person(connection, username)
        if person is not None and is_reserved(system, person.username):
            person = None
        password = person and _PASSWORD.scalar(connection, {"user": person.id})
    if not password:
        raise Problem(404, "Not found", "no password is stored for this user")
    return str(password)
