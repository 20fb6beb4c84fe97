"""Choices that this service stores and a command of the operator carries out."""

import re
from collections.abc import Sequence

from nethvoice.pbx.nat import is_host_name
from nethvoice.problems import bad_request, unavailable
from nethvoice.store.database import LockBusy
from nethvoice.store.hooks import run_hook
from nethvoice.store.state import get_state, set_state
from nethvoice.system import SETTINGS, System

EXTERNAL_SIPS = "allow_external_sips"
CONFERENCE_URL = "conference_url"
_LONGEST_URL = 2000
_URL = re.compile(
    r"https?://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#:@\[\]]+)(?P<port>:[0-9]{1,5})?([/?#].*)?"
)
_PLAIN = re.compile(r"[\x21-\x7e]+")


def get_external_sips(system: System) -> str:
    """`enabled` unless SIP over TLS from outside was disabled."""
    with system.read() as connection:
        return get_state(connection, EXTERNAL_SIPS) or "enabled"


def set_external_sips(system: System, status: str) -> None:
    """Have the hook open or close the firewall, then store `enabled` or `disabled`.

    Raises Problem 500 when the hook fails; the stored value is the old one then.
    """
    hook = system.settings.hook_external_sips
    carry_out(system, EXTERNAL_SIPS, status, "HOOK_EXTERNAL_SIPS", hook)


def get_conference_url(system: System) -> str:
    """Address of the conference service, empty when none is set."""
    with system.read() as connection:
        return get_state(connection, CONFERENCE_URL) or ""


def set_conference_url(system: System, url: str) -> None:
    """Have the hook configure the conference service, then store its address; empty clears it.

    Raises Problem 400 unless it is a host name or an http(s) URL, 500 when the hook fails.
    """
    url = url.strip()
    if url and not _is_address(url):
        text = "url must be a host name or an http(s) URL"
        raise bad_request(text, message=text)
    hook = system.settings.hook_conference
    carry_out(system, CONFERENCE_URL, url, "HOOK_CONFERENCE", hook)


def _is_address(text: str) -> bool:
    if not _PLAIN.fullmatch(text) or len(text) > _LONGEST_URL:
        return False
    found = _URL.fullmatch(text)
    if found is None:
        return "." in text and is_host_name(text)
    host = found["host"]
    return host.startswith("[") or host.replace(".", "").isdigit() or is_host_name(host)


def carry_out(
    system: System, keyword: str, value: str, name: str, hook: Sequence[str], *arguments: str
) -> None:
    """Run the hook with `arguments` and the value, then store the value under `keyword`.

    It runs for an unchanged value too, which repairs what it did. Raises Problem 500 when the hook
    of setting `name` fails, which changes nothing, 503 while another call is at it.
    """
    try:
        # Of two callers, the one that is stored last must also be the one carried out last.
        with system.database.lock(f"nethvoice.{keyword}"):
            run_hook(name, hook, *arguments, value, timeout=system.settings.hook_timeout)
            with system.change(SETTINGS) as unit:
                set_state(unit.conn, keyword, value)
    except LockBusy:
        raise unavailable("another request is changing this") from None
