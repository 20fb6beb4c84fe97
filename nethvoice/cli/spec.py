"""The OpenAPI document, and beginning new operations."""

from pathlib import Path

import click
import orjson
import yaml
from openapi_spec_validator import validate as validate_document
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from codegen.portable_document import portable_document
from codegen.scaffold import ScaffoldError, scaffold
from nethvoice.document import document_text, dump_document
from nethvoice.modules import served_document
from nethvoice.settings import load_settings


@click.group()
def spec() -> None:
    """The OpenAPI document."""


@spec.command("print")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml")
@click.option("--portable", is_flag=True, help="For generators of languages without unions.")
def spec_print(form: str, portable: bool) -> None:
    """Print the document as it is served, modules included."""
    settings = load_settings()
    document = served_document(settings)
    if portable:
        document = portable_document(document)
    if form == "json":
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    elif portable or settings.modules_dir is not None:
        click.echo(dump_document(document), nl=False)
    else:
        click.echo(document_text(), nl=False)  # with its comments


@spec.command("validate")
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False
)
def spec_validate(file: Path | None) -> None:
    """Check the served document, or another FILE, against the OpenAPI specification."""
    if file is None:
        document = served_document(load_settings())
    else:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    try:
        validate_document(document)
    except OpenAPIValidationError as error:
        place = "/".join(str(part) for part in error.absolute_path)
        raise click.ClickException(f"{place}: {error.message.splitlines()[0]}") from None
    operations = sum(
        method in ("get", "post", "put", "patch", "delete")
        for item in document["paths"].values()
        for method in item
    )
    click.echo(f"valid: {operations} operations")


@click.command("scaffold")
@click.argument("operation_id")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The source tree; the present folder when left out.",
)
def scaffold_command(operation_id: str, root: Path) -> None:
    """Write handler and contract test of an operation that is new in the document."""
    if not (root / "openapi" / "nethvoice.yaml").is_file():
        raise click.ClickException(f"{root.absolute()} is no source tree of this service")
    try:
        written = scaffold(root, operation_id)
    except ScaffoldError as error:
        raise click.ClickException(str(error)) from None
    for path in written:
        click.echo(f"wrote {path}")
