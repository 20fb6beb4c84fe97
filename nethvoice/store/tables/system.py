"""Tables of the system's configuration, and the planned reboots of phones."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql

from nethvoice.store.tables.base import freepbx_table, kvstore, own_table, string

kvstore_sipsettings = kvstore("kvstore_Sipsettings")

soundlang_settings = freepbx_table(
    "soundlang_settings",
    Column("keyword", string(20), primary_key=True),
    Column("value", String(80), nullable=False),
)

soundlang_packages = freepbx_table(
    "soundlang_packages",
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("type", String(20), nullable=False),
    Column("module", String(80), nullable=False),
    Column("language", String(20), nullable=False),
    Column("license", LargeBinary().with_variant(mysql.LONGBLOB(), "mysql")),
    Column("author", String(80)),
    Column("authorlink", String(256)),
    Column("format", String(20), nullable=False),
    Column("version", String(20)),
    Column("installed", String(20)),
    UniqueConstraint("type", "module", "language", "format", name="unique"),
)

rest_wizard = own_table(
    "rest_wizard",
    Column("step", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("status", String(20)),
)

rest_phone_reboots = own_table(
    "rest_phone_reboots",
    Column("mac", string(17), primary_key=True),
    Column("hour", Integer, nullable=False),
    Column("minute", Integer, nullable=False),
    Column("due", Double, nullable=False),
    Column("claimed", Double),
    Index("rest_phone_reboots_due", "due"),
)
