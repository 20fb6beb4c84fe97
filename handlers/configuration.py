"""Settings of the whole system."""

from typing import Any

from nethvoice import bodies
from nethvoice.pbx import directories, nat, switches, transcription, wizard
from nethvoice.system import System


def get_user_provider(*, system: System) -> bodies.UserProvider:
    """The user directory."""
    return directories.describe(system)


def get_mode(*, system: System) -> bodies.Mode:
    """The kind of user directory that was chosen."""
    return wizard.get_mode(system)


def set_mode(*, body: bodies.ModeChoice, system: System) -> bodies.ModeResult:
    """Choose the kind of user directory."""
    return {"result": wizard.set_mode(system, body.get("mode"))}


def list_networks(*, system: System) -> dict[str, dict[str, str | None]]:
    """The local networks of this host."""
    return nat.list_networks(system)


def get_wizard_state(*, system: System) -> list[dict[str, str | None]]:
    """How far the wizard is."""
    return wizard.get_wizard(system)


def set_wizard_state(*, body: bodies.WizardChange, system: System) -> None:
    """Save how far the wizard is."""
    wizard.set_wizard(system, body.get("step"), body["status"])


def get_external_ip(*, system: System) -> str | bool:
    """The external address."""
    return nat.get_external_ip(system)


def set_external_ip(*, ip: str, system: System) -> None:
    """Set the external address."""
    nat.set_external_ip(system, ip)


async def suggest_external_ip(*, system: System) -> str:
    """The address under which the Internet sees this host."""
    return await nat.suggest_external_ip(system)


def get_local_networks(*, system: System) -> list[dict[str, str]] | bool:
    """The networks that need no NAT."""
    return nat.get_local_networks(system)


def set_local_networks(*, body: list[dict[str, Any]], system: System) -> None:
    """Set the networks that need no NAT."""
    nat.set_local_networks(system, body)


def get_external_sips_access(*, system: System) -> str:
    """Whether SIP over TLS is open to the outside."""
    return switches.get_external_sips(system)


def set_external_sips_access(*, status: str, system: System) -> None:
    """Open or close SIP over TLS to the outside."""
    switches.set_external_sips(system, status)


def get_voicemail_transcription(*, system: System) -> str:
    """Whether voicemail messages are transcribed."""
    return transcription.get_status(system)


def set_voicemail_transcription(*, status: str, system: System) -> None:
    """Switch the transcription of voicemail messages."""
    transcription.set_status(system, status)


def upload_google_credentials(*, body: bodies.GoogleCredentials, system: System) -> None:
    """Store the key of a Google service account."""
    transcription.store_key(system, body["file"])


def check_google_credentials(*, system: System) -> bool:
    """Whether there is such a key."""
    return transcription.require_key(system)
