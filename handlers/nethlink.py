"""Desktop clients (NethLink) of people."""

from nethvoice import bodies
from nethvoice.pbx import apps
from nethvoice.pbx.values import either_number
from nethvoice.system import System


def create_nethlink_extension(
    *, body: bodies.MainExtensionReference, system: System
) -> bodies.ClientExtension:
    """Give a person the desktop client."""
    main = either_number(body.get("extension"), body.get("mainextension"), "extension")
    return {"extension": apps.create_app(system, main, "nethlink"), "mobile_extension": None}


def get_nethlink_extension(*, mainextension: str, system: System) -> str:
    """The desktop client's number."""
    return apps.app_extension(system, mainextension, "nethlink")


def delete_nethlink_extension(*, mainextension: str, system: System) -> None:
    """Take the desktop client away."""
    apps.delete_app(system, mainextension, "nethlink")
