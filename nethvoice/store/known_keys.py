"""Authentication keys that were right a moment ago, so that busy clients cost no query each."""

import time
from collections.abc import Callable

_GOOD_FOR = 1.0
"""Seconds; as long may a changed password go unnoticed by other processes."""

_LIMIT = 1000


class KnownKeys:
    """Remembers (user, key) pairs with the administrator they belong to."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[str, float]] = {}

    def find(self, user: str, key: str) -> str | None:
        """The administrator, None when the pair was not seen lately."""
        found = self._known.get((user, key))
        if found is None or self._clock() > found[1]:
            return None
        return found[0]

    def remember(self, user: str, key: str, administrator: str) -> None:
        """Note a pair that was checked just now."""
        if len(self._known) >= _LIMIT:
            self.forget()
        self._known[user, key] = (administrator, self._clock() + _GOOD_FOR)

    def forget(self) -> None:
        """A password has changed: check every key anew."""
        self._known = {}
