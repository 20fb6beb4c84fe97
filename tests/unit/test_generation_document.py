"""What generators are given: the published document, simplified, with all its names."""

import copy
from typing import Any

import pytest
from openapi_spec_validator import validate

from codegen.generation_document import (
    Failure,
    error_names,
    failures,
    generation_document,
    operations,
)
from codegen.portable_document import portable_document
from nethvoice.document import load_document

DOCUMENT = load_document()


def small(**operation: Any) -> dict[str, Any]:
    """A document with one operation."""
    base = {"operationId": "do_it", "tags": ["t"], "responses": {"200": {"description": "Done."}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "T", "version": "1"},
        "security": [{"key": []}],
        "paths": {"/it": {"post": {**base, **operation}}},
        "components": {"schemas": {}, "responses": {}},
    }


def operation_of(document: dict[str, Any]) -> dict[str, Any]:
    [(_, _, operation)] = operations(document)
    return operation


@pytest.mark.parametrize("derive", [generation_document, portable_document])
def test_names_stay_and_the_published_document_is_not_touched(derive: Any) -> None:
    before = copy.deepcopy(DOCUMENT)
    derived = derive(DOCUMENT)
    assert before == DOCUMENT
    validate(derived)
    assert [(p, m, o["operationId"]) for p, m, o in operations(derived)] == [
        (p, m, o["operationId"]) for p, m, o in operations(DOCUMENT)
    ]
    assert list(derived["components"]["schemas"]) == list(DOCUMENT["components"]["schemas"])
    for _, _, operation in operations(derived):
        assert len(operation.get("requestBody", {"content": {"": {}}})["content"]) == 1
        assert all(status.startswith("2") for status in operation["responses"])


def test_extensions_go_and_members_that_look_like_them_stay() -> None:
    schema = {
        "type": "object",
        "x-note": 1,
        "properties": {"x-real": {"type": "string", "x-note": 1}},
        "example": {"x-real": "kept"},
    }
    document = small(**{"x-controller": "handlers.it"})
    document["components"]["schemas"]["It"] = schema
    derived = generation_document(document)
    assert "x-controller" not in operation_of(derived)
    assert derived["components"]["schemas"]["It"] == {
        "type": "object",
        "properties": {"x-real": {"type": "string"}},
        "example": {"x-real": "kept"},
    }


def test_json_is_chosen_before_forms_and_forms_before_nothing() -> None:
    def chosen(*media: str) -> list[str]:
        content = {one: {"schema": {"type": "object"}} for one in media}
        derived = generation_document(small(requestBody={"content": content}))
        return list(operation_of(derived)["requestBody"]["content"])

    form = "application/x-www-form-urlencoded"
    assert chosen(form, "application/json") == ["application/json"]
    assert chosen("multipart/form-data") == ["multipart/form-data"]


def test_who_needs_headers_is_said_by_every_operation() -> None:
    assert operation_of(generation_document(small()))["security"] == [{"key": []}]
    assert operation_of(generation_document(small(security=[])))["security"] == []


def test_errors_are_named_by_the_response_most_share() -> None:
    document = small(
        responses={
            "200": {"description": "Done."},
            "404": {"$ref": "#/components/responses/NotFound"},
            "418": {"description": "It is\n a teapot."},
            "4XX": {"description": "Something."},
        }
    )
    document["components"]["responses"]["NotFound"] = {"description": "There is none."}
    assert error_names(document) == {404: "NotFound", 418: "ImATeapot"}
    assert failures(document)["do_it"] == [
        Failure("404", "NotFound", "There is none."),
        Failure("418", "ImATeapot", "It is a teapot."),
        Failure("4XX", "NethVoiceError", "Something."),
    ]


def test_names_that_generators_would_give_twice_are_kept_apart() -> None:
    member = {"type": "string", "enum": ["a", "b"]}
    schemas = {
        "Mode": {"type": "object", "properties": {"result": member}},
        "ModeResult": {"type": "object", "properties": {"result": member}},
    }
    document = small()
    document["components"]["schemas"] = schemas
    derived = generation_document(document)["components"]["schemas"]
    assert derived["Mode"]["properties"]["result"]["title"] == "ResultValue"
    assert "title" not in derived["ModeResult"]["properties"]["result"]


def test_a_portable_value_has_one_type() -> None:
    union = {"description": "A number.", "oneOf": [{"type": "string"}, {"type": "integer"}]}
    schemas = {
        "Sent": {"type": "object", "properties": {"number": union}},
        "Answered": {"type": "object", "properties": {"number": union}},
    }
    reference = {"schema": {"$ref": "#/components/schemas/Sent"}}
    answer = {"schema": {"$ref": "#/components/schemas/Answered"}}
    document = small(
        requestBody={"content": {"application/json": reference}},
        responses={"200": {"description": "Done.", "content": {"application/json": answer}}},
    )
    document["components"]["schemas"] = schemas
    derived = portable_document(document)["components"]["schemas"]
    assert derived["Sent"]["properties"]["number"] == {"type": "string", "description": "A number."}
    assert derived["Answered"]["properties"]["number"] == {"description": "A number."}
    assert "oneOf" not in str(portable_document(DOCUMENT))
