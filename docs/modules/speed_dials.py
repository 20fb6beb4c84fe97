"""A sample module: short codes for outside numbers."""

from typing import TypedDict

from sqlalchemy import Column, String, delete, select

from nethvoice import bodies
from nethvoice.problems import not_found
from nethvoice.store.rows import put_row
from nethvoice.store.tables.base import own_table
from nethvoice.store.tasks import Report
from nethvoice.system import System

FAMILY = "speeddial"

speed_dials = own_table(
    "module_speed_dials",
    Column("code", String(4), primary_key=True),
    Column("number", String(21), nullable=False),
)


class SpeedDial(TypedDict):
    """A short code and what it dials."""

    code: str
    number: str


def list_speed_dials(*, system: System) -> list[SpeedDial]:
    """All of them."""
    with system.read() as connection:
        rows = connection.execute(select(speed_dials).order_by(speed_dials.c.code))
        return [{"code": row.code, "number": row.number} for row in rows]


def set_speed_dial(*, body: SpeedDial, system: System) -> None:
    """The row and the key, both or neither."""
    with system.change() as unit:
        put_row(unit.conn, speed_dials, {"code": body["code"]}, {"number": body["number"]})
        unit.astdb.put(FAMILY, body["code"], body["number"])


def delete_speed_dial(*, code: str, system: System) -> None:
    """Raises Problem 404 when there is no such code."""
    with system.change() as unit:
        gone = unit.conn.execute(delete(speed_dials).where(speed_dials.c.code == code))
        if not gone.rowcount:
            raise not_found(f"there is no speed dial {code}")
        unit.astdb.delete(FAMILY, code)


def repair_speed_dials(*, system: System) -> bodies.TaskReference:
    """Start the repair; Problem 409 while one is running."""

    def work(report: Report) -> None:
        report.phase("compare", 10)
        wanted = {dial["code"]: dial["number"] for dial in list_speed_dials(system=system)}
        stored = system.astdb.tree(FAMILY)  # over AMI, or in the embedded AstDB
        report.phase("write", 50)
        with system.change() as unit:
            for code in stored.keys() - wanted.keys():
                unit.astdb.delete(FAMILY, code)
            for code, number in wanted.items():
                if stored.get(code) != number:
                    unit.astdb.put(FAMILY, code, number)
                    report.write(f"wrote {code}")

    return {"result": system.tasks.start("speed-dials", work, busy="a repair is running")}
