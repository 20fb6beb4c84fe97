"""Trunks as routes show them: their number and the name FreePBX gives them."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from nethvoice.store import tables as t


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


def trunk_name(name: str, tech: str, channel: str) -> str:
    """The given name, else the one made from technology and channel, as FreePBX does."""
    if name:
        return name
    return f"AMP:{channel}" if tech.lower() == "custom" else f"{tech.upper()}/{channel}"


def list_trunk_names(connection: Connection) -> dict[int, Trunk]:
    """All trunks by number, in ascending order; the first row wins where a number is used twice."""
    columns = (t.trunks.c.trunkid, t.trunks.c.name, t.trunks.c.tech, t.trunks.c.channelid)
    found: dict[int, Trunk] = {}
    for number, name, tech, channel in connection.execute(select(*columns).order_by(*columns)):
        shown = trunk_name(name or "", tech, channel)
        found.setdefault(int(number), Trunk(int(number), shown, tech, channel))
    return found
