"""The document against the last released one, and the checker that compares them."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from codegen.compatibility import breaking_changes, is_allowed
from nethvoice.document import load_document

RELEASED = Path(__file__).parents[2] / "openapi" / "released"
Document = dict[str, Any]


def version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.stem.split("."))


def test_nothing_that_is_released_breaks() -> None:
    """A change of the document must leave clients of the last release working, or raise the major
    version. A new release adds its copy: `make release-spec`."""
    last = max(RELEASED.glob("*.yaml"), key=version)
    released = yaml.load(last.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    assert released["info"]["version"] == last.stem
    document = load_document()
    assert is_allowed(released, document), "\n".join(breaking_changes(released, document))


DOCUMENT: Document = yaml.safe_load(r"""
info: {version: 1.2.0}
paths:
  /pens/{pen}:
    parameters:
      - {name: pen, in: path, required: true, schema: {type: string, pattern: '^[0-9]+$'}}
    get:
      operationId: get_pen
      security: []
      parameters:
        - {name: full, in: query, schema: {type: string, enum: ['yes', 'no']}}
      responses:
        '200':
          content: {application/json: {schema: {$ref: '#/components/schemas/Pen'}}}
        '404': {description: none}
    post:
      operationId: set_pen
      requestBody:
        content:
          application/json: {schema: {$ref: '#/components/schemas/NewPen'}}
          application/x-www-form-urlencoded: {schema: {$ref: '#/components/schemas/NewPen'}}
      responses: {'204': {description: done}}
    delete:
      operationId: delete_pen
      responses: {'200': {description: done}}
components:
  schemas:
    Pen:
      type: object
      required: [id, ink]
      properties:
        id: {type: string}
        ink: {type: string, enum: [blue, red]}
        level: {type: integer}
        caps: {type: array, items: {$ref: '#/components/schemas/Pen'}}
        maker: {oneOf: [{type: string}, {type: integer}]}
    Base: {type: object, required: [ink], properties: {ink: {type: string, maxLength: 9}}}
    NewPen:
      allOf:
        - {$ref: '#/components/schemas/Base'}
        - type: object
          properties:
            width: {type: number, minimum: 0, nullable: true}
            colour: {type: string, enum: [a, b]}
            tags: {type: array, items: {type: string}}
            maker: {oneOf: [{type: string, pattern: '^x'}, {type: integer}]}
""")


def edited(*path: str | int, to: Any = None) -> Callable[[Document], None]:
    """An edit: sets what is at the path, or removes it."""

    def edit(document: Document) -> None:
        node: Any = document
        for key in path[:-1]:
            node = node[key]
        if to is None:
            del node[path[-1]]
        else:
            node[path[-1]] = to

    return edit


PEN = ("components", "schemas", "Pen")
BASE = ("components", "schemas", "Base")
NEW = ("components", "schemas", "NewPen", "allOf", 1)
PATH = ("paths", "/pens/{pen}")
TEXT = {"type": "string"}

BREAKING = [
    ("DELETE /pens/{pen}: removed", edited(*PATH, "delete")),
    ("GET /pens/{pen}: removed", edited(*PATH)),
    ("operationId get_pen is now read_pen", edited(*PATH, "get", "operationId", to="read_pen")),
    ("needs authentication now", edited(*PATH, "get", "security")),
    ("parameter full removed", edited(*PATH, "get", "parameters", 0, "name", to="whole")),
    ("parameter full is required now", edited(*PATH, "get", "parameters", 0, "required", to=True)),
    ("parameter full: no longer 'no'", edited(*PATH, "get", "parameters", 0, "schema", "enum", 1)),
    (
        "parameter pen: pattern ^[0-9]+$ is now ^[0-9]{2}$",
        edited(*PATH, "parameters", 0, "schema", "pattern", to="^[0-9]{2}$"),
    ),
    (
        "parameter size is new and required",
        edited(
            *PATH, "delete", "parameters",
            to=[{"name": "size", "in": "query", "required": True, "schema": TEXT}],
        ),
    ),
    ("no longer answers 204", edited(*PATH, "post", "responses", to={"200": {}})),
    (
        "no longer application/x-www-form-urlencoded",
        edited(*PATH, "post", "requestBody", "content", "application/x-www-form-urlencoded"),
    ),
    ("the body is required now", edited(*PATH, "post", "requestBody", "required", to=True)),
    ("the body is no longer read", edited(*PATH, "post", "requestBody")),
    (
        "a body is required now",
        edited(*PATH, "delete", "requestBody", to={"required": True, "content": {}}),
    ),
    (
        "has a body now",
        edited(*PATH, "delete", "responses", "200", "content", to={"application/json": {}}),
    ),
    ("200.level: removed", edited(*PEN, "properties", "level")),
    ("200.ink: may be missing now", edited(*PEN, "required", to=["id"])),
    ("200.ink: now also 'green'", edited(*PEN, "properties", "ink", "enum", 1, to="green")),
    ("200.ink: any value now", edited(*PEN, "properties", "ink", "enum")),
    ("200.level: integer is now string", edited(*PEN, "properties", "level", "type", to="string")),
    ("200.level: integer is now number", edited(*PEN, "properties", "level", "type", to="number")),
    ("200.id: null is possible now", edited(*PEN, "properties", "id", "nullable", to=True)),
    (
        "200.maker: an alternative is new or wider",
        edited(*PEN, "properties", "maker", "oneOf", to=[TEXT, {"type": "boolean"}]),
    ),
    ("body.width: required now", edited(*NEW, "required", to=["width"])),
    ("body.width: removed", edited(*NEW, "properties", "width")),
    ("body.width: null is refused now", edited(*NEW, "properties", "width", "nullable")),
    ("body.width: number is now integer", edited(*NEW, "properties", "width", "type", to="integer")),  # noqa: E501
    ("body.width: minimum is now 1", edited(*NEW, "properties", "width", "minimum", to=1)),
    ("body.colour: no longer 'b'", edited(*NEW, "properties", "colour", "enum", to=["a", "c"])),
    ("body.ink: maxLength is now 8", edited(*BASE, "properties", "ink", "maxLength", to=8)),
    ("body.ink: minLength is now 1", edited(*BASE, "properties", "ink", "minLength", to=1)),
    ("body.ink: only listed values now", edited(*BASE, "properties", "ink", "enum", to=["a"])),
    (
        "body.tags[]: pattern None is now ^a",
        edited(*NEW, "properties", "tags", "items", "pattern", to="^a"),
    ),
    ("body: other members are refused now", edited(*NEW, "additionalProperties", to=False)),
    (
        "body.maker: an alternative is gone or narrower",
        edited(*NEW, "properties", "maker", "oneOf", to=[{"type": "integer"}]),
    ),
]  # fmt: skip

HARMLESS = [
    edited("paths", "/caps", to={"get": {"operationId": "list_caps", "responses": {}}}),
    edited(*PATH, "get", "summary", to="another text"),
    edited(*PATH, "get", "responses", "404"),
    edited(*PATH, "get", "parameters", 0, "schema", "enum", to=["yes", "no", "maybe"]),
    edited(*PATH, "get", "parameters", 0, "schema", "enum"),
    edited(*PATH, "parameters", 0, "schema", "pattern"),
    edited(*PEN, "properties", "more", to=TEXT),
    edited(*PEN, "properties", "ink", "enum", to=["blue"]),
    edited(*PEN, "required", to=["id", "ink", "level"]),
    edited(*PEN, "properties", "maker", "oneOf", to=[TEXT]),
    edited(*NEW, "properties", "more", to=TEXT),
    edited(*NEW, "properties", "width", "minimum"),
    edited(*NEW, "properties", "colour", "enum", to=["a", "b", "c"]),
    edited(*BASE, "required", to=[]),
    edited(*BASE, "properties", "ink", "maxLength", to=90),
    edited(*NEW, "properties", "maker", "oneOf", to=[TEXT, {"type": "integer"}, {"type": "array"}]),
]


@pytest.mark.parametrize(("told", "edit"), BREAKING, ids=[told for told, _ in BREAKING])
def test_what_breaks_is_told(told: str, edit: Callable[[Document], None]) -> None:
    changed = copy.deepcopy(DOCUMENT)
    edit(changed)
    found = breaking_changes(DOCUMENT, changed)
    assert any(told in line for line in found), found
    assert not is_allowed(DOCUMENT, changed)
    changed["info"]["version"] = "2.0.0"
    assert is_allowed(DOCUMENT, changed)


@pytest.mark.parametrize("edit", HARMLESS)
def test_what_breaks_nothing_is_not(edit: Callable[[Document], None]) -> None:
    changed = copy.deepcopy(DOCUMENT)
    edit(changed)
    assert changed != DOCUMENT
    assert breaking_changes(DOCUMENT, changed) == []
