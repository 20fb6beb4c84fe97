"""Voicemail messages as text: Asterisk's mail command, and the key of Google's service."""

import base64
import binascii
import re

import orjson
from sqlalchemy import Connection, select

from nethvoice.pbx.voicemail import LOCK
from nethvoice.problems import Problem, bad_request, not_found
from nethvoice.store.files import write_private
from nethvoice.store.outbox import Operation
from nethvoice.store.tables import rest_outbox
from nethvoice.system import System

MAILCMD = "mailcmd"
KEY_LIMIT = 64 * 1024
_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_MEMBERS = ("client_email", "private_key")


def get_status(system: System) -> str:
    """`enabled` when Asterisk mails messages with the transcribing command, else `disabled`."""
    command = system.mailboxes.read().general.get(MAILCMD)
    return "enabled" if command == system.settings.stt_mailcmd else "disabled"


def set_status(system: System, status: str) -> None:
    """Set `mailcmd` in `[general]` of voicemail.conf, or remove it if it is ours, and reload.

    Raises Problem 412 when there is no key to transcribe with.
    """
    enable = status == "enabled"
    if enable and not _has_key(system):
        raise Problem(412, "Precondition failed", "Missing authentication file")
    command = system.settings.stt_mailcmd
    with system.change(LOCK) as unit:
        # What waits is asked for first: between the two reads it may get into the file.
        waiting = _waiting(unit.conn)
        coming = (
            waiting == ["set", MAILCMD, command] if waiting else get_status(system) == "enabled"
        )
        if enable != coming:
            unit.mailboxes.append(["set" if enable else "unset", MAILCMD, command])
            unit.reload()


def _waiting(connection: Connection) -> Operation | None:
    """The last operation on the mail command that has not reached the file yet."""
    rows = connection.scalars(
        select(rest_outbox.c.operations)
        .where(rest_outbox.c.target == "mailboxes", ~rest_outbox.c.parked)
        .order_by(rest_outbox.c.id)
    )
    found = [
        operation for row in rows for operation in orjson.loads(row) if operation[1] == MAILCMD
    ]
    return found[-1] if found else None


def store_key(system: System, file: str) -> None:
    """Keep a service account key, base64 with or without `data:` prefix, readable by us alone.

    Raises Problem 400 for anything that is no such key, 413 above 64 KiB; the old key stays then.
    """
    encoded = "".join(_DATA_URI.sub("", file.strip(), count=1).split())
    if len(encoded) > KEY_LIMIT * 4 // 3 + 4:
        raise Problem(413, "Content too large", f"the key is larger than {KEY_LIMIT} bytes")
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _wrong("file is not base64") from None
    if not _is_key(content):
        raise _wrong("file is no key of a Google service account")
    write_private(system.settings.google_key_file, content)


def require_key(system: System) -> bool:
    """True; raises Problem 404 unless there is a usable key."""
    if not _has_key(system):
        raise not_found("there is no key of a Google service account")
    return True


def _has_key(system: System) -> bool:
    try:
        return _is_key(system.settings.google_key_file.read_bytes())
    except OSError:
        return False


def _is_key(content: bytes) -> bool:
    try:
        data = orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return (
        isinstance(data, dict)
        and data.get("type") == "service_account"
        and all(isinstance(data.get(name), str) and data[name] for name in _MEMBERS)
    )


def _wrong(text: str) -> Problem:
    return bad_request(text, message=text)
