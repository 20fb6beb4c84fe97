"""What the CTI server knows of a person: the profile, which decides the dialplan context too, and
the groups of the presence panel."""

import re
from collections.abc import Sequence

from sqlalchemy import Table, and_, delete, insert, or_, select

from nethvoice.pbx.freepbx import FROM_INTERNAL
from nethvoice.pbx.main_extensions import context_of_profile, profile_context
from nethvoice.pbx.people import Person, set_rest_user
from nethvoice.problems import bad_request, unprocessable
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows, insert_ignore
from nethvoice.store.unit import Unit

PRESENCE_PANEL = "presence_panel"

_NEW_PROFILE_SETTINGS = {
    "desktop_notifications": "true",
    "open_ccard": "connected",
    "chat_notifications": "true",
}


def set_profile(unit: Unit, person: Person, profile_id: int | None) -> None:
    """Give a person a CTI profile, or none; extensions follow into the profile's context.

    Hand-made contexts are left alone. Asks for a reload when something changed.
    """
    if profile_id is None:
        _clear_profile(unit, person)
        return
    changed = set_rest_user(unit, person.id, profile_id=profile_id)
    name = unit.conn.scalar(
        select(t.rest_cti_profiles.c.name).where(t.rest_cti_profiles.c.id == profile_id)
    )
    if changed:
        unit.cti += [[person.username, key, value] for key, value in _NEW_PROFILE_SETTINGS.items()]
    context = context_of_profile(profile_id, name or "")
    if _move(unit, person, [FROM_INTERNAL, "hotel"], context) or changed:
        unit.reload()


def _clear_profile(unit: Unit, person: Person) -> None:
    """Without a profile a person must not keep its dialling rights, which are the context's."""
    query = select(t.rest_users.c.id).where(t.rest_users.c.user_id == person.id)
    if unit.conn.execute(query).first() is None:
        return
    # The context `hotel` is the hotel module's, unless it came from the profile of that name.
    former = profile_context(unit, person.id)
    changed = set_rest_user(unit, person.id, profile_id=None)
    if _move(unit, person, [former] if former else [], FROM_INTERNAL) or changed:
        unit.reload()


def _move(unit: Unit, person: Person, contexts: Sequence[str], target: str) -> bool:
    """Move a person's extensions from `contexts` and from any profile's; True when one moved."""
    devices = t.rest_devices_phones
    owned = select(devices.c.extension).where(
        devices.c.user_id == person.id, devices.c.extension.is_not(None)
    )
    numbers = {str(number) for number in unit.conn.scalars(owned)}
    if person.extension is not None:
        numbers.add(person.extension)
    where = and_(
        t.sip.c.id.in_(sorted(numbers)),
        t.sip.c.keyword == "context",
        or_(
            t.sip.c.data.in_(contexts),
            t.sip.c.data.startswith("cti-profile-", autoescape=True),
        ),
    )
    return change_rows(unit.conn, t.sip, where, {"data": target}) > 0


def profile_id_by_name(unit: Unit, name: str) -> int:
    """The profile of that name. Raises Problem 422 with the text of the CSV import."""
    found = unit.conn.scalar(
        select(t.rest_cti_profiles.c.id)
        .where(t.rest_cti_profiles.c.name == name)
        .order_by(t.rest_cti_profiles.c.id)
        .limit(1)
    )
    if found is None:
        raise unprocessable(f"Can't find profile {name}")
    return int(found)


def set_groups(unit: Unit, person: Person, names: Sequence[str]) -> None:
    """Make a person a member of exactly these groups; unknown ones are created."""
    groups = t.rest_cti_groups
    members = t.rest_cti_users_groups
    wanted: set[int] = set()
    for name in dict.fromkeys(name.strip() for name in names):
        if name:
            wanted.add(_group(unit, name))
    present = {
        int(group)
        for group in unit.conn.scalars(
            select(members.c.group_id)
            .join(groups, groups.c.id == members.c.group_id)
            .where(members.c.user_id == person.id)
        )
    }
    if wanted == present:
        return
    unit.conn.execute(
        delete(members).where(
            members.c.user_id == person.id, members.c.group_id.not_in(sorted(wanted))
        )
    )
    insert_ignore(
        unit.conn,
        members,
        [{"user_id": person.id, "group_id": group} for group in sorted(wanted - present)],
    )
    unit.reload()


def _group(unit: Unit, name: str) -> int:
    """The id of a group; a new one gets its permission in the presence panel."""
    if len(name) > 65:
        raise unprocessable(f"the group name {name[:20]}... is longer than 65 characters")
    found = _id_of(unit, t.rest_cti_groups, name)
    if found is not None:
        return found
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    if not letters:  # all such groups would share one permission
        raise bad_request(f"the group name {name} has no letter a-z and no digit")
    created = unit.conn.execute(insert(t.rest_cti_groups).values(name=name))
    permission = f"grp_{letters}"
    permission_id = _id_of(unit, t.rest_cti_permissions, permission)
    if permission_id is None:
        title = f"Group: {name}"
        row = insert(t.rest_cti_permissions).values(
            name=permission, displayname=title, description=f"{title}: of presence panel"
        )
        permission_id = _new_id(unit.conn.execute(row).inserted_primary_key)
    macro = _id_of(unit, t.rest_cti_macro_permissions, PRESENCE_PANEL)
    if macro is not None:
        insert_ignore(
            unit.conn,
            t.rest_cti_macro_permissions_permissions,
            [{"macro_permission_id": macro, "permission_id": permission_id}],
        )
    return _new_id(created.inserted_primary_key)


def _id_of(unit: Unit, table: Table, name: str) -> int | None:
    found = unit.conn.scalar(select(table.c.id).where(table.c.name == name))
    return None if found is None else int(found)


def _new_id(key: object) -> int:
    return int(key[0])  # type: ignore[index]
