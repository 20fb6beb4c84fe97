"""The tables the service reads and writes, as SQLAlchemy Core objects for MariaDB and SQLite.

`freepbx` holds FreePBX's own tables, with FreePBX's column types; they are created only in an
empty database and never altered. `own` holds the service's tables; missing ones are created and
missing columns added.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
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

_OPTIONS: Any = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_unicode_ci",
}


def _string(length: int) -> Any:
    """A text column that compares case-insensitively on both databases, as FreePBX expects."""
    return String(length).with_variant(String(length, collation="NOCASE"), "sqlite")


def _id_column() -> Column[int]:
    return Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )


_long_text = Text().with_variant(mysql.LONGTEXT(), "mysql")
_tiny = SmallInteger().with_variant(mysql.TINYINT(1), "mysql")


def _freepbx(name: str, *columns: Any) -> Table:
    return Table(name, freepbx, *columns, **_OPTIONS)


def _own(name: str, *columns: Any) -> Table:
    return Table(name, own, *columns, **_OPTIONS)


def _text_column(name: str, length: int, default: str | None = "", **options: Any) -> Column[str]:
    """A FreePBX text column; with a default it is NOT NULL."""
    if default is None:
        return Column(name, _string(length), nullable=True, **options)
    return Column(name, _string(length), nullable=False, server_default=text(f"'{default}'"))


# --- FreePBX core -------------------------------------------------------------------------------

admin = _freepbx(
    "admin",
    Column("variable", _string(20), primary_key=True, server_default=text("''")),
    Column("value", String(80), nullable=False, server_default=text("''")),
)

ampusers = _freepbx(
    "ampusers",
    Column("username", _string(190), primary_key=True),
    Column("password_sha1", String(40), nullable=False),
    Column("extension_low", String(20), nullable=False, server_default=text("''")),
    Column("extension_high", String(20), nullable=False, server_default=text("''")),
    Column("deptname", String(20), nullable=False, server_default=text("''")),
    Column("sections", _long_text, nullable=False),
)

users = _freepbx(
    "users",
    _text_column("extension", 20),
    _text_column("password", 20, None),
    _text_column("name", 50, None),
    _text_column("voicemail", 50, None),
    Column("ringtimer", Integer),
    _text_column("noanswer", 100, None),
    _text_column("recording", 50, None),
    _text_column("outboundcid", 50, None),
    _text_column("sipname", 50, None),
    _text_column("noanswer_cid", 20),
    _text_column("busy_cid", 20),
    _text_column("chanunavail_cid", 20),
    _text_column("noanswer_dest", 255),
    _text_column("busy_dest", 255),
    _text_column("chanunavail_dest", 255),
    Column("mohclass", _string(80), server_default=text("'default'")),
    Index("extension", "extension"),
)

devices = _freepbx(
    "devices",
    _text_column("id", 20),
    _text_column("tech", 10),
    _text_column("dial", 255),
    _text_column("devicetype", 5),
    _text_column("user", 50, None),
    _text_column("description", 50, None),
    _text_column("emergency_cid", 100, None),
    _text_column("hint_override", 100, None),
    Index("id", "id"),
)

sip = _freepbx(
    "sip",
    Column("id", _string(20), primary_key=True),
    Column("keyword", _string(30), primary_key=True),
    Column("data", String(255), nullable=False),
    Column("flags", Integer, nullable=False, server_default=text("0")),
)

freepbx_settings = _freepbx(
    "freepbx_settings",
    Column("keyword", _string(50), primary_key=True),
    Column("value", String(255)),
)

pin = _freepbx(
    "pin",
    Column("extension", Integer, primary_key=True, autoincrement=False),
    Column("pin", String(10)),
    Column("enabled", _tiny, server_default=text("1")),
)

# --- FreePBX user manager -----------------------------------------------------------------------

userman_users = _freepbx(
    "userman_users",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("auth", _string(150), server_default=text("'freepbx'")),
    Column("authid", String(750)),
    Column("username", _string(150)),
    Column("description", String(255)),
    Column("password", String(255)),
    Column("default_extension", _string(45), nullable=False, server_default=text("'none'")),
    Column("primary_group", Integer),
    Column("permissions", _long_text),
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
    Column("email", _long_text),
    Column("cell", String(100)),
    Column("work", String(100)),
    Column("home", String(100)),
    Column("fax", String(100)),
    UniqueConstraint("username", "auth", name="username_UNIQUE"),
)

userman_directories = _freepbx(
    "userman_directories",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", _string(250)),
    Column("driver", _string(150)),
    Column("active", _tiny, nullable=False, server_default=text("0")),
    Column("order", Integer, nullable=False, server_default=text("5")),
    Column("default", _tiny, nullable=False, server_default=text("0")),
    Column("locked", _tiny, nullable=False, server_default=text("0")),
)


def _kvstore(name: str) -> Table:
    return _freepbx(
        name,
        Column("key", String(190), nullable=False),
        Column("val", String(4096)),
        Column("type", String(20)),
        Column("id", String(190)),
        UniqueConstraint("key", "id", name="uniqueindex"),
    )


kvstore_voicemail = _kvstore("kvstore_FreePBX_modules_Voicemail")

# --- FreePBX modules that own numbers or follow an extension -------------------------------------

ringgroups = _freepbx("ringgroups", Column("grpnum", _string(20), primary_key=True))
featurecodes = _freepbx(
    "featurecodes",
    Column("modulename", _string(50), primary_key=True),
    Column("featurename", _string(50), primary_key=True),
    Column("description", String(200), nullable=False, server_default=text("''")),
    Column("defaultcode", _string(20)),
    Column("customcode", _string(20)),
    Column("enabled", _tiny, nullable=False, server_default=text("0")),
)
queues_details = _freepbx(
    "queues_details",
    Column("id", _string(45), primary_key=True),
    Column("keyword", _string(30), primary_key=True),
    Column("data", String(150), primary_key=True, server_default=text("''")),
    Column("flags", Integer, nullable=False, server_default=text("0")),
)
queues_config = _freepbx(
    "queues_config",
    Column("extension", _string(20), primary_key=True),
    Column("descr", String(35), nullable=False, server_default=text("''")),
)
trunks = _freepbx(
    "trunks",
    Column("trunkid", Integer, primary_key=True, autoincrement=False),
    Column("tech", _string(20), primary_key=True),
    Column("channelid", _string(190), primary_key=True),
    Column("name", _string(50), nullable=False, server_default=text("''")),
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
parkplus = _freepbx(
    "parkplus",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("defaultlot", String(10), nullable=False, server_default=text("'no'")),
    Column("type", String(10), nullable=False, server_default=text("'public'")),
    Column("name", String(40), nullable=False, server_default=text("''")),
    Column("parkext", _string(40), nullable=False, server_default=text("''")),
    Column("parkpos", _string(40), nullable=False, server_default=text("''")),
    Column("numslots", Integer, nullable=False, server_default=text("4")),
)
meetme = _freepbx(
    "meetme",
    Column("exten", _string(50), primary_key=True),
    Column("description", String(50)),
)
miscapps = _freepbx(
    "miscapps",
    Column("miscapps_id", Integer, primary_key=True, autoincrement=True),
    Column("ext", _string(50)),
    Column("description", String(50)),
    Column("dest", String(255)),
)
paging_config = _freepbx(
    "paging_config",
    Column("page_group", _string(255), primary_key=True),
    Column("description", String(255)),
)
paging_groups = _freepbx(
    "paging_groups",
    Column("page_number", _string(50), primary_key=True),
    Column("ext", _string(25), primary_key=True),
)
findmefollow = _freepbx(
    "findmefollow",
    Column("grpnum", _string(20), primary_key=True),
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
    Column("calendar_enable", _tiny, server_default=text("0")),
    Column("calendar_id", String(80), server_default=text("''")),
    Column("calendar_group_id", String(80), server_default=text("''")),
    Column("calendar_match", String(4), server_default=text("'yes'")),
    Column("rvolume", String(2), server_default=text("''")),
)
fax_users = _freepbx(
    "fax_users",
    Column("user", _string(15), primary_key=True),
    Column("faxenabled", String(10)),
    Column("faxemail", _long_text),
)

# --- tables of the former service, ours now ------------------------------------------------------

rest_devices_phones = _own(
    "rest_devices_phones",
    _id_column(),
    Column("user_id", Integer),
    Column("mac", _string(20)),
    Column("vendor", String(64)),
    Column("model", String(64)),
    Column("line", Integer, server_default=text("1")),
    Column("extension", _string(16)),
    Column("secret", String(128)),
    Column("web_user", String(128)),
    Column("web_password", String(128)),
    Column("type", String(32), nullable=False, server_default=text("'physical'")),
    Column("srtp", _tiny),
    UniqueConstraint("mac", "line", name="mac"),
    Index("rest_devices_phones_extension", "extension"),
    Index("rest_devices_phones_user", "user_id"),
)

rest_users = _own(
    "rest_users",
    _id_column(),
    Column("user_id", Integer, nullable=False, unique=True),
    Column("mobile", String(20)),
    Column("password", String(128)),
    Column("profile_id", Integer),
)

rest_cti_groups = _own(
    "rest_cti_groups", _id_column(), Column("name", _string(65), nullable=False, unique=True)
)

rest_cti_users_groups = _own(
    "rest_cti_users_groups",
    _id_column(),
    Column("user_id", Integer, nullable=False),
    Column("group_id", Integer, nullable=False),
    UniqueConstraint("user_id", "group_id", name="user_group"),
)

rest_cti_profiles = _own(
    "rest_cti_profiles",
    _id_column(),
    Column("name", _string(255), nullable=False, server_default=text("'Custom'")),
)


def _permission_columns() -> list[Any]:
    return [
        _id_column(),
        Column("name", _string(190), nullable=False),
        Column("displayname", String(255)),
        Column("description", String(1024)),
    ]


rest_cti_macro_permissions = _own(
    "rest_cti_macro_permissions",
    *_permission_columns(),
    UniqueConstraint("name", name="macro_name_key"),
)

rest_cti_permissions = _own(
    "rest_cti_permissions", *_permission_columns(), UniqueConstraint("name", name="name_key")
)

rest_cti_macro_permissions_permissions = _own(
    "rest_cti_macro_permissions_permissions",
    Column("macro_permission_id", Integer, nullable=False),
    Column("permission_id", Integer, nullable=False),
    UniqueConstraint("macro_permission_id", "permission_id", name="macro_permission"),
)

cti = MetaData()
"""Tables of the CTI server's database; the main one holds them when none is configured."""

user_settings = Table(
    "user_settings",
    cti,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("username", _string(50), nullable=False),
    Column("key_name", _string(50), nullable=False),
    Column("value", _long_text),
    UniqueConstraint("username", "key_name", name="username_key"),
    **_OPTIONS,
)

# --- tables of this service ----------------------------------------------------------------------

rest_state = _own(
    "rest_state", Column("keyword", String(64), primary_key=True), Column("value", _long_text)
)

rest_tasks = _own(
    "rest_tasks",
    Column("id", String(32), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("action", String(255)),
    Column("progress", Integer, nullable=False, server_default=text("0")),
    Column("phases", _long_text),
    Column("output", _long_text),
    Column("owner", String(128)),
    Column("run", String(32)),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Index("rest_tasks_kind_state", "kind", "state"),
    Index("rest_tasks_updated", "updated"),
)

rest_outbox = _own(
    "rest_outbox",
    _id_column(),
    Column("target", String(16), nullable=False),
    Column("operations", _long_text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("failing_since", Double),
    Column("last_error", Text),
    Column("parked", Boolean, nullable=False, server_default=text("0")),
)

rest_login_failures = _own(
    "rest_login_failures",
    _id_column(),
    Column("kind", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Index("rest_login_failures_recent", "kind", "address", "at"),
    Index("rest_login_failures_at", "at"),
)

rest_astdb = _own(
    "rest_astdb",
    # Keys of Asterisk's own database are case-sensitive bytes.
    Column(
        "key",
        String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql"),
        primary_key=True,
    ),
    Column("value", _long_text, nullable=False),
)
