"""A private MariaDB server."""

import os
import shutil
import subprocess
from typing import Self

import pymysql

from tests.services.base import Daemon, answers, cannot, free_port

USER = "tester"
PASSWORD = "a-test-password"


class MariaDB(Daemon):
    """`url(name)` is an SQLAlchemy URL of a database of this server."""

    def __init__(self) -> None:
        self.server = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
        installer = shutil.which("mariadb-install-db")
        if self.server is None or installer is None:
            cannot("MariaDB is not installed (Debian package mariadb-server)")
        super().__init__("mariadb")
        self.port = free_port()
        self._as_user = ["--user=mysql"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(self.folder, "mysql", "mysql")
        self.data = self.folder / "data"
        # A server that starts deletes the temporary tables in its folder, those of others as well.
        self.temporary = self.folder / "temporary"
        self.temporary.mkdir()
        if self._as_user:
            shutil.chown(self.temporary, "mysql", "mysql")
        subprocess.run(
            [
                installer,
                "--no-defaults",
                f"--datadir={self.data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *self._as_user,
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )

    def __enter__(self) -> Self:
        self.start()
        with self._connect() as connection, connection.cursor() as cursor:
            for host in ("127.0.0.1", "localhost"):
                cursor.execute(f"CREATE USER {USER}@'{host}' IDENTIFIED BY '{PASSWORD}'")
                cursor.execute(f"GRANT ALL ON *.* TO {USER}@'{host}'")
        return self

    def start(self) -> None:
        assert self.server is not None
        self.launch(
            [
                self.server,
                "--no-defaults",
                f"--datadir={self.data}",
                f"--port={self.port}",
                "--bind-address=127.0.0.1",
                f"--socket={self.folder}/socket",
                f"--pid-file={self.folder}/pid",
                f"--tmpdir={self.temporary}",
                "--character-set-server=utf8mb4",
                "--innodb-buffer-pool-size=128M",
                "--innodb-log-file-size=48M",
                "--skip-name-resolve=0",
                *self._as_user,
            ]
        )
        self.wait_ready(lambda: answers(self.port))

    def _connect(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)

    def create_database(self, name: str) -> str:
        """An empty database; returns its URL."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
            cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def __exit__(self, *_: object) -> None:
        self.close()
