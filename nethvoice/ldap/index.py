"""Searching contacts in memory.

A set of entries is one integer with a bit for each entry, so that `and`, `or` and `not` are single
operations. Entries are numbered in the order of their names, which is the order of answers.
"""

import functools
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

FILTER_DEPTH = 16
FILTER_TERMS = 24

Normal = Callable[[str], str]


class FilterTooLarge(Exception):
    """The filter is nested too deeply or has too many terms."""


def fold(value: str) -> str:
    """Text for comparison: letter case, width and amount of blanks do not count (RFC 4518)."""
    return " ".join(_fold_letters(value).split())


def fold_number(value: str) -> str:
    """A telephone number for comparison: blanks and hyphens do not count (RFC 4517, 4.2.29)."""
    return _fold_letters(value).translate(_NO_NUMBER)


def _fold_letters(value: str) -> str:
    if value.isascii():
        return value.lower()
    return unicodedata.normalize("NFKC", value).casefold()


_NO_NUMBER = {ord(char): None for char in " -\t\r\n\u00a0\u2010\u2011"}


def bits(chosen: Iterable[int], size: int) -> int:
    """The set of these entries."""
    found = bytearray(size // 8 + 1)
    for number in chosen:
        found[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(found, "little")


def numbers(entries: int, limit: int) -> Iterator[int]:
    """The first `limit` entries of a set, in order."""
    if not entries or limit <= 0:
        return
    lowest = (entries & -entries).bit_length() - 1
    entries >>= lowest
    raw = entries.to_bytes((entries.bit_length() + 7) // 8, "little")
    for some in _NOT_EMPTY.finditer(raw):  # at the speed of C over what is empty
        start = some.start()
        for bit in _BITS_OF[raw[start]]:
            yield lowest + start * 8 + bit
            limit -= 1
            if not limit:
                return


_NOT_EMPTY = re.compile(rb"[^\0]")
_BITS_OF = [[bit for bit in range(8) if byte >> bit & 1] for byte in range(256)]


class Values:
    """The values of one attribute, one or none for each entry, and what finds them."""

    def __init__(self, values: Sequence[str], normal: Normal) -> None:
        self.normal = normal
        self._size = len(values)
        pairs = sorted(
            (folded, number) for number, value in enumerate(values) if (folded := normal(value))
        )
        self._sorted = [folded for folded, _ in pairs]
        self._numbers = [number for _, number in pairs]
        self.present = bits(self._numbers, self._size)
        # One long text with a line for each value.
        self._text = "\n".join(self._sorted)
        self._starts: list[int] = []
        start = 0
        for folded in self._sorted:
            self._starts.append(start)
            start += len(folded) + 1
        self._cached = functools.lru_cache(maxsize=256)(self._substrings)

    def equal(self, value: str) -> int:
        """Entries with this value."""
        wanted = self.normal(value)
        low = bisect_left(self._sorted, wanted)
        high = bisect_right(self._sorted, wanted)
        return self._range(low, high) if wanted else 0

    def at_least(self, value: str) -> int:
        """Entries whose value does not stand before this one."""
        low = bisect_left(self._sorted, self.normal(value))
        return self._range(low, len(self._sorted))

    def at_most(self, value: str) -> int:
        """Entries whose value does not stand after this one."""
        return self._range(0, bisect_right(self._sorted, self.normal(value)))

    def substrings(self, initial: str, middle: Sequence[str], final: str) -> int:
        """Entries whose value begins, goes on and ends so; empty texts do not restrict."""
        # Blanks at the inner edges of a piece count: `ada *` is not `ada*`.
        parts = tuple(self._piece(part) for part in middle)
        return self._cached(
            self._piece(initial).lstrip(),
            tuple(part for part in parts if part),
            self._piece(final).rstrip(),
        )

    def _piece(self, part: str) -> str:
        folded = self.normal(part)
        if not folded or self.normal is fold_number:
            return folded
        before = " " if part[:1].isspace() else ""
        after = " " if part[-1:].isspace() else ""
        return before + folded + after

    def _substrings(self, initial: str, middle: tuple[str, ...], final: str) -> int:
        if not middle and not final:
            return self._range(*self._begins(initial)) if initial else self.present
        if initial:
            rows: Iterable[int] = range(*self._begins(initial))
        else:
            rows = self._containing(max((*middle, final), key=len))
        if len(middle) + bool(initial) + bool(final) > 1 or final:
            rows = [row for row in rows if _fits(self._sorted[row], initial, middle, final)]
        return bits([self._numbers[row] for row in rows], self._size)

    def _begins(self, initial: str) -> tuple[int, int]:
        low = bisect_left(self._sorted, initial)
        return low, bisect_left(self._sorted, initial + "\U0010ffff", low)

    def _containing(self, wanted: str) -> Iterator[int]:
        """Rows in which a text stands: `str.find` runs over all values at the speed of C."""
        place = self._text.find(wanted)
        while place >= 0:
            row = bisect_right(self._starts, place) - 1
            yield row
            if row + 1 == len(self._starts):
                return
            place = self._text.find(wanted, self._starts[row + 1])

    def _range(self, low: int, high: int) -> int:
        return bits(self._numbers[low:high], self._size) if low < high else 0


def _fits(value: str, initial: str, middle: tuple[str, ...], final: str) -> bool:
    """Pieces in this order, without overlap; taking the first place of each finds them if any."""
    if not value.startswith(initial):
        return False
    place = len(initial)
    for part in middle:
        place = value.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return len(value) - len(final) >= place and value.endswith(final)


class Common:
    """The values of an attribute that all entries have alike."""

    def __init__(self, values: Sequence[str], size: int) -> None:
        self._values = Values(values, fold)
        self.present = (1 << size) - 1

    def equal(self, value: str) -> int:
        """All entries when one of the values is this."""
        return self.present if self._values.equal(value) else 0

    def at_least(self, value: str) -> int:
        """Such values have no order."""
        return 0

    at_most = at_least

    def substrings(self, initial: str, middle: Sequence[str], final: str) -> int:
        """All entries when one of the values is so."""
        return self.present if self._values.substrings(initial, middle, final) else 0


UNDEFINED: int | None = None
"""Neither true nor false (RFC 4511, 4.5.1.7): `not` leaves it, `or` and `and` go by the others."""


class Index:
    """Sets of entries by filter. `attributes` are the values by lower-case name."""

    def __init__(self, attributes: Mapping[str, Values | Common], size: int) -> None:
        self._attributes = attributes
        self.all = (1 << size) - 1

    def search(self, tree: Any) -> int:
        """The entries for which a decoded filter is true. Raises FilterTooLarge."""
        _Budget().spend(tree, 1)
        return self._having(tree, wanted=True)

    def _having(self, tree: Any, *, wanted: bool) -> int:
        """Entries for which the filter is true, or those for which it is false."""
        kind, value = tree
        if kind == "not":
            return self._having(value, wanted=not wanted)
        if kind in ("and", "or"):
            # An `and` is false, and an `or` true, where a single part is.
            every = (kind == "and") is wanted
            found = self.all if every else 0
            for part in value:
                if every:
                    found &= self._having(part, wanted=wanted)
                else:
                    found |= self._having(part, wanted=wanted)
            return found
        term = self._term(kind, value)
        if term is None:
            return 0
        return term if wanted else self.all & ~term

    def _term(self, kind: str, value: Any) -> int | None:
        if kind == "present":
            values = self._attributes.get(_name(value))
            return 0 if values is None else values.present
        if kind in (None, "extensibleMatch"):  # None: a kind that RFC 4511 does not have
            return UNDEFINED
        values = self._attributes.get(_name(value["attribute"]))
        return UNDEFINED if values is None else _compare(values, kind, value)


def _compare(values: Values | Common, kind: str, value: Any) -> int:
    if kind == "substrings":
        return _substrings(values, value["parts"])
    text = value["value"].decode("utf-8", "replace")
    if kind == "greaterOrEqual":
        return values.at_least(text)
    if kind == "lessOrEqual":
        return values.at_most(text)
    return values.equal(text)


class _Budget:
    def __init__(self) -> None:
        self._terms = FILTER_TERMS

    def spend(self, tree: Any, depth: int) -> None:
        """Count the terms below, before any of them costs anything."""
        kind, value = tree
        self._terms -= max(1, len(value["parts"])) if kind == "substrings" else 1
        if depth > FILTER_DEPTH or self._terms < 0:
            raise FilterTooLarge
        if kind in ("and", "or"):
            for part in value:
                self.spend(part, depth + 1)
        elif kind == "not":
            self.spend(value, depth + 1)


def _substrings(values: Values | Common, parts: Sequence[tuple[str, bytes]]) -> int:
    texts: dict[str, list[str]] = {"initial": [], "any": [], "final": []}
    for kind, text in parts:
        if kind in texts:
            texts[kind].append(text.decode("utf-8", "replace"))
    initial, final = texts["initial"], texts["final"]
    return values.substrings("".join(initial[:1]), texts["any"], "".join(final[:1]))


def _name(raw: bytes) -> str:
    """An attribute's name without options such as `;lang-it`."""
    return raw.decode("utf-8", "replace").partition(";")[0].lower()
