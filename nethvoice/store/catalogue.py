"""Catalogues: facts that ship as YAML files and are worked with as tables.

The catalogue `providers` is the file `nethvoice/data/providers.yaml`, and `providers.yaml` of the
data directory when an operator puts one there, whose entries are added or replace shipped ones.
It is taken over when its tables are empty and again when one of the files has changed. Rows that
came from no file are left alone.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson
import yaml
from sqlalchemy import Connection, Table, literal, select

from nethvoice.store.state import get_state, set_state

Entry = TypeVar("Entry")


class CatalogueError(Exception):
    """A file that cannot be used; the text names it and says what is wrong."""


@dataclass(frozen=True)
class Catalogue(Generic[Entry]):
    """What is particular to one catalogue.

    `parse` makes entries by key out of what the shipped file and the operator's file (None without
    one) hold, and raises ValueError for a mistake in them. `store` makes the tables hold these
    entries and removes those of the second argument, which files held earlier and no longer do.
    `table` is the one that tells by having no row that nothing was loaded yet.
    """

    name: str
    table: Table
    parse: Callable[[Any, Any], Mapping[str, Entry]]
    store: Callable[[Connection, Mapping[str, Entry], Collection[str]], None]

    def load(self, connection: Connection, data_dir: Path) -> bool:
        """Bring the tables up to the files; True when that was needed. Raises CatalogueError."""
        shipped = (files("nethvoice") / "data" / f"{self.name}.yaml").read_bytes()
        overlay = data_dir / f"{self.name}.yaml"
        own = overlay.read_bytes() if overlay.is_file() else b""
        version = hashlib.sha256(shipped + b"\n---\n" + own).hexdigest()
        noted = get_state(connection, self._keyword)
        before = orjson.loads(noted) if noted else {}
        if before.get("version") == version and self._has_rows(connection):
            return False
        try:
            entries = self.parse(yaml.safe_load(shipped), yaml.safe_load(own))
        except (ValueError, yaml.YAMLError) as error:
            raise CatalogueError(f"{overlay}: {error}") from None
        gone = sorted(set(before.get("keys", ())) - set(entries))
        self.store(connection, entries, gone)
        now = {"version": version, "keys": [*entries]}
        set_state(connection, self._keyword, orjson.dumps(now).decode())
        return True

    @property
    def _keyword(self) -> str:
        return f"catalogue_{self.name}"

    def _has_rows(self, connection: Connection) -> bool:
        query = select(literal(1)).select_from(self.table).limit(1)
        return connection.execute(query).first() is not None
