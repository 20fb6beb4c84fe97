"""What has to be there before the service can serve: folders, secret, tables, an administrator."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, insert, select

from nethvoice import modules
from nethvoice.pbx import (
    administrators,
    gateway_catalogue,
    outbound_locales,
    provider_catalogue,
)
from nethvoice.settings import Settings, SettingsError, make_secret
from nethvoice.store import tables as t
from nethvoice.store.catalogue import CatalogueError
from nethvoice.system import System

FIRST_ADMINISTRATOR = "admin"
INTERNAL_DIRECTORY = "PBX Internal Directory"
CATALOGUES = (
    provider_catalogue.CATALOGUE.load,
    outbound_locales.CATALOGUE.load,
    gateway_catalogue.load,
)


@dataclass
class Made:
    """What `initialise` had to make."""

    tables: list[str] = field(default_factory=list)
    administrator: str | None = None
    password_file: Path | None = None


def initialise(settings: Settings) -> Made:
    """Make what is missing; doing it again changes nothing. FreePBX's own tables stay untouched."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.secret is None:
        make_secret(settings.secret_file)
    modules.load_modules(settings)  # they may have tables of their own
    system = System(settings)
    try:
        made = Made(system.database.create_missing())
        if system.cti_database is not system.database:
            t.cti.create_all(system.cti_database.engine)
        if system.phonebook_database is not system.database:
            t.contacts.create_all(system.phonebook_database.engine)
        with system.change("nethvoice.schema") as unit:
            if not unit.conn.scalar(select(func.count()).select_from(t.userman_directories)):
                unit.conn.execute(
                    insert(t.userman_directories).values(
                        name=INTERNAL_DIRECTORY, driver="Freepbx", active=1, default=1, locked=0
                    )
                )
        _load_catalogues(system)
        if not administrators.list_administrators(system):
            _make_administrator(system, made)
    finally:
        system.stop()
    return made


def _load_catalogues(system: System) -> None:
    """Take over shipped facts, and what the operator has put into the data directory."""
    with system.change("nethvoice.schema") as unit:
        for load in CATALOGUES:
            try:
                load(unit.conn, system.settings.data_dir)
            except CatalogueError as error:
                raise SettingsError(str(error)) from error


def _make_administrator(system: System, made: Made) -> None:
    settings = system.settings
    if settings.admin_password is not None:
        password = settings.admin_password.get_secret_value()
    else:
        made.password_file = settings.data_dir / "admin-password"
        make_secret(made.password_file)
        password = made.password_file.read_text(encoding="utf-8").strip()
    administrators.add_administrator(system, FIRST_ADMINISTRATOR, password)
    made.administrator = FIRST_ADMINISTRATOR


def where_the_secret_is(settings: Settings) -> str:
    """For the operator: which setting or file holds the shared secret."""
    if settings.secret is None:
        return str(settings.secret_file)
    return "NETHVOICE_SECRET" if "NETHVOICE_SECRET" in os.environ else "the settings"
