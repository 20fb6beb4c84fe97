"""The service as its own processes, as an operator runs it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import httpx

from tests.support import BASE, PASSWORD, SECRET, eventually, headers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One `nethvoice serve` with its own port; `settings` are names without the prefix."""

    def __init__(self, log: Path, **settings: object) -> None:
        self.port = free_port()
        self._log = log
        usual = {"SECRET": SECRET, "ADMIN_PASSWORD": PASSWORD, "CHECK_ANSWERS": "true"}
        self._settings = {**usual, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Process":
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NETHVOICE_")}
        for name, value in self._settings.items():
            environment[f"NETHVOICE_{name}"] = str(value)
        environment["NETHVOICE_PORT"] = str(self.port)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nethvoice.cli", "serve"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._serves, 60)
        return self

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text(errors="replace")
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}{BASE}", headers=headers(), timeout=60
        )

    def kill(self) -> None:
        """SIGKILL, the process and all it started."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, number)
        process.wait(30)

    def __enter__(self) -> "Process":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(signal.SIGKILL if kind else signal.SIGTERM)
