"""Mailboxes of extensions."""

from typing import Any

from nethvoice import bodies
from nethvoice.pbx import voicemail
from nethvoice.pbx.values import number_text, yes_or_no
from nethvoice.system import System


def list_voicemails(*, system: System) -> dict[str, dict[str, Any]]:
    """All mailboxes by number."""
    return voicemail.list_mailboxes(system)


def get_voicemail(*, extension: str, system: System) -> dict[str, Any]:
    """One mailbox."""
    return voicemail.get_mailbox(system, extension)


def set_voicemail(*, body: bodies.VoicemailSwitch, system: System) -> bodies.Done:
    """Switch a mailbox on or off."""
    enabled = yes_or_no(body.get("state"))
    voicemail.set_mailbox(system, number_text(body["extension"]), enabled=enabled)
    return {"status": True}
