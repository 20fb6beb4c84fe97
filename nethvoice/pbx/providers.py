"""VoIP providers: what a trunk to each of them is made of.

They are read from the tables of the former service, which `nethvoice.pbx.provider_catalogue` fills
from a file; what is in these tables by other means counts too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select

from nethvoice.store import tables as t
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
    table = t.rest_pjsip_providers
    return _provider(connection, table.c.provider == key)


def provider_of_trunk(connection: Connection, rows: Mapping[str, str]) -> Provider | None:
    """The first provider with the server and port of a trunk's `pjsip` rows; else None.

    Trunks do not record their provider.
    """
    server = t.rest_pjsip_trunks_defaults.alias("server")
    port = t.rest_pjsip_trunks_defaults.alias("port")
    ids = (
        select(func.min(server.c.provider_id))
        .join(port, port.c.provider_id == server.c.provider_id)
        .where(
            server.c.keyword == "sip_server",
            server.c.data == rows.get("sip_server", ""),
            port.c.keyword == "sip_server_port",
            port.c.data == rows.get("sip_server_port", ""),
        )
    )
    return _provider(connection, t.rest_pjsip_providers.c.id == ids.scalar_subquery())


def _provider(connection: Connection, where: ColumnElement[bool]) -> Provider | None:
    table = t.rest_pjsip_providers
    query = select(table.c.id, table.c.provider).where(where).order_by(table.c.id).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return None

    def values(of: Table, column: str) -> dict[str, Any]:
        query = select(of.c.keyword, of.c[column]).where(of.c.provider_id == row.id)
        return dict(connection.execute(query).all())

    return Provider(
        int(row.id),
        row.provider,
        values(t.rest_pjsip_trunks_defaults, "data"),
        values(t.rest_pjsip_trunks_specialopts, "data"),
        values(t.rest_pjsip_trunks_custom_flags, "value"),
    )


def list_providers(system: System) -> list[dict[str, str]]:
    """Every provider by description, with its chan_sip form for clients that show it."""
    table = t.rest_pjsip_providers
    options = t.rest_pjsip_trunks_defaults
    with system.read() as connection:
        found = connection.execute(select(table).order_by(table.c.description, table.c.id)).all()
        legacy = {
            row.provider.lower(): (row.dettpeer or "", row.dettuser or "", row.registration or "")
            for row in connection.execute(select(t.providers))
        }
        facts = {
            (int(provider), keyword): data
            for provider, keyword, data in connection.execute(
                select(options.c.provider_id, options.c.keyword, options.c.data).where(
                    options.c.keyword.in_(["sip_server", "registration"])
                )
            )
        }
    listed = []
    for row in found:
        peer, user, registration = legacy.get(row.provider.lower(), ("", "", None))
        if registration is None:
            registers = facts.get((row.id, "registration")) == REGISTERS
            server = facts.get((row.id, "sip_server"), "")
            registration = f"USERNAME:PASSWORD@{server}/NUMERO" if registers else ""
        listed.append(
            {
                "id": str(row.id),
                "provider": row.provider,
                "description": row.description,
                "descrizione": row.description,
                "dettpeer": peer,
                "dettuser": user,
                "registration": registration,
            }
        )
    return listed
