"""Trunks beside other versions of FreePBX: tables and columns that are missing or more."""

from collections.abc import Callable

import orjson

from nethvoice.pbx import trunk_list, trunks, voip_trunks
from nethvoice.pbx.voip_trunks import NewTrunk
from nethvoice.store import tables as t
from nethvoice.system import System

ORDER = NewTrunk("vivavox", "u", "p", "0541")


def test_tables_of_modules_that_are_not_installed(make_system: Callable[..., System]) -> None:
    """Without the CTI module there are no switches, without IAX no rows of it to delete."""
    system = make_system()
    with system.change() as unit:
        for table in (t.kvstore_nethcti3, t.iax):
            unit.conn.exec_driver_sql(f"DROP TABLE `{table.name}`")
        unit.conn.execute(
            t.trunks.insert().values(trunkid=2, tech="iax2", channelid="i", name="i", outcid="")
        )
    system.database.forget_schema()
    assert voip_trunks.create_trunk(system, ORDER) == 1
    listed = orjson.loads(trunk_list.list_trunks(system))
    assert [trunk["trunkid"] for trunk in listed] == ["1", "2"]
    assert listed[1]["details"] == {}
    for trunk_id in (1, 2):
        trunks.delete_trunk(system, trunk_id)
    assert trunk_list.count_trunks(system) == 0


def test_columns_of_a_newer_freepbx(make_system: Callable[..., System]) -> None:
    """They get their default when a trunk is made, and are shown."""
    system = make_system()
    with system.change() as unit:
        unit.conn.exec_driver_sql(
            "ALTER TABLE trunks ADD COLUMN routedisplay VARCHAR(4) DEFAULT 'on'"
        )
    system.database.forget_schema()
    voip_trunks.create_trunk(system, ORDER)
    [trunk] = orjson.loads(trunk_list.list_trunks(system))
    assert trunk["routedisplay"] == "on"
    assert list(trunk)[-4:] == ["routedisplay", "dialopts", "username", "details"]


def test_columns_that_an_older_freepbx_lacks(make_system: Callable[..., System]) -> None:
    system = make_system()
    with system.change() as unit:
        unit.conn.exec_driver_sql("ALTER TABLE trunks DROP COLUMN `continue`")
    system.database.forget_schema()
    voip_trunks.create_trunk(system, ORDER)
    [trunk] = orjson.loads(trunk_list.list_trunks(system))
    assert "continue" not in trunk
    assert trunk["disabled"] == "off"
