"""Tables of the CTI server's database."""

from sqlalchemy import Column, Integer, MetaData, Table, UniqueConstraint

from nethvoice.store.tables.base import OPTIONS, long_text, string

cti = MetaData()
"""Tables of the CTI server's database; the main one holds them when none is configured."""

user_settings = Table(
    "user_settings",
    cti,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("username", string(50), nullable=False),
    Column("key_name", string(50), nullable=False),
    Column("value", long_text),
    UniqueConstraint("username", "key_name", name="username_key"),
    **OPTIONS,
)
