"""docs/five-minutes.md, block by block, on one service that has just been started."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Process
from tests.services.base import CACHE
from tests.snippets import at_port, run_shell, snippets

STORY = snippets("docs/five-minutes.md")


class Place:
    """A folder as a clone with a running service is: its data, and the command in `.venv`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        command = folder / ".venv/bin/nethvoice"
        command.parent.mkdir(parents=True)
        root = Path(__file__).parents[2]
        command.write_text(
            f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m nethvoice.cli "$@"\n'
        )
        command.chmod(0o755)

    def run(self, snippet: str) -> str:
        return run_shell(at_port(snippet, self.port), self.folder, 300)

    def save(self, name: str, snippet: str) -> None:
        (self.folder / name).write_text(at_port(snippet, self.port), encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("clone")
    nothing_set = {"DATA_DIR": folder / "data", "SECRET": "", "ADMIN_PASSWORD": ""}
    with Process(folder / "log", **nothing_set) as server:
        yield Place(folder, server.port)


def test_credentials_and_curl(place: Place) -> None:
    secrets = [(place.folder / "data" / name).read_text() for name in ("admin-password", "secret")]
    assert place.run(STORY["credentials"]) == "".join(secrets)
    shown = place.run(STORY["curl"])
    assert '"default_extension":"200"' in shown
    assert '"mac":"00:15:65:AA:BB:CC"' in shown


def test_python(place: Place) -> None:
    place.run(STORY["python-sdk"])
    place.save("build/sdk/grace.py", STORY["python"])
    said = place.run("build/sdk/venv/bin/python build/sdk/grace.py").splitlines()
    assert "200 already in use" in said[0]
    assert said[1].startswith("201 00:15:65:AA:BB:DD ")


def test_typescript(place: Place, npm_tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert npm_tools.parent == CACHE / "nethvoice"
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(CACHE))
    place.run(STORY["typescript-sdk"])
    place.save("build/sdk/app/linus.ts", STORY["typescript"])
    said = place.run(STORY["typescript-run"]).splitlines()
    assert "200 already in use" in said[0]
    assert said[1].startswith("202 00:15:65:AA:BB:EE ")
