"""Main extensions: the number that a person is called by."""

from sqlalchemy import bindparam, delete, select

from nethvoice.pbx import directories, freepbx, numbers
from nethvoice.pbx.people import NO_EXTENSION, Person, person_by_extension, require_person
from nethvoice.problems import unprocessable
from nethvoice.store import tables as t
from nethvoice.store.prepared import Prepared
from nethvoice.store.rows import change_row, delete_rows, require_width
from nethvoice.store.unit import Unit
from nethvoice.system import NUMBERS, System


def set_main_extension(
    system: System, username: str, extension: str, outboundcid: str | None = None
) -> bool:
    """Give a person a main extension, another one, or (empty `extension`) none.

    True when an extension is assigned now, False when it was removed. Everything is checked before
    anything changes. Raises Problem 404 (no such user), 422 (not a number, number in use), 503
    (directory locked).
    """
    with system.read() as connection:
        person = require_person(connection, username)
    directories.wait_unlocked(system, person)
    with system.change(NUMBERS) as unit:
        return assign(system, unit, username, extension, outboundcid)


def assign(
    system: System, unit: Unit, username: str, extension: str, outboundcid: str | None = None
) -> bool:
    """As `set_main_extension`, inside a unit that holds the lock of numbers."""
    person = require_person(unit.conn, username)
    extension = "" if extension in ("0", NO_EXTENSION) else extension
    if outboundcid is not None:
        require_width(system.database, t.users, "outboundcid", outboundcid, "outboundcid")
    if extension and extension == person.extension and _exists(unit, extension):
        if outboundcid is not None and _set_outbound_cid(unit, extension, outboundcid):
            unit.reload()
        return True
    if extension:
        _check_number(system, unit, person, extension)
    if person.extension is not None:
        remove(unit, person)
        unit.reload()
    if not extension:
        return False
    freepbx.create_extension(
        system, unit, extension, person.name, outboundcid or "", sip=_profile_context(unit, person)
    )
    unit.astdb.delete("CW", extension)
    _set_default_extension(unit, person, extension)
    unit.reload()
    return True


def remove(unit: Unit, person: Person) -> None:
    """Remove a person's main extension with all its devices; phones stay in the inventory."""
    if person.extension is None:
        return
    for number in _own_numbers(unit, person):
        freepbx.wipe_extension(unit, number)
    devices = t.rest_devices_phones
    unit.conn.execute(
        delete(devices).where(devices.c.user_id == person.id, devices.c.mac.is_(None))
    )
    change_row(
        unit.conn,
        devices,
        {"user_id": person.id},
        {"user_id": None, "extension": None, "secret": None, "srtp": None},
    )
    delete_rows(unit.conn, t.rest_cti_users_groups, {"user_id": person.id})
    _set_default_extension(unit, person, NO_EXTENSION)


def _own_numbers(unit: Unit, person: Person) -> list[str]:
    """The person's numbers; the main one also when FreePBX has only left-overs of it."""
    main = person.extension
    if main is None or not numbers.is_number(main):
        return []
    devices = [number for number in numbers.family(unit.conn, main) if number != main]
    return [main, *devices]


def _check_number(system: System, unit: Unit, person: Person, extension: str) -> None:
    if not (extension.isascii() and extension.isdigit()):
        text = "Extension was not numeric!"
        raise unprocessable(text, message=text)
    if not numbers.is_number(extension):
        text = "Extension has more than 14 digits"
        raise unprocessable(text, message=text)
    own = _own_numbers(unit, person)
    main = numbers.main_part(extension)
    if main is not None and main != person.extension:
        owner = person_by_extension(unit.conn, main)
        if owner is not None and _exists(unit, main):
            raise numbers.in_use(extension, f": it is a device number of extension {main}")
    other = {"extension": extension, "person": person.id}
    if _OTHERS.first(unit.conn, other) is not None:
        raise numbers.in_use(extension)
    numbers.require_free(system.database, unit.conn, extension, ignoring=own)


_EXTENSION = Prepared(
    select(t.users.c.extension).where(t.users.c.extension == bindparam("extension"))
)
_OTHERS = Prepared(
    select(t.userman_users.c.id).where(
        t.userman_users.c.default_extension == bindparam("extension"),
        t.userman_users.c.id != bindparam("person"),
    )
)


def _exists(unit: Unit, extension: str) -> bool:
    return _EXTENSION.first(unit.conn, {"extension": extension}) is not None


def _set_default_extension(unit: Unit, person: Person, extension: str) -> None:
    change_row(unit.conn, t.userman_users, {"id": person.id}, {"default_extension": extension})


def _set_outbound_cid(unit: Unit, extension: str, outboundcid: str) -> bool:
    changed = change_row(unit.conn, t.users, {"extension": extension}, {"outboundcid": outboundcid})
    if changed:
        unit.astdb.put("AMPUSER", f"{extension}/outboundcid", outboundcid)
    return changed > 0


def _profile_context(unit: Unit, person: Person) -> dict[str, str]:
    """A person whose CTI profile was set before keeps its context on the new number."""
    context = profile_context(unit, person.id)
    return {} if context is None else {"context": context}


_PROFILE = Prepared(
    select(t.rest_cti_profiles.c.id, t.rest_cti_profiles.c.name)
    .join(t.rest_users, t.rest_users.c.profile_id == t.rest_cti_profiles.c.id)
    .where(t.rest_users.c.user_id == bindparam("user"))
)


def profile_context(unit: Unit, user_id: int) -> str | None:
    """The dialplan context of a person's CTI profile, None without a profile."""
    row = _PROFILE.first(unit.conn, {"user": user_id})
    return None if row is None else context_of_profile(int(row.id), row.name)


def context_of_profile(profile_id: int, name: str) -> str:
    """`hotel` for the profile of that name, else `cti-profile-<id>`."""
    return "hotel" if name == "Hotel" else f"cti-profile-{profile_id}"


def follows_profile(context: str) -> bool:
    """True for contexts that a CTI profile may replace; hotel and hand-made ones stay."""
    return context == freepbx.FROM_INTERNAL or context.startswith("cti-profile-")
