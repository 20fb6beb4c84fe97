"""The types of all bodies, written from the document's schemas.

Every object schema becomes a TypedDict of the same name; an object inside another one is named
after its place (`UserDevices`). What a TypedDict cannot say (lengths, patterns) is left to the
validators.
"""

import keyword
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_HEADER = '''"""Types of request and response bodies.

Written by `python -m codegen` from openapi/nethvoice.yaml; change that instead.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from nethvoice.uploads import UploadedFile
'''


def render_bodies(document: Mapping[str, Any]) -> str:
    """The text of `nethvoice/bodies.py`. The same document gives the same text."""
    schemas: Mapping[str, Schema] = document.get("components", {}).get("schemas", {})
    writer = _Writer(schemas)
    for name in _parents_first(schemas):
        writer.add(name, schemas[name])
    return _HEADER + "".join(writer.classes + writer.aliases)


def _parents_first(schemas: Mapping[str, Schema]) -> list[str]:
    """Names in the document's order, but a base class before the classes that extend it."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        for part in schemas[name].get("allOf", ()):
            if "$ref" in part:
                visit(_target(part))
        ordered.append(name)

    for name in schemas:
        visit(name)
    return ordered


class _Writer:
    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas
        self.classes: list[str] = []
        self.aliases: list[str] = []  # evaluated at import, so after the classes

    def add(self, name: str, schema: Schema) -> None:
        """Append the definition of one named schema, those it contains before it."""
        if not _is_object(schema):
            expression = self._type(schema, name)
            self.aliases.append(f"\n\n{name} = {expression}\n{_docstring(schema, '')}")
            return
        bases, own, required = self._members(schema)
        fields = {key: self._field(name, key, value, key in required) for key, value in own.items()}
        plain = all(key.isidentifier() and not keyword.iskeyword(key) for key in fields)
        if plain:
            body = _docstring(schema, "    ")
            body += "".join(f"    {key}: {text}\n" for key, text in fields.items())
            head = ", ".join(bases or ["TypedDict"])
            self.classes.append(f"\n\nclass {name}({head}):\n{body or '    pass' + chr(10)}")
            return
        if bases:
            raise ValueError(f"{name}: member names that Python cannot write, in an allOf")
        items = "".join(f"        {key!r}: {text!r},\n" for key, text in fields.items())
        self.classes.append(f"\n\n{name} = TypedDict(\n    {name!r},\n    {{\n{items}    }},\n)\n")

    def _members(self, schema: Schema) -> tuple[list[str], dict[str, Schema], set[str]]:
        bases: list[str] = []
        own: dict[str, Schema] = dict(schema.get("properties", {}))
        required = set(schema.get("required", ()))
        for part in schema.get("allOf", ()):
            if "$ref" in part:
                bases.append(_target(part))
                continue
            _, members, needed = self._members(part)
            own |= members
            required |= needed
        inherited = {key for base in bases for key in self._all_members(self._schemas[base])}
        return bases, {k: v for k, v in own.items() if k not in inherited}, required

    def _all_members(self, schema: Schema) -> Iterator[str]:
        yield from schema.get("properties", {})
        for part in schema.get("allOf", ()):
            target = self._schemas[_target(part)] if "$ref" in part else part
            yield from self._all_members(target)

    def _field(self, owner: str, key: str, schema: Schema, required: bool) -> str:
        text = self._type(schema, owner + _camel(key))
        return text if required else f"NotRequired[{text}]"

    def _type(self, schema: Schema, name: str) -> str:
        """The type expression of a schema; an object is written out under `name` first."""
        text = self._bare_type(schema, name)
        return f"{text} | None" if schema.get("nullable") and text != "Any" else text

    def _bare_type(self, schema: Schema, name: str) -> str:
        reference = _reference(schema)
        if reference is not None:
            return reference if _is_object(self._schemas[reference]) else self._alias(reference)
        if _is_object(schema):
            self.add(name, schema)
            return name
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices:
            return self._union(choices, name)
        if "enum" in schema:
            values = [value for value in schema["enum"] if value is not None]
            return "Literal[" + ", ".join(repr(value) for value in values) + "]"
        return self._plain_type(schema, name)

    def _plain_type(self, schema: Schema, name: str) -> str:
        kind = str(schema.get("type"))
        if kind == "array":
            return f"list[{self._type(schema.get('items', {}), name)}]"
        if kind == "object":
            values = schema.get("additionalProperties")
            inner = self._type(values, name + "Value") if isinstance(values, dict) else "Any"
            return f"dict[str, {inner}]"
        if schema.get("format") == "binary":
            return "UploadedFile"
        return _SCALARS.get(kind, "Any")

    def _alias(self, name: str) -> str:
        """A schema that is no object, spelled out: an alias could be used before it is defined."""
        return self._type(self._schemas[name], name)

    def _union(self, choices: list[Schema], name: str) -> str:
        objects = sum(_is_object(choice) for choice in choices)
        found: list[str] = []
        for number, choice in enumerate(choices, 1):
            own = f"{name}{number}" if objects > 1 else f"{name}Object"
            for text in self._type(choice, own).split(" | "):
                if text not in found:
                    found.append(text)
        return " | ".join(sorted(found, key=lambda text: text == "None"))


_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


def _reference(schema: Schema) -> str | None:
    """The component that a schema is, also where `allOf` is only there to hold the reference."""
    parts = schema.get("allOf", [])
    if len(parts) == 1 and "$ref" in parts[0] and "properties" not in schema:
        schema = parts[0]
    return _target(schema) if "$ref" in schema else None


def _is_object(schema: Schema) -> bool:
    return "allOf" in schema or "properties" in schema


def _target(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _camel(key: str) -> str:
    words = "".join(char if char.isalnum() else " " for char in key).split()
    return "".join(word[:1].upper() + word[1:] for word in words)


def _docstring(schema: Schema, indent: str) -> str:
    text = " ".join(str(schema.get("description", "")).split())
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    if text.endswith('"'):
        text += " "
    return f'{indent}"""{text}"""\n' if text else ""
