"""The document for generators of languages that have no unions, such as Go and Java.

The service takes numbers as texts and the like, and some answers are a text or `false`. Here a
value of several types is of the first one where it is only sent, and of any where it is answered.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from codegen.generation_document import Document, generation_document, operations

_BINARY = {"type": "string", "format": "binary"}


def portable_document(document: Document) -> dict[str, Any]:
    """A new document with one type a value; names and paths are those of the published one."""
    derived = generation_document(document)
    schemas = derived["components"]["schemas"]
    answered: set[str] = set()
    sent: set[str] = set()
    for _, _, operation in operations(derived):
        _collect(operation["responses"], schemas, answered)
        _collect(operation.get("requestBody", {}), schemas, sent)
    for name, schema in schemas.items():
        schemas[name] = _without_unions(schema, only_sent=name in sent - answered)
    lists = {name: one for name, one in schemas.items() if one.get("type") == "array"}
    for schema in schemas.values():
        _write_out(schema, lists)
    for _, _, operation in operations(derived):
        operation["responses"] = _without_unions(operation["responses"], only_sent=False)
        if "requestBody" in operation:
            _name_the_file(operation["requestBody"], schemas)
    return derived


def _collect(part: Any, schemas: Mapping[str, Any], found: set[str]) -> None:
    """Add the names of all schemas that a part leads to."""
    for name in _references(part):
        if name not in found:
            found.add(name)
            _collect(schemas[name], schemas, found)


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        part = list(part.values())
    if isinstance(part, list):
        for value in part:
            yield from _references(value)


def _without_unions(part: Any, *, only_sent: bool) -> Any:
    if isinstance(part, list):
        return [_without_unions(value, only_sent=only_sent) for value in part]
    if not isinstance(part, Mapping):
        return part
    choices = part.get("oneOf") or part.get("anyOf")
    if isinstance(choices, list):
        described = {key: part[key] for key in ("description",) if key in part}
        if not only_sent:
            return described
        first = _without_unions(choices[0], only_sent=True)
        return first if "$ref" in first else {**first, **described}
    return {key: _without_unions(value, only_sent=only_sent) for key, value in part.items()}


def _write_out(schema: Mapping[str, Any], lists: Mapping[str, Any]) -> None:
    """Lists that have a name are written out where they are members: openapi-generator warns."""
    members = schema.get("properties", {})
    for key, member in members.items():
        name = str(member.get("$ref", "")).rpartition("/")[2]
        members[key] = lists.get(name, member)


def _name_the_file(body: Mapping[str, Any], schemas: dict[str, Any]) -> None:
    """A form with a file under any name becomes one with the file `file`."""
    for media, content in body["content"].items():
        name = str(content["schema"].get("$ref", "")).rpartition("/")[2]
        if media == "multipart/form-data" and "properties" not in schemas.get(name, _BINARY):
            schema = schemas[name]
            schema.pop("additionalProperties", None)
            schema["properties"] = {"file": dict(_BINARY)}
