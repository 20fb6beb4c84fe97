"""The central phonebook, what feeds it, and what the service notes about its sources."""

from typing import Any

from sqlalchemy import Column, Double, Index, Integer, MetaData, String, Table, Text, text
from sqlalchemy.dialects import mysql

from nethvoice.store.tables.base import (
    OPTIONS,
    freepbx_table,
    id_column,
    long_text,
    own_table,
    text_column,
)
from nethvoice.store.tables.cti_server import cti

contacts = MetaData()
"""The phonebook's database; the main one holds its table when none is configured."""


def _contact_columns() -> list[Any]:
    """A contact as the CTI server and its phonebook have it. Texts compare without letter case."""
    wide = ["homestreet", "homecity", "homeprovince", "homepostalcode", "homecountry"]
    work = ["workcity", "workprovince", "workpostalcode", "workcountry"]
    return [
        text_column("owner_id", 255),
        text_column("type", 255),
        *(text_column(name, 255, None) for name in ("homeemail", "workemail")),
        *(text_column(name, 25, None) for name in ("homephone", "workphone", "cellphone", "fax")),
        *(text_column(name, 255, None) for name in ("title", "company")),
        Column("notes", Text),
        text_column("name", 255, None),
        text_column(wide[0], 255, None),
        text_column("homepob", 10, None),
        *(text_column(name, 255, None) for name in wide[1:]),
        text_column("workstreet", 255, None),
        text_column("workpob", 10, None),
        *(text_column(name, 255, None) for name in work),
        text_column("url", 255, None),
    ]


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=True)


phonebook = Table(
    "phonebook",
    contacts,
    _id(),
    *_contact_columns(),
    text_column("sid_imported", 255, None),
    Index("phonebook_sid_imported", "sid_imported"),
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

rapidcode = freepbx_table(
    "rapidcode",
    id_column(),
    text_column("number", 50),
    text_column("label", 50),
    text_column("code", 10),
)

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
