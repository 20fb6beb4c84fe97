"""Inbound and outbound routes, and what FreePBX's modules offer as destinations of calls."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, UniqueConstraint, text

from nethvoice.store.tables.base import (
    freepbx_table,
    long_text,
    own_table,
    string,
    text_column,
    tiny,
)

# --- inbound routes -----------------------------------------------------------------------------

incoming = freepbx_table(
    "incoming",
    Column("cidnum", string(50), primary_key=True, server_default=text("''")),
    Column("extension", string(100), primary_key=True, server_default=text("''")),
    text_column("destination", 50, None),
    Column("privacyman", tiny),
    text_column("alertinfo", 255, None),
    text_column("ringing", 20, None),
    text_column("fanswer", 20, None),
    text_column("mohclass", 80),
    text_column("description", 80, None),
    text_column("grppre", 80, None),
    Column("delay_answer", Integer),
    text_column("pricid", 20, None),
    text_column("pmmaxretries", 2, None),
    text_column("pmminlength", 2, None),
    text_column("reversal", 10, None),
    text_column("rvolume", 2),
    text_column("indication_zone", 20, "default"),
)

fax_incoming = freepbx_table(
    "fax_incoming",
    text_column("cidnum", 20, None),
    text_column("extension", 50, None),
    text_column("detection", 20, None),
    text_column("detectionwait", 5, None),
    text_column("destination", 50, None),
    text_column("legacy_email", 50, None),
    Column("ring", Integer, server_default=text("0")),
)

language_incoming = freepbx_table(
    "language_incoming",
    text_column("extension", 50, None),
    text_column("cidnum", 50, None),
    text_column("language", 10, None),
)

# --- outbound routes ----------------------------------------------------------------------------

outbound_routes = freepbx_table(
    "outbound_routes",
    Column("route_id", Integer, primary_key=True, autoincrement=True),
    text_column("name", 40, None),
    text_column("outcid", 40, None),
    text_column("outcid_mode", 20, None),
    text_column("password", 30, None),
    text_column("emergency_route", 4, None),
    text_column("intracompany_route", 4, None),
    text_column("mohclass", 80, None),
    Column("time_group_id", Integer),
    text_column("dest", 255, None),
    Column("time_mode", string(20), server_default=text("''")),
    text_column("calendar_id", 255, None),
    text_column("calendar_group_id", 255, None),
    text_column("timezone", 255, None),
    Column("notification_on", string(255), server_default=text("'call'")),
)

outbound_route_sequence = freepbx_table(
    "outbound_route_sequence",
    Column("route_id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
)

outbound_route_trunks = freepbx_table(
    "outbound_route_trunks",
    Column("route_id", Integer, primary_key=True, autoincrement=False),
    Column("trunk_id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
)

outbound_route_patterns = freepbx_table(
    "outbound_route_patterns",
    Column("route_id", Integer, primary_key=True, autoincrement=False),
    Column("match_pattern_prefix", string(60), primary_key=True),
    Column("match_pattern_pass", string(60), primary_key=True),
    Column("match_cid", string(60), primary_key=True),
    Column("prepend_digits", string(100), primary_key=True),
)

outbound_route_email = freepbx_table(
    "outbound_route_email",
    Column("route_id", Integer, primary_key=True, autoincrement=False),
    Column("emailfrom", string(320), server_default=text("''")),
    Column("emailto", string(320), server_default=text("''")),
    Column("emailsubject", long_text),
    Column("emailbody", long_text),
)

pin_protected_routes = freepbx_table(
    "pin_protected_routes",
    Column(
        "route_id",
        Integer,
        ForeignKey("outbound_routes.route_id", ondelete="CASCADE", onupdate="CASCADE"),
        nullable=False,
        server_default=text("0"),
    ),
    Column("enabled", tiny, nullable=False, server_default=text("0")),
    Index("pin_protected_routes_route", "route_id"),
)

outbound_routes_locales = own_table(
    "outbound_routes_locales",
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("locale", string(10), nullable=False, server_default=text("''")),
    Column("key", string(50), nullable=False, server_default=text("''")),
    Column("prefix_value", String(50), nullable=False, server_default=text("''")),
    Column("pattern_value", String(50), nullable=False, server_default=text("''")),
    Index("outbound_routes_locales_locale", "locale"),
)

rest_cti_profiles_routes_permission = own_table(
    "rest_cti_profiles_routes_permission",
    Column("profile_id", Integer, nullable=False),
    Column("route_id", Integer, nullable=False),
    Column("permission", tiny),
    UniqueConstraint("profile_id", "route_id", name="profile_route"),
)

# --- contexts and destinations of FreePBX's modules ----------------------------------------------

customcontexts_contexts = freepbx_table(
    "customcontexts_contexts",
    Column("context", string(100), primary_key=True, server_default=text("''")),
    text_column("description", 100),
    text_column("dialrules", 1000, None),
    text_column("faildestination", 250, None),
    text_column("featurefaildestination", 250, None),
    text_column("failpin", 100, None),
    Column("failpincdr", tiny, nullable=False, server_default=text("0")),
    text_column("featurefailpin", 100, None),
    Column("featurefailpincdr", tiny, nullable=False, server_default=text("0")),
    UniqueConstraint("description", name="description"),
)

customcontexts_includes = freepbx_table(
    "customcontexts_includes",
    Column("context", string(100), primary_key=True, server_default=text("''")),
    Column("include", string(100), primary_key=True, server_default=text("''")),
    Column("timegroupid", Integer),
    Column("sort", Integer, nullable=False, server_default=text("0")),
    text_column("userules", 10, None),
)

timeconditions = freepbx_table(
    "timeconditions",
    Column("timeconditions_id", Integer, primary_key=True, autoincrement=True),
    text_column("displayname", 50, None),
    Column("time", Integer),
    text_column("truegoto", 50, None),
    text_column("falsegoto", 50, None),
)

daynight = freepbx_table(
    "daynight",
    Column("ext", string(10), primary_key=True, server_default=text("''")),
    Column("dmode", string(40), primary_key=True, server_default=text("''")),
    Column("dest", string(50), primary_key=True, server_default=text("''")),
)

announcement = freepbx_table(
    "announcement",
    Column("announcement_id", Integer, primary_key=True, autoincrement=True),
    text_column("description", 50, None),
    Column("recording_id", Integer),
    text_column("post_dest", 255, None),
)

ivr_details = freepbx_table(
    "ivr_details",
    Column("id", Integer, primary_key=True, autoincrement=True),
    text_column("name", 50, None),
    text_column("description", 150, None),
)

miscdests = freepbx_table(
    "miscdests",
    Column("id", Integer, primary_key=True, autoincrement=True),
    text_column("description", 100),
    text_column("destdial", 100),
)

directory_details = freepbx_table(
    "directory_details",
    Column("id", Integer, primary_key=True, autoincrement=True),
    text_column("dirname", 50, None),
    text_column("description", 150, None),
)

disa = freepbx_table(
    "disa",
    Column("disa_id", Integer, primary_key=True, autoincrement=True),
    text_column("displayname", 50, None),
    text_column("pin", 50, None),
)

callback = freepbx_table(
    "callback",
    Column("callback_id", Integer, primary_key=True, autoincrement=True),
    text_column("description", 50, None),
    text_column("callbacknum", 100, None),
    text_column("destination", 50, None),
)

setcid = freepbx_table(
    "setcid",
    Column("cid_id", Integer, primary_key=True, autoincrement=True),
    text_column("description", 150, None),
    text_column("cid_name", 150, None),
    text_column("cid_num", 150, None),
    text_column("dest", 255, None),
)

languages = freepbx_table(
    "languages",
    Column("language_id", Integer, primary_key=True, autoincrement=True),
    text_column("description", 50, None),
    text_column("lang_code", 50, None),
    text_column("dest", 255, None),
)

queueprio = freepbx_table(
    "queueprio",
    Column("queueprio_id", Integer, primary_key=True, autoincrement=True),
    text_column("queue_priority", 50, None),
    text_column("description", 50, None),
    text_column("dest", 255, None),
)

vmblast = freepbx_table(
    "vmblast",
    Column("grpnum", Integer, primary_key=True, autoincrement=False),
    text_column("description", 35),
)

nethcqr_details = freepbx_table(
    "nethcqr_details",
    Column("id_cqr", Integer, primary_key=True, autoincrement=True),
    text_column("name", 60),
    text_column("description", 120, None),
)

queueoptions = freepbx_table(
    "queueoptions",
    Column("id", Integer, primary_key=True, autoincrement=True),
    text_column("name", 100),
    text_column("DEST", 80, "app-blackhole,hangup,1"),
)
