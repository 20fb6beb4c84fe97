"""Making what is missing, looking at what is there, and helpers."""

import sys

import click
import orjson
from pydantic import SecretStr

from nethvoice import doctor, first_start, logs
from nethvoice.cli.system import open_system
from nethvoice.pbx import app_migration, phone_reboots
from nethvoice.settings import PREFIX, load_settings


@click.command()
def init() -> None:
    """Make the tables that are missing, the secret and the first administrator."""
    settings = load_settings()
    logs.configure("WARNING", "text")
    made = first_start.initialise(settings)
    for name in made.tables:
        click.echo(f"made {name}")
    if made.administrator:
        where = f", password in {made.password_file}" if made.password_file else ""
        click.echo(f"made administrator {made.administrator}{where}")
    click.echo(f"secret: {first_start.where_the_secret_is(settings)}")
    click.echo("ready")


@click.command()
def config() -> None:
    """Print the effective settings, secrets masked."""
    settings = load_settings()
    for name in type(settings).model_fields:
        click.echo(f"{PREFIX}{name.upper()}={_shown(getattr(settings, name))}")


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name}: ********" for name in value)
    if isinstance(value, list):
        return orjson.dumps([str(item) for item in value]).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


@click.command("doctor")
@click.option("--retry-parked", is_flag=True, help="Try again what was given up.")
def doctor_command(retry_parked: bool) -> None:
    """Check everything the service needs, and say how to mend what is wrong."""
    settings = load_settings()
    logs.configure("ERROR", "text")
    bad = False
    for finding in doctor.examine(settings, retry_parked=retry_parked):
        mark, colour = {"ok": ("ok  ", "green"), "note": ("note", "yellow")}.get(
            finding.state, ("FAIL", "red")
        )
        bad = bad or finding.state == "fail"
        click.echo(f"{click.style(mark, fg=colour)}  {finding.name}: {finding.text}")
        if finding.mend:
            click.echo(f"      {finding.mend}")
    if bad:
        sys.exit(1)


@click.command("reboot-phone")
@click.argument("mac")
def reboot_phone(mac: str) -> None:
    """Restart a phone whose planned time has come; lines of REBOOT_CRONTAB run this."""
    with open_system() as system:
        if not phone_reboots.run_planned(system, mac):
            click.echo("nothing is planned for this phone")


@click.command("migrate-app")
@click.option("--restore", is_flag=True, help="Go back to the older native app.")
def migrate_app(restore: bool) -> None:
    """Move the SIP settings of all mobile apps to the present app."""
    with open_system() as system:
        try:
            changed = app_migration.migrate_apps(system, restore=restore)
        except app_migration.NotOnProxy:
            raise click.ClickException(
                "behind a SIP proxy the apps' settings are the proxy's; nothing was changed"
            ) from None
        if changed:
            system.apply.run_waiting()
    click.echo(f"{changed} values changed")
