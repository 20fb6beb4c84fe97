"""Main extensions of people."""

from nethvoice import bodies
from nethvoice.answers import RawJson
from nethvoice.pbx import extension_list, main_extensions, people_list
from nethvoice.pbx.extension_list import MAIN_OR_VIRTUAL
from nethvoice.pbx.values import number_text
from nethvoice.system import System


def list_main_extensions(*, system: System) -> RawJson:
    """Every person's main extension, and virtual ones."""
    return RawJson(extension_list.list_extensions(system, MAIN_OR_VIRTUAL))


def get_main_extension(*, extension: str, system: System) -> RawJson:
    """One of them."""
    return RawJson(extension_list.get_extension(system, extension, MAIN_OR_VIRTUAL))


def get_user_limits(*, system: System) -> bodies.UserLimits:
    """There is no limit; clients learn how many people have an extension."""
    return {
        "configured": people_list.count_configured(system),
        "limit": False,
        "configurable": False,
    }


def set_main_extension(
    *, body: bodies.MainExtensionAssignment, system: System
) -> tuple[bodies.MainExtensionRemoval | None, int]:
    """Assign a number, or remove the present one when none is given."""
    assigned = main_extensions.set_main_extension(
        system,
        body["username"],
        number_text(body.get("extension")),
        body.get("outboundcid"),
    )
    return (None, 201) if assigned else ({"message": "No extension specified"}, 200)
