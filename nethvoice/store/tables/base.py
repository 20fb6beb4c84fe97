"""The tables the service reads and writes, as SQLAlchemy Core objects for MariaDB and SQLite.

`freepbx` holds FreePBX's own tables, with FreePBX's column types; they are created only in an
empty database and never altered. `own` holds the service's tables; missing ones are created and
missing columns added.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import mysql

freepbx = MetaData()
own = MetaData()

OPTIONS: Any = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_unicode_ci",
}


def string(length: int) -> Any:
    """A text column that compares case-insensitively on both databases, as FreePBX expects."""
    return String(length).with_variant(String(length, collation="NOCASE"), "sqlite")


def id_column() -> Column[int]:
    return Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )


long_text = Text().with_variant(mysql.LONGTEXT(), "mysql")
tiny = SmallInteger().with_variant(mysql.TINYINT(1), "mysql")


def freepbx_table(name: str, *columns: Any) -> Table:
    return Table(name, freepbx, *columns, **OPTIONS)


def own_table(name: str, *columns: Any) -> Table:
    return Table(name, own, *columns, **OPTIONS)


def text_column(name: str, length: int, default: str | None = "", **options: Any) -> Column[str]:
    """A FreePBX text column; with a default it is NOT NULL."""
    if default is None:
        return Column(name, string(length), nullable=True, **options)
    return Column(name, string(length), nullable=False, server_default=text(f"'{default}'"))


def kvstore(name: str) -> Table:
    return freepbx_table(
        name,
        Column("key", String(190), nullable=False),
        Column("val", String(4096)),
        Column("type", String(20)),
        Column("id", String(190)),
        UniqueConstraint("key", "id", name="uniqueindex"),
    )
