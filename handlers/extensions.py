"""Single properties of an extension."""

from nethvoice import bodies
from nethvoice.pbx import extensions
from nethvoice.system import System


def set_extension_display_name(*, extension: str, body: bodies.DisplayName, system: System) -> None:
    """Rename a main extension and its devices."""
    extensions.set_display_name(system, extension, body["displayname"])


def get_extension_display_name(*, extension: str, system: System) -> bodies.ExtensionDisplayName:
    """The name, false for an unknown extension."""
    name = extensions.display_name(system, extension)
    return {"displayname": False if name is None else name}


def get_extension_srtp(*, extension: str, system: System) -> bool:
    """Whether the media are encrypted."""
    return extensions.is_encrypted(system, extension)


def set_extension_srtp(*, extension: str, enabled: str, system: System) -> None:
    """Switch encryption on or off."""
    extensions.set_encrypted(system, extension, enabled == "true")
