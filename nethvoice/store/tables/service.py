"""Tables of this service itself."""

from sqlalchemy import Boolean, Column, Double, Index, Integer, String, Text, text
from sqlalchemy.dialects import mysql

from nethvoice.store.tables.base import id_column, long_text, own_table

rest_state = own_table(
    "rest_state", Column("keyword", String(64), primary_key=True), Column("value", long_text)
)

rest_tasks = own_table(
    "rest_tasks",
    Column("id", String(32), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("action", String(255)),
    Column("progress", Integer, nullable=False, server_default=text("0")),
    Column("phases", long_text),
    Column("output", long_text),
    Column("owner", String(128)),
    Column("run", String(32)),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Index("rest_tasks_kind_state", "kind", "state"),
    Index("rest_tasks_updated", "updated"),
)

rest_outbox = own_table(
    "rest_outbox",
    id_column(),
    Column("target", String(16), nullable=False),
    Column("operations", long_text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("failing_since", Double),
    Column("last_error", Text),
    Column("parked", Boolean, nullable=False, server_default=text("0")),
)

rest_login_failures = own_table(
    "rest_login_failures",
    id_column(),
    Column("kind", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Index("rest_login_failures_recent", "kind", "address", "at"),
    Index("rest_login_failures_at", "at"),
)

rest_astdb = own_table(
    "rest_astdb",
    # Keys of Asterisk's own database are case-sensitive bytes.
    Column(
        "key",
        String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql"),
        primary_key=True,
    ),
    Column("value", long_text, nullable=False),
)
