"""The Python SDK: installed like any package, driving a live server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.generation_document import operations
from nethvoice.document import load_document
from tests.processes import Process
from tests.sdks import FLOWS, generate, run
from tests.support import ADMIN, BASE, PASSWORD

FLOW = FLOWS / "flow.py"
DOCUMENT = load_document()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_an_integrators_program(python_sdk: Path, tmp_path: Path) -> None:
    with Process(tmp_path / "log", DATA_DIR=tmp_path / "data") as server:
        url = f"http://127.0.0.1:{server.port}{BASE}"
        python = python_sdk / "venv/bin/python"
        steps = run([python, "-W", "error", FLOW, url, ADMIN, PASSWORD]).split()
    assert steps[:1] == ["people"]
    assert steps[-1] == "concurrently"


def test_the_program_and_the_sdk_are_strictly_typed(python_sdk: Path, tmp_path: Path) -> None:
    """In the SDK too: what mypy finds in installed packages it keeps to itself."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from nethvoice_sdk import Client\n"
        "with Client('http://127.0.0.1', 'u', 'p') as api:\n"
        "    api.get_user(7)\n"
        "    name: int = api.get_user('ada').username\n",
        encoding="utf-8",
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", ""]
    mypy += ["--cache-dir", str(tmp_path / "cache")]
    mypy += ["--python-executable", str(python_sdk / "venv/bin/python")]
    run([*mypy, FLOW, python_sdk / "sdk/nethvoice_sdk"], cwd=tmp_path)
    refused = subprocess.run(
        [*mypy, wrong], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert "2 errors" in refused.stdout
    assert "arg-type" in refused.stdout


def test_every_operation_is_a_method_with_its_documentation(python_sdk: Path) -> None:
    program = (
        "import inspect, json, nethvoice_sdk as sdk\n"
        "print(json.dumps([{name: inspect.getdoc(method) for name, method in vars(kind).items()"
        " if not name.startswith('_')} for kind in (sdk.Client, sdk.AsyncClient)]))"
    )
    both = json.loads(run([python_sdk / "venv/bin/python", "-c", program]))
    wanted = {operation["operationId"]: operation for _, _, operation in operations(DOCUMENT)}
    helpers = {"wait_for_task", "wait_until_applied"}
    for methods, close in zip(both, ("close", "aclose"), strict=True):
        assert set(methods) == set(wanted) | helpers | {close}
        for name, operation in wanted.items():
            assert methods[name].startswith(operation["summary"][:60])
            assert operation["description"].split()[0] in methods[name]


def test_generating_again_gives_the_same_bytes(
    python_sdk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other hashes of texts, among settings that would change the style, and over an older
    SDK, of which nothing stays; what somebody else put beside it does."""
    (tmp_path / "ruff.toml").write_text("line-length = 40\n[format]\nquote-style = 'single'\n")
    (tmp_path / ".gitignore").write_text("*\n")
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    out = tmp_path / "out"
    (out / "nethvoice_sdk").mkdir(parents=True)
    (out / "nethvoice_sdk/stale.py").touch()
    (out / "pyproject.toml").write_text('[project]\nname = "nethvoice-sdk"\n')
    (out / "notes.txt").write_text("mine")
    generate("python", out)
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    built = ("build/", "nethvoice_sdk.egg-info/")  # by pip, when it installed the first one
    first = contents(python_sdk / "sdk")
    assert contents(out) == {n: data for n, data in first.items() if not n.startswith(built)}


def test_other_peoples_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    with pytest.raises(AssertionError, match="is not empty and holds no nethvoice-sdk"):
        generate("python", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


@pytest.mark.parametrize(
    ("prepare", "language", "said"),
    [
        ("sys.modules['openapi_python_client'] = None", "python", "pip install '.[sdk]'"),
        ("os.environ['PATH'] = '/nowhere'", "typescript", "apt-get install nodejs npm"),
    ],
)
def test_missing_tools_are_named(prepare: str, language: str, said: str, tmp_path: Path) -> None:
    program = (
        f"import os, sys; {prepare}; from nethvoice.cli import main; "
        f"main(['sdk', {language!r}, '--out', {str(tmp_path / 'out')!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
