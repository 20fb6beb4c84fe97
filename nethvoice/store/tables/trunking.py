"""Tables of trunks: FreePBX's own, and the facts about VoIP providers."""

from sqlalchemy import BigInteger, Column, Integer, String, Text, UniqueConstraint, text

from nethvoice.store.tables.base import (
    freepbx_table,
    id_column,
    kvstore,
    own_table,
    string,
    tiny,
)

# --- FreePBX core -------------------------------------------------------------------------------

pjsip = freepbx_table(
    "pjsip",
    Column("id", string(20), primary_key=True, server_default=text("'-1'")),
    Column("keyword", string(30), primary_key=True, server_default=text("''")),
    Column("data", String(8100), nullable=False),
    Column("flags", Integer, nullable=False, server_default=text("0")),
)

iax = freepbx_table(
    "iax",
    Column("id", string(20), primary_key=True, server_default=text("'-1'")),
    Column("keyword", string(30), primary_key=True, server_default=text("''")),
    Column("data", String(255), nullable=False),
    Column("flags", Integer, nullable=False, server_default=text("0")),
)

trunk_dialpatterns = freepbx_table(
    "trunk_dialpatterns",
    Column("trunkid", Integer, primary_key=True, autoincrement=False),
    Column("match_pattern_prefix", string(50), primary_key=True, server_default=text("''")),
    Column("match_pattern_pass", string(50), primary_key=True, server_default=text("''")),
    Column("prepend_digits", string(50), primary_key=True, server_default=text("''")),
    Column("seq", Integer, primary_key=True, autoincrement=False, server_default=text("0")),
)

kvstore_nethcti3 = kvstore("kvstore_FreePBX_modules_Nethcti3")

# --- providers, tables of the former service ------------------------------------------------------

rest_pjsip_providers = own_table(
    "rest_pjsip_providers",
    id_column(),
    Column("provider", string(100), nullable=False),
    Column("description", string(100), nullable=False),
    UniqueConstraint("provider", name="provider_key"),
)

rest_pjsip_trunks_defaults = own_table(
    "rest_pjsip_trunks_defaults",
    Column("provider_id", BigInteger, primary_key=True, autoincrement=False),
    Column("keyword", string(30), primary_key=True),
    Column("data", String(255), nullable=False),
)

rest_pjsip_trunks_specialopts = own_table(
    "rest_pjsip_trunks_specialopts",
    Column("provider_id", BigInteger, primary_key=True, autoincrement=False),
    Column("keyword", string(30), primary_key=True),
    Column("data", String(255), nullable=False),
)

rest_pjsip_trunks_custom_flags = own_table(
    "rest_pjsip_trunks_custom_flags",
    Column("provider_id", BigInteger, primary_key=True, autoincrement=False),
    Column("keyword", string(30), primary_key=True),
    Column("value", tiny, nullable=False, server_default=text("0")),
)

providers = own_table(
    "providers",
    Column("provider", string(100), primary_key=True),
    Column("description", String(100)),
    Column("dettpeer", Text),
    Column("dettuser", Text),
    Column("registration", String(255)),
)
