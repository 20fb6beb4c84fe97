"""Compiled validators of the document's schemas.

OpenAPI 3.0 schemas are a dialect of JSON Schema Draft 4; they are converted once at start and
compiled by jsonschema-rs, which validates a body in microseconds.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from nethvoice.http.answers import JSON

_NAMED = ("properties", "patternProperties")
_DROPPED = {"example", "examples", "xml", "externalDocs", "discriminator", "nullable"}
_VERBATIM = ("enum", "required", "default")

Validator = jsonschema_rs.Draft4Validator
Schema = dict[str, Any]


class Schemas:
    """The components of a document, and validators for schemas that refer to them."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._raw: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
        self._components = {name: _convert(schema) for name, schema in self._raw.items()}

    def compile(self, schema: Schema) -> Validator:
        """A validator for the schema, `$ref` and `nullable` as OpenAPI has them."""
        converted = _convert(schema)
        needed: dict[str, Any] = {}
        self._collect(converted, needed)
        return Validator(
            {"allOf": [converted], "components": {"schemas": needed}}, validate_formats=False
        )

    def _collect(self, converted: Any, needed: dict[str, Any]) -> None:
        """The components that a schema refers to: a validator keeps a copy of all it is given."""
        if isinstance(converted, list):
            for part in converted:
                self._collect(part, needed)
        elif isinstance(converted, dict):
            reference = converted.get("$ref")
            name = reference.rpartition("/")[2] if isinstance(reference, str) else None
            if name is not None and name not in needed:
                needed[name] = self._components[name]
                self._collect(needed[name], needed)
            for part in converted.values():
                self._collect(part, needed)

    def resolve(self, schema: Schema) -> Schema:
        """The schema itself, behind any number of `$ref`."""
        while "$ref" in schema:
            schema = self._raw[schema["$ref"].rpartition("/")[2]]
        return schema

    def members(self, schema: Schema) -> dict[str, Schema]:
        """The properties of an object schema, those of its `allOf` parts included."""
        schema = self.resolve(schema)
        found: dict[str, Schema] = {}
        for part in schema.get("allOf", ()):
            found |= self.members(part)
        own: dict[str, Schema] = schema.get("properties", {})
        return found | own


def _convert(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_convert(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema and not schema.get("nullable"):
        return {"$ref": schema["$ref"]}
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _DROPPED or key.startswith("x-"):
            continue
        if key in _NAMED:
            result[key] = {name: _convert(part) for name, part in value.items()}
        else:
            result[key] = value if key in _VERBATIM else _convert(value)
    if schema.get("nullable") is True:
        _allow_null(result)
    return result


def _allow_null(schema: dict[str, Any]) -> None:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if "enum" in schema and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    combined = {
        key: schema.pop(key) for key in ("allOf", "oneOf", "anyOf", "$ref") if key in schema
    }
    if combined:
        parts = [{key: value} for key, value in combined.items()]
        schema["anyOf"] = [{"enum": [None]}, {"allOf": parts}]


def first_error(validator: Validator, value: Any) -> tuple[str, str] | None:
    """Where the value is wrong (a JSON pointer) and how, in few words; None when it is right."""
    if validator.is_valid(value):
        return None
    error = next(_errors(validator, value))
    path = [str(part) for part in error.instance_path]
    if _kind(error) == "Required":
        path.append(error.kind.property)  # the place is that of the missing member
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    return pointer, _words(error)


def _kind(error: Any) -> str:
    return type(error.kind).__name__.rpartition("_")[2]


def _errors(validator: Validator, value: Any) -> Iterator[Any]:
    found: Iterator[Any] = validator.iter_errors(value)
    return found


def _words(error: Any) -> str:
    """The error without the value, which may be a secret or very long."""
    kind = error.kind
    texts: dict[str, Callable[[], str]] = {
        "Required": lambda: "is required",
        "Type": lambda: f"must be {_types(kind.types)}",
        "Pattern": lambda: "has characters or a form that are not allowed",
        "Enum": lambda: "must be one of: " + ", ".join(str(v) for v in kind.options),
        "MaxLength": lambda: f"must not be longer than {kind.limit} characters",
        "MinLength": lambda: f"must not be shorter than {kind.limit} characters",
        "Maximum": lambda: f"must not be greater than {kind.limit}",
        "Minimum": lambda: f"must not be less than {kind.limit}",
        "MaxItems": lambda: f"must not have more than {kind.limit} elements",
        "MinItems": lambda: f"must not have fewer than {kind.limit} elements",
    }
    text = texts.get(_kind(error))
    return text() if text else "is not of an allowed form"


def _types(types: list[str]) -> str:
    return " or ".join(sorted(str(kind) for kind in types if kind != "null"))


def is_json(media_type: str) -> bool:
    """True for media types whose body is JSON."""
    return media_type == JSON.decode().partition(";")[0] or media_type.endswith("+json")
