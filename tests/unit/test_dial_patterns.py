"""Dial patterns: what Asterisk takes, and what FreePBX keeps."""

import pytest

from nethvoice.pbx.dial_patterns import (
    is_number_or_pattern,
    is_route_pattern,
    route_pattern_part,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0721405516",
        "+390721405516",
        "sales",
        "Anonymous",
        "a b",
        "_07214055XX",
        "_0721[2-5]X.",
        "_x!",
        "_[1-3579]XX",
        "_+39.",
        "_07-21",
    ],
)
def test_numbers_and_patterns(text: str) -> None:
    assert is_number_or_pattern(text)


@pytest.mark.parametrize(
    "text",
    [
        "_",
        "_[",
        "_]",
        "_0721[2-",
        "_0721]2[",
        "_[[1]]",
        "_[]",
        "_[5-2]X",
        "_1.2",
        "_1!!",
        "_1 2",
        "1,2",
        "1/2",
        "1;2",
        "1\n2",
        "1\x002",
        "_1,2",
    ],
)
def test_malformed_ones(text: str) -> None:
    assert not is_number_or_pattern(text)


@pytest.mark.parametrize("text", ["0ZXXX.", "0[1-59]XXX.", "1XX", "15XX", "*98", "+39NXX", "[67]"])
def test_route_patterns(text: str) -> None:
    assert is_route_pattern(text)


@pytest.mark.parametrize(
    "text", ["", "_1XX", "1xx", "0[1-XX", "0[9-1]X", "1XX.X", "X!", "1 2", "A"]
)
def test_malformed_route_patterns(text: str) -> None:
    assert not is_route_pattern(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("nxx.", "NXX."), ("+39", "+39"), ("0[1-5]z'", "0[1-5]Z"), ("a!b", ""), (" 1 2 ", "12")],
)
def test_what_freepbx_keeps(text: str, kept: str) -> None:
    assert route_pattern_part(text) == kept
