"""Reading trunks: FreePBX's rows together with the settings of their technology."""

from collections.abc import Mapping

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    case,
    distinct,
    func,
    literal,
    not_,
    select,
)

from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.prepared import Prepared
from nethvoice.store.rows import json_row, live_columns
from nethvoice.system import System

_SECRETS = ("secret", "md5secret", "md5_cred", "remotesecret")
_TEXTS_WITH_SECRETS = ("register", "peerdetails", "userconfig")
"""What FreePBX keeps of a trunk's chan_sip form, whole lines with the secret in them."""


_COUNT = Prepared(select(func.count(distinct(t.trunks.c.trunkid))))


def count_trunks(system: System) -> int:
    """Number of trunks of all technologies, disabled ones included."""
    with system.read() as connection:
        return int(_COUNT.scalar(connection))


def list_trunks(system: System, technology: str | None = None) -> bytes:
    """The JSON array of all trunks, or of those of a technology, by id.

    At most four SQL statements and one AstDB read, however many there are.
    """
    columns = [
        (name, _shown_name() if name == "name" else item)
        for name, item in live_columns(system.database, t.trunks)
    ]
    tech = func.lower(t.trunks.c.tech)
    query = select(t.trunks.c.trunkid, tech.label("tech"), json_row(columns).label("text"))
    if technology is not None:
        query = query.where(tech == technology.lower())
    with system.read() as connection:
        rows = connection.execute(query.order_by(t.trunks.c.trunkid)).all()
        if not rows:
            return b"[]"
        details = _details(system, connection, [(int(row.trunkid), row.tech) for row in rows])
    options = _dial_options(system)
    return b"[" + b",".join(
        _element(
            row.text,
            options.get(f"{row.trunkid}/dialopts"),
            details.get((int(row.trunkid), row.tech), "{}"),
        )
        for row in rows
    ) + b"]"  # fmt: skip


def _element(text: str, options: str | None, details: str) -> bytes:
    more = {
        "dialopts": False if options is None else options,
        "username": orjson.loads(details).get("username"),
    }
    start, end = text[:-1].encode(), orjson.dumps(more)[1:-1]
    return start + b"," + end + b',"details":' + details.encode() + b"}"


def _shown_name() -> ColumnElement[str]:
    """FreePBX's name of a trunk that was given none."""
    columns = t.trunks.c
    prefix = case(
        (func.lower(columns.tech) == "custom", literal("AMP:")),
        else_=func.upper(columns.tech).concat("/"),
    )
    return case((columns.name == "", prefix.concat(columns.channelid)), else_=columns.name)


def _details(
    system: System, connection: Connection, trunks: list[tuple[int, str]]
) -> dict[tuple[int, str], str]:
    """Settings by trunk, as JSON text; technologies without a table of settings are left out."""
    found: dict[tuple[int, str], str] = {}
    for table, techs, prefix in (
        (t.pjsip, ("pjsip",), ""),
        # Bare numbers are extensions in these tables.
        (t.sip, ("sip",), "tr-peer-"),
        (t.iax, ("iax", "iax2"), "tr-peer-"),
    ):
        mine = [(number, tech) for number, tech in trunks if tech in techs]
        if mine and system.database.live(table) is not None:
            settings = _settings(connection, table, prefix)
            found |= {key: settings.get(f"{prefix}{key[0]}", "{}") for key in mine}
    return found


def _settings(connection: Connection, table: Table, prefix: str) -> dict[str, str]:
    """The rows of each id as one JSON object. There are dozens of rows for every trunk, which the
    database puts together several times faster than Python reads them."""
    keyword, data = table.c.keyword, table.c.data
    gather = func.json_group_object if connection.dialect.name == "sqlite" else func.json_objectagg
    secret = keyword.in_(_SECRETS) | and_(keyword.in_(_TEXTS_WITH_SECRETS), data != "")
    query = select(table.c.id, gather(keyword, data)).where(not_(secret)).group_by(table.c.id)
    if prefix:
        query = query.where(table.c.id.startswith(prefix, autoescape=True))
    return dict(connection.execute(query).all())


def _dial_options(system: System) -> Mapping[str, str]:
    """Own dial options by `<trunk id>/dialopts`; without Asterisk none are shown."""
    try:
        return system.astdb.tree("TRUNK")
    except (AmiUnavailable, AmiRefused):
        return {}
