"""Languages of the prompts: which are installed, which one is spoken by default."""

import re

from sqlalchemy import Connection, column, or_, select

from nethvoice.problems import bad_request, unprocessable
from nethvoice.store import tables as t
from nethvoice.store.apply import run_command
from nethvoice.store.rows import change_rows, put_row
from nethvoice.store.tasks import Report, TaskEngine, TaskFailed
from nethvoice.store.unit import Unit
from nethvoice.system import SETTINGS, System

DEFAULT = "en"
"""What Asterisk speaks when FreePBX has no language set."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
_NO_LANGUAGES = frozenset({"tts"})
"""Folder in which FreePBX keeps synthesised texts."""

_ZONE = re.compile(r"(?<![A-Za-z])[a-z]{2}(?:-[a-z]+)?(?![A-Za-z])")


def list_languages(system: System) -> dict[str, dict[str, bool]]:
    """Installed languages in alphabetical order, each with whether it is the default one."""
    with system.read() as connection:
        default = _default(system, connection)
        found = _installed(system, connection) | {default}
    return {language: {"default": language == default} for language in sorted(found)}


def install_language(system: System, language: str) -> str:
    """Install the prompts of a language with FreePBX's own command; returns the task's id.

    The task of a language that is there already is done at once. Raises Problem 400.
    """
    _require_language(language)
    with system.change(SETTINGS) as unit:
        if language in _installed(system, unit.conn):
            return TaskEngine.insert_finished(unit.conn, _kind(language))

    def work(report: Report) -> None:
        _install(system, language, report)

    return system.tasks.start_or_join(_kind(language), work)


def set_default_language(system: System, language: str) -> None:
    """Make a language the one that is spoken by default, with the tones of its country, and reload.

    Raises Problem 400 for what is no language, 422 for one that is not installed.
    """
    _require_language(language)
    with system.change(SETTINGS) as unit:
        known = _installed(system, unit.conn) | {_default(system, unit.conn)}
        if language not in known:
            raise unprocessable(f"language {language} is not installed")
        if system.database.live(t.soundlang_settings) is None:
            raise unprocessable("FreePBX's module Soundlang is not installed")
        changed = put_row(
            unit.conn, t.soundlang_settings, {"keyword": "language"}, {"value": language}
        )
        changed = _set_tone_zone(system, unit, language) or changed
        if changed:
            unit.reload()


def _require_language(language: str) -> None:
    if not _LANGUAGE.fullmatch(language):
        raise bad_request("lang must be a language such as it or en_GB")


def _kind(language: str) -> str:
    return f"language {language}"


def _default(system: System, connection: Connection) -> str:
    table = t.soundlang_settings
    if system.database.live(table) is None:
        return DEFAULT
    return connection.scalar(select(table.c.value).where(table.c.keyword == "language")) or DEFAULT


def _installed(system: System, connection: Connection) -> set[str]:
    found = set()
    folder = system.settings.sounds_folder
    if folder.is_dir():
        found = {item.name for item in folder.iterdir() if item.is_dir()}
    packages = t.soundlang_packages
    if system.database.live(packages) is not None:
        query = select(packages.c.language).where(packages.c.installed != "").distinct()
        found |= set(connection.scalars(query))
    return {name for name in found - _NO_LANGUAGES if _LANGUAGE.fullmatch(name)}


def _install(system: System, language: str, report: Report) -> None:
    """Install each package of the language that FreePBX offers in a format that it uses."""
    packages = _packages(system, language)
    if not packages:
        raise TaskFailed(f"FreePBX offers no prompts for {language}")
    settings = system.settings
    for index, number in enumerate(packages):
        report.phase(f"installing package {number}", 100 * index / len(packages))
        run_command([*settings.sounds_command, str(number)], settings.sounds_timeout, report)


def _packages(system: System, language: str) -> list[int]:
    table = t.soundlang_packages
    if system.database.live(table) is None:
        return []
    settings = t.soundlang_settings
    with system.read() as connection:
        formats = connection.scalar(select(settings.c.value).where(settings.c.keyword == "formats"))
        wanted = [name for name in (formats or "").split(",") if name] or ["ulaw"]
        missing = or_(table.c.installed.is_(None), table.c.installed == "")
        query = select(table.c.id).where(
            table.c.language == language, table.c.format.in_(wanted), missing
        )
        return list(connection.scalars(query.order_by(table.c.id)))


def _set_tone_zone(system: System, unit: Unit, language: str) -> bool:
    """The tones of the language's country, if FreePBX knows them: `TONEZONE` in its settings."""
    base = language.partition("_")[0]
    zone = "us" if base == DEFAULT else base
    settings = t.freepbx_settings
    live = system.database.live(settings)
    where = settings.c.keyword == "TONEZONE"
    if live is not None and "options" in live.columns:
        options = unit.conn.scalar(select(column("options", _selectable=settings)).where(where))
        # A list with commas, or PHP's serialised form with the names in quotes.
        if options and zone not in _ZONE.findall(options):
            return False
    return change_rows(unit.conn, settings, where, {"value": zone}) > 0
