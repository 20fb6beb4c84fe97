"""Mobile numbers of people."""

from nethvoice import bodies
from nethvoice.answers import RawJson
from nethvoice.pbx import mobiles
from nethvoice.system import System


def list_mobiles(*, system: System) -> RawJson:
    """Everybody's number."""
    return RawJson(mobiles.list_mobiles(system))


def get_mobile(*, username: str, system: System) -> str:
    """One person's number."""
    return mobiles.get_mobile(system, username)


def set_mobile(*, body: bodies.MobileAssignment, system: System) -> None:
    """Store or clear a number."""
    mobiles.set_mobile(system, body["username"], body.get("mobile"))
