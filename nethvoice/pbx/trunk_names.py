"""Trunks as routes show them: their number and the name FreePBX gives them."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, Connection, case, func, literal, select

from nethvoice.store import tables as t
from nethvoice.store.packed import Packed
from nethvoice.store.remembered import remember_last


@dataclass(frozen=True)
class Trunk:
    """A row of `trunks`; `name` is what FreePBX shows."""

    id: int
    name: str
    tech: str
    channel: str

    @property
    def is_factory(self) -> bool:
        """True for the trunk that every installation of FreePBX makes, with no line behind."""
        return (self.id, self.name, self.tech, self.channel) == (1, "DAHDI/g0", "dahdi", "g0")


def shown_name() -> ColumnElement[str]:
    """The given name in SQL, else the one made from technology and channel, as FreePBX does."""
    columns = t.trunks.c
    prefix = case(
        (func.lower(columns.tech) == "custom", literal("AMP:")),
        else_=func.upper(columns.tech).concat("/"),
    )
    given = func.coalesce(columns.name, "")
    return case((given == "", prefix.concat(columns.channelid)), else_=given)


_TRUNK = (t.trunks.c.trunkid, shown_name(), t.trunks.c.tech, t.trunks.c.channelid)
_TRUNKS = Packed(select(func.json_array(*_TRUNK)), *_TRUNK)


def trunk_rows(connection: Connection) -> str:
    """JSON of all trunks, for `trunks_of_rows`."""
    return _TRUNKS.joined(connection)


@remember_last
def trunks_of_rows(rows: str) -> Mapping[int, Trunk]:
    """Trunks by number, in ascending order; the first row wins where a number is used twice."""
    found: dict[int, Trunk] = {}
    for number, name, tech, channel in orjson.loads(f"[{rows}]"):
        found.setdefault(number, Trunk(number, name, tech, channel))
    return found
