"""Stores for whole processes: settings by name, and a way to look into them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from nethvoice import first_start
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from tests.contract.conftest import load_freepbx_schema
from tests.support import PASSWORD, SECRET


@dataclass
class Store:
    name: str
    settings: dict[str, Any]
    database: Database
    read_astdb: Callable[[str], dict[str, str]]

    def rows(self, table: Any) -> list[dict[str, Any]]:
        with self.database.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(select(table))]

    def people(self, names: list[str]) -> None:
        with self.database.write() as connection:
            connection.execute(
                insert(t.userman_users),
                [{"auth": "1", "username": name, "displayname": name.title()} for name in names],
            )


@pytest.fixture(params=["embedded", "production"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    settings: dict[str, Any] = {"DATA_DIR": tmp_path / "data", "LOG_LEVEL": "WARNING"}
    if request.param == "production":
        mariadb = request.getfixturevalue("mariadb")
        asterisk = request.getfixturevalue("asterisk22")
        settings["DATABASE_URL"] = mariadb.create_database("processes")
        settings["AMI_HOST"] = "127.0.0.1"
        settings["AMI_PORT"] = asterisk.ami_port
        settings["AMI_USERNAME"] = "provisioning"
        settings["AMI_PASSWORD"] = asterisk.provisioning_secret
        for family in ("AMPUSER", "DEVICE", "CW"):
            asterisk.cli(f"database deltree {family}")
    made = Settings(
        secret=SECRET,
        admin_password=PASSWORD,
        **{name.lower(): value for name, value in settings.items()},
    )
    database = Database(made.sql_url, made.run_folder, connections=4)
    if request.param == "production":
        load_freepbx_schema(database)
    first_start.initialise(made)

    def read(family: str) -> dict[str, str]:
        if request.param == "production":
            found: dict[str, str] = asterisk.database_show(family)
            return found
        start = f"/{family}/"
        with database.engine.connect() as connection:
            rows = connection.execute(select(t.rest_astdb)).all()
        return {key.removeprefix(start): value for key, value in rows if key.startswith(start)}

    yield Store(request.param, settings, database, read)
    database.close()
