"""The linter from npm: it passes, and it bites."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.services.base import cannot

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "lint-spec"


def lint(document: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), str(document)],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("", "", ""),
        ("      summary: List all users\n", "", "operation-summary"),
        ("tags: [users]", "tags: [people]", "operation-tag-defined"),
        ("      example: {name: yealink-T46}", "      example: {name: 7}", "schema-examples"),
    ],
)
def test_the_document_is_linted(tmp_path: Path, before: str, after: str, rule: str) -> None:
    if shutil.which("npm") is None:
        cannot("npm is not installed")
    text = (ROOT / "openapi" / "nethvoice.yaml").read_text(encoding="utf-8")
    assert before in text
    document = tmp_path / "document.yaml"
    document.write_text(text.replace(before, after, 1), encoding="utf-8")
    done = lint(document)
    if not rule:
        assert done.returncode == 0, done.stdout + done.stderr
        return
    assert done.returncode == 1
    assert rule in done.stdout + done.stderr


def test_without_npm_it_is_skipped_but_not_in_ci(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "sed"):
        (tools / name).symlink_to(str(shutil.which(name)))
    path = {"PATH": str(tools)}
    skipped = lint(ROOT / "openapi" / "nethvoice.yaml", NETHVOICE_REQUIRE_SERVICES="", **path)
    assert skipped.returncode == 0
    assert "is not linted" in skipped.stderr
    required = lint(ROOT / "openapi" / "nethvoice.yaml", NETHVOICE_REQUIRE_SERVICES="1", **path)
    assert required.returncode == 1
