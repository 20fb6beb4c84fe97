"""The models of phones that clients choose from."""

import functools
from importlib.resources import files

import yaml
from sqlalchemy import Integer, cast, select

from nethvoice.store import tables as t
from nethvoice.system import System

_brands, _models = t.endpointman_brand_list, t.endpointman_model_list


def list_models(system: System) -> dict[str, list[str]]:
    """Maker to the names of its models: FreePBX's endpoint manager's, else our own catalogue."""
    if all(system.database.live(table) is not None for table in (_brands, _models)):
        query = (
            select(_brands.c.name, _models.c.model)
            .join(_models, _models.c.brand == cast(_brands.c.id, Integer))
            .order_by(_brands.c.name, _models.c.model)
        )
        with system.read() as connection:
            rows = connection.execute(query).all()
        if rows:
            found: dict[str, list[str]] = {}
            for brand, model in rows:
                found.setdefault(brand, []).append(model)
            return found
    return catalogue()


@functools.cache
def catalogue() -> dict[str, list[str]]:
    """Our own catalogue: maker, as clients know it, to the names of its models."""
    text = (files("provisioning") / "data" / "phone_models.yaml").read_text("utf-8")
    return {entry["maker"]: [model["name"] for model in entry["models"]]
            for entry in yaml.safe_load(text)}  # fmt: skip
