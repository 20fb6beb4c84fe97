"""The command line: `nethvoice --help`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import click
import orjson
import uvicorn
import uvloop
import yaml
from openapi_spec_validator import validate as validate_document
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from pydantic import SecretStr

from codegen import sdk as clients
from codegen import typescript
from codegen.portable_document import portable_document
from codegen.scaffold import ScaffoldError, scaffold
from nethvoice import __version__, doctor, first_start, logs
from nethvoice.document import document_text, dump_document
from nethvoice.ldap.run import LdapService
from nethvoice.modules import served_document
from nethvoice.pbx import administrators, app_migration, phone_reboots
from nethvoice.pbx.phonebook import sync as phonebook_sources
from nethvoice.pbx.phonebook.builtin import BUILT_IN
from nethvoice.pbx.phonebook.rows import SourceError
from nethvoice.problems import Problem
from nethvoice.settings import PREFIX, Settings, SettingsError, load_settings
from nethvoice.system import System
from provisioning.tftp import process as tftp_process


class _Group(click.Group):
    """Turns foreseen failures into one readable line and exit code 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.ClickException(str(error)) from None
        except Problem as problem:
            raise click.ClickException(problem.detail) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nethvoice")
def main() -> None:
    """NethVoice REST: a provisioning API for FreePBX and Asterisk."""


@contextmanager
def _system() -> Iterator[System]:
    """A system for one command, without background work."""
    settings = load_settings()
    logs.configure("WARNING", "text")
    system = System(settings)
    try:
        yield system
    finally:
        system.stop()


# --- serving -------------------------------------------------------------------------------------


@main.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Server processes.")
@click.option("--tftp", "with_tftp", is_flag=True, help="Serve device files by TFTP as well.")
def serve(host: str | None, port: int | None, workers: int | None, with_tftp: bool) -> None:
    """Serve the API; the first start makes tables, secret and administrator."""
    for name, value in (("HOST", host), ("PORT", port), ("WORKERS", workers)):
        if value is not None:
            os.environ[PREFIX + name] = str(value)
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    first_start.initialise(settings)
    settings.refuse_public_default()
    if settings.workers > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = mkdtemp(dir=settings.run_folder, prefix="metrics-")
    beside = tftp_process.TftpProcess(settings) if with_tftp else None
    _announce(settings, None if beside is None else beside.port)
    try:
        _serve_api(settings)
    finally:
        if beside is not None:
            beside.stop()


def _serve_api(settings: Settings) -> None:
    uvicorn.run(
        "nethvoice.app:create",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=15,
    )


def _announce(settings: Settings, tftp_port: int | None) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{host}:{settings.port}{settings.base_path}"
    lines = [
        f"NethVoice REST {__version__}",
        f"  API       {base}",
        f"  console   {base}/ui/",
        f"  secret    {first_start.where_the_secret_is(settings)}",
    ]
    if tftp_port is not None:
        lines.append(f"  TFTP      port {tftp_port}, files of {settings.tftp_folder}")
    password = settings.data_dir / "admin-password"
    name = first_start.FIRST_ADMINISTRATOR
    if settings.admin_password is not None:
        lines.append(f"  admin     {name}, first password as set in {PREFIX}ADMIN_PASSWORD")
    elif password.exists():
        lines.append(f"  admin     {name}, first password in {password}")
    click.echo("\n".join(lines), err=True)


@main.command()
@click.option("--host", help="IPv4 address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="UDP port; 0 takes a free one.")
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), help="Folder of device files."
)
def tftp(host: str | None, port: int | None, root: Path | None) -> None:
    """Serve device files by TFTP, read-only."""
    for name, value in (("HOST", host), ("PORT", port), ("ROOT", root)):
        if value is not None:
            os.environ[f"{PREFIX}TFTP_{name}"] = str(value)
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    tftp_process.serve(settings, tftp_process.open_configured_port(settings))


@main.command()
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


# --- phonebook -----------------------------------------------------------------------------------


@main.command("ldap")
def ldap_command() -> None:
    """Serve the LDAP phonebook on the ports that are switched on."""
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    first_start.initialise(settings)
    system = System(settings)
    try:

        async def serve_phonebook() -> None:
            await LdapService(system).run()

        uvloop.run(serve_phonebook())
    finally:
        system.stop()


@main.group()
def phonebook() -> None:
    """The central phonebook."""


@phonebook.command("sync")
@click.argument("sources", nargs=-1)
def phonebook_sync(sources: tuple[str, ...]) -> None:
    """Synchronise SOURCES, or all enabled ones and the built-in ones."""
    failed = False
    with _system() as system:
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
    with _system() as system:
        for line in phonebook_sources.report(system):
            click.echo(line)


# --- administrators ------------------------------------------------------------------------------


@main.group()
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
    with _system() as system:
        administrators.add_administrator(system, name, _password(password_stdin))
    click.echo(f"added {name}")


@admin.command("passwd")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def admin_passwd(name: str, password_stdin: bool) -> None:
    """Set an administrator's password."""
    with _system() as system:
        administrators.set_password(system, name, _password(password_stdin))
    click.echo(f"changed {name}")


@admin.command("list")
def admin_list() -> None:
    """List the administrators."""
    with _system() as system:
        for name in administrators.list_administrators(system):
            click.echo(name)


# --- looking -------------------------------------------------------------------------------------


@main.command()
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


@main.command("doctor")
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


@main.group()
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


# --- developing ----------------------------------------------------------------------------------


@main.command("scaffold")
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


# --- clients -------------------------------------------------------------------------------------


@main.group()
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


# --- helpers -------------------------------------------------------------------------------------


@main.command("reboot-phone")
@click.argument("mac")
def reboot_phone(mac: str) -> None:
    """Restart a phone whose planned time has come; lines of REBOOT_CRONTAB run this."""
    with _system() as system:
        if not phone_reboots.run_planned(system, mac):
            click.echo("nothing is planned for this phone")


@main.command("migrate-app")
@click.option("--restore", is_flag=True, help="Go back to the older native app.")
def migrate_app(restore: bool) -> None:
    """Move the SIP settings of all mobile apps to the present app."""
    with _system() as system:
        try:
            changed = app_migration.migrate_apps(system, restore=restore)
        except app_migration.NotOnProxy:
            raise click.ClickException(
                "behind a SIP proxy the apps' settings are the proxy's; nothing was changed"
            ) from None
        if changed:
            system.apply.run_waiting()
    click.echo(f"{changed} values changed")


if __name__ == "__main__":
    main()
