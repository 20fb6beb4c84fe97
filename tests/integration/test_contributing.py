"""docs/contributing.md, walked in a copy of the source tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nethvoice.cli import main

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
STEPS = dict(re.findall(r"<!-- walk: ([\w./-]+) -->\n```\w+\n(.*?)```", GUIDE, re.DOTALL))
OPERATION = "get_extension_ring_time"


class Tree:
    """A copy of the tree, and the commands of a person who works in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "golden")
        for name in ("codegen", "handlers", "nethvoice", "openapi", "provisioning", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """The commands of a shell snippet, with the Python that runs the tests."""
        tools = Path(sys.executable).parent
        command = command.replace("nethvoice scaffold", "python -m nethvoice.cli scaffold")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        return subprocess.run(
            ["sh", "-eu", "-c", command],
            cwd=self.folder,
            env={**environment, "PATH": f"{tools}:{os.environ['PATH']}"},
            capture_output=True,
            check=False,
            text=True,
            timeout=240,
        )

    def change(self, name: str, before: str, after: str) -> None:
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, (name, before, text)
        path.write_text(text.replace(before, after), encoding="utf-8")


def test_the_guide(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "tree")
    document = "openapi/nethvoice.yaml"
    tree.change(document, "\ncomponents:\n", f"\n{STEPS['paths']}\ncomponents:\n")
    tree.change(document, "\n  schemas:\n", f"\n  schemas:\n{STEPS['schemas']}\n")

    made = tree.run(STEPS["commands"])
    assert made.returncode == 0, made.stderr
    assert "wrote handlers/extensions.py" in made.stdout
    assert "wrote tests/contract/test_extensions.py" in made.stdout
    for check in ("ruff check handlers tests/contract", "ruff format --check handlers tests"):
        checked = tree.run(check)
        assert checked.returncode == 0, checked.stdout

    failing = tree.run(STEPS["test"])
    assert "2 failed" in failing.stdout or "1 failed, 1 passed" in failing.stdout, failing.stdout
    assert "NotImplementedError" in failing.stdout

    domain = tree.folder / "nethvoice/pbx/ring_times.py"
    domain.write_text(STEPS["nethvoice/pbx/ring_times.py"], encoding="utf-8")
    handler = "handlers/extensions.py"
    tree.change(handler, f'    raise NotImplementedError("{OPERATION}")\n', STEPS["handler"])
    tree.change(
        handler,
        "from nethvoice.pbx import extensions\n",
        "from nethvoice.pbx import extensions, ring_times\n",
    )
    answer = '    answer = service.call("GET", "/extensions/200/ringtime")\n'
    tree.change("tests/contract/test_extensions.py", answer, STEPS["given"] + answer)
    passing = tree.run(STEPS["test"])
    assert passing.returncode == 0, passing.stdout
    assert "2 passed" in passing.stdout
    again = tree.run(f"nethvoice scaffold {OPERATION}")
    assert "has its handler and its test already" in again.stderr


@pytest.mark.parametrize(
    ("operation", "module"),
    [
        ("set_voicemail", "voicemails"),
        ("create_trunk", "trunks"),
        ("remove_outbound_route_trunk", "outbound_routes"),
        ("set_bulk_settings", "bulk"),
        ("list_voip_codecs", "trunks"),
    ],
)
def test_every_kind_of_operation_begins_well(tmp_path: Path, operation: str, module: str) -> None:
    """In an empty tree, so that files are made: what comes out is sound Python, well formatted."""
    shutil.copytree(ROOT / "openapi", tmp_path / "openapi")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "handlers").mkdir()
    (tmp_path / "tests" / "contract").mkdir(parents=True)
    done = CliRunner().invoke(main, ["scaffold", operation, "--root", str(tmp_path)])
    assert done.exit_code == 0, done.output
    handler = tmp_path / "handlers" / f"{module}.py"
    written = (ROOT / "handlers" / f"{module}.py").read_text(encoding="utf-8")
    signature = re.search(rf"def {operation}\((.*?)\) ->", written, re.DOTALL)
    scaffolded = re.search(rf"def {operation}\((.*?)\) ->", handler.read_text(), re.DOTALL)
    assert signature is not None
    assert scaffolded is not None
    assert scaffolded[1].split() == signature[1].split()
    tree = Tree.__new__(Tree)
    tree.folder = tmp_path
    checked = tree.run("ruff format -q . && ruff check .")
    assert checked.returncode == 0, checked.stdout


def test_what_cannot_be_scaffolded(tmp_path: Path) -> None:
    unknown = CliRunner().invoke(main, ["scaffold", "no_such_thing", "--root", str(ROOT)])
    assert unknown.exit_code == 1
    assert "has no operation no_such_thing" in unknown.output
    elsewhere = CliRunner().invoke(main, ["scaffold", "get_user", "--root", str(tmp_path)])
    assert "is no source tree" in elsewhere.output
