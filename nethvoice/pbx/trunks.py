"""What all trunks share: their ids, and how one is removed with everything that follows it.

Trunks of VoIP providers and of PSTN gateways take their ids here and are deleted here.
"""

from collections.abc import Mapping

import orjson
from sqlalchemy import (
    BindParameter,
    Connection,
    bindparam,
    delete,
    func,
    literal,
    select,
    union,
)

from nethvoice.problems import conflict, not_found
from nethvoice.store import tables as t
from nethvoice.store.packed import Packed
from nethvoice.store.prepared import Prepared
from nethvoice.store.rows import delete_rows, insert_row, insert_rows, present
from nethvoice.store.unit import Unit
from nethvoice.system import System

TRUNKS = "nethvoice.trunks"
"""Lock of everything that gives out or takes back trunk ids."""

HEADER_FLAGS = ("disable_topos_header", "disable_srtp_header")
"""Settings of the CTI module for one trunk: whether calls through it carry a header that tells the
SIP proxy to leave topology hiding, or media encryption, alone."""

_TAKEN_BY_FREEPBX = frozenset({"anonymous", "dpma_endpoint"})


_IDS = Packed(select(t.trunks.c.trunkid))
_NAMES = Packed(select(func.json_array(t.trunks.c.name, t.trunks.c.channelid)))
_NAMES_OF_OTHERS = Packed(
    select(func.json_array(t.pjsip.c.data)).where(
        t.pjsip.c.keyword == "trunk_name", t.pjsip.c.id != bindparam("trunk")
    )
)
_EXTENSION_NAMED = Prepared(
    union(
        select(t.users.c.extension).where(t.users.c.extension == bindparam("name")),
        select(t.devices.c.id).where(t.devices.c.id == bindparam("name")),
    )
)


def free_trunk_id(connection: Connection) -> int:
    """The lowest id that no trunk has, as FreePBX itself gives them out.

    The caller's unit holds the lock `TRUNKS`, and calls `forget_trunk_id` before it uses the id.
    """
    used = set(orjson.loads(f"[{_IDS.joined(connection)}]"))
    return next(number for number in range(1, len(used) + 2) if number not in used)


def require_free_name(connection: Connection, name: str, trunk_id: int) -> None:
    """Raise Problem 409 when another trunk or an extension has the name, in any letter case.

    It is the section name in five files of PJSIP, where extensions have theirs too. Left-overs of
    `trunk_id`, the id that the new trunk gets, do not count.
    """
    others = _NAMES_OF_OTHERS.joined(connection, {"trunk": str(trunk_id)})
    taken = [text for text in (_NAMES.joined(connection), others) if text]
    rows = orjson.loads(f"[{','.join(taken)}]")
    names = {str(value).casefold() for row in rows for value in row}
    if (
        name.casefold() in names | _TAKEN_BY_FREEPBX
        or _EXTENSION_NAMED.first(connection, {"name": name}) is not None
    ):
        text = f"the name {name} is in use"
        raise conflict(text, error=text)


_KINDS = ("peer", "user", "reg")
_own_ids: list[BindParameter[str]] = [bindparam(kind) for kind in _KINDS]
_flags = t.kvstore_nethcti3.c
_HANGING = [
    (table, Prepared(delete(table).where(where)))
    for table, where in (
        (t.pjsip, t.pjsip.c.id == bindparam("id")),
        (t.sip, t.sip.c.id.in_(_own_ids)),
        (t.iax, t.iax.c.id.in_(_own_ids)),
        (t.trunk_dialpatterns, t.trunk_dialpatterns.c.trunkid == bindparam("trunk")),
        (t.outbound_route_trunks, t.outbound_route_trunks.c.trunk_id == bindparam("trunk")),
        (
            t.kvstore_nethcti3,
            (_flags.id == bindparam("id"))
            & _flags.key.in_([literal(name) for name in HEADER_FLAGS]),
        ),
    )
]
"""What belongs to the id of a trunk."""


def forget_trunk_id(unit: Unit, trunk_id: int) -> None:
    """Remove whatever hangs on a trunk id but the trunk itself.

    Ids are given out again: what stays behind would belong to the next trunk. FreePBX also writes
    `pjsip` rows without a trunk into Asterisk's configuration.
    """
    own = {kind: f"tr-{kind}-{trunk_id}" for kind in _KINDS}
    for table, query in _HANGING:
        if unit.database.live(table) is not None:
            query.run(unit.conn, {"trunk": trunk_id, "id": str(trunk_id), **own})
    unit.astdb.delete("TRUNK", f"{trunk_id}/dialopts")


def insert_pjsip_trunk(
    unit: Unit, trunk_id: int, name: str, rows: Mapping[str, str], **columns: str
) -> None:
    """Write the row of a new PJSIP trunk, `columns` differing from an ordinary one, and `rows`, its
    settings by keyword."""
    trunk = {
        "trunkid": trunk_id,
        "tech": "pjsip",
        "channelid": name,
        "name": name,
        "outcid": "",
        "keepcid": "off",
        "maxchans": "",
        "failscript": "",
        "dialoutprefix": "",
        "usercontext": "",
        # The former service left it empty too; the server tells which provider it is.
        "provider": "",
        "disabled": "off",
        "continue": "off",
        **columns,
    }
    insert_row(unit.conn, t.trunks, present(unit.database, t.trunks, trunk))
    settings = [
        {"id": str(trunk_id), "keyword": keyword, "data": data, "flags": 0}
        for keyword, data in rows.items()
    ]
    insert_rows(unit.conn, t.pjsip, settings)


def remove_trunk(unit: Unit, trunk_id: int) -> bool:
    """Delete a trunk of any technology with its settings, dial patterns, places in outbound routes,
    AstDB key and flags, and ask for a reload. False, and nothing is touched, when there is none.

    The caller's unit holds the lock `TRUNKS`.
    """
    if not delete_rows(unit.conn, t.trunks, {"trunkid": trunk_id}):
        return False
    forget_trunk_id(unit, trunk_id)
    unit.reload()
    return True


def delete_trunk(system: System, trunk_id: int) -> None:
    """As `remove_trunk`, in a unit of its own. Raises Problem 404 for an unknown id."""
    with system.change(TRUNKS) as unit:
        if not remove_trunk(unit, trunk_id):
            raise not_found(f"there is no trunk {trunk_id}")


def set_header_flags(unit: Unit, trunk_id: int, flags: Mapping[str, int]) -> None:
    """Store the CTI module's settings of a new trunk, where that module is installed.

    A flag that is not named is 0, never left open: the module takes a missing one for its default.
    """
    if unit.database.live(t.kvstore_nethcti3) is None:
        return
    rows = [
        {"key": name, "val": "1" if flags.get(name) else "0", "type": None, "id": str(trunk_id)}
        for name in HEADER_FLAGS
    ]
    insert_rows(unit.conn, t.kvstore_nethcti3, rows)
