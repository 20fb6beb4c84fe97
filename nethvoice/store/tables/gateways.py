"""Tables of the former service about PSTN gateways; missing columns are added, none removed.

Rows of the four port tables are in port order by `id`. `trunk` is a `trunks.trunkid`,
`trunknumber` the number that the gateway knows the port by.
"""

from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, String, UniqueConstraint, text
from sqlalchemy.dialects import mysql

from nethvoice.store.tables.base import own_table, string

_unsigned = Integer().with_variant(mysql.INTEGER(unsigned=True), "mysql")


def _id() -> Column[int]:
    return Column("id", _unsigned, primary_key=True, autoincrement=True)


def _count(name: str) -> Column[int]:
    return Column(name, _unsigned, server_default=text("0"))


gateway_models = own_table(
    "gateway_models",
    _id(),
    Column("model", string(100), nullable=False),
    Column("manufacturer", string(20)),
    Column("tech", String(20)),
    _count("n_pri_trunks"),
    _count("n_isdn_trunks"),
    _count("n_fxo_trunks"),
    _count("n_fxs_ext"),
    Column("description", String(50)),
    UniqueConstraint("model", "manufacturer", name="model_manufacturer"),
)

gateway_config = own_table(
    "gateway_config",
    _id(),
    Column(
        "model_id",
        _unsigned,
        ForeignKey("gateway_models.id", onupdate="CASCADE", ondelete="CASCADE"),
        nullable=False,
        server_default=text("0"),
    ),
    Column("name", string(100)),
    Column("ipv4", String(255)),
    Column("ipv4_new", String(255)),
    Column("gateway", String(255)),
    Column("ipv4_green", String(255)),
    Column("netmask_green", String(20)),
    # CHAR pads with blanks that comparisons and MariaDB's answers leave out.
    Column("mac", string(18).with_variant(mysql.CHAR(18), "mysql")),
    Column("proxy", String(255)),
    UniqueConstraint("mac", name="mac_key"),
)


def _port_table(kind: str, *columns: Any) -> Any:
    return own_table(
        f"gateway_config_{kind}",
        _id(),
        Column(
            "config_id",
            _unsigned,
            ForeignKey("gateway_config.id", onupdate="CASCADE", ondelete="CASCADE"),
            nullable=False,
        ),
        *columns,
    )


def _trunk_columns() -> list[Column[Any]]:
    return [
        Column("trunk", Integer, nullable=False),
        Column("trunknumber", Integer, nullable=False),
    ]


gateway_config_isdn = _port_table(
    "isdn", *_trunk_columns(), Column("protocol", String(3)), Column("secret", String(255))
)

gateway_config_pri = _port_table("pri", *_trunk_columns(), Column("secret", String(255)))

gateway_config_fxo = _port_table(
    "fxo", *_trunk_columns(), Column("number", String(100)), Column("secret", String(255))
)

gateway_config_fxs = _port_table(
    "fxs",
    Column("extension", string(100)),
    Column("physical_extension", string(100)),
    Column("secret", String(255)),
)
