"""What a source gives: named columns and rows of text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nethvoice.problems import Problem


class SourceError(Exception):
    """A source cannot be read; the text says why, without any secret."""

    def problem(self) -> Problem:
        """422: what was given to us cannot be used."""
        return Problem(422, "Refused", str(self))


class SourceUnreachable(SourceError):
    """The other system refused us or cannot be reached."""

    def problem(self) -> Problem:
        """502, the other system's fault."""
        return Problem(502, "Bad gateway", str(self))


class SourceTimeout(SourceUnreachable):
    """The other system did not answer in time."""

    def problem(self) -> Problem:
        """504, with nothing known about the other system but that it is slow."""
        return Problem(504, "Gateway timeout", str(self))


@dataclass(frozen=True)
class Rows:
    """Column names, all different, and rows of as many values; no value is None."""

    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)


def unique_names(names: Sequence[str]) -> list[str]:
    """Names as they are, a repeated one with its number: `tel`, `tel_2`."""
    found: list[str] = []
    for position, name in enumerate(names, 1):
        base = name or f"column_{position}"
        candidate, number = base, 1
        while candidate in found:
            number += 1
            candidate = f"{base}_{number}"
        found.append(candidate)
    return found
