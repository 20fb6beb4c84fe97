"""PSTN gateways."""

from typing import Any

from starlette.responses import Response

from nethvoice import bodies
from nethvoice.pbx import gateway_catalogue, gateway_list, gateway_push, gateway_texts, gateways
from nethvoice.system import System


def list_detected_gateways(*, system: System) -> list[dict[str, Any]]:
    """What scans found."""
    return gateway_list.list_detected(system)


def list_gateways(*, network_id: str, system: System) -> list[dict[str, Any]]:
    """What a scan found, and what is configured."""
    return gateway_list.list_gateways(system, network_id)


def list_gateway_models(*, system: System) -> dict[str, list[dict[str, Any]]]:
    """Models by manufacturer."""
    return gateway_catalogue.list_models(system)


def save_gateway(*, body: bodies.GatewayToSave, system: System) -> bodies.SavedGateway:
    """Create a gateway or change it."""
    return gateways.save_gateway(system, body)


def delete_gateway_by_name(*, body: bodies.GatewayName, system: System) -> bodies.Done:
    """Delete the gateway of a name."""
    gateways.delete_gateway_by_name(system, body["name"], body.get("mac"))
    return {"status": True}


def delete_gateway(*, id: str, system: System) -> bodies.Done:
    """Delete a gateway."""
    gateways.delete_gateway(system, int(id))
    return {"status": True}


async def push_gateway_configuration(*, body: bodies.GatewayToPush, system: System) -> bodies.Done:
    """Make a device load its configuration."""
    await gateway_push.push_gateway(system, body["name"], body.get("mac"))
    return {"status": True}


def get_gateway_config(*, id: str, system: System) -> Response:
    """The configuration, for review."""
    return _text(gateway_texts.configuration(system, int(id)))


def get_gateway_diff(*, id: str, system: System) -> Response:
    """What a push would change in the files."""
    return _text(gateway_texts.difference(system, int(id)))


def list_gateway_tasks(*, id: str, system: System) -> list[bodies.GatewayTask]:
    """The pushes to a gateway."""
    return gateway_push.list_tasks(system, int(id))


def download_gateway_configuration(*, name: str, system: System) -> str:
    """The configuration in base64."""
    return gateway_texts.download(system, name)


def download_gateway_configuration_by_mac(*, name: str, mac: str, system: System) -> str:
    """The same, told by the MAC address too."""
    return gateway_texts.download(system, name, mac)


def _text(text: str) -> Response:
    return Response(text, media_type="text/plain", headers={"cache-control": "no-store"})
