"""Settings of many extensions, and what there is to choose from."""

from typing import Any

from nethvoice import bodies
from nethvoice.answers import RawJson
from nethvoice.pbx import bulk, destinations
from nethvoice.system import System


def get_bulk_settings(*, mainextensions: str, system: System) -> dict[str, Any]:
    """What the extensions have in common."""
    return bulk.get_settings(system, mainextensions.split(","))


def set_bulk_settings(
    *, mainextensions: str, body: bodies.BulkChange, system: System
) -> bodies.Done:
    """Set what is sent, for all of them or for none."""
    bulk.set_settings(system, mainextensions.split(","), bulk.read_change(dict(body)))
    return {"status": True}


def list_contexts(*, system: System) -> dict[str, str]:
    """Dialplan contexts that extensions can be in."""
    return destinations.list_contexts(system)


def list_destinations(*, system: System) -> RawJson:
    """Everything a call can be sent to."""
    return RawJson(destinations.list_destinations(system))
