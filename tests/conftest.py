"""Real components, started once for each worker process when a test first wants them."""

from collections.abc import Iterator

import pytest

from tests.sdks import npm_tools, python_sdk, typescript_sdk
from tests.services.asterisk import Asterisk
from tests.services.mariadb import MariaDB
from tests.services.postgresql import PostgreSQL
from tests.services.slapd import Slapd

__all__ = ["npm_tools", "python_sdk", "typescript_sdk"]


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with MariaDB() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@pytest.fixture(scope="session")
def asterisk22() -> Iterator[Asterisk]:
    with Asterisk(22) as server:
        yield server


@pytest.fixture(scope="session")
def asterisk16() -> Iterator[Asterisk]:
    with Asterisk(16) as server:
        yield server


@pytest.fixture(scope="session")
def slapd() -> Iterator[Slapd]:
    with Slapd() as server:
        yield server
