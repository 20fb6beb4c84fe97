"""Work that is done again and again, each kind in a thread of its own."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Periodic:
    """Calls `work` every `seconds` until it is stopped. An exception is logged and forgotten."""

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self._name = name
        self._seconds = seconds
        self._work = work
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, with a first call at once."""
        name = f"periodic {self._name}"
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def stop(self, wait: float = 5.0) -> None:
        """Ask the thread to end; a call that is under way is waited for."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(wait)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
            except Exception:
                log.warning("%s failed, trying again later", self._name, exc_info=True)
            self._stopping.wait(self._seconds)
