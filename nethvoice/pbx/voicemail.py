"""Mailboxes of extensions."""

import secrets
from typing import Any

from sqlalchemy import select

from nethvoice.pbx import freepbx
from nethvoice.pbx.people import person_by_extension
from nethvoice.problems import Problem, not_found
from nethvoice.store import tables as t
from nethvoice.store.ami import AmiRefused, AmiUnavailable
from nethvoice.store.mailboxes import CONTEXT
from nethvoice.store.rows import change_rows
from nethvoice.store.unit import Unit
from nethvoice.store.voicemail_conf import Mailbox
from nethvoice.system import NUMBERS, System

LOCK = "nethvoice.voicemail"


def list_mailboxes(system: System) -> dict[str, dict[str, Any]]:
    """The mailboxes of context `default` by number, PINs in clear as the contract has them."""
    boxes = system.mailboxes.read().contexts.get(CONTEXT, {})
    return {number: _shown(box) for number, box in boxes.items()}


def get_mailbox(system: System, extension: str) -> dict[str, Any]:
    """One mailbox. Raises Problem 404."""
    box = system.mailboxes.read().contexts.get(CONTEXT, {}).get(extension)
    if box is None:
        raise not_found(f"extension {extension} has no mailbox")
    return _shown(box)


def _shown(box: Mailbox) -> dict[str, Any]:
    number = box.mailbox
    canonical = number.isascii() and number.isdigit() and str(int(number)) == number
    return {
        # A number, except where that would lose a leading zero.
        "mailbox": int(number) if canonical else number,
        "pwd": box.pwd,
        "name": box.name,
        "email": box.email,
        "pager": box.pager,
        "options": dict(box.options),
    }


def set_mailbox(system: System, extension: str, *, enabled: bool) -> None:
    """Switch the mailbox of an extension on or off. Raises Problem 400 for an unknown extension.

    A mailbox that is on keeps its PIN and options. Switching off keeps recorded messages.
    """
    with system.change((LOCK, NUMBERS)) as unit:  # an extension that goes takes its mailbox along
        switch_mailbox(system, unit, extension, enabled=enabled)


def switch_mailbox(system: System, unit: Unit, extension: str, *, enabled: bool) -> None:
    """As `set_mailbox`, inside a unit."""
    user = unit.conn.execute(
        select(t.users.c.name).where(t.users.c.extension == extension).limit(1)
    ).first()
    if user is None:
        raise Problem(400, "Bad request", f"Extension {extension} doesn't exist")
    if enabled:
        _enable(system, unit, extension, user.name or "")
    else:
        _disable(system, unit, extension)


def _enable(system: System, unit: Unit, extension: str, name: str) -> None:
    found = freepbx.find_mailbox(system, unit, extension)
    context = found[0] if found else CONTEXT
    if found is None:
        owner = person_by_extension(unit.conn, extension)
        email = (owner.email if owner else None) or ""
        freepbx.remember_mailbox_alias(unit, extension)
        unit.mailboxes.append(["on", extension, new_pin(extension), name, email])
    marked = _mark(unit, extension, context)
    if found is None or marked or not _is_marked(system, extension, context):
        keys = unit.astdb
        keys.put("AMPUSER", f"{extension}/novmpw", "yes")
        keys.delete("AMPUSER", f"{extension}/novmstar")
        for state in ("unavail", "busy", "temp"):
            keys.delete_tree("AMPUSER", f"{extension}/vmx/{state}/0")
        for state in ("busy", "unavail", "temp"):
            keys.put_if_exists(
                "AMPUSER",
                f"{extension}/vmx/unavail/state",
                f"{extension}/vmx/{state}/state",
                "blocked",
            )
        keys.put("AMPUSER", f"{extension}/voicemail", context)
        unit.reload()


def _disable(system: System, unit: Unit, extension: str) -> None:
    found = freepbx.find_mailbox(system, unit, extension)
    if found is not None:
        freepbx.forget_mailbox_alias(unit, extension)
        unit.mailboxes.append(["off", extension])
    marked = _mark(unit, extension, freepbx.NO_VOICEMAIL)
    if found is not None or marked:
        unit.astdb.put("AMPUSER", f"{extension}/voicemail", freepbx.NO_VOICEMAIL)
        unit.reload()


def _mark(unit: Unit, extension: str, context: str) -> bool:
    return bool(
        change_rows(unit.conn, t.users, t.users.c.extension == extension, {"voicemail": context})
    )


def _is_marked(system: System, extension: str, context: str) -> bool:
    """Whether AstDB agrees; while Asterisk cannot be asked, it is written again."""
    try:
        return system.astdb.get("AMPUSER", f"{extension}/voicemail") == context
    except (AmiUnavailable, AmiRefused):
        return False


def new_pin(extension: str) -> str:
    """Four digits that are not the number itself, not four equal ones and not 1234."""
    while True:
        pin = f"{secrets.randbelow(10_000):04d}"
        if pin not in (extension, "1234") and len(set(pin)) > 1:
            return pin
