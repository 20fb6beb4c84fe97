"""The command line, as an operator types it."""

import json
import stat
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from nethvoice.cli import main
from nethvoice.document import load_document


class Cli:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import os

        for name in [n for n in os.environ if n.startswith("NETHVOICE_")]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(folder)
        self.data = folder / "data"

    def __call__(self, *words: str, code: int = 0, text: str | None = None) -> Result:
        result = CliRunner().invoke(main, list(words), input=text)
        assert result.exit_code == code, result.output
        return result


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, monkeypatch)


def test_init_makes_everything_once(cli: Cli) -> None:
    first = cli("init").output
    assert "made users" in first
    assert "made administrator admin" in first
    for name in ("secret", "admin-password"):
        mode = stat.S_IMODE((cli.data / name).stat().st_mode)
        assert mode == 0o600
    secret = (cli.data / "secret").read_text()
    second = cli("init").output
    assert "made" not in second
    assert (cli.data / "secret").read_text() == secret


def test_administrators(cli: Cli) -> None:
    cli("init")
    cli("admin", "add", "second", "--password-stdin", text="a password\n")
    assert cli("admin", "list").output.split() == ["admin", "second"]
    again = cli("admin", "add", "SECOND", "--password-stdin", text="x\n", code=1)
    assert "there is a FreePBX user second already" in again.output
    cli("admin", "passwd", "second", "--password-stdin", text="another\n")
    unknown = cli("admin", "passwd", "third", "--password-stdin", text="x\n", code=1)
    assert "there is no administrator third" in unknown.output
    empty = cli("admin", "passwd", "second", "--password-stdin", text="\n", code=1)
    assert "the password is empty" in empty.output


def test_config_masks_secrets(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETHVOICE_SECRET", "do-not-show-1")
    monkeypatch.setenv("NETHVOICE_AMI_PASSWORD", "do-not-show-2")
    monkeypatch.setenv("NETHVOICE_DATABASE_URL", "mysql+pymysql://u:do-not-show-3@host/asterisk")
    monkeypatch.setenv("NETHVOICE_PORT", "9999")
    shown = cli("config").output
    assert "do-not-show" not in shown
    assert "NETHVOICE_PORT=9999" in shown
    assert "NETHVOICE_SECRET=********" in shown


def test_bad_settings_are_one_readable_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETHVOICE_PORT", "eighty")
    result = cli("config", code=1)
    assert result.output.startswith("Error: NETHVOICE_PORT:")
    assert "Traceback" not in result.output


def test_doctor(cli: Cli) -> None:
    broken = cli("doctor", code=1).output
    assert "FAIL  shared secret: there is none" in broken
    cli("init")
    well = cli("doctor").output
    assert "ok    administrators: admin" in well
    assert "FAIL" not in well


def test_doctor_on_a_database_that_is_away(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("init")
    url = "mysql+pymysql://u:do-not-show@127.0.0.1:1/asterisk"
    monkeypatch.setenv("NETHVOICE_DATABASE_URL", url)
    output = cli("doctor", code=1).output
    assert "FAIL  database: MariaDB does not answer" in output
    assert "do-not-show" not in output


def test_spec(cli: Cli, tmp_path: Path) -> None:
    assert yaml.safe_load(cli("spec", "print").output) == load_document()
    assert json.loads(cli("spec", "print", "--format", "json").output) == load_document()
    assert cli("spec", "validate").output.startswith("valid: ")
    broken = tmp_path / "broken.yaml"
    broken.write_text("openapi: 3.0.3\ninfo: {title: x}\npaths: {}\n")
    problem = cli("spec", "validate", "broken.yaml", code=1).output
    assert problem == 'Error: info: "version" is a required property\n'


def test_migrating_the_app_changes_nothing_on_an_empty_system(cli: Cli) -> None:
    cli("init")
    assert cli("migrate-app").output == "0 values changed\n"
    assert cli("migrate-app", "--restore").output == "0 values changed\n"


def test_the_app_is_not_migrated_behind_a_proxy(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("init")
    monkeypatch.setenv("PROXY_IP", "10.0.0.1")
    monkeypatch.setenv("PROXY_PORT", "5060")
    assert "behind a SIP proxy" in cli("migrate-app", code=1).output


def test_init_loads_dial_patterns_and_tells_of_a_malformed_file(cli: Cli) -> None:
    cli("init")
    (cli.data / "outbound_locales.yaml").write_text("it: {national: ['0[X']}")
    result = cli("init", code=1)
    assert "outbound_locales.yaml: it, national" in result.output
    assert "Traceback" not in result.output


def test_every_command_loads_and_says_what_it_does(cli: Cli) -> None:
    listed = cli("--help").output
    for name in main.list_commands(click.Context(main)):
        assert f"  {name} " in listed
        assert "Usage:" in cli(name, "--help").output
    assert "No such command" in cli("fly", code=2).output
