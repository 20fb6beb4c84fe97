"""FreePBX's tables of outbound routes."""

from sqlalchemy import Column, Integer, String, text

from nethvoice.store.tables.base import freepbx_table

outbound_routes = freepbx_table(
    "outbound_routes",
    Column("route_id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(40)),
    Column("outcid", String(40)),
    Column("outcid_mode", String(20)),
    Column("password", String(30)),
    Column("emergency_route", String(4)),
    Column("intracompany_route", String(4)),
    Column("mohclass", String(80)),
    Column("time_group_id", Integer),
    Column("dest", String(255)),
    Column("time_mode", String(20), server_default=text("''")),
    Column("calendar_id", String(255)),
    Column("calendar_group_id", String(255)),
    Column("timezone", String(255)),
)

outbound_route_trunks = freepbx_table(
    "outbound_route_trunks",
    Column("route_id", Integer, primary_key=True, autoincrement=False),
    Column("trunk_id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
)
