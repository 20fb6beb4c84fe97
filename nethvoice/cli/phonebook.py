"""Sources of the phonebook."""

import sys

import click

from nethvoice.cli.system import open_system
from nethvoice.pbx.phonebook import sync as phonebook_sources
from nethvoice.pbx.phonebook.builtin import BUILT_IN
from nethvoice.pbx.phonebook.rows import SourceError
from nethvoice.problems import Problem


@click.group()
def phonebook() -> None:
    """The central phonebook."""


@phonebook.command("sync")
@click.argument("sources", nargs=-1)
def phonebook_sync(sources: tuple[str, ...]) -> None:
    """Synchronise SOURCES, or all enabled ones and the built-in ones."""
    failed = False
    with open_system() as system:
        keys = [_phonebook_key(name) for name in sources] or phonebook_sources.all_keys(system)
        for key in keys:
            try:
                outcome = phonebook_sources.sync(system, key)
            except (SourceError, Problem) as error:
                failed = True
                click.echo(f"{phonebook_sources.name_of(key)}: failed: {error}", err=True)
                continue
            left_out = f", {outcome.skipped} rows left out: {outcome.reason}"
            name = phonebook_sources.name_of(key)
            click.echo(f"{name}: {outcome.contacts} contacts{left_out if outcome.skipped else ''}")
    if failed:
        sys.exit(1)


def _phonebook_key(name: str) -> str:
    return phonebook_sources.built_in_key(name) if name in BUILT_IN else name


@phonebook.command("list")
def phonebook_list() -> None:
    """List the sources with their contacts and their last error."""
    with open_system() as system:
        for line in phonebook_sources.report(system):
            click.echo(line)
