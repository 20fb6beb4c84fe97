"""The OpenAPI document that the whole service is made from."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

_NAME = "nethvoice.yaml"


def document_text() -> str:
    """The document as it is written."""
    return (files("openapi") / _NAME).read_text(encoding="utf-8")


def load_document() -> dict[str, Any]:
    """The document as data."""
    loaded: dict[str, Any] = yaml.load(document_text(), Loader=yaml.CSafeLoader)
    return loaded


def dump_document(document: Mapping[str, Any]) -> str:
    """A document as YAML, its order kept."""
    text = yaml.dump(dict(document), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return str(text)
