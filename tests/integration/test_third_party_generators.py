"""Generators that other people use take the document."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.portable_document import portable_document
from nethvoice.document import load_document
from tests.sdks import run

DOCUMENT = Path(__file__).parents[2] / "openapi/nethvoice.yaml"
TOOL = Path(sys.executable).parent / "openapi-generator-cli"

# Said at most once in a run, and of no schema that could be found by its name.
UNNAMED = "ModelUtils - Failed to get the schema name: null"


def test_datamodel_code_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pydantic models import, and hold the document's own examples."""
    command = [sys.executable, "-m", "datamodel_code_generator", "--input", DOCUMENT]
    command += ["--input-file-type", "openapi", "--output", tmp_path / "generated_models.py"]
    command += ["--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin"]
    command += ["--strict-nullable"]
    run(command, cwd=tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    models = importlib.import_module("generated_models")
    schemas = load_document()["components"]["schemas"]
    checked = 0
    for name, schema in schemas.items():
        if "example" in schema and "properties" in schema:
            getattr(models, name).model_validate(schema["example"])
            checked += 1
    assert checked > 50


def needs_java() -> None:
    if shutil.which("java") is None:
        pytest.skip("openapi-generator needs Java")


def said(*arguments: object) -> str:
    """What openapi-generator prints, warnings among it."""
    command = [str(part) for part in (TOOL, *arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_openapi_generator_validates_the_published_document() -> None:
    needs_java()
    assert "No validation issues detected." in said("validate", "-i", DOCUMENT)


@pytest.mark.parametrize(("language", "client"), [("go", "client.go"), ("java", "pom.xml")])
def test_openapi_generator(language: str, client: str, tmp_path: Path) -> None:
    """Not a warning about the schemas of the document that `spec print --portable` gives."""
    needs_java()
    source = tmp_path / "portable.json"
    source.write_text(json.dumps(portable_document(load_document())), encoding="utf-8")
    printed = said("generate", "-i", source, "-g", language, "-o", tmp_path / "out")
    lines = printed.splitlines()
    warnings = [line for line in lines if " WARN " in line or " ERROR " in line]
    assert [line for line in warnings if UNNAMED not in line] == []
    assert (tmp_path / "out" / client).exists()
