"""Dial patterns: what may stand in a dialled number and in a pattern that matches numbers.

Pattern letters are those of Asterisk's extension matching (`pbx.c`): X 0-9, Z 1-9, N 2-9, a set in
brackets, and a final `.` (one or more characters) or `!` (none or more).
"""

import re

_SET = r"\[(?:[0-9A-Za-z*#+]-[0-9A-Za-z]|[0-9A-Za-z*#+])+\]"
_ROUTE = re.compile(rf"(?:[0-9*#+XNZ-]|{_SET})*[.]?")
_DID = re.compile(rf"_(?:[0-9A-Za-z*#+:@_-]|{_SET})*(?:[.!]|(?<!_))")
_NO_NUMBER = re.compile(r"[,;/\x00-\x1f\x7f]")
_KEPT = re.compile(r"[^0-9*#+.\[\]XNZ-]")


def route_pattern_part(text: str) -> str:
    """A prefix or pattern of an outbound route as FreePBX keeps it: upper case, no junk."""
    return _KEPT.sub("", text.upper())


def is_route_pattern(text: str) -> bool:
    """True for a well-formed pattern of an outbound route, without the leading `_`."""
    return bool(text) and _ROUTE.fullmatch(text) is not None and _sets_ascend(text)


def is_number_or_pattern(text: str) -> bool:
    """True for what an inbound route may match: empty (anything), a number or name that stands in
    the dialplan as it is, or a pattern that begins with `_`."""
    if _NO_NUMBER.search(text) or not text.isprintable():
        return False
    if not text.startswith("_"):
        return True
    return _DID.fullmatch(text) is not None and _sets_ascend(text)


def _sets_ascend(text: str) -> bool:
    """Ranges inside brackets must not run backwards: Asterisk ignores such a set."""
    return all(
        first <= last
        for found in re.findall(_SET, text)
        for first, last in re.findall(r"(.)-(.)", found[1:-1])
    )
