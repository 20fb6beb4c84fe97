"""Settings of the whole system."""

from nethvoice import bodies
from nethvoice.pbx import directories
from nethvoice.system import System


def get_user_provider(*, system: System) -> bodies.UserProvider:
    """The user directory."""
    return directories.describe(system)
