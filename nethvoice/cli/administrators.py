"""Administrators, who may use the API."""

import sys

import click

from nethvoice.cli.system import open_system
from nethvoice.pbx import administrators


@click.group()
def admin() -> None:
    """Administrators, who may use the API."""


def _password(from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    if not password:
        raise click.ClickException("the password is empty")
    return str(password)


@admin.command("add")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def admin_add(name: str, password_stdin: bool) -> None:
    """Add an administrator."""
    with open_system() as system:
        administrators.add_administrator(system, name, _password(password_stdin))
    click.echo(f"added {name}")


@admin.command("passwd")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def admin_passwd(name: str, password_stdin: bool) -> None:
    """Set an administrator's password."""
    with open_system() as system:
        administrators.set_password(system, name, _password(password_stdin))
    click.echo(f"changed {name}")


@admin.command("list")
def admin_list() -> None:
    """List the administrators."""
    with open_system() as system:
        for name in administrators.list_administrators(system):
            click.echo(name)
