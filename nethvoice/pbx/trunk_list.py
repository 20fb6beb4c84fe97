"""Reading trunks: FreePBX's rows together with the settings of their technology."""

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    case,
    distinct,
    func,
    literal,
    not_,
    or_,
    select,
)

from nethvoice.pbx.trunk_names import shown_name
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.database import Database
from nethvoice.store.packed import Packed, Rows, json_objectagg
from nethvoice.store.prepared import Prepared
from nethvoice.store.remembered import remember_last
from nethvoice.store.rows import json_row, live_columns
from nethvoice.system import System

_SECRETS = ("secret", "md5secret", "md5_cred", "remotesecret")
_TEXTS_WITH_SECRETS = ("register", "peerdetails", "userconfig")
"""What FreePBX keeps of a trunk's chan_sip form, whole lines with the secret in them."""


_Details = Sequence[tuple[Sequence[str], str, Rows]]
"""Technologies, what the ids of their trunks begin with, and user name, settings and id of each."""

_COUNT = Prepared(select(func.count(distinct(t.trunks.c.trunkid))))


def count_trunks(system: System) -> int:
    """Number of trunks of all technologies, disabled ones included."""
    with system.read() as connection:
        return int(_COUNT.scalar(connection))


def list_trunks(system: System, technology: str | None = None) -> bytes:
    """The JSON array of all trunks, or of those of a technology, by id.

    At most four SQL statements and one AstDB read, however many there are.
    """
    statement = system.database.statement
    with system.read() as connection:
        if technology is None:
            rows = statement(_all_trunks).rows(connection)
        else:
            rows = statement(_trunks_of).rows(connection, {"technology": technology.lower()})
        if not rows:
            return b"[]"
        details = _details(system, connection, {tech for _, _, tech in rows})
    return _listed(rows, details, _dial_options(system))


@remember_last
def _listed(rows: Rows, details: _Details, options: Mapping[str, str]) -> bytes:
    settings = {
        (trunk.removeprefix(prefix), tech): (username, text)
        for techs, prefix, found in details
        for username, text, trunk in found
        for tech in techs
    }
    elements = [
        _element(text, options.get(f"{number}/dialopts"), settings.get((number, tech), _NOTHING))
        for number, text, tech in rows
    ]
    return f"[{','.join(elements)}]".encode()


def _all_trunks(database: Database, *where: ColumnElement[bool]) -> Packed:
    """Number, JSON and technology of trunks."""
    columns = [
        (name, shown_name() if name == "name" else item)
        for name, item in live_columns(database, t.trunks)
    ]
    query = select(t.trunks.c.trunkid, json_row(columns), func.lower(t.trunks.c.tech))
    return Packed(query.where(*where), t.trunks.c.trunkid)


def _trunks_of(database: Database) -> Packed:
    return _all_trunks(database, func.lower(t.trunks.c.tech) == bindparam("technology"))


_NOTHING = ("null", "{}")


def _element(text: str, options: str | None, details: tuple[str, str]) -> str:
    own = "false" if options is None else orjson.dumps(options).decode()
    username, settings = details
    return f'{text[:-1]},"dialopts":{own},"username":{username},"details":{settings}}}'


def _details(system: System, connection: Connection, technologies: set[str]) -> _Details:
    """What the tables of these technologies have; others have no table."""
    return [
        (techs, prefix, query.rows(connection))
        for table, techs, prefix, query in _TABLES
        if not technologies.isdisjoint(techs) and system.database.live(table) is not None
    ]


def _settings(table: Table, prefix: str) -> Packed:
    """User name, all rows as one JSON object, and the trunk's id. There are dozens of rows for
    every trunk, which the database puts together several times faster than Python reads them."""
    keyword, data = table.c.keyword, table.c.data
    secret = or_(
        keyword.in_([literal(name) for name in _SECRETS]),
        and_(keyword.in_([literal(name) for name in _TEXTS_WITH_SECRETS]), data != ""),
    )
    username = func.json_quote(func.max(case((keyword == "username", data))))
    grouped = (
        select(
            func.coalesce(username, "null").label("username"),
            json_objectagg(keyword, data).label("settings"),
            table.c.id.label("id"),
        )
        .where(not_(secret))
        .group_by(table.c.id)
    )
    if prefix:
        grouped = grouped.where(table.c.id.startswith(prefix, autoescape=True))
    rows = grouped.subquery()
    return Packed(select(rows.c.username, rows.c.settings, rows.c.id))


_TABLES = [
    (table, techs, prefix, _settings(table, prefix))
    for table, techs, prefix in (
        (t.pjsip, ("pjsip",), ""),
        # Bare numbers are extensions in these tables.
        (t.sip, ("sip",), "tr-peer-"),
        (t.iax, ("iax", "iax2"), "tr-peer-"),
    )
]


def _dial_options(system: System) -> Mapping[str, str]:
    """Own dial options by `<trunk id>/dialopts`; without Asterisk none are shown."""
    try:
        return system.astdb.tree("TRUNK")
    except (AmiUnavailable, AmiRefused):
        return {}
