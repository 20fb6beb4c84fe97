"""PSTN gateways."""

from typing import Any

from nethvoice.pbx import gateway_list
from nethvoice.system import System


def list_detected_gateways(*, system: System) -> list[dict[str, Any]]:
    """What scans found."""
    return gateway_list.list_detected(system)


def list_gateways(*, network_id: str, system: System) -> list[dict[str, Any]]:
    """What a scan found, and what is configured."""
    return gateway_list.list_gateways(system, network_id)
