"""Tables about what is found on the network, and FreePBX's phone models."""

from sqlalchemy import Column, Double, Index, Integer, String, text

from nethvoice.store.tables.base import freepbx_table, id_column, long_text, own_table, string, tiny

rest_scans = own_table(
    "rest_scans",
    # MD5 of a text that a client posted. The row of the canonical network holds the result.
    Column("id", String(32), primary_key=True),
    Column("network", String(18), nullable=False),
    Column("task", String(32)),
    Column("finished", Double),
    Column("hosts", long_text),
    Index("rest_scans_network", "network"),
)

rest_tftp_requests = own_table(
    "rest_tftp_requests",
    Column("mac", String(17), primary_key=True),
    Column("file", String(255), nullable=False),
    Column("served", tiny, nullable=False, server_default=text("0")),
    Column("at", Double, nullable=False),
)

rest_notifies = own_table(
    "rest_notifies",
    id_column(),
    Column("extension", String(16), nullable=False),
    Column("event", String(64), nullable=False),
    Column("sent", tiny, nullable=False),
    Column("at", Double, nullable=False),
    Index("rest_notifies_at", "at"),
)

endpointman_brand_list = freepbx_table(
    "endpointman_brand_list",
    Column("id", String(11), primary_key=True),
    Column("name", string(255), nullable=False),
    Column("directory", String(255), nullable=False, server_default=text("''")),
    Column("cfg_ver", String(15), nullable=False, server_default=text("''")),
    Column("installed", Integer, nullable=False, server_default=text("0")),
    Column("hidden", Integer, nullable=False, server_default=text("0")),
)

endpointman_model_list = freepbx_table(
    "endpointman_model_list",
    Column("id", String(11), primary_key=True),
    Column("brand", Integer, nullable=False),
    Column("model", string(25), nullable=False),
    Column("max_lines", Integer, nullable=False, server_default=text("1")),
    Column("template_list", long_text),
    Column("product_id", String(13), nullable=False, server_default=text("''")),
    Column("enabled", Integer, nullable=False, server_default=text("0")),
    Column("hidden", Integer, nullable=False, server_default=text("0")),
)
