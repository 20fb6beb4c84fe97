"""Settings of many extensions at once: read where they agree, and set for all or for none."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, String, bindparam, func, insert, literal, select

from nethvoice.pbx import cti_profiles, numbers
from nethvoice.pbx.destinations import read_destinations
from nethvoice.pbx.display_names import Naming, expand, mask, rename
from nethvoice.pbx.people import person_by_extension
from nethvoice.pbx.values import number_text
from nethvoice.problems import Problem, not_found
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.packed import Packed
from nethvoice.store.remembered import remember_last
from nethvoice.store.rows import change_rows
from nethvoice.store.unit import Unit
from nethvoice.system import NUMBERS, System

MOST = 1000
"""Extensions in one request."""

NO_PROFILE = -1

LONGEST_RING = 120
"""Seconds; 0 means the system's default."""

_DESTINATIONS = {
    "noanswerdest": "noanswer_dest",
    "busydest": "busy_dest",
    "notreachabledest": "chanunavail_dest",
}
_GROUPS = {"callgroup": ("namedcallgroup", 15), "pickupgroup": ("namedpickupgroup", 16)}
"""Member -> keyword of `sip` and the flag that FreePBX gives the row."""


@dataclass(frozen=True)
class Wanted:
    """What is to be set; None is left as it is.

    `displayname` is a template (see `display_names.expand`), `ringtime` seconds, `destinations`
    are by member name, `groups` by member name, `cid_fixed` without brackets and `cid_digits` make
    the outbound caller id.
    """

    displayname: str | None = None
    profile: int | None = None
    callwaiting: bool | None = None
    ringtime: int | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    destinations: Mapping[str, str] = field(default_factory=dict)
    cid_fixed: str | None = None
    cid_digits: int = 0


def read_change(members: Mapping[str, Any]) -> Wanted:
    """Read the members of a request; what is missing or means nothing is left as it is."""
    profile = number_text(members.get("profile"))
    ring = members.get("ringtime")
    fixed = members.get("outboundcid_fixed")
    return Wanted(
        displayname=members.get("displayname"),
        profile=None if profile in ("", str(NO_PROFILE)) else int(profile),
        callwaiting=members.get("callwaiting"),
        ringtime=None if ring is None or ring is False or ring in ("", "false") else int(ring),
        groups={name: members[name] for name in _GROUPS if members.get(name) is not None},
        destinations={
            name: members[name].strip() for name in _DESTINATIONS if members.get(name) is not None
        },
        cid_fixed=None if fixed is None else _bare(str(fixed).strip()),
        cid_digits=int(number_text(members.get("outboundcid_variable")) or 0),
    )


@dataclass(frozen=True)
class _Stored:
    """What the extensions have now. `keys` and `waiting` are AMPUSER and CW of AstDB, None when
    Asterisk cannot be asked."""

    users: Mapping[str, Mapping[str, Any]]
    profiles: Mapping[str, int]
    groups: Mapping[tuple[str, str], str]
    keys: Mapping[str, str] | None
    waiting: Mapping[str, str] | None


_Fetched = tuple[str, str, str, Mapping[str, str] | None, Mapping[str, str] | None]
"""Rows of extensions, profiles and groups as JSON, and what `_Stored` has of AstDB."""


def get_settings(system: System, extensions: Sequence[str]) -> dict[str, Any]:
    """The settings of main extensions; one that is not the same for all is None.

    Unknown numbers are left out. Three SQL statements and two AstDB reads, however many there are.
    Raises Problem 404 when none is known.
    """
    mains = _distinct(extensions)
    with system.read() as connection:
        found = _fetch(system, connection, mains, mains)
    return _agreed(tuple(mains), found)


@remember_last
def _agreed(mains: tuple[str, ...], found: _Fetched) -> dict[str, Any]:
    stored = _stored(found)
    known = [main for main in mains if main in stored.users]
    if not known:
        raise not_found(f"there is no extension {', '.join(mains[:3])}")

    def common(value: Callable[[str], Any]) -> Any:
        first = value(known[0])
        for main in known[1:]:
            other = value(main)
            if type(other) is not type(first) or other != first:
                return None
        return first

    def column(name: str) -> Any:
        return common(lambda main: stored.users[main][name] or "")

    return {
        "displayname": common(lambda main: mask(stored.users[main]["name"] or "", main)),
        "profile": common(lambda main: _shown_profile(stored.profiles.get(main))),
        "callwaiting": common(partial(_call_waiting, stored)),
        "ringtime": common(partial(_ring_time, stored)),
        **{member: common(partial(_group, stored, word)) for member, (word, _) in _GROUPS.items()},
        **{member: column(name) for member, name in _DESTINATIONS.items()},
        "outboundcid": common(lambda main: _bare(stored.users[main]["outboundcid"] or "")),
    }


def _distinct(extensions: Sequence[str]) -> list[str]:
    mains = list(dict.fromkeys(extensions))
    if len(mains) > MOST:
        raise not_found(f"more than {MOST} extensions in the path")
    return mains


def _fetch(
    system: System, connection: Connection, mains: Sequence[str], members: Iterable[str]
) -> _Fetched:
    """Everything about the main extensions; groups for all their `members`."""
    users, profiles, groups = (
        query(len(some)).joined(connection, _named(some)) if some else ""
        for query, some in ((_users, mains), (_profiles, mains), (_sip_groups, [*members]))
    )
    try:
        keys, waiting = system.astdb.tree("AMPUSER"), system.astdb.tree("CW")
    except (AmiUnavailable, AmiRefused):
        return users, profiles, groups, None, None
    return users, profiles, groups, keys, waiting


def _stored(found: _Fetched) -> _Stored:
    *texts, keys, waiting = found
    users, profiles, groups = (orjson.loads(f"[{text}]") for text in texts)
    return _Stored(
        {row[0]: dict(zip(_COLUMNS, row, strict=True)) for row in users},
        {number: int(profile) for number, profile in profiles},
        {(number, word): data for number, word, data in groups},
        keys,
        waiting,
    )


_COLUMNS = ("extension", "name", "outboundcid", "ringtimer", *_DESTINATIONS.values())


def _named(numbers: Sequence[str]) -> dict[str, str]:
    return {f"number{place}": number for place, number in enumerate(numbers)}


def _among(item: ColumnElement[Any], count: int) -> ColumnElement[bool]:
    return item.in_([bindparam(f"number{place}", type_=String()) for place in range(count)])


@lru_cache(maxsize=32)
def _users(count: int) -> Packed:
    columns = [t.users.c[name] for name in _COLUMNS]
    return Packed(select(func.json_array(*columns)).where(_among(t.users.c.extension, count)))


@lru_cache(maxsize=32)
def _profiles(count: int) -> Packed:
    people = t.userman_users.c
    query = (
        select(func.json_array(people.default_extension, t.rest_users.c.profile_id))
        .join_from(t.userman_users, t.rest_users, t.rest_users.c.user_id == people.id)
        .where(_among(people.default_extension, count), t.rest_users.c.profile_id.is_not(None))
    )
    return Packed(query, people.id.desc())


@lru_cache(maxsize=32)
def _sip_groups(count: int) -> Packed:
    sip = t.sip.c
    words = [literal(word) for word, _ in _GROUPS.values()]
    return Packed(
        select(func.json_array(sip.id, sip.keyword, sip.data)).where(
            _among(sip.id, count), sip.keyword.in_(words)
        )
    )


def _shown_profile(profile: int | None) -> str | int:
    return NO_PROFILE if profile is None else str(profile)


def _call_waiting(stored: _Stored, main: str) -> bool | None:
    return None if stored.waiting is None else stored.waiting.get(main) == "ENABLED"


def _ring_time(stored: _Stored, main: str) -> str | bool | None:
    return None if stored.keys is None else stored.keys.get(f"{main}/ringtimer", False)


def _group(stored: _Stored, word: str, main: str) -> str:
    return stored.groups.get((main, word), "")


def _bare(cid: str) -> str:
    """`<0721405516>` without the brackets; a caller id with a name stays whole."""
    inner = cid[1:-1]
    return inner if cid == f"<{inner}>" and inner.removeprefix("+").isdigit() else cid


# --- writing -------------------------------------------------------------------------------------


def set_settings(system: System, extensions: Sequence[str], wanted: Wanted) -> None:
    """Set what is wanted for every main extension and its devices, or for none of them.

    Raises Problem 422 with `errors` when an extension is unknown or a value refused, 400 for an
    unknown profile. Asks for a reload when something changed.
    """
    mains = _distinct(extensions)
    with system.change(NUMBERS) as unit:
        families = numbers.families(unit.conn, mains)
        members = [number for main in mains for number in families[main]]
        stored = _stored(_fetch(system, unit.conn, mains, members))
        _check(system, unit, mains, stored, wanted)
        writer = _Writer(unit, stored, families)
        if wanted.displayname is not None:
            writer.names(wanted.displayname)
        if wanted.callwaiting is not None:
            writer.call_waiting(wanted.callwaiting)
        if wanted.ringtime is not None:
            writer.ring_time(wanted.ringtime)
        for member, group in wanted.groups.items():
            writer.group(member, group)
        for member, destination in wanted.destinations.items():
            column = _DESTINATIONS[member]
            writer.users(mains, {column: destination})
        if wanted.cid_fixed is not None:
            writer.outbound_cid(wanted.cid_fixed, wanted.cid_digits)
        if wanted.profile is not None:
            for main in mains:
                if stored.profiles.get(main) != wanted.profile:
                    person = person_by_extension(unit.conn, main)
                    assert person is not None  # noqa: S101 - checked with everything else
                    cti_profiles.set_profile(unit, person, wanted.profile)
        if writer.changed:
            unit.reload()


def _check(
    system: System,
    unit: Unit,
    mains: Sequence[str],
    stored: _Stored,
    wanted: Wanted,
) -> None:
    errors = _unknown(unit, mains, stored)
    known = [main for main in mains if main in stored.users]
    errors += _bad_texts(system, wanted)
    if wanted.displayname is not None:
        errors += _bad_name(wanted.displayname, known, stored)
    if wanted.ringtime is not None and not 0 <= wanted.ringtime <= LONGEST_RING:
        errors.append(f"ringtime must be 0 to {LONGEST_RING} seconds")
    new = {
        member: value
        for member, value in wanted.destinations.items()
        # The wizard sends back what it read, also what leads nowhere by now.
        if value and any(stored.users[m][_DESTINATIONS[member]] != value for m in known)
    }
    if new:
        destinations = read_destinations(system, unit.conn)
        for member, value in new.items():
            error = destinations.error_of(value)
            if error:
                errors.append(f"{member} {error}")
    status = 422
    if wanted.profile is not None:
        errors += _without_person(unit, known, stored, wanted.profile)
        profiles = t.rest_cti_profiles.c
        query = select(profiles.id).where(profiles.id == wanted.profile)
        if unit.conn.execute(query).first() is None:
            status = 422 if errors else 400
            errors.append(f"there is no profile {wanted.profile}")
    if errors:
        title = "Refused" if status == 422 else "Bad request"
        raise Problem(status, title, "; ".join(errors[:5]), errors=errors)


def _unknown(unit: Unit, mains: Sequence[str], stored: _Stored) -> list[str]:
    """Numbers that are no extensions, and devices of other extensions."""
    errors = [f"there is no extension {main}" for main in mains if main not in stored.users]
    owners = {main: numbers.main_part(main) for main in mains if main in stored.users}
    candidates = [owner for owner in owners.values() if owner is not None]
    if candidates:
        families = numbers.families(unit.conn, candidates)
        errors += [
            f"{number} is a device of extension {owner}"
            for number, owner in owners.items()
            if owner is not None and owner in families[owner] and number in families[owner]
        ]
    return errors


def _bad_texts(system: System, wanted: Wanted) -> list[str]:
    texts = {"displayname": wanted.displayname, "outboundcid_fixed": wanted.cid_fixed}
    texts |= {**wanted.groups, **wanted.destinations}
    errors = []
    for member, text in texts.items():
        if text and not text.isprintable():
            errors.append(f"{member} has characters that cannot be printed")
    for member, text in wanted.groups.items():
        if ";" in text or len(text) > 255:
            errors.append(f"{member} is longer than 255 characters or has a semicolon")
    live = system.database.live(t.users)
    widths = live.widths if live else {}
    for member, text in wanted.destinations.items():
        if len(text) > widths.get(_DESTINATIONS[member], 255):
            errors.append(f"{member} is too long")
    fixed = wanted.cid_fixed
    if fixed is not None:
        number = fixed.isascii() and fixed.removeprefix("+").isdigit()
        if wanted.cid_digits and fixed and not number:
            errors.append("outboundcid_variable adds digits to a number, not to a name")
        if len(fixed) + wanted.cid_digits + 2 > widths.get("outboundcid", 50):
            errors.append("outboundcid_fixed is too long")
    return errors


def _bad_name(template: str, known: Sequence[str], stored: _Stored) -> list[str]:
    if template.strip():
        return []
    named = [main for main in known if stored.users[main]["name"]]
    return ["displayname is empty"] if named else []


def _without_person(unit: Unit, known: Sequence[str], stored: _Stored, profile: int) -> list[str]:
    different = [main for main in known if stored.profiles.get(main) != profile]
    if not different:
        return []
    extension = t.userman_users.c.default_extension
    owned = set(unit.conn.scalars(select(extension).where(extension.in_(different))))
    return [f"extension {main} belongs to nobody" for main in different if main not in owned]


class _Writer:
    """Writes SQL and AstDB together, and only what differs."""

    def __init__(self, unit: Unit, stored: _Stored, families: Mapping[str, Sequence[str]]) -> None:
        self._unit = unit
        self._stored = stored
        self._families = families
        self._members = [number for family in families.values() for number in family]
        self.changed = False

    def users(self, extensions: Sequence[str], values: Mapping[str, Any]) -> None:
        """Columns of `users`."""
        where = t.users.c.extension.in_(extensions)
        if change_rows(self._unit.conn, t.users, where, values):
            self.changed = True

    def put(self, key: str, value: str) -> None:
        """A key of AMPUSER."""
        if self._stored.keys is None or self._stored.keys.get(key) != value:
            self._unit.astdb.put("AMPUSER", key, value)
            self.changed = True

    def names(self, template: str) -> None:
        """Display names; an extension whose name fits the template already keeps it."""
        namings = [
            Naming(main, family, expand(template, main).strip())
            for main, family in self._families.items()
            if mask(self._stored.users[main]["name"] or "", main) != template
        ]
        if rename(self._unit, namings, self._stored.keys):
            self.changed = True

    def call_waiting(self, enabled: bool) -> None:
        for number in self._members:
            now = None if self._stored.waiting is None else self._stored.waiting.get(number)
            unsure = self._stored.waiting is None
            if enabled and (unsure or now != "ENABLED"):
                self._unit.astdb.put("CW", number, "ENABLED")
                self.changed = True
            elif not enabled and (unsure or now is not None):
                self._unit.astdb.delete("CW", number)
                self.changed = True

    def ring_time(self, seconds: int) -> None:
        self.users(self._members, {"ringtimer": seconds})
        for number in self._members:
            self.put(f"{number}/ringtimer", str(seconds))

    def group(self, member: str, value: str) -> None:
        """A named call or pickup group of every device; rows that are missing are added."""
        word, flags = _GROUPS[member]
        have = [number for number in self._members if (number, word) in self._stored.groups]
        where = t.sip.c.id.in_(have) & (t.sip.c.keyword == word)
        if change_rows(self._unit.conn, t.sip, where, {"data": value}):
            self.changed = True
        lacking = set(self._members) - set(have)
        if not (lacking and value):
            return
        # An extension without a device (a virtual one) has no such rows.
        query = select(t.devices.c.id).where(t.devices.c.id.in_(sorted(lacking)))
        rows = [
            {"id": number, "keyword": word, "data": value, "flags": flags}
            for number in sorted(self._unit.conn.scalars(query))
        ]
        if rows:
            self._unit.conn.execute(insert(t.sip), rows)
            self.changed = True

    def outbound_cid(self, fixed: str, digits: int) -> None:
        """The caller id shown outside: in brackets in SQL, as it is dialled in AstDB.

        What means the same already stays as it was written.
        """
        by_column: dict[str, list[str]] = {}
        for main, family in self._families.items():
            value = fixed + (main[-digits:] if digits else "")
            column = value if not value or "<" in value else f"<{value}>"
            before = self._stored.users[main]["outboundcid"] or ""
            if _bare(before) == value:
                column = before
            by_column.setdefault(column, []).extend(family)
            for number in family:
                key = f"{number}/outboundcid"
                keys = self._stored.keys
                if keys is None or key not in keys or _bare(keys[key]) != value:
                    self.put(key, value)
        for column, extensions in by_column.items():
            self.users(extensions, {"outboundcid": column})
