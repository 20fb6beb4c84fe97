"""The command line: `nethvoice --help`. Each command loads what it needs when it is called."""

from importlib import import_module

import click

from nethvoice import __version__
from nethvoice.problems import Problem
from nethvoice.settings import SettingsError

_COMMANDS = {
    "serve": ("serving:serve", "Serve the API, and device files by TFTP."),
    "tftp": ("serving:tftp", "Serve device files by TFTP alone."),
    "ldap": ("serving:ldap_command", "Serve the LDAP phonebook."),
    "init": ("upkeep:init", "Make tables, secret and administrator that are missing."),
    "admin": ("administrators:admin", "Administrators, who may use the API."),
    "config": ("upkeep:config", "Print the effective settings, secrets masked."),
    "doctor": ("upkeep:doctor_command", "Check what the service needs, and say how to mend it."),
    "phonebook": ("phonebook:phonebook", "Sources of the phonebook."),
    "spec": ("spec:spec", "The OpenAPI document."),
    "sdk": ("sdk:sdk", "Clients of the API in other languages."),
    "scaffold": ("spec:scaffold_command", "Begin an operation that is new in the document."),
    "reboot-phone": ("upkeep:reboot_phone", "Do a planned reboot."),
    "migrate-app": ("upkeep:migrate_app", "Move mobile apps to the present SIP settings, or back."),
}
"""Name, where it is, and what `--help` says without loading it."""


class _Commands(click.Group):
    """Loads commands when they are called, and turns foreseen failures into one readable line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"nethvoice.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.ClickException(str(error)) from None
        except Problem as problem:
            raise click.ClickException(problem.detail) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nethvoice")
def main() -> None:
    """NethVoice REST: a provisioning API for FreePBX and Asterisk."""
