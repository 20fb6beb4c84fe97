"""Languages and the conference service."""

from nethvoice import bodies
from nethvoice.pbx import languages, switches
from nethvoice.system import System


def list_languages(*, system: System) -> dict[str, dict[str, bool]]:
    """The installed languages."""
    return languages.list_languages(system)


def install_language(*, body: bodies.LanguageChoice, system: System) -> bodies.TaskReference:
    """Install the prompts of a language."""
    return {"result": languages.install_language(system, body["lang"])}


def set_default_language(*, body: bodies.LanguageChoice, system: System) -> None:
    """Set the default language."""
    languages.set_default_language(system, body["lang"])


def get_conference_url(*, system: System) -> str:
    """Address of the conference service."""
    return switches.get_conference_url(system)


def set_conference_url(*, body: bodies.ConferenceUrl, system: System) -> None:
    """Set the address of the conference service."""
    switches.set_conference_url(system, body["url"])


def set_conference_url_alias(*, body: bodies.ConferenceUrl, system: System) -> None:
    """The same under its other path."""
    switches.set_conference_url(system, body["url"])
