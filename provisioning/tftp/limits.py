"""How much one client may ask for."""

from collections import Counter

_KEPT = 65536
_WINDOW = 60.0


class ClientLimits:
    """Counts, by address, the transfers that are open and the failures of the present minute.

    A failure is a file that does not exist, an odd request, or a transfer that nobody
    acknowledged. Their limit is what makes guessing MAC addresses slow and the server useless for
    flooding others through forged requests.
    """

    def __init__(self, transfers: int, failures: int) -> None:
        self._transfers = transfers
        self._failures = failures
        self._open: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._minute = 0

    def blocked(self, address: str, now: float) -> bool:
        """True when the address has failed too often in this minute."""
        self._turn(now)
        return self._failed[address] >= self._failures

    def busy(self, address: str) -> bool:
        """True when the address has as many open transfers as it may."""
        return self._open[address] >= self._transfers

    def opened(self, address: str) -> None:
        """Count a transfer until it is `closed`."""
        self._open[address] += 1

    def closed(self, address: str) -> None:
        """A transfer has ended."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def failed(self, address: str, now: float) -> bool:
        """Count a failure; True when it is the one that reaches the limit."""
        self._turn(now)
        if len(self._failed) >= _KEPT:
            self._failed.clear()
        self._failed[address] += 1
        return self._failed[address] == self._failures

    def _turn(self, now: float) -> None:
        minute = int(now / _WINDOW)
        if minute != self._minute:
            self._minute = minute
            self._failed.clear()
