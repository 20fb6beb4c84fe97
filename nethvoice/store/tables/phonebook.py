"""The central phonebook, what feeds it, and what the service notes about its sources."""

from typing import Any

from sqlalchemy import Column, Double, Index, Integer, MetaData, String, Table, Text, text
from sqlalchemy.dialects import mysql

from nethvoice.store.tables.base import (
    OPTIONS,
    freepbx_table,
    long_text,
    own_table,
    text_column,
)
from nethvoice.store.tables.cti_server import cti

contacts = MetaData()
"""The phonebook's database; the main one holds its table when none is configured."""


def _contact_columns() -> list[Any]:
    """A contact as the CTI server and its phonebook have it. Texts compare without letter case."""
    return [
        text_column("owner_id", 255),
        text_column("type", 255),
        *_texts("homeemail workemail"),
        *_texts("homephone workphone cellphone fax", 25),
        *_texts("title company"),
        Column("notes", Text),
        *_texts("name homestreet"),
        *_texts("homepob", 10),
        *_texts("homecity homeprovince homepostalcode homecountry workstreet"),
        *_texts("workpob", 10),
        *_texts("workcity workprovince workpostalcode workcountry url"),
    ]


def _texts(names: str, length: int = 255) -> list[Column[str]]:
    return [text_column(name, length, None) for name in names.split()]


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=True)


phonebook = Table(
    "phonebook",
    contacts,
    _id(),
    *_contact_columns(),
    text_column("sid_imported", 255, None),
    Index("phonebook_sid_imported", "sid_imported"),
    # An id is never given out again, or one contact in place of another would not be noticed.
    sqlite_autoincrement=True,
    **OPTIONS,
)

cti_phonebook = Table(
    "cti_phonebook",
    cti,
    _id(),
    *_contact_columns(),
    text_column("extension", 255, None),
    text_column("speeddial_num", 255, None),
    **OPTIONS,
)

# Of the module rapidcode only these two columns are known to us, and they are only read.
rapidcode = freepbx_table("rapidcode", text_column("number", 50), text_column("label", 50))

rest_phonebook_sources = own_table(
    "rest_phonebook_sources",
    # Ids are file names: letter case counts.
    Column(
        "source",
        String(80).with_variant(mysql.VARCHAR(80, collation="utf8mb4_bin"), "mysql"),
        primary_key=True,
    ),
    Column("wanted", Double),
    Column("claimed", Double),
    Column("claimed_by", String(128)),
    Column("tried", Double),
    Column("synced", Double),
    Column("contacts", Integer, nullable=False, server_default=text("0")),
    Column("skipped", Integer, nullable=False, server_default=text("0")),
    Column("last_error", long_text),
)
"""What became of each source: moments in seconds since 1970, contacts, and the last error."""
