"""Holding every answer against the document; on in all tests, off in production."""

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from nethvoice.http.answers import Wire
from nethvoice.http.schemas import Schemas, Validator, first_error

log = logging.getLogger(__name__)


class AnswerNotDeclared(Exception):
    """An answer that the document does not allow."""


class AnswerCheck:
    """What each operation may answer, by status."""

    def __init__(self, document: Mapping[str, Any], schemas: Schemas) -> None:
        self._responses = document.get("components", {}).get("responses", {})
        self._schemas = schemas
        self._known: dict[str, dict[str, dict[str, Validator | None]]] = {}
        for item in document["paths"].values():
            for operation in item.values():
                if isinstance(operation, dict) and "operationId" in operation:
                    self._known[operation["operationId"]] = {
                        str(status): self._content(response)
                        for status, response in operation["responses"].items()
                    }

    def _content(self, response: Mapping[str, Any]) -> dict[str, Validator | None]:
        if "$ref" in response:
            response = self._responses[response["$ref"].rpartition("/")[2]]
        return {
            name: self._schemas.compile(media["schema"]) if "schema" in media else None
            for name, media in response.get("content", {}).items()
        }

    def answer(self, operation: str, answer: Wire) -> None:
        """Raise AnswerNotDeclared unless status, media type and body are declared."""
        declared = self._known.get(operation)
        if declared is None:
            return
        content = declared.get(str(answer.status), declared.get(f"{answer.status // 100}XX"))
        if content is None:
            raise AnswerNotDeclared(f"{operation} may not answer {answer.status}")
        if not answer.body:
            if content:
                raise AnswerNotDeclared(f"{operation} {answer.status} must have a body")
            return
        media_type = dict(answer.headers).get(b"content-type", b"").decode().partition(";")[0]
        if media_type not in content:
            raise AnswerNotDeclared(f"{operation} {answer.status} may not be {media_type!r}")
        validator = content[media_type]
        error = validator and first_error(validator, orjson.loads(answer.body))
        if error:
            raise AnswerNotDeclared(f"{operation} {answer.status}: {error[0]} {error[1]}")
