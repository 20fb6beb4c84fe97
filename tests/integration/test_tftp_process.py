"""`nethvoice tftp` and `nethvoice serve --tftp` as an operator runs them."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nethvoice.settings import Settings, SettingsError
from nethvoice.store.database import Database
from provisioning.tftp.process import TftpProcess
from provisioning.tftp_requests import requesters
from tests.processes import free_port
from tests.support import PASSWORD, SECRET, eventually
from tests.tftp_client import TftpError, fetch

NAME = "00A0BA123456.cfg"


class Command:
    """A running command of the product, and what it has written."""

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NETHVOICE_")}
        settings = {"DATA_DIR": folder, "TFTP_HOST": "127.0.0.1", "TFTP_PORT": 0, **settings}
        environment.update({f"NETHVOICE_{name}": str(value) for name, value in settings.items()})
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nethvoice.cli", *arguments],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def written(self) -> str:
        return self._log.read_text(errors="replace")

    def port(self, pattern: str) -> int:
        def look() -> str | None:
            found = re.search(pattern, self.written)
            assert found or self.process.poll() is None, self.written
            return found and found[1]

        return int(eventually(look, 60))

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def command(folder: Path, *arguments: str, **settings: object) -> Iterator[Command]:
    running = Command(folder, *arguments, **settings)
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tftpboot").mkdir()
    (tmp_path / "tftpboot" / NAME).write_bytes(b"content")
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_tftp_command(folder: Path, number: signal.Signals) -> None:
    with command(folder, "tftp") as running:
        port = running.port(r"on port (\d+)")
        assert fetch(port, NAME.lower()) == b"content"
        with pytest.raises(TftpError):
            fetch(port, "missing.cfg")
        assert running.end(number) == 0
        assert '"file":"missing.cfg"' in running.written
        assert '"mac":"00:A0:BA:12:34:56"' in running.written
        assert "Traceback" not in running.written


def test_tftp_command_makes_its_folder(tmp_path: Path) -> None:
    with command(tmp_path, "tftp", "--root", str(tmp_path / "a" / "b")) as running:
        running.port(r"on port (\d+)")
        assert (tmp_path / "a" / "b").is_dir()


def test_taken_port_is_told(folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with command(folder, "tftp", "--port", str(taken.getsockname()[1])) as running:
            assert running.process.wait(60) == 1
            assert "Address already in use" in running.written
            assert "Traceback" not in running.written


def test_taken_default_port(tmp_path: Path) -> None:
    """Two services on one host: only a port that somebody chose is insisted on."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 6969))
        settings = Settings(data_dir=tmp_path, tftp_host="127.0.0.1")
        beside = TftpProcess(settings)
        try:
            assert beside.port != 6969
        finally:
            beside.stop()
        chosen = Settings(data_dir=tmp_path, tftp_host="127.0.0.1", tftp_port=6969)
        with pytest.raises(SettingsError, match="in use"):
            TftpProcess(chosen)
        return
    pytest.skip("port 6969 is in use here")


def children(pid: int) -> list[int]:
    """TFTP children of a process, by whichever thread of it they were started."""
    found = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [child for child in found if b"spawn_main" in cmdline(child)]


def cmdline(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def served(port: int) -> bool:
    with contextlib.suppress(OSError):
        return fetch(port, NAME, timeout=0.5, attempts=1) == b"content"
    return False


def test_beside_the_api(folder: Path) -> None:
    """A child that dies is started again, on the same port, and none outlives the service."""
    with command(folder, "serve", "--tftp", "--port", str(free_port())) as running:
        port = running.port(r"TFTP +port (\d+)")
        api = running.port(r"http://127\.0\.0\.1:(\d+)")
        eventually(lambda: served(port), 60)
        eventually(lambda: answers(api), 60)
        (child,) = children(running.process.pid)
        os.kill(child, signal.SIGKILL)
        eventually(lambda: served(port), 60)
        assert "is started again" in running.written
        (second,) = children(running.process.pid)
        assert second != child
        running.end()
        eventually(lambda: b"spawn_main" not in cmdline(second))


def test_child_ends_with_a_killed_service(folder: Path) -> None:
    with command(folder, "serve", "--tftp", "--port", str(free_port())) as running:
        port = running.port(r"TFTP +port (\d+)")
        eventually(lambda: served(port), 60)
        (child,) = children(running.process.pid)
        running.end(signal.SIGKILL)
        eventually(lambda: b"spawn_main" not in cmdline(child))


def answers(port: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    return False


def test_phones_that_ask_are_noted(tmp_path: Path) -> None:
    """A phone needs no scan to be found: it asks for its file."""
    more = {"PORT": free_port(), "SECRET": SECRET, "ADMIN_PASSWORD": PASSWORD}
    with command(tmp_path, "serve", "--tftp", **more) as running:
        port = running.port(r"TFTP +port (\d+)")
        for name in ("001565123456.cfg", "y000000000028.cfg", "../001565999999.cfg"):
            with pytest.raises(TftpError):
                fetch(port, name)
        settings = Settings(data_dir=tmp_path)
        database = Database(settings.sql_url, settings.run_folder, connections=1)
        with contextlib.closing(database):

            def noted() -> list[str]:
                with database.read() as connection:
                    return [found.mac for found in requesters(connection, settings)]

            assert "00:15:65:12:34:56" in eventually(noted)
