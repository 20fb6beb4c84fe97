"""The clients in other languages, made and installed once in a test run."""

import fcntl
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from codegen import sdk, typescript
from tests.services.base import CACHE, cannot

TOOLS = CACHE / "nethvoice"
FLOWS = Path(__file__).parent / "sdk"


def run(command: list[object], *, cwd: Path | None = None, seconds: float = 300) -> str:
    """Run a command that must succeed; returns what it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def generate(language: str, out: Path, **more: object) -> Path:
    """What `nethvoice sdk LANGUAGE` writes."""
    options = [part for name, value in more.items() for part in (f"--{name}", value)]
    run([sys.executable, "-m", "nethvoice.cli", "sdk", language, "--out", out, *options])
    return out


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker process to want it makes, for all of them."""
    base = factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    folder = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def python_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client in `sdk`, installed into the fresh environment `venv`."""

    def make(folder: Path) -> None:
        generate("python", folder / "sdk")
        venv.create(folder / "venv", with_pip=True)
        pip = [folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, folder / "sdk"])

    return once(tmp_path_factory, "python-sdk", make)


@pytest.fixture(scope="session")
def npm_tools() -> Path:
    """The folder with the pinned npm tools."""
    try:
        return typescript.installed_tools(TOOLS)
    except sdk.MissingTool as error:
        cannot(str(error))


@pytest.fixture(scope="session")
def typescript_sdk(tmp_path_factory: pytest.TempPathFactory, npm_tools: Path) -> Path:
    """A folder with the client in `sdk`, installed into the npm project `app`."""

    def make(folder: Path) -> None:
        generate("typescript", folder / "sdk", cache=TOOLS)
        app = folder / "app"
        app.mkdir()
        (app / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
        package = run(["npm", "pack", "--silent", "../sdk"], cwd=app).strip()
        npm = ["npm", "install", "--prefer-offline", "--no-audit", "--no-fund"]
        run([*npm, f"./{package}"], cwd=app)

    return once(tmp_path_factory, "typescript-sdk", make)


def compiled(typescript_sdk: Path, npm_tools: Path, source: str, name: str, *flags: str) -> Path:
    """A TypeScript program compiled with all strictness in the project that has the SDK."""
    app = typescript_sdk / "app"
    (app / f"{name}.ts").write_text(source, encoding="utf-8")
    strict = ["--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"]
    target = ["--target", "es2022", "--module", "nodenext"]
    run([npm_tools / "node_modules/.bin/tsc", *strict, *target, *flags, f"{name}.ts"], cwd=app)
    return app / f"{name}.js"
