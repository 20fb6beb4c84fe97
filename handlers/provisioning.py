"""How phones get their configuration, and what pages need to know for it."""

from nethvoice import bodies
from nethvoice.system import System
from provisioning import connectivity, mac_vendors, makers


def get_provisioning_engine(*, system: System) -> str:
    """The engine that configures the phones."""
    return system.settings.provisioning_engine


async def check_provisioning_host(
    *, body: bodies.ProvisioningHost, system: System
) -> bodies.Connectivity:
    """Whether phones reach this server."""
    return await connectivity.check_host(system, body.get("host"), body.get("scheme"))


def get_mac_address_map(*, system: System) -> dict[str, list[dict[str, str]]]:
    """Makers with their ranges of MAC addresses."""
    return mac_vendors.address_map(makers.overlay(system.settings))
