"""Time zones as devices want them: an offset, and the rule by which summer time comes and goes.

Devices know no names like `Europe/Rome`. The rule in force is in the last line of the zone's file,
in the form of the POSIX variable TZ (RFC 9636, section 3.3): `CET-1CEST,M3.5.0,M10.5.0/3`.
"""

import functools
import re
import zoneinfo
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

DEFAULT_ZONE = "Europe/Rome"

_NAME = r"([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_OFFSET = r"([+-]?\d{1,3}(?::\d\d(?::\d\d)?)?)"
_DATE = r",M(\d{1,2})\.([1-5])\.([0-6])(?:/([+-]?\d{1,3}(?::\d\d)?))?"
_RULE = re.compile(f"{_NAME}{_OFFSET}(?:{_NAME}{_OFFSET}?{_DATE}{_DATE})?")

_NEUTRAL = ("STD", "DST")
_TIME = re.compile(r"/[\d:]+")
_SHORT = 32

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
_WEEKS = ["first", "second", "third", "fourth", "last"]


class UnknownZone(ValueError):
    """There is no such time zone, or none that a device could follow."""


@dataclass(frozen=True)
class Change:
    """When summer time begins or ends: the nth (5: last) weekday (0: Sunday) of a month.

    `minutes` is the time of day, on the clock that is in force until then.
    """

    month: int
    week: int
    weekday: int
    minutes: int

    @property
    def month_name(self) -> str:
        """`mar`"""
        return _MONTHS[self.month - 1]

    @property
    def week_name(self) -> str:
        """`first` to `fourth`, or `last`"""
        return _WEEKS[self.week - 1]

    @property
    def day_name(self) -> str:
        """`sunday`"""
        return _DAYS[self.weekday]

    @property
    def time(self) -> str:
        """`02:00`"""
        return _clock(self.minutes)

    @property
    def date(self) -> str:
        """The date as POSIX writes it: `M3.5.0`"""
        return f"M{self.month}.{self.week}.{self.weekday}"


@dataclass(frozen=True)
class Zone:
    """Offsets are minutes east of Greenwich. Without summer time `start` and `end` are None.

    `names` are the abbreviations of standard and summer time, neutral ones where the zone has none
    of letters.
    """

    standard: int
    summer: int
    start: Change | None
    end: Change | None
    names: tuple[str, str] = _NEUTRAL

    @property
    def saving(self) -> int:
        """Minutes that summer time adds."""
        return self.summer - self.standard

    @property
    def posix(self) -> str:
        """The zone as a POSIX rule with neutral names, every part written out.

        `STD-1DST-2,M3.5.0/02:00:00,M10.5.0/03:00:00`: the sign counts west of Greenwich.
        """
        return self._rule(*_NEUTRAL)

    @property
    def named_posix(self) -> str:
        """The same with the zone's own names: `CET-1CEST-2,M3.5.0/02:00:00,M10.5.0/03:00:00`."""
        return self._rule(*self.names)

    @property
    def short_posix(self) -> str:
        """`named_posix` without the times of day, for fields of 32 characters; the names are the
        neutral ones where the zone's own would be too long."""
        named = _TIME.sub("", self.named_posix)
        return named if len(named) <= _SHORT else _TIME.sub("", self.posix)

    def _rule(self, standard: str, summer: str) -> str:
        if not (self.start and self.end):
            return f"{standard}{_west(self.standard)}"
        return (
            f"{standard}{_west(self.standard)}{summer}{_west(self.summer)}"
            f",{self.start.date}/{self.start.time}:00,{self.end.date}/{self.end.time}:00"
        )


def signed_clock(minutes: int) -> str:
    """`+01:00` for 60."""
    return ("-" if minutes < 0 else "+") + _clock(abs(minutes))


def time_zone(name: str) -> Zone:
    """The zone with that IANA name as it is now. Raises UnknownZone."""
    zone = _zone(name)
    if zone is None:
        raise UnknownZone(f"there is no time zone {name!r} that a device could follow")
    return zone


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> Zone | None:
    rule = _RULE.fullmatch(_footer(name))
    if rule is None:
        return None
    standard = -_minutes(rule[2])
    if rule[3] is None:
        return Zone(standard, standard, None, None, _letters(rule[1], ""))
    summer = -_minutes(rule[4]) if rule[4] else standard + 60
    names = _letters(rule[1], rule[3])
    start, end = (
        Change(int(month), int(week), int(day), _minutes(time or "2"))
        for month, week, day, time in (rule.group(5, 6, 7, 8), rule.group(9, 10, 11, 12))
    )
    if summer < standard:
        # Ireland's law calls the winter the exception; devices add, they never take away.
        standard, summer, start, end = summer, standard, end, start
        names = (names[1], names[0])
    if not (0 <= start.minutes < 1440 and 0 <= end.minutes < 1440):
        return None
    return Zone(standard, summer, start, end, names)


def _letters(standard: str, summer: str) -> tuple[str, str]:
    """A zone's two names, unless one is made of digits, as `<+03>` is."""
    return (standard, summer) if (standard + summer).isalpha() else _NEUTRAL


def _footer(name: str) -> str:
    """The last line of the zone's file; empty when there is no such zone."""
    try:
        key = zoneinfo.ZoneInfo(name).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return ""
    for folder in zoneinfo.TZPATH:
        file = Path(folder, key)
        if file.is_file():
            content = file.read_bytes()
            break
    else:
        content = files("tzdata").joinpath("zoneinfo", *key.split("/")).read_bytes()
    return content.rstrip(b"\n").rpartition(b"\n")[2].decode("ascii", "replace")


def _minutes(text: str) -> int:
    hours, _, rest = text.partition(":")
    minutes = abs(int(hours)) * 60 + int(rest.partition(":")[0] or 0)
    return -minutes if text.startswith("-") else minutes


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _west(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes > 0 else ""
    return f"{sign}{hours}" + (f":{rest:02d}" if rest else "")
