"""Stores on their own, without the HTTP side."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nethvoice import first_start
from nethvoice.settings import Settings
from nethvoice.store.database import Database
from nethvoice.system import System
from tests.support import PASSWORD, SECRET


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new embedded database with all tables."""
    found = Database(f"sqlite:///{tmp_path / 'test.db'}", tmp_path / "locks", connections=8)
    found.create_missing()
    yield found
    found.close()


@pytest.fixture
def make_system(tmp_path: Path) -> Iterator[Callable[..., System]]:
    """Makes systems on one data folder, as several processes would."""
    made: list[System] = []

    def make(**more: object) -> System:
        settings = Settings(
            data_dir=tmp_path / "data",
            secret=SECRET,
            admin_password=PASSWORD,
            **more,  # type: ignore[arg-type]
        )
        first_start.initialise(settings)
        made.append(System(settings))
        return made[-1]

    yield make
    for system in made:
        system.stop()
