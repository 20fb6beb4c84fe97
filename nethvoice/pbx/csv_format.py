"""The CSV form of people: reading what administrators upload, writing what re-imports unchanged.

UTF-8, comma separated, `"` quoting, no header needed. Columns: username, full name, main extension,
password, mobile, voicemail, WebRTC, CTI groups joined with `|`, CTI profile name, NethLink.
"""

import base64
import binascii
import csv
import io
import re
import secrets
import string
from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select

from nethvoice.pbx.people import VISIBLE, portal
from nethvoice.problems import unprocessable
from nethvoice.store import tables as t
from nethvoice.system import System

_COLUMNS = 10
_FIELD_LIMIT = 4096
_DATA_URL = re.compile(r"^data:[^,]*?;base64,", re.IGNORECASE)
_SYMBOLS = "!#?,."


@dataclass(frozen=True)
class Row:
    """One line of the file. None means: the column is missing; empty text: it is empty."""

    line: int
    username: str
    fullname: str
    extension: str | None = None
    password: str | None = None
    mobile: str | None = None
    voicemail: str | None = None
    webrtc: str | None = None
    groups: str | None = None
    profile: str | None = None
    nethlink: str | None = None


def decode_upload(file: str) -> str:
    """The text of an upload: a base64 data URL of any media type, or bare base64.

    Raises Problem 422 for anything that is not base64, is empty, or is not UTF-8.
    """
    body = re.sub(r"\s+", "", _DATA_URL.sub("", file, count=1))
    try:
        raw = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise unprocessable("file is not base64") from None
    if not raw.strip():
        raise unprocessable("file is empty")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise unprocessable(f"file is not UTF-8: bad byte in line {line}") from None


def parse(text: str) -> list[Row]:
    """The rows of the file without comments, blank lines and header.

    Raises Problem 422 with the line number for a broken line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    first = True
    try:
        for fields in reader:
            cells = [cell.strip() for cell in fields]
            if not any(cells) or cells[0].startswith("#"):
                continue
            header = first and cells[0].lower() == "username"
            first = False
            if header:
                continue
            rows.append(_row(reader.line_num, cells))
    except csv.Error as error:
        raise unprocessable(f"line {reader.line_num} is broken: {error}") from None
    if not rows:
        raise unprocessable("file has no lines with users")
    return rows


def _row(line: int, cells: list[str]) -> Row:
    for cell in cells[:_COLUMNS]:
        if len(cell) > _FIELD_LIMIT:
            raise unprocessable(f"line {line} has a field of more than {_FIELD_LIMIT} characters")
        if "\0" in cell:
            raise unprocessable(f"line {line} has a NUL character")
    padded: list[str | None] = [*cells[:_COLUMNS], *([None] * (_COLUMNS - len(cells)))]
    username, fullname, *rest = padded
    return Row(line, (username or "").lower(), fullname or "", *rest)


def switch(value: str | None) -> bool | None:
    """A switch column: `TRUE` or `1` on, other text off, missing or empty (or `0`): leave it."""
    if value in (None, "", "0"):
        return None
    return value == "1" or (value or "").upper() == "TRUE"


def new_password() -> str:
    """Eight characters with at least one of each kind that directories ask for."""
    kinds = [string.ascii_lowercase, string.ascii_uppercase, string.digits, _SYMBOLS]
    chosen = [secrets.choice(kind) for kind in kinds]
    chosen += [secrets.choice(string.ascii_letters + string.digits) for _ in range(4)]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def export(system: System) -> str:
    """All people as base64 of the CSV (columns 0 to 8, every field quoted, CRLF)."""
    people = (
        select(
            t.userman_users.c.id,
            t.userman_users.c.username,
            t.userman_users.c.displayname,
            t.userman_users.c.default_extension,
            t.rest_users.c.password,
            t.rest_users.c.mobile,
            t.rest_cti_profiles.c.name.label("profile"),
        )
        .select_from(
            t.userman_users.outerjoin(
                t.rest_users, t.rest_users.c.user_id == t.userman_users.c.id
            ).outerjoin(t.rest_cti_profiles, t.rest_cti_profiles.c.id == t.rest_users.c.profile_id)
        )
        .where(VISIBLE)
        .order_by(t.userman_users.c.username)
    )
    memberships = (
        select(t.rest_cti_users_groups.c.user_id, t.rest_cti_groups.c.name)
        .join(t.rest_cti_groups, t.rest_cti_groups.c.id == t.rest_cti_users_groups.c.group_id)
        .order_by(t.rest_cti_groups.c.id)
    )
    browsers = select(t.rest_devices_phones.c.user_id).where(
        t.rest_devices_phones.c.type == "webrtc"
    )
    groups: dict[int, list[str]] = defaultdict(list)
    with system.read() as connection:
        rows = connection.execute(people, portal(system)).all()
        for user_id, name in connection.execute(memberships):
            groups[user_id].append(name)
        webrtc = set(connection.scalars(browsers))
    boxes = set().union(*system.mailboxes.read().contexts.values())
    output = io.StringIO(newline="")
    writer = csv.writer(output, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    for row in rows:
        writer.writerow(
            [
                row.username,
                row.displayname or row.username,
                row.default_extension,
                row.password or "",
                row.mobile or "",
                "TRUE" if row.default_extension in boxes else "FALSE",
                "TRUE" if row.id in webrtc else "FALSE",
                "|".join(groups.get(row.id, ())),
                row.profile or "",
            ]
        )
    return base64.b64encode(output.getvalue().encode()).decode()
