"""A private PostgreSQL server."""

import os
import subprocess
from pathlib import Path
from typing import Any, Self

import pg8000.native

from tests.services.base import Daemon, cannot, free_port

USER = "tester"
PASSWORD = "a-test-password"


def _programs() -> Path | None:
    """Where Debian keeps the programs of the newest version installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


class PostgreSQL(Daemon):
    """Passwords are asked for over TCP; `run` executes a statement as the superuser."""

    def __init__(self) -> None:
        programs = _programs()
        if programs is None:
            cannot("PostgreSQL is not installed (Debian package postgresql)")
        super().__init__("postgresql")
        self._programs = programs
        self.port = free_port()
        # It refuses to run as root.
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            self.folder.chmod(0o777)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        subprocess.run(
            [
                programs / "initdb",
                f"--pgdata={self.folder}/data",
                f"--username={USER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            timeout=120,
            **self._as_user,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        self.launch(
            [
                str(self._programs / "postgres"),
                "-D",
                f"{self.folder}/data",
                "-p",
                str(self.port),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                f"unix_socket_directories={self.folder}",
                "-c",
                "fsync=off",
            ],
            **self._as_user,
        )
        self.wait_ready(self._answers)

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except pg8000.exceptions.Error:
            return False
        return True

    def run(self, statement: str, database: str = "postgres") -> Any:
        connection = pg8000.native.Connection(
            USER, host="127.0.0.1", port=self.port, database=database, password=PASSWORD
        )
        try:
            return connection.run(statement)
        finally:
            connection.close()

    def __exit__(self, *_: object) -> None:
        self.close()
