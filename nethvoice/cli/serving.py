"""Serving: the API, device files, the LDAP phonebook."""

import os
from pathlib import Path
from tempfile import mkdtemp

import click
import uvicorn
import uvloop

from nethvoice import __version__, first_start, logs
from nethvoice.ldap.run import LdapService
from nethvoice.settings import PREFIX, Settings, load_settings
from nethvoice.system import System
from provisioning.tftp import process as tftp_process


@click.command()
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


@click.command()
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


@click.command("ldap")
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
