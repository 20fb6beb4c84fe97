"""FreePBX's own tables that people and extensions use."""

from sqlalchemy import Column, Index, Integer, SmallInteger, String, UniqueConstraint, text

from nethvoice.store.tables.base import (
    freepbx_table,
    kvstore,
    long_text,
    string,
    text_column,
    tiny,
)

# --- FreePBX core -------------------------------------------------------------------------------

admin = freepbx_table(
    "admin",
    Column("variable", string(20), primary_key=True, server_default=text("''")),
    Column("value", String(80), nullable=False, server_default=text("''")),
)

ampusers = freepbx_table(
    "ampusers",
    Column("username", string(190), primary_key=True),
    Column("password_sha1", String(40), nullable=False),
    Column("extension_low", String(20), nullable=False, server_default=text("''")),
    Column("extension_high", String(20), nullable=False, server_default=text("''")),
    Column("deptname", String(20), nullable=False, server_default=text("''")),
    Column("sections", long_text, nullable=False),
)

users = freepbx_table(
    "users",
    text_column("extension", 20),
    text_column("password", 20, None),
    text_column("name", 50, None),
    text_column("voicemail", 50, None),
    Column("ringtimer", Integer),
    text_column("noanswer", 100, None),
    text_column("recording", 50, None),
    text_column("outboundcid", 50, None),
    text_column("sipname", 50, None),
    text_column("noanswer_cid", 20),
    text_column("busy_cid", 20),
    text_column("chanunavail_cid", 20),
    text_column("noanswer_dest", 255),
    text_column("busy_dest", 255),
    text_column("chanunavail_dest", 255),
    Column("mohclass", string(80), server_default=text("'default'")),
    Index("extension", "extension"),
)

devices = freepbx_table(
    "devices",
    text_column("id", 20),
    text_column("tech", 10),
    text_column("dial", 255),
    text_column("devicetype", 5),
    text_column("user", 50, None),
    text_column("description", 50, None),
    text_column("emergency_cid", 100, None),
    text_column("hint_override", 100, None),
    Index("id", "id"),
)

sip = freepbx_table(
    "sip",
    Column("id", string(20), primary_key=True),
    Column("keyword", string(30), primary_key=True),
    Column("data", String(255), nullable=False),
    Column("flags", Integer, nullable=False, server_default=text("0")),
)

freepbx_settings = freepbx_table(
    "freepbx_settings",
    Column("keyword", string(50), primary_key=True),
    Column("value", String(255)),
)

pin = freepbx_table(
    "pin",
    Column("extension", Integer, primary_key=True, autoincrement=False),
    Column("pin", String(10)),
    Column("enabled", tiny, server_default=text("1")),
)

# --- FreePBX user manager -----------------------------------------------------------------------

userman_users = freepbx_table(
    "userman_users",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("auth", string(150), server_default=text("'freepbx'")),
    Column("authid", String(750)),
    Column("username", string(150)),
    Column("description", String(255)),
    Column("password", String(255)),
    Column("default_extension", string(45), nullable=False, server_default=text("'none'")),
    Column("primary_group", Integer),
    Column("permissions", long_text),
    Column("fname", String(100)),
    Column("lname", String(100)),
    Column("displayname", String(200)),
    Column("title", String(100)),
    Column("company", String(100)),
    Column("department", String(100)),
    Column("language", String(100)),
    Column("timezone", String(100)),
    Column("dateformat", String(100)),
    Column("timeformat", String(100)),
    Column("datetimeformat", String(100)),
    Column("email", long_text),
    Column("cell", String(100)),
    Column("work", String(100)),
    Column("home", String(100)),
    Column("fax", String(100)),
    UniqueConstraint("username", "auth", name="username_UNIQUE"),
)

userman_directories = freepbx_table(
    "userman_directories",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", string(250)),
    Column("driver", string(150)),
    Column("active", tiny, nullable=False, server_default=text("0")),
    Column("order", Integer, nullable=False, server_default=text("5")),
    Column("default", tiny, nullable=False, server_default=text("0")),
    Column("locked", tiny, nullable=False, server_default=text("0")),
)

kvstore_voicemail = kvstore("kvstore_FreePBX_modules_Voicemail")

# --- FreePBX modules that own numbers or follow an extension -------------------------------------

ringgroups = freepbx_table(
    "ringgroups",
    Column("grpnum", string(20), primary_key=True),
    Column("description", String(35), nullable=False, server_default=text("''")),
)
featurecodes = freepbx_table(
    "featurecodes",
    Column("modulename", string(50), primary_key=True),
    Column("featurename", string(50), primary_key=True),
    Column("description", String(200), nullable=False, server_default=text("''")),
    Column("defaultcode", string(20)),
    Column("customcode", string(20)),
    Column("enabled", tiny, nullable=False, server_default=text("0")),
)
queues_details = freepbx_table(
    "queues_details",
    Column("id", string(45), primary_key=True),
    Column("keyword", string(30), primary_key=True),
    Column("data", String(150), primary_key=True, server_default=text("''")),
    Column("flags", Integer, nullable=False, server_default=text("0")),
)
queues_config = freepbx_table(
    "queues_config",
    Column("extension", string(20), primary_key=True),
    Column("descr", String(35), nullable=False, server_default=text("''")),
)
trunks = freepbx_table(
    "trunks",
    Column("trunkid", Integer, primary_key=True, autoincrement=False),
    Column("tech", string(20), primary_key=True),
    Column("channelid", string(190), primary_key=True),
    Column("name", string(50), nullable=False, server_default=text("''")),
    Column("outcid", String(255), nullable=False, server_default=text("''")),
    Column("keepcid", String(4), server_default=text("'off'")),
    Column("maxchans", String(6), server_default=text("''")),
    Column("failscript", String(255), nullable=False, server_default=text("''")),
    Column("dialoutprefix", String(255), nullable=False, server_default=text("''")),
    Column("usercontext", String(255)),
    Column("provider", String(40)),
    Column("disabled", String(4), server_default=text("'off'")),
    Column("continue", String(4), server_default=text("'off'")),
)
parkplus = freepbx_table(
    "parkplus",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("defaultlot", String(10), nullable=False, server_default=text("'no'")),
    Column("type", String(10), nullable=False, server_default=text("'public'")),
    Column("name", String(40), nullable=False, server_default=text("''")),
    Column("parkext", string(40), nullable=False, server_default=text("''")),
    Column("parkpos", string(40), nullable=False, server_default=text("''")),
    Column("numslots", Integer, nullable=False, server_default=text("4")),
)
meetme = freepbx_table(
    "meetme",
    Column("exten", string(50), primary_key=True),
    Column("description", String(50)),
)
miscapps = freepbx_table(
    "miscapps",
    Column("miscapps_id", Integer, primary_key=True, autoincrement=True),
    Column("ext", string(50)),
    Column("description", String(50)),
    Column("dest", String(255)),
)
paging_config = freepbx_table(
    "paging_config",
    Column("page_group", string(255), primary_key=True),
    Column("description", String(255)),
)
paging_groups = freepbx_table(
    "paging_groups",
    Column("page_number", string(50), primary_key=True),
    Column("ext", string(25), primary_key=True),
)
findmefollow = freepbx_table(
    "findmefollow",
    Column("grpnum", string(20), primary_key=True),
    Column("strategy", String(50), nullable=False),
    Column("grptime", SmallInteger, nullable=False),
    Column("grppre", String(100)),
    Column("grplist", String(255), nullable=False),
    Column("annmsg_id", Integer),
    Column("postdest", String(255)),
    Column("dring", String(255)),
    Column("remotealert_id", Integer),
    Column("needsconf", String(10)),
    Column("toolate_id", Integer),
    Column("pre_ring", SmallInteger, nullable=False, server_default=text("0")),
    Column("ringing", String(80)),
    Column("calendar_enable", tiny, server_default=text("0")),
    Column("calendar_id", String(80), server_default=text("''")),
    Column("calendar_group_id", String(80), server_default=text("''")),
    Column("calendar_match", String(4), server_default=text("'yes'")),
    Column("rvolume", String(2), server_default=text("''")),
)
fax_users = freepbx_table(
    "fax_users",
    Column("user", string(15), primary_key=True),
    Column("faxenabled", String(10)),
    Column("faxemail", long_text),
)
