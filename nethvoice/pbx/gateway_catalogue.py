"""The models of gateways as table rows: filled once, added to by an installation, shown to clients.

What the models are is in `provisioning.gateway_models`.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select

from nethvoice.pbx.addresses import pbx_address
from nethvoice.store import tables as t
from nethvoice.store.catalogue import CatalogueError
from nethvoice.store.rows import text_row
from nethvoice.system import System
from provisioning.gateway_models import OVERLAY_NAME, gateway_models, seeded_models


def load(connection: Connection, data_dir: Path) -> None:
    """Fill an empty table, and add the models of the installation's own file that it lacks.

    A row that is there is left as it is, whatever its id: gateways are tied to it. Raises
    CatalogueError for a file that cannot be used.
    """
    overlay = data_dir / OVERLAY_NAME
    try:
        everything, seeded = gateway_models(overlay), seeded_models(overlay)
    except ValueError as error:
        raise CatalogueError(str(error)) from error
    models = t.gateway_models
    if not connection.scalar(select(func.count()).select_from(models)):
        connection.execute(insert(models), [model.row() for model in seeded])
    rows = connection.execute(select(models.c.id, models.c.manufacturer, models.c.model)).all()
    ids = {row.id for row in rows}
    names = {((row.manufacturer or "").lower(), row.model.lower()) for row in rows}
    shipped = set(gateway_models())
    for model in everything:
        if model in shipped or (model.manufacturer.lower(), model.model.lower()) in names:
            continue
        row = model.row()
        if row.get("id") in ids:
            del row["id"]
        connection.execute(insert(models).values(row))


def list_models(system: System) -> dict[str, list[dict[str, Any]]]:
    """The models by manufacturer, in the order of their ids, each with the addresses that the
    wizard proposes for a new gateway. One statement."""
    more = {"proxy": system.settings.outbound_proxy, "ipv4_green": pbx_address(system)}
    found: dict[str, list[dict[str, Any]]] = {}
    with system.read() as connection:
        query = select(t.gateway_models).order_by(t.gateway_models.c.id)
        for row in connection.execute(query).mappings():
            found.setdefault(row["manufacturer"] or "", []).append({**text_row(row), **more})
    return found
