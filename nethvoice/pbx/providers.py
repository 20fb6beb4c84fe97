"""VoIP providers: what a trunk to each of them is made of.

They are read from the tables of the former service, which `nethvoice.pbx.provider_catalogue` fills
from a file; what is in these tables by other means counts too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, Connection, bindparam, func, literal, or_, select

from nethvoice.store import tables as t
from nethvoice.store.packed import Packed
from nethvoice.store.prepared import Prepared, Values
from nethvoice.store.remembered import remember_last
from nethvoice.system import System

REGISTERS = "send"
"""Value of the keyword `registration` when the PBX registers with the provider."""


@dataclass(frozen=True)
class Provider:
    """A provider as the tables have it.

    `options` are the `pjsip` rows of its trunks by keyword; `account` those that are made of the
    trunk's user name and number, which go before; `flags` are the settings of the CTI module.
    """

    id: int
    key: str
    options: Mapping[str, str]
    account: Mapping[str, str]
    flags: Mapping[str, int]


def find_provider(connection: Connection, key: str) -> Provider | None:
    """The provider with this key; of several the oldest."""
    return _provider(connection, _BY_KEY, {"key": key})


def provider_of_trunk(connection: Connection, rows: Mapping[str, str]) -> Provider | None:
    """The first provider with the server and port of a trunk's `pjsip` rows; else None.

    Trunks do not record their provider.
    """
    address = {
        "server": rows.get("sip_server", ""),
        "port": rows.get("sip_server_port", ""),
    }
    return _provider(connection, _BY_ADDRESS, address)


def _selected(where: ColumnElement[bool]) -> Prepared:
    table = t.rest_pjsip_providers.c
    return Prepared(
        select(table.id, table.provider).where(where).order_by(table.id).limit(literal(1))
    )


def _at_address() -> ColumnElement[bool]:
    server = t.rest_pjsip_trunks_defaults.alias("server")
    port = t.rest_pjsip_trunks_defaults.alias("port")
    ids = (
        select(func.min(server.c.provider_id))
        .join(port, port.c.provider_id == server.c.provider_id)
        .where(
            server.c.keyword == "sip_server",
            server.c.data == bindparam("server"),
            port.c.keyword == "sip_server_port",
            port.c.data == bindparam("port"),
        )
    )
    return t.rest_pjsip_providers.c.id == ids.scalar_subquery()


_BY_KEY = _selected(t.rest_pjsip_providers.c.provider == bindparam("key"))
_BY_ADDRESS = _selected(_at_address())
_OPTIONS, _ACCOUNT, _FLAGS = (
    Prepared(select(of.c.keyword, of.c[column]).where(of.c.provider_id == bindparam("provider")))
    for of, column in (
        (t.rest_pjsip_trunks_defaults, "data"),
        (t.rest_pjsip_trunks_specialopts, "data"),
        (t.rest_pjsip_trunks_custom_flags, "value"),
    )
)


def _provider(connection: Connection, query: Prepared, values: Values) -> Provider | None:
    row = query.first(connection, values)
    if row is None:
        return None
    mine = {"provider": row.id}
    options, account, flags = (
        dict(query.rows(connection, mine)) for query in (_OPTIONS, _ACCOUNT, _FLAGS)
    )
    return Provider(int(row.id), row.provider, options, account, flags)


_provider_rows = t.rest_pjsip_providers.c
_legacy = t.providers.c
_option = t.rest_pjsip_trunks_defaults.c
_PROVIDERS = Packed(
    select(func.json_array(_provider_rows.id, _provider_rows.provider, _provider_rows.description)),
    _provider_rows.description,
    _provider_rows.id,
)
_LEGACY = Packed(
    select(
        func.json_array(_legacy.provider, _legacy.dettpeer, _legacy.dettuser, _legacy.registration)
    )
)
_SERVERS = Packed(
    select(func.json_array(_option.provider_id, _option.keyword, _option.data)).where(
        or_(_option.keyword == "sip_server", _option.keyword == "registration")
    )
)


def list_providers(system: System) -> bytes:
    """The JSON of every provider by description, with its chan_sip form for clients that show it.

    Three SQL statements.
    """
    with system.read() as connection:
        found, legacy, servers = (
            query.joined(connection) for query in (_PROVIDERS, _LEGACY, _SERVERS)
        )
    return _listed(found, legacy, servers)


@remember_last
def _listed(found: str, legacy: str, servers: str) -> bytes:
    """What the rows mean; the last answer is kept, for they change rarely."""
    former = {
        name.lower(): (peer or "", user or "", registration or "")
        for name, peer, user, registration in orjson.loads(f"[{legacy}]")
    }
    facts = {(provider, keyword): data for provider, keyword, data in orjson.loads(f"[{servers}]")}
    listed = []
    for number, name, description in orjson.loads(f"[{found}]"):
        peer, user, registration = former.get(name.lower(), ("", "", None))
        if registration is None:
            registers = facts.get((number, "registration")) == REGISTERS
            server = facts.get((number, "sip_server"), "")
            registration = f"USERNAME:PASSWORD@{server}/NUMERO" if registers else ""
        listed.append(
            {
                "id": str(number),
                "provider": name,
                "description": description,
                "descrizione": description,
                "dettpeer": peer,
                "dettuser": user,
                "registration": registration,
            }
        )
    return orjson.dumps(listed)
