"""What the README tells people to type works as it stands there."""

import os
import re
import signal
import subprocess
from functools import partial
from pathlib import Path

import click
import httpx
import pytest

from nethvoice.cli import main
from nethvoice.settings import Settings
from tests.processes import Process, free_port
from tests.services.base import cannot
from tests.snippets import at_port, run_shell, snippets
from tests.support import BASE, PASSWORD, SECRET, eventually, headers

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = snippets("README.md")


def run(snippet: str, folder: Path, port: int) -> str:
    """Run a shell snippet against the service at `port`; returns what it prints."""
    return run_shell(at_port(snippet, port), folder)


@pytest.fixture
def fresh(tmp_path: Path) -> Process:
    """A service as `make run` starts it: nothing is set, everything is made."""
    return Process(tmp_path / "log", DATA_DIR=tmp_path / "data", SECRET="", ADMIN_PASSWORD="")


def test_first_person_first_phone(fresh: Process, tmp_path: Path) -> None:
    with fresh:
        printed = run(SNIPPETS["first-person"], tmp_path, fresh.port)
        assert printed == '{"extension":"200"}'
        shown = run(SNIPPETS["first-person"].split("api $API")[0] + "api $API/users/ada", tmp_path,
                    fresh.port)  # fmt: skip
    assert '"default_extension":"200"' in shown
    assert '"mac":"00:15:65:AA:BB:CC"' in shown


def _started(log: Path) -> bool:
    return "running on" in log.read_text()


def test_make_run(tmp_path: Path) -> None:
    """The first of the two commands, with the variables it honours; again, it keeps the data."""
    if not (ROOT / ".venv" / ".installed").exists():
        cannot("there is no .venv: the tests were not started by `make test`")
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NETHVOICE_")}
    environment |= {
        "PORT": str(port),
        "DATA_DIR": str(tmp_path / "data"),
        "NETHVOICE_ADMIN_PASSWORD": PASSWORD,
        "NETHVOICE_SECRET": SECRET,
    }
    for turn in (1, 2):
        log = tmp_path / f"log{turn}"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["make", "run"], cwd=ROOT, env=environment, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}{BASE}", headers=headers()) as http:
                eventually(partial(_started, log), 120)
                person = {"username": "ada", "fullname": "Ada Rossi"}
                if turn == 1:
                    assert http.post("/users", json=person).status_code == 201
                assert http.get("/users/count").json() == 1
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
        printed = log.read_text()
        assert f"API       http://127.0.0.1:{port}{BASE}\n" in printed
        assert f"console   http://127.0.0.1:{port}{BASE}/ui/\n" in printed
        assert "secret    NETHVOICE_SECRET\n" in printed
        assert "TFTP      port" in printed
        assert "admin     admin, first password as set in NETHVOICE_ADMIN_PASSWORD\n" in printed


def test_every_snippet_is_run() -> None:
    """On every page: a test module that reads the page uses each of its marked blocks."""
    tests = [path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")]
    for page in ["README.md", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]:
        readers = [text for text in tests if f'snippets("{page}")' in text]
        for name in snippets(page):
            assert any(f'["{name}"]' in text for text in readers), (page, name)


def test_the_settings_table_is_complete() -> None:
    table = README.split("## Settings")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", " ".join(cells)))
    assert named == {name.upper() for name in Settings.model_fields}


def test_the_command_table_is_complete() -> None:
    table = README.split("## Command line")[1].split("\n## ")[0]
    named = set(re.findall(r"`nethvoice ([\w-]+)", table))
    assert named == set(main.list_commands(click.Context(main)))


def test_files_that_the_readme_names_exist() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[)#]", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), (page.name, target)
    assert "NETHVOICE_CONFIG" in (ROOT / "docs" / "nethvoice.service").read_text(encoding="utf-8")
