"""What the clients of all languages are made with."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codegen.generation_document import (
    ANY_ERROR,
    Document,
    error_names,
    failures,
    operations,
    resolve,
)

NAME = "nethvoice-sdk"
"""Of the packages, in every language."""

_SHARED = 1 / 4


class MissingTool(Exception):
    """A generator, or what it runs on, is not installed; the text says how to get it."""


class GenerationFailed(Exception):
    """A generator did not take the document, or the folder is not ours to write to."""


def facts(document: Document) -> dict[str, Any]:
    """What templates may say about the API, beside what generators tell them.

    Failures that at least a quarter of all operations share are in `common_failures`, to be said
    once; `failures` holds the others, by operationId.
    """
    names = error_names(document)
    declared = failures(document)
    counts = Counter(failure for found in declared.values() for failure in found)
    common = [one for one, count in counts.items() if count >= _SHARED * len(declared)]
    return {
        "title": document["info"]["title"],
        "version": document["info"]["version"],
        "license": document["info"]["license"]["name"],
        "name": NAME,
        "any_error": ANY_ERROR,
        "error_names": names,
        "error_meanings": {status: _meaning(document, name) for status, name in names.items()},
        "common_failures": sorted(common, key=lambda failure: failure.status),
        "failures": {
            key: [failure for failure in found if failure not in common]
            for key, found in declared.items()
        },
        "answers": {
            operation["operationId"]: {
                str(status): " ".join(resolve(document, answer)["description"].split())
                for status, answer in operation["responses"].items()
                if str(status).startswith("2")
            }
            for _, _, operation in operations(document)
        },
        "tags": _by_tag(document),
    }


def _meaning(document: Document, name: str) -> str:
    shared = document.get("components", {}).get("responses", {})
    text = shared[name]["description"] if name in shared else "As HTTP says."
    return " ".join(text.split())


def _by_tag(document: Document) -> list[tuple[Mapping[str, Any], list[dict[str, Any]]]]:
    """Every tag that has operations, with them, in the document's order."""
    described = {tag["name"]: tag for tag in document.get("tags", [])}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in described}
    for _, _, operation in operations(document):
        found.setdefault(operation["tags"][0], []).append(operation)
    return [(described.get(name, {"name": name}), group) for name, group in found.items() if group]


def body_description(document: Document, operation: Mapping[str, Any]) -> str:
    """What is sent with an operation, in words; empty when nothing is."""
    if "requestBody" not in operation:
        return ""
    body = operation["requestBody"]
    schema = resolve(document, next(iter(body["content"].values()))["schema"])
    return " ".join((body.get("description") or schema.get("description") or "").split())


@contextmanager
def placed(out: Path, *, marker: str) -> Iterator[Path]:
    """A folder to generate into, whose entries replace those of `out` when all went well.

    `out` must be new, empty, or hold an SDK from before (told by its file `marker`); what it holds
    besides is left alone.
    """
    if out.is_dir() and any(out.iterdir()):
        file = out / marker
        if not file.is_file() or f'"{NAME}"' not in file.read_text(encoding="utf-8"):
            raise GenerationFailed(f"{out} is not empty and holds no {NAME}: name another folder")
    with tempfile.TemporaryDirectory(prefix="nethvoice-sdk-") as name:
        folder = Path(name) / "sdk"
        folder.mkdir()
        yield folder
        out.mkdir(parents=True, exist_ok=True)
        for entry in sorted(folder.iterdir()):
            target = out / entry.name
            if target.is_dir():
                shutil.rmtree(target)
            shutil.move(entry, target)
