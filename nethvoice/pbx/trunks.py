"""What all trunks share: their ids, and how one is removed with everything that follows it.

Trunks of VoIP providers and of PSTN gateways take their ids here and are deleted here.
"""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select, union

from nethvoice.problems import conflict, not_found
from nethvoice.store import tables as t
from nethvoice.store.rows import present
from nethvoice.store.unit import Unit
from nethvoice.system import System

TRUNKS = "nethvoice.trunks"
"""Lock of everything that gives out or takes back trunk ids."""

HEADER_FLAGS = ("disable_topos_header", "disable_srtp_header")
"""Settings of the CTI module for one trunk: whether calls through it carry a header that tells the
SIP proxy to leave topology hiding, or media encryption, alone."""

_TAKEN_BY_FREEPBX = frozenset({"anonymous", "dpma_endpoint"})


def free_trunk_id(connection: Connection) -> int:
    """The lowest id that no trunk has, as FreePBX itself gives them out.

    The caller's unit holds the lock `TRUNKS`, and calls `forget_trunk_id` before it uses the id.
    """
    used = set(connection.scalars(select(t.trunks.c.trunkid)))
    return next(number for number in range(1, len(used) + 2) if number not in used)


def require_free_name(connection: Connection, name: str, trunk_id: int) -> None:
    """Raise Problem 409 when another trunk or an extension has the name, in any letter case.

    It is the section name in five files of PJSIP, where extensions have theirs too. Left-overs of
    `trunk_id`, the id that the new trunk gets, do not count.
    """
    trunks, pjsip = t.trunks.c, t.pjsip.c
    named = (pjsip.keyword == "trunk_name") & (pjsip.id != str(trunk_id))
    taken = [
        *connection.execute(select(trunks.name, trunks.channelid)).all(),
        *connection.execute(select(pjsip.data).where(named)).all(),
    ]
    names = {str(value).casefold() for row in taken for value in row}
    extension = union(
        select(t.users.c.extension).where(t.users.c.extension == name),
        select(t.devices.c.id).where(t.devices.c.id == name),
    )
    if (
        name.casefold() in names | _TAKEN_BY_FREEPBX
        or connection.execute(extension).first() is not None
    ):
        text = f"the name {name} is in use"
        raise conflict(text, error=text)


def forget_trunk_id(unit: Unit, trunk_id: int) -> None:
    """Remove whatever hangs on a trunk id but the trunk itself.

    Ids are given out again: what stays behind would belong to the next trunk. FreePBX also writes
    `pjsip` rows without a trunk into Asterisk's configuration.
    """
    own_ids = [f"tr-{kind}-{trunk_id}" for kind in ("peer", "user", "reg")]
    kvstore = t.kvstore_nethcti3
    for table, where in (
        (t.pjsip, t.pjsip.c.id == str(trunk_id)),
        (t.sip, t.sip.c.id.in_(own_ids)),
        (t.iax, t.iax.c.id.in_(own_ids)),
        (t.trunk_dialpatterns, t.trunk_dialpatterns.c.trunkid == trunk_id),
        (t.outbound_route_trunks, t.outbound_route_trunks.c.trunk_id == trunk_id),
        (kvstore, (kvstore.c.id == str(trunk_id)) & kvstore.c.key.in_(HEADER_FLAGS)),
    ):
        _delete(unit, table, where)
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
    unit.conn.execute(insert(t.trunks).values(present(unit.database, t.trunks, trunk)))
    unit.conn.execute(
        insert(t.pjsip),
        [
            {"id": str(trunk_id), "keyword": keyword, "data": data, "flags": 0}
            for keyword, data in rows.items()
        ],
    )


def remove_trunk(unit: Unit, trunk_id: int) -> bool:
    """Delete a trunk of any technology with its settings, dial patterns, places in outbound routes,
    AstDB key and flags, and ask for a reload. False, and nothing is touched, when there is none.

    The caller's unit holds the lock `TRUNKS`.
    """
    if not unit.conn.execute(delete(t.trunks).where(t.trunks.c.trunkid == trunk_id)).rowcount:
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
    unit.conn.execute(insert(t.kvstore_nethcti3), rows)


def _delete(unit: Unit, table: Table, where: ColumnElement[bool]) -> None:
    if unit.database.live(table) is not None:
        unit.conn.execute(delete(table).where(where))
