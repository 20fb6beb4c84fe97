"""Mobile apps of people."""

from nethvoice import bodies
from nethvoice.pbx import apps
from nethvoice.pbx.values import either_number
from nethvoice.system import System


def create_mobile_app_extension(
    *, body: bodies.MainExtensionReference, system: System
) -> tuple[bodies.MobileAppExtension, int]:
    """Give a person the mobile app."""
    main = either_number(body.get("mainextension"), body.get("extension"), "mainextension")
    return {"extension": apps.create_app(system, main, "mobile")}, 201


def get_mobile_app_extension(*, extension: str, system: System) -> str:
    """The app's number, asked by main extension."""
    return apps.app_extension(system, extension, "mobile")


def delete_mobile_app_extension(*, extension: str, system: System) -> None:
    """Remove an app by its own number."""
    apps.delete_mobile_app(system, extension)
