"""Modules: operations of an installation's own, dropped into the folder `MODULES_DIR`.

A module NAME is two files: `NAME.yaml`, an OpenAPI fragment, and `NAME.py`, whose functions are its
operations. At start the fragments are merged into the document; from there on their operations are
bound, authenticated and validated as the built-in ones are. See docs/modules.md.
"""

import copy
import importlib.util
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator

from nethvoice.document import load_document
from nethvoice.settings import Settings, SettingsError

PACKAGE = "nethvoice_modules"
"""Where the Python modules are found once they are loaded: `nethvoice_modules.NAME`."""

_METHODS = ("get", "post", "put", "patch", "delete")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_KEYS = {"openapi", "info", "tags", "paths", "components"}
_ALWAYS = {
    "403": "Forbidden",
    "429": "TooManyRequests",
    "500": "InternalError",
    "503": "Unavailable",
}
_WITH_BODY = {"413": "ContentTooLarge"}
_WITH_READ_BODY = {"400": "BadRequest", "415": "UnsupportedMediaType"}

Document = dict[str, Any]


class ModuleError(SettingsError):
    """A module that cannot be taken in; the service does not start."""


def served_document(settings: Settings) -> Document:
    """The document that is served: the built-in one with all modules merged into it.

    Raises ModuleError, which names the module and what is wrong with it.
    """
    document = load_document()
    found = _find(settings.modules_dir)
    for name, file in found.items():
        _merge(document, name, _fragment(name, file))
    if found:
        _validate(document)
    for name, file in found.items():
        _check_functions(document, name, _load(name, file.with_suffix(".py")))
    return document


def load_modules(settings: Settings) -> list[str]:
    """Import the Python modules, so that the tables they define are known; returns their names."""
    found = _find(settings.modules_dir)
    for name, file in found.items():
        _load(name, file.with_suffix(".py"))
    return list(found)


# --- files ----------------------------------------------------------------------------------------


def _find(folder: Path | None) -> dict[str, Path]:
    """The fragments of a folder by the names of their modules."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ModuleError(f"MODULES_DIR: {folder} is not a folder")
    found = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    alone = {file.stem for file in folder.glob("*.py")} - set(found)
    if alone:
        raise ModuleError(f"module {min(alone)}: there is no {min(alone)}.yaml beside its Python")
    for name, file in found.items():
        code = file.with_suffix(".py")
        if not _NAME.fullmatch(name):
            raise ModuleError(f"module {name}: its name must be a Python name in lower case")
        if not code.is_file():
            raise ModuleError(f"module {name}: there is no {code.name} beside its fragment")
        for path in (folder, file, code):
            if path.stat().st_mode & stat.S_IWOTH:
                raise ModuleError(f"module {name}: everybody may write {path}")
    return found


def _fragment(name: str, file: Path) -> Document:
    try:
        fragment = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModuleError(f"module {name}: {file.name} cannot be read: {error}") from None
    if not isinstance(fragment, dict) or not isinstance(fragment.get("paths"), dict):
        raise ModuleError(f"module {name}: {file.name} has no paths")
    unknown = set(fragment) - _KEYS
    if unknown:
        raise ModuleError(f"module {name}: {min(unknown)} has no place in a fragment")
    return fragment


def _load(name: str, code: Path) -> ModuleType:
    full_name = f"{PACKAGE}.{name}"
    loaded = sys.modules.get(full_name)
    if loaded is not None and loaded.__file__ == str(code):
        return loaded
    package = sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE, "The modules of MODULES_DIR."))
    package.__path__ = []
    spec = importlib.util.spec_from_file_location(full_name, code)
    assert spec is not None  # noqa: S101 - it is a file that ends in .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[full_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[full_name]
        raise ModuleError(f"module {name}: {code.name} cannot be loaded: {error!r}") from error
    setattr(package, name, module)
    return module


# --- merging --------------------------------------------------------------------------------------


def _merge(document: Document, name: str, fragment: Document) -> None:
    known = {op["operationId"]: path for path, _, op in _operations(document)}
    for path, method, operation in _operations(fragment):
        operation_id = str(operation.get("operationId"))
        if operation_id in known:
            raise ModuleError(
                f"module {name}: operationId {operation_id} is used by {known[operation_id]}"
            )
        known[operation_id] = path
        _complete(name, method, operation)
    others = list(document["paths"])
    for path, item in fragment["paths"].items():
        _merge_path(document["paths"], others, name, path, item)
    for kind, components in (fragment.get("components") or {}).items():
        present = document["components"].setdefault(kind, {})
        for key, component in components.items():
            if key in present:
                raise ModuleError(f"module {name}: components.{kind}.{key} is there already")
            present[key] = component
    tags = {tag["name"] for tag in document["tags"]}
    for tag in fragment.get("tags") or []:
        if tag["name"] in tags:
            raise ModuleError(f"module {name}: the tag {tag['name']} is there already")
        document["tags"].append(tag)


def _complete(name: str, method: str, operation: Document) -> None:
    """Name the Python module, and add what every operation can answer."""
    controller = f"{PACKAGE}.{name}"
    if operation.setdefault("x-openapi-router-controller", controller) != controller:
        raise ModuleError(f"module {name}: operations of a module are bound to its own Python")
    responses = operation.setdefault("responses", {})
    usual = dict(_ALWAYS)
    if method != "get":
        usual |= _WITH_BODY
    if "requestBody" in operation:
        usual |= _WITH_READ_BODY
    for status, response in usual.items():
        responses.setdefault(status, {"$ref": f"#/components/responses/{response}"})


def _merge_path(paths: Document, others: list[str], name: str, path: str, item: Document) -> None:
    present = paths.get(path)
    if present is None:
        for other in others:
            if _overlap(path, other):
                raise ModuleError(f"module {name}: {path} would take requests of {other}")
        paths[path] = copy.deepcopy(item)
        return
    for key, value in item.items():
        if key in present:
            raise ModuleError(f"module {name}: {key.upper()} {path} is there already")
        present[key] = value


def _overlap(one: str, other: str) -> bool:
    """True when a request can fit both path templates."""
    ours, theirs = one.split("/"), other.split("/")
    return len(ours) == len(theirs) and all(
        a == b or a.startswith("{") or b.startswith("{") for a, b in zip(ours, theirs, strict=True)
    )


def _validate(document: Document) -> None:
    for error in OpenAPIV30SpecValidator(document).iter_errors():
        place = "/".join(str(part) for part in error.absolute_path)
        raise ModuleError(f"modules: the merged document is wrong at {place}: {error.message}")


def _check_functions(document: Document, name: str, module: ModuleType) -> None:
    for path, method, operation in _operations(document):
        if operation["x-openapi-router-controller"] != f"{PACKAGE}.{name}":
            continue
        if not callable(getattr(module, operation["operationId"], None)):
            raise ModuleError(
                f"module {name}: {name}.py has no function {operation['operationId']}"
                f" for {method.upper()} {path}"
            )


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in (item or {}):
                yield path, method, item[method]
