"""The same tests run on both stores: SQLite with the embedded AstDB, MariaDB with Asterisk 22."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from nethvoice import first_start
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from tests.support import PASSWORD, SECRET, LiveServer, Service

SCHEMA = Path(__file__).parent.parent / "freepbx_schema.sql"


def _settings(folder: Path, **more: object) -> Settings:
    return Settings(
        data_dir=folder,
        secret=SECRET,
        admin_password=PASSWORD,
        testauth_failure_limit=5,
        login_failure_limit=1000,
        phonebook_schedule=False,
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session")
def embedded_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = _settings(tmp_path_factory.mktemp("embedded"))
    first_start.initialise(settings)
    database = Database(settings.sql_url, settings.run_folder, connections=4)

    def read(family: str) -> dict[str, str]:
        start = f"/{family}/"
        with database.engine.connect() as connection:
            rows = connection.execute(select(t.rest_astdb)).all()
        return {key.removeprefix(start): value for key, value in rows if key.startswith(start)}

    def clear() -> None:
        with database.write() as connection:
            connection.execute(delete(t.rest_astdb))

    with LiveServer(settings) as server:
        found = Service("embedded", settings, server.port, database, read, clear)
        yield found
        found.client.close()
    database.close()


@pytest.fixture(scope="session")
def production_service(
    tmp_path_factory: pytest.TempPathFactory, mariadb: object, asterisk22: object
) -> Iterator[Service]:
    url = mariadb.create_database("asterisk")  # type: ignore[attr-defined]
    settings = _settings(
        tmp_path_factory.mktemp("production"),
        database_url=url,
        ami_host="127.0.0.1",
        ami_port=asterisk22.ami_port,  # type: ignore[attr-defined]
        ami_username="provisioning",
        ami_password=asterisk22.provisioning_secret,  # type: ignore[attr-defined]
    )
    database = Database(settings.sql_url, settings.run_folder, connections=4)
    load_freepbx_schema(database)
    first_start.initialise(settings)

    def clear() -> None:
        for family in ("AMPUSER", "DEVICE", "CW", "CustomPresence", "TRUNK", "registrar"):
            asterisk22.cli(f"database deltree {family}")  # type: ignore[attr-defined]

    with LiveServer(settings) as server:
        found = Service(
            "production",
            settings,
            server.port,
            database,
            asterisk22.database_show,  # type: ignore[attr-defined]
            clear,
            asterisk=asterisk22,
        )
        yield found
        found.client.close()
    database.close()


def load_freepbx_schema(database: Database) -> None:
    """The tables as FreePBX makes them, with its own types and collations."""
    with database.engine.begin() as connection:
        for statement in SCHEMA.read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)


@pytest.fixture(params=["embedded", "production"])
def service(request: pytest.FixtureRequest) -> Service:
    """An empty telephone system on one store, then on the other."""
    found: Service = request.getfixturevalue(f"{request.param}_service")
    found.reset()
    return found
