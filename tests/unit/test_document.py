"""The document and the handlers say the same, and the document says it well."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

import handlers
from codegen.bodies import render_bodies
from nethvoice.document import document_text, load_document
from nethvoice.http.schemas import Schemas, first_error

DOCUMENT = load_document()
METHODS = ("get", "post", "put", "patch", "delete")
FORM = "application/x-www-form-urlencoded"


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, item[method])
        for path, item in DOCUMENT["paths"].items()
        for method in METHODS
        if method in item
    ]


OPERATIONS = [pytest.param(*found, id=found[2]["operationId"]) for found in operations()]


def test_it_is_valid() -> None:
    validate(DOCUMENT)


def test_no_key_is_written_twice() -> None:
    """YAML parsers keep the last one and say nothing."""

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Any:
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"line {node.start_mark.line}: {keys}"
        return yaml.SafeLoader.construct_mapping(loader, node, deep=True)

    class Strict(yaml.SafeLoader):
        pass

    Strict.add_constructor("tag:yaml.org,2002:map", mapping)
    yaml.load(document_text(), Strict)  # noqa: S506 - a safe loader, made stricter


def test_every_handler_is_an_operation_and_every_operation_has_a_handler() -> None:
    declared = {
        (operation["x-openapi-router-controller"], operation["operationId"])
        for _, _, operation in operations()
    }
    written = {
        (f"handlers.{module.name}", name)
        for module in pkgutil.iter_modules(handlers.__path__)
        for name, found in inspect.getmembers(
            importlib.import_module(f"handlers.{module.name}"), inspect.isfunction
        )
        if found.__module__ == f"handlers.{module.name}" and not name.startswith("_")
    }
    assert declared == written


def test_operation_ids_are_unique() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_each_operation_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", operation["operationId"])
    [tag] = operation["tags"]
    assert tag in {known["name"] for known in DOCUMENT["tags"]}
    module = "handlers." + tag.replace("-", "_")
    assert operation["x-openapi-router-controller"] == module
    assert operation["summary"]
    assert not operation["summary"].endswith(".")
    assert len(operation["description"]) > 40
    declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
    assert declared == set(re.findall(r"{(\w+)}", path))
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        assert schema["type"] in ("string", "integer", "boolean")
        if schema["type"] == "string":
            assert {"pattern", "enum", "maxLength"} & set(schema), parameter["name"]
        assert parameter["description"]
    statuses = set(operation["responses"])
    if operation.get("security") != []:
        assert {"403", "429", "500", "503"} <= statuses
    assert any(status.startswith("2") for status in statuses)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_bodies_are_declared_alike(path: str, method: str, operation: dict[str, Any]) -> None:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return
    assert {"400", "413", "415"} <= set(operation["responses"])
    if set(content) == {"multipart/form-data"}:
        return
    schema = content["application/json"]["schema"]
    if schema.get("type") != "array":
        assert content[FORM]["schema"] == schema


def test_integers_that_are_sent_have_bounds() -> None:
    """Beyond 64 bits a number is no integer any more when it has been read."""
    seen: set[str] = set()

    def look(schema: dict[str, Any], where: str) -> None:
        if schema.get("$ref", where) in seen:
            return
        seen.add(schema.get("$ref", where))
        found = SCHEMAS.resolve(schema)
        if found.get("type") == "integer":
            assert "enum" in found or {"minimum", "maximum"} <= set(found), where
        for name, member in found.get("properties", {}).items():
            look(member, f"{where}.{name}")
        for word in ("oneOf", "anyOf", "allOf"):
            for number, part in enumerate(found.get(word, ())):
                look(part, f"{where}/{word}/{number}")
        if "items" in found:
            look(found["items"], f"{where}[]")

    for _, _, operation in operations():
        for media in operation.get("requestBody", {}).get("content", {}).values():
            look(media["schema"], operation["operationId"])
        for parameter in operation.get("parameters", []):
            look(parameter["schema"], f"{operation['operationId']}.{parameter['name']}")


def test_links_lead_somewhere() -> None:
    known = {
        operation["operationId"]: {p["name"] for p in operation.get("parameters", [])}
        for _, _, operation in operations()
    }
    links = [
        link
        for _, _, operation in operations()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert links
    for link in links:
        assert set(link["parameters"]) <= known[link["operationId"]], link


def test_shapes_are_shared_and_typed() -> None:
    """No object without a shape hides in an answer, except where any member may come."""
    for where, schema in _schemas(DOCUMENT["components"]["schemas"], "schemas"):
        if schema.get("type") == "object" and not {"properties", "allOf"} & set(schema):
            assert "additionalProperties" in schema, where
        if schema.get("type") == "array":
            assert schema.get("items"), where


def _schemas(node: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield where, node
        for key, value in node.items():
            if key not in ("example", "examples", "enum", "default"):
                yield from _schemas(value, f"{where}/{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _schemas(value, f"{where}/{number}")


def _examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    components = DOCUMENT["components"]
    for name, schema in components["schemas"].items():
        if "example" in schema:
            yield name, schema, schema["example"]
        for member, part in schema.get("properties", {}).items():
            if "example" in part:
                yield f"{name}.{member}", part, part["example"]
    contents = [(name, found) for name, found in components["responses"].items()]
    for _, _, operation in operations():
        found = [operation.get("requestBody", {}), *operation["responses"].values()]
        contents += [(operation["operationId"], part) for part in found]
        for parameter in operation.get("parameters", []):
            if "example" in parameter:
                place = f"{operation['operationId']}.{parameter['name']}"
                yield place, parameter["schema"], parameter["example"]
    for place, part in contents:
        for media in part.get("content", {}).values():
            if "example" in media:
                yield place, media["schema"], media["example"]
            for name, example in media.get("examples", {}).items():
                yield f"{place}:{name}", media["schema"], example["value"]


EXAMPLES = list(_examples())
SCHEMAS = Schemas(DOCUMENT)


@pytest.mark.parametrize(
    ("schema", "example"), [(s, e) for _, s, e in EXAMPLES], ids=[p for p, _, _ in EXAMPLES]
)
def test_examples_are_true(schema: dict[str, Any], example: Any) -> None:
    assert first_error(SCHEMAS.compile(schema), example) is None


def test_everything_declared_is_used() -> None:
    text = str(DOCUMENT)
    for kind in ("schemas", "responses", "headers"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}'" in text, name
    used = {operation["tags"][0] for _, _, operation in operations()}
    assert used == {tag["name"] for tag in DOCUMENT["tags"]}


def test_the_generated_types_are_up_to_date() -> None:
    bodies = Path(__file__).parents[2] / "nethvoice" / "bodies.py"
    assert bodies.read_text(encoding="utf-8") == render_bodies(DOCUMENT)


def test_generated_types() -> None:
    text = render_bodies(
        {
            "components": {
                "schemas": {
                    "Child": {
                        "allOf": [
                            {"$ref": "#/components/schemas/Parent"},
                            {"type": "object", "properties": {"more": {"type": "boolean"}}},
                        ]
                    },
                    "Parent": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {
                            "id": {"type": "string"},
                            "kind": {"type": "string", "enum": ["a", "b"], "nullable": True},
                            "inner": {"type": "object", "properties": {"x": {"type": "number"}}},
                            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                        },
                    },
                    "Odd": {"type": "object", "properties": {"continue": {"type": "string"}}},
                    "Either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
                }
            }
        }
    )
    space: dict[str, Any] = {}
    exec(compile(text, "bodies", "exec"), space)
    assert set(space["Parent"].__annotations__) == {"id", "kind", "inner", "map"}
    assert "kind: NotRequired[Literal['a', 'b'] | None]" in text
    assert "inner: NotRequired[ParentInner]" in text
    assert "map: NotRequired[dict[str, int]]" in text
    assert "class Child(Parent):" in text
    assert text.index("class Parent") < text.index("class Child")
    assert set(space["Odd"].__annotations__) == {"continue"}
    assert space["Either"] == str | int
