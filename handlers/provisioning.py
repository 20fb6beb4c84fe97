"""What phones and their provisioning need to know."""

from nethvoice.system import System
from provisioning import mac_vendors, makers


def get_mac_address_map(*, system: System) -> dict[str, list[dict[str, str]]]:
    """Makers with their ranges of MAC addresses."""
    return mac_vendors.address_map(makers.overlay(system.settings))
