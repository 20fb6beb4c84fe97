"""Tables of the former service about people: devices, passwords, CTI groups and profiles."""

from typing import Any

from sqlalchemy import Column, Index, Integer, String, UniqueConstraint, text

from nethvoice.store.tables.base import id_column, own_table, string, tiny

rest_devices_phones = own_table(
    "rest_devices_phones",
    id_column(),
    Column("user_id", Integer),
    Column("mac", string(20)),
    Column("vendor", String(64)),
    Column("model", String(64)),
    Column("line", Integer, server_default=text("1")),
    Column("extension", string(16)),
    Column("secret", String(128)),
    Column("web_user", String(128)),
    Column("web_password", String(128)),
    Column("type", String(32), nullable=False, server_default=text("'physical'")),
    Column("srtp", tiny),
    UniqueConstraint("mac", "line", name="mac"),
    Index("rest_devices_phones_extension", "extension"),
    Index("rest_devices_phones_user", "user_id"),
)

rest_users = own_table(
    "rest_users",
    id_column(),
    Column("user_id", Integer, nullable=False, unique=True),
    Column("mobile", String(20)),
    Column("password", String(128)),
    Column("profile_id", Integer),
)

rest_cti_groups = own_table(
    "rest_cti_groups", id_column(), Column("name", string(65), nullable=False, unique=True)
)

rest_cti_users_groups = own_table(
    "rest_cti_users_groups",
    id_column(),
    Column("user_id", Integer, nullable=False),
    Column("group_id", Integer, nullable=False),
    UniqueConstraint("user_id", "group_id", name="user_group"),
)

rest_cti_profiles = own_table(
    "rest_cti_profiles",
    id_column(),
    Column("name", string(255), nullable=False, server_default=text("'Custom'")),
)


def _permission_columns() -> list[Any]:
    return [
        id_column(),
        Column("name", string(190), nullable=False),
        Column("displayname", String(255)),
        Column("description", String(1024)),
    ]


rest_cti_macro_permissions = own_table(
    "rest_cti_macro_permissions",
    *_permission_columns(),
    UniqueConstraint("name", name="macro_name_key"),
)

rest_cti_permissions = own_table(
    "rest_cti_permissions", *_permission_columns(), UniqueConstraint("name", name="name_key")
)

rest_cti_macro_permissions_permissions = own_table(
    "rest_cti_macro_permissions_permissions",
    Column("macro_permission_id", Integer, nullable=False),
    Column("permission_id", Integer, nullable=False),
    UniqueConstraint("macro_permission_id", "permission_id", name="macro_permission"),
)
