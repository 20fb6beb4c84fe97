"""The document that client generators read, derived from the published one.

Names stay as they are. What differs is what generators stumble over or what a client does not
choose: one media type a body (JSON before forms), successes only (failures are raised by the
client in one way for all operations), no members of our own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

ANY_ERROR = "NethVoiceError"
"""The class of all errors in the clients."""

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """A failure that an operation declares: its status (or `4XX`), the error's name, its cause."""

    status: str
    error: str
    when: str


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of everything that a document offers, in its order."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def generation_document(document: Document) -> dict[str, Any]:
    """A new document for generators; the published one is left as it is."""
    derived: dict[str, Any] = _without_extensions(document)
    everywhere = derived.get("security", [])
    components = derived.get("components", {})
    components.pop("headers", None)
    for item in derived["paths"].values():
        shared = item.pop("parameters", [])
        for method in METHODS:
            if method in item:
                operation = item[method]
                operation.setdefault("security", deepcopy(everywhere))
                parameters = [*shared, *operation.get("parameters", [])]
                if parameters:
                    operation["parameters"] = [
                        _described(resolve(document, parameter)) for parameter in parameters
                    ]
                if "requestBody" in operation:
                    operation["requestBody"] = _one_form(operation["requestBody"])
                operation["responses"] = {
                    status: _answer(document, answer)
                    for status, answer in operation["responses"].items()
                    if str(status).startswith("2")
                }
    components.pop("responses", None)
    components.pop("parameters", None)
    _keep_apart(components.get("schemas", {}))
    return derived


def failures(document: Document) -> dict[str, list[Failure]]:
    """What every operation can fail with, by operationId, ordered by status."""
    names = error_names(document)
    found: dict[str, list[Failure]] = {}
    for _, _, operation in operations(document):
        found[operation["operationId"]] = [
            Failure(
                status,
                names[int(status)] if status.isdigit() else ANY_ERROR,
                " ".join(resolve(document, answer)["description"].split()),
            )
            for status, answer in sorted(_failing(operation))
        ]
    return found


def error_names(document: Document) -> dict[int, str]:
    """A name for every failing status: that of the response most operations share, else HTTP's."""
    used: dict[int, Counter[str]] = {}
    for _, _, operation in operations(document):
        for status, answer in _failing(operation):
            if status.isdigit():
                shared = used.setdefault(int(status), Counter())
                shared.update([answer["$ref"].rpartition("/")[2]] if "$ref" in answer else [])
    return {
        status: min(shared, key=lambda name: (-shared[name], name)) if shared else _phrase(status)
        for status, shared in sorted(used.items())
    }


def _failing(operation: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    answers = ((str(status), answer) for status, answer in operation["responses"].items())
    return [(status, answer) for status, answer in answers if status[0] in "45"]


def _phrase(status: int) -> str:
    phrase = HTTPStatus(status).phrase.replace("'", "")
    return "".join(word.capitalize() for word in phrase.replace("-", " ").split())


def resolve(document: Document, part: Mapping[str, Any]) -> dict[str, Any]:
    """The part itself, or what its reference names."""
    found: Any = part
    while "$ref" in found:
        target = found["$ref"]
        found = document
        for key in target.removeprefix("#/").split("/"):
            found = found[key.replace("~1", "/").replace("~0", "~")]
    return dict(found)


def _keep_apart(schemas: Mapping[str, dict[str, Any]]) -> None:
    """Generators name the values of `Mode.result` `ModeResult`; say otherwise if that is taken."""
    for name, schema in schemas.items():
        for key, member in schema.get("properties", {}).items():
            camel = "".join(word[:1].upper() + word[1:] for word in key.split("_"))
            if name + camel in schemas and "$ref" not in member:
                member["title"] = f"{camel}Value"


def _one_form(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with a single media type; forms are for those who cannot write JSON."""
    content = body["content"]
    kept = "application/json" if "application/json" in content else next(iter(content))
    return {**body, "content": {kept: {"schema": content[kept]["schema"]}}}


def _answer(document: Document, answer: Mapping[str, Any]) -> dict[str, Any]:
    """A success without headers and examples, written out where it stands."""
    resolved = _without_extensions(resolve(document, answer))
    simple: dict[str, Any] = {"description": resolved["description"]}
    if "content" in resolved:
        simple["content"] = {
            media: {"schema": content.get("schema", {})}
            for media, content in resolved["content"].items()
        }
    return simple


def _described(parameter: dict[str, Any]) -> dict[str, Any]:
    """Generators write what the schema says, so it says what the parameter says."""
    parameter = _without_extensions(parameter)
    schema = parameter.get("schema", {})
    if "$ref" not in schema:
        schema.setdefault("description", parameter.get("description", ""))
    return parameter


def _without_extensions(part: Any, *, named: bool = False) -> Any:
    """A copy without `x-...`; the members of a `named` mapping are names of somebody's choosing."""
    if isinstance(part, Mapping):
        return {
            key: _copied(key, value, named)
            for key, value in part.items()
            if named or not str(key).startswith("x-")
        }
    if isinstance(part, list):
        return [_without_extensions(value) for value in part]
    return part


_NAMED = {"properties", "schemas", "responses", "parameters", "headers", "paths"}
_AS_IT_IS = {"example", "examples", "default", "enum"}


def _copied(key: Any, value: Any, named: bool) -> Any:
    if not named and key in _AS_IT_IS:
        return deepcopy(value)
    return _without_extensions(value, named=not named and key in _NAMED)
