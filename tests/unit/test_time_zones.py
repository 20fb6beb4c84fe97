"""Time zones as devices want them."""

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest

from provisioning.time_zones import Change, UnknownZone, signed_clock, time_zone


@pytest.mark.parametrize(
    ("name", "posix"),
    [
        ("Europe/Rome", "STD-1DST-2,M3.5.0/02:00:00,M10.5.0/03:00:00"),
        ("Europe/London", "STD0DST-1,M3.5.0/01:00:00,M10.5.0/02:00:00"),
        # Irish law has it the other way round: winter is the exception.
        ("Europe/Dublin", "STD0DST-1,M3.5.0/01:00:00,M10.5.0/02:00:00"),
        ("America/New_York", "STD5DST4,M3.2.0/02:00:00,M11.1.0/02:00:00"),
        ("Australia/Lord_Howe", "STD-10:30DST-11,M10.1.0/02:00:00,M4.1.0/02:00:00"),
        ("Asia/Kolkata", "STD-5:30"),
        ("Asia/Tehran", "STD-3:30"),
        ("UTC", "STD0"),
    ],
)
def test_rules(name: str, posix: str) -> None:
    assert time_zone(name).posix == posix


@pytest.mark.parametrize(
    ("name", "named", "short"),
    [
        (
            "Europe/Rome",
            "CET-1CEST-2,M3.5.0/02:00:00,M10.5.0/03:00:00",
            "CET-1CEST-2,M3.5.0,M10.5.0",
        ),
        ("Europe/Dublin", "GMT0IST-1,M3.5.0/01:00:00,M10.5.0/02:00:00", "GMT0IST-1,M3.5.0,M10.5.0"),
        ("Asia/Kolkata", "IST-5:30", "IST-5:30"),
        ("Asia/Tehran", "STD-3:30", "STD-3:30"),  # its name there is +0330
        (
            "Australia/Adelaide",  # with its own names the short one would be too long
            "ACST-9:30ACDT-10:30,M10.1.0/02:00:00,M4.1.0/03:00:00",
            "STD-9:30DST-10:30,M10.1.0,M4.1.0",
        ),
    ],
)
def test_rules_with_names(name: str, named: str, short: str) -> None:
    assert time_zone(name).named_posix == named
    assert time_zone(name).short_posix == short


def test_the_parts_of_a_rule() -> None:
    zone = time_zone("Europe/Rome")
    assert (zone.standard, zone.summer, zone.saving) == (60, 120, 60)
    assert zone.names == ("CET", "CEST")
    assert zone.start == Change(3, 5, 0, 120)
    assert zone.start.month_name == "mar"
    assert (zone.start.week_name, zone.start.day_name, zone.start.time) == (
        "last",
        "sunday",
        "02:00",
    )
    assert signed_clock(60) == "+01:00"
    assert signed_clock(-210) == "-03:30"


@pytest.mark.parametrize("name", ["", "Europe/Roma", "../etc/passwd", "/etc/passwd", "a\0b", "IT"])
def test_zones_that_there_are_not(name: str) -> None:
    with pytest.raises(UnknownZone):
        time_zone(name)


MOROCCO = {"Africa/Casablanca", "Africa/El_Aaiun"}
"""The clock goes back for Ramadan there, which no rule can say."""


def _change(year: int, change: Change) -> datetime:
    """The local time of a change, counted from the calendar alone."""
    first = datetime(year, change.month, 1)
    days = (change.weekday - (first.weekday() + 1)) % 7 + 7 * (change.week - 1)
    moment = first + timedelta(days=days, minutes=change.minutes)
    return moment if moment.month == change.month else moment - timedelta(days=7)


def test_every_zone_of_the_world_agrees_with_its_rule_or_is_refused() -> None:
    refused = 0
    for name in zoneinfo.available_timezones() - MOROCCO:
        try:
            zone = time_zone(name)
        except UnknownZone:
            refused += 1
            continue
        assert len(zone.short_posix) <= 32, name
        place = zoneinfo.ZoneInfo(name)
        for month in range(1, 13):
            now = datetime(2036, month, 15, 12, tzinfo=UTC)
            offset = place.utcoffset(now.astimezone(place))
            assert offset is not None
            expected = zone.standard
            if zone.start and zone.end:
                local = now.replace(tzinfo=None) + timedelta(minutes=zone.standard)
                start, end = _change(2036, zone.start), _change(2036, zone.end)
                inside = start <= local < end if start < end else not end <= local < start
                expected = zone.summer if inside else zone.standard
            assert offset == timedelta(minutes=expected), (name, month)
    # Changes at midnight or before it, in Cairo, Gaza, Greenland, Jerusalem and Santiago.
    assert refused < 20
