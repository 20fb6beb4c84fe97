"""What the launchers share."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

CACHE = Path(os.environ.get("NETHVOICE_TEST_CACHE") or Path.home() / ".cache" / "nethvoice-tests")


def cannot(reason: str) -> NoReturn:
    """This machine cannot have the component: a skip, or a failure where all are required."""
    if os.environ.get("NETHVOICE_REQUIRE_SERVICES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(check: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Poll until `check` is true."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not ready after {seconds:g} s")
        time.sleep(0.02)


def answers(port: int) -> bool:
    """True when something accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Daemon:
    """A process of our own with its folder."""

    def __init__(self, name: str) -> None:
        # /tmp, not a folder of the test run: daemons change their user and must be let in.
        self.folder = Path(tempfile.mkdtemp(prefix=f"nethvoice-{name}-"))
        self.folder.chmod(0o755)
        self.log = self.folder / "output.log"
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, command: list[str], **more: Any) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more
            )

    def wait_ready(self, check: Callable[[], bool]) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended at once:\n{self.log.read_text(errors='replace')}")
            return check()

        wait_for(ready, self.folder.name)

    def send(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def freeze(self) -> None:
        """Stop it without ending it: it accepts connections and says nothing."""
        self.send(signal.SIGSTOP)
        # The signal takes a moment to reach every thread, and one of them could still answer.
        wait_for(self._is_frozen, f"the freezing of {self.folder.name}")

    def _is_frozen(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            return True
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        states = [path.read_text().rpartition(")")[2].split()[0] for path in threads]
        return set(states) <= {"T", "t"}

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def stop(self) -> None:
        """End it in order; by force when that takes too long."""
        self.thaw()
        self.send(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.send(signal.SIGKILL)
        self._wait()

    def _wait(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
