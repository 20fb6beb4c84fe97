"""A system for one command."""

from collections.abc import Iterator
from contextlib import contextmanager

from nethvoice import logs
from nethvoice.settings import load_settings
from nethvoice.system import System


@contextmanager
def open_system() -> Iterator[System]:
    """A system without background work, closed at the end."""
    settings = load_settings()
    logs.configure("WARNING", "text")
    system = System(settings)
    try:
        yield system
    finally:
        system.stop()
