"""Browser phones (WebRTC) of people."""

from nethvoice import bodies
from nethvoice.pbx import apps
from nethvoice.pbx.values import either_number
from nethvoice.system import System


def create_webrtc_extension(
    *, body: bodies.MainExtensionReference, system: System
) -> bodies.ClientExtension:
    """Give a person the browser phone."""
    main = either_number(body.get("extension"), body.get("mainextension"), "extension")
    return {"extension": apps.create_app(system, main, "webrtc"), "mobile_extension": None}


def get_webrtc_extension(*, mainextension: str, system: System) -> str:
    """The browser phone's number."""
    return apps.app_extension(system, mainextension, "webrtc")


def delete_webrtc_extension(*, mainextension: str, system: System) -> None:
    """Take the browser phone away."""
    apps.delete_app(system, mainextension, "webrtc")
