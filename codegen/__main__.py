"""`python -m codegen` writes what is made from the document; `--check` only compares."""

from pathlib import Path

import click

from codegen.bodies import render_bodies
from nethvoice.document import load_document

BODIES = Path(__file__).parent.parent / "nethvoice" / "bodies.py"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is stale.")
def main(check: bool) -> None:
    """Make nethvoice/bodies.py from openapi/nethvoice.yaml."""
    text = render_bodies(load_document())
    if BODIES.exists() and BODIES.read_text(encoding="utf-8") == text:
        click.echo("nethvoice/bodies.py is up to date")
        return
    if check:
        raise click.ClickException("nethvoice/bodies.py is stale: run 'python -m codegen'")
    BODIES.write_text(text, encoding="utf-8")
    click.echo("wrote nethvoice/bodies.py")


if __name__ == "__main__":
    main()
