"""Bringing the people of an LDAP server or Active Directory into FreePBX's user manager."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from nethvoice.pbx.people import NO_EXTENSION, same_name
from nethvoice.problems import conflict, unprocessable
from nethvoice.store import tables as t
from nethvoice.store.ldap_directory import LdapPerson
from nethvoice.store.rows import insert_ignore
from nethvoice.store.unit import Unit
from nethvoice.system import NUMBERS, System

_DRIVERS = {"ldap": ("Openldap2", "Openldap"), "ad": ("Msad2", "Msad")}
_NAMES = {"ldap": "NethVoice LDAP", "ad": "NethVoice AD"}
_users = t.userman_users


@dataclass
class Outcome:
    """What a synchronisation changed. `left` are main extensions whose person is gone."""

    read: int
    added: int = 0
    changed: int = 0
    removed: int = 0
    left: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def lines(self) -> Iterable[str]:
        """For the operator."""
        yield (
            f"{self.read} people read: {self.added} added, {self.changed} changed, "
            f"{self.removed} removed"
        )
        if self.left:
            yield "extensions whose person has left: " + ", ".join(self.left)
        if self.skipped:
            yield "not taken, the name is used twice: " + ", ".join(self.skipped)


def store_people(system: System, people: Sequence[LdapPerson]) -> Outcome:
    """Make the rows of the directory be these people, all or none of them.

    A row is found again by its `authid`, else by its name, and keeps its id, its main extension
    and everything that the directory does not decide on. People who are not in `people` are
    removed; their extensions stay in the telephone system. Raises Problem 422 for an empty
    directory in the place of one with people, 409 while FreePBX synchronises the same directory.
    """
    with system.change(NUMBERS) as unit:
        directory = _directory(unit, system.settings.ldap_type)
        rows = _rows(unit.conn, directory, _columns(system))
        if rows and not people:
            raise unprocessable(
                "the directory has nobody, but had people before: nothing is changed; check "
                "LDAP_BASE_DN and LDAP_USER_FILTER"
            )
        try:
            return _Merge(system, unit, directory, rows, people).run()
        except IntegrityError as error:
            raise conflict("two entries of the directory compete for one user name") from error


def require_no_other_writer(connection: Connection, kind: str) -> None:
    """Raise Problem 409 when FreePBX is set to synchronise a directory of this kind itself."""
    table = t.userman_directories
    name = connection.scalar(
        select(table.c.name).where(table.c.driver.in_(_DRIVERS[kind]), table.c.active == 1).limit(1)
    )
    if name is not None:
        raise conflict(
            f"FreePBX synchronises the directory {name} itself: deactivate it there, or set "
            "USER_DIRECTORY to userman"
        )


def _directory(unit: Unit, kind: str) -> str:
    """Id of the directory row that our people belong to, made when there is none.

    The row is inactive, so that FreePBX's own synchronisation leaves its people alone. One that
    FreePBX used before and that is inactive now is taken over with its people.
    """
    require_no_other_writer(unit.conn, kind)
    table = t.userman_directories
    found = unit.conn.scalar(
        select(table.c.id)
        .where(table.c.driver.in_(_DRIVERS[kind]))
        .order_by(table.c.order, table.c.id)
        .limit(1)
    )
    if found is not None:
        return str(found)
    made = unit.conn.execute(
        insert(table).values(
            name=_NAMES[kind], driver=_DRIVERS[kind][0], active=0, default=0, locked=0
        )
    ).inserted_primary_key
    return str(made[0])  # type: ignore[index]


_COLUMNS = (
    "displayname", "fname", "lname", "title", "description", "company", "department", "email",
    "work", "cell", "home", "fax",
)  # fmt: skip


def _columns(system: System) -> tuple[str, ...]:
    """Those that this version of FreePBX has."""
    live = system.database.live(_users)
    return tuple(name for name in _COLUMNS if live and name in live.columns)


def _rows(connection: Connection, directory: str, columns: Sequence[str]) -> list[RowMapping]:
    query = select(
        _users.c.id,
        _users.c.authid,
        _users.c.username,
        _users.c.default_extension,
        *(_users.c[name] for name in columns),
    ).where(_users.c.auth == directory)
    return list(connection.execute(query.order_by(_users.c.id)).mappings())


class _Merge:
    """One comparison of rows and people; statements only for what differs."""

    def __init__(
        self,
        system: System,
        unit: Unit,
        directory: str,
        rows: Sequence[RowMapping],
        people: Sequence[LdapPerson],
    ) -> None:
        self._conn = unit.conn
        self._directory = directory
        self._rows = rows
        self._by_key = {row["authid"]: row for row in rows if row["authid"]}
        self._people = people
        self._columns = _columns(system)
        live = system.database.live(_users)
        self._widths: Mapping[str, int] = live.widths if live else {}
        self._outcome = Outcome(len(people))

    def run(self) -> Outcome:
        """Remove, rename, change and add, in that order: a name is free before it is taken."""
        pairs = self._pairs()
        keys = {person.key for person in self._people}
        kept = {row["id"] for _, row in pairs if row is not None}
        self._remove(
            [row for row in self._rows if row["id"] not in kept and row["authid"] not in keys]
        )
        changes = [
            (row, values)
            for person, row in pairs
            if row is not None and (values := self._values(person, row)) != self._stored(row)
        ]
        self._rename([row for row, values in changes if values["username"] != row["username"]])
        self._change(changes)
        self._add([self._values(person, None) for person, row in pairs if row is None])
        return self._outcome

    def _pairs(self) -> list[tuple[LdapPerson, RowMapping | None]]:
        """Every person with the row that is theirs; a name that is used twice is taken once."""
        keys = {person.key for person in self._people}
        # A row of another entry that still exists is never taken over, whatever its name.
        free = {_fold(row["username"]): row for row in self._rows if row["authid"] not in keys}
        without_domain = {name.partition("@")[0]: row for name, row in free.items()}
        used: set[int] = set()
        taken: set[str] = set()
        pairs = []
        # Those who have a row come first, so that a second bearer of the name cannot displace them.
        for person in sorted(self._people, key=lambda p: (p.key not in self._by_key, p.key)):
            name = _fold(person.username)
            if name in taken:
                self._outcome.skipped.append(person.username)
                continue
            taken.add(name)
            bare, at, _ = name.partition("@")
            row = (
                self._by_key.get(person.key)
                or free.get(name)
                or (free.get(bare) if at else without_domain.get(name))
            )
            if row is not None and row["id"] in used:
                row = None
            if row is not None:
                used.add(row["id"])
            pairs.append((person, row))
        return pairs

    def _stored(self, row: RowMapping) -> dict[str, str]:
        stored = {name: row[name] or "" for name in self._columns}
        return {**stored, "authid": row["authid"] or "", "username": row["username"] or ""}

    def _values(self, person: LdapPerson, row: RowMapping | None) -> dict[str, str]:
        username = person.username
        if row is not None and same_name(row["username"] or "", username):
            username = row["username"]  # spelled as FreePBX has it, perhaps with its domain
        values = {name: person.columns.get(name, "") for name in self._columns}
        values |= {"authid": person.key, "username": username}
        return {name: value[: self._widths.get(name)] for name, value in values.items()}

    def _remove(self, gone: Sequence[RowMapping]) -> None:
        ids = [row["id"] for row in gone]
        if not ids:
            return
        self._outcome.removed = len(ids)
        self._outcome.left = sorted(
            row["default_extension"]
            for row in gone
            if row["default_extension"] not in (None, "", NO_EXTENSION)
        )
        devices = t.rest_devices_phones
        self._conn.execute(update(devices).where(devices.c.user_id.in_(ids)).values(user_id=None))
        for table in (t.rest_users, t.rest_cti_users_groups):
            self._conn.execute(delete(table).where(table.c.user_id.in_(ids)))
        self._conn.execute(delete(_users).where(_users.c.id.in_(ids)))

    def _rename(self, rows: Sequence[RowMapping]) -> None:
        """Free the old names first: two people may have swapped theirs."""
        if rows:
            self._conn.execute(
                update(_users)
                .where(_users.c.id == bindparam("row"))
                .values(username=bindparam("name")),
                [{"row": row["id"], "name": f"~renaming-{row['id']}"} for row in rows],
            )

    def _change(self, changes: Sequence[tuple[RowMapping, dict[str, str]]]) -> None:
        self._outcome.changed = len(changes)
        if changes:
            names = (*self._columns, "authid", "username")
            self._conn.execute(
                update(_users)
                .where(_users.c.id == bindparam("row"))
                .values({name: bindparam(f"new_{name}") for name in names}),
                [
                    {"row": row["id"], **{f"new_{k}": v for k, v in _written(values).items()}}
                    for row, values in changes
                ],
            )

    def _add(self, people: Sequence[dict[str, str]]) -> None:
        """Two names that only the database takes for the same (accents) are one name here."""
        rows: list[dict[str, Any]] = [
            {**_written(values), "auth": self._directory, "default_extension": NO_EXTENSION}
            for values in people
        ]
        if rows:
            self._outcome.added = insert_ignore(self._conn, _users, rows)
        if self._outcome.added < len(rows):
            stored = {row["authid"] for row in _rows(self._conn, self._directory, ())}
            self._outcome.skipped += [r["username"] for r in rows if r["authid"] not in stored]


def _written(values: Mapping[str, str]) -> dict[str, str | None]:
    """As FreePBX stores it: a missing full name is NULL, so that the user name is shown."""
    return {**values, "displayname": values["displayname"] or None}


def _fold(username: str | None) -> str:
    """The form in which names are equal: MariaDB's collation ignores letter case and accents."""
    plain = unicodedata.normalize("NFKD", username or "")
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold().strip()
