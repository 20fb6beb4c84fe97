"""Clients of the API in other languages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from codegen import sdk as clients
from codegen import typescript
from nethvoice.modules import served_document
from nethvoice.settings import load_settings


@click.group()
def sdk() -> None:
    """Clients of the API in other languages, made from its document."""


_OUT = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write to: a new one, or one that holds such a client.",
)


@contextmanager
def _generation(out: Path) -> Iterator[None]:
    """Says in one line what a generator lacks."""
    try:
        yield
    except clients.MissingTool as error:
        raise click.ClickException(str(error)) from None
    except clients.GenerationFailed as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"wrote {out}")


@sdk.command("python")
@_OUT
def sdk_python(out: Path) -> None:
    """Write the Python client: a package with a synchronous and an asynchronous class."""
    with _generation(out):
        from codegen import python  # noqa: PLC0415 (its generator is an optional extra)

        python.generate(served_document(load_settings()), out)


@sdk.command("typescript")
@_OUT
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder in which the npm tools are kept.",
)
def sdk_typescript(out: Path, cache: Path | None) -> None:
    """Write the TypeScript client: a package for Node and browsers, compiled already."""
    with _generation(out):
        typescript.generate(served_document(load_settings()), out, cache)
