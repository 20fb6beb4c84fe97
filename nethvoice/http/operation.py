"""One operation, prepared at start: bind, validate, call the handler, answer.

It takes the place of connexion's own final operation, which builds decorators, parsers and
validators anew for every request.
"""

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from connexion.operations.abstract import AbstractOperation
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nethvoice.answers import Answer
from nethvoice.context import current_request
from nethvoice.http.answers import JSON, Headers, Wire, encode, send_answer
from nethvoice.http.bodies import FORM, LIMIT, MISSING, MULTIPART, BodyReader, read_raw
from nethvoice.http.checks import AnswerCheck
from nethvoice.http.schemas import Schema, Schemas, Validator, first_error
from nethvoice.http.threads import HandlerThreads
from nethvoice.http.uploads import UploadFolder, UploadReader
from nethvoice.problems import Problem, bad_request, not_found

log = logging.getLogger(__name__)

_INTEGER = re.compile(r"-?[0-9]{1,18}")


class BindingError(Exception):
    """The document and a handler do not fit together; the service does not start."""


class Parameter:
    """A path or query parameter: its text becomes a value of its schema's type."""

    def __init__(self, schemas: Schemas, parameter: Mapping[str, Any]) -> None:
        self.name = str(parameter["name"])
        self.place = str(parameter["in"])
        self.required = bool(parameter.get("required"))
        self._schema: Schema = schemas.resolve(parameter["schema"])
        self._validator: Validator = schemas.compile(parameter["schema"])
        self.default = self._schema.get("default")
        # A path that no operation could have is unknown, unless the contract says otherwise.
        usual = 404 if self.place == "path" else 400
        self._mismatch = int(parameter.get("x-mismatch-status", usual))

    def value(self, text: str) -> Any:
        """The value. Raises Problem 404 or 400 when it does not fit."""
        value: Any = text
        kind = self._schema.get("type")
        if kind == "integer" and _INTEGER.fullmatch(text):
            value = int(text)
        elif kind == "boolean" and text in ("true", "false"):
            value = text == "true"
        error = first_error(self._validator, value)
        if error is None:
            return value
        if self._mismatch == 404:
            raise not_found(f"{self.name} in the path {error[1]}")
        raise bad_request(f"{self.name} {error[1]}", parameter=self.name)


class Operation:
    """An operation of the document with its handler."""

    def __init__(
        self,
        operation: AbstractOperation,
        published: Mapping[str, Any],
        schemas: Schemas,
        injected: Mapping[str, object],
        *,
        threads: HandlerThreads,
        uploads: UploadFolder,
        check: AnswerCheck | None,
    ) -> None:
        self.name = str(published["operationId"])
        self._handler: Callable[..., Any] = operation.function
        is_async = inspect.iscoroutinefunction(self._handler)
        self._call: Callable[..., Awaitable[Any]] = (
            self._handler if is_async else partial(threads.run, self._handler)
        )
        self._parameters = [Parameter(schemas, p) for p in published.get("parameters", ())]
        self._body = _reader(schemas, published, uploads)
        self._required = bool(published.get("requestBody", {}).get("required"))
        self._validator = _body_validator(schemas, published)
        self._status = _success_status(published)
        self._injected = injected
        self._check = check
        self._problem_lists: Sequence[str] = published.get("x-problem-lists", ())
        self._fixed: Headers = []
        if published.get("x-no-store"):
            self._fixed.append((b"cache-control", b"no-store"))
        self._wanted = self._bind()

    def _bind(self) -> tuple[str, ...]:
        """Compare the handler's signature with the document; the names of what is injected."""
        signature = inspect.signature(self._handler)
        names = set(signature.parameters)
        wanted = tuple(sorted(names & set(self._injected)))
        expected = {p.name for p in self._parameters} | ({"body"} if self._body else set())
        if names - set(wanted) != expected:
            raise BindingError(
                f"{self._handler.__module__}.{self._handler.__name__} takes {sorted(names)}, "
                f"but {self.name} has {sorted(expected)}"
            )
        for parameter in signature.parameters.values():
            if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                raise BindingError(f"{self.name}: {parameter.name} must be keyword-only")
        return wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["nethvoice.operation"] = self.name
        arguments = self._path_and_query(scope)
        if self._body is not None:
            try:
                arguments["body"] = await self._read_body(self._body, scope, receive)
            except Problem as problem:
                # Clients of some operations look at lists that the handler would have filled.
                for name in self._problem_lists:
                    problem.members.setdefault(name, [problem.detail] if name == "errors" else [])
                raise
        elif scope["method"] not in ("GET", "HEAD"):
            await read_raw(scope, receive)
        for name in self._wanted:
            arguments[name] = self._injected[name]
        try:
            result = await self._call(**arguments)
        finally:
            if isinstance(self._body, UploadReader):
                await self._body.discard(arguments["body"])
        if isinstance(result, Response):
            await result(scope, receive, send)
            return
        answer = self._answer(result)
        if self._check is not None:
            self._check.answer(self.name, answer)
        await send_answer(send, answer, with_body=scope["method"] != "HEAD")

    def _path_and_query(self, scope: Scope) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        path: Mapping[str, str] = scope["path_params"]
        query: dict[str, str] | None = None
        for parameter in self._parameters:
            if parameter.place == "path":
                arguments[parameter.name] = parameter.value(path[parameter.name])
                continue
            if query is None:
                text = scope["query_string"].decode("latin-1")
                query = dict(parse_qsl(text, keep_blank_values=True))
            if parameter.name in query:
                arguments[parameter.name] = parameter.value(query[parameter.name])
            elif parameter.required:
                raise bad_request(f"{parameter.name} is required", parameter=parameter.name)
            else:
                arguments[parameter.name] = parameter.default
        return arguments

    async def _read_body(
        self, reader: BodyReader | UploadReader, scope: Scope, receive: Receive
    ) -> Any:
        body = await reader.read(scope, receive)
        if body is MISSING:
            if self._required:
                raise bad_request("a body is required")
            body = [] if reader.is_array else {}
        assert self._validator is not None  # noqa: S101 - made together with the reader
        if isinstance(reader, UploadReader):
            error = first_error(self._validator, reader.plain(body))
            if error is not None:
                await reader.discard(body)
        else:
            error = first_error(self._validator, body)
        if error is not None:
            where, text = error
            place = where.lstrip("/").replace("/", ".")
            raise bad_request(f"{place} {text}" if place else f"the body {text}", pointer=where)
        return body

    def _answer(self, result: Any) -> Wire:
        headers: Headers = [*self._fixed]
        status: int | None = None
        if isinstance(result, Answer):
            headers += [
                (key.lower().encode("latin-1"), value.encode("latin-1"))
                for key, value in result.headers.items()
            ]
            result, status = result.data, result.status
        elif isinstance(result, tuple):
            result, status = result
        request = current_request.get()
        if request is not None and request.apply_task is not None:
            headers.append((b"x-apply-task", request.apply_task.encode()))
        if request is not None and request.task is not None:
            headers.append((b"x-task", request.task.encode()))
        if result is None:
            return Wire(status or self._status, b"", headers)
        headers.append((b"content-type", JSON))
        return Wire(status or self._status, encode(result), headers)


def _reader(
    schemas: Schemas, published: Mapping[str, Any], uploads: UploadFolder
) -> BodyReader | UploadReader | None:
    content = published.get("requestBody", {}).get("content")
    if not content:
        return None
    if MULTIPART in content:
        return UploadReader(uploads, int(content[MULTIPART].get("x-max-bytes", LIMIT)))
    first = next(iter(content.values()))
    return BodyReader(schemas, first["schema"])


def _body_validator(schemas: Schemas, published: Mapping[str, Any]) -> Validator | None:
    content = published.get("requestBody", {}).get("content")
    if not content:
        return None
    forms = {FORM, "application/json"}
    known = [media for name, media in content.items() if name in forms] or [*content.values()]
    if any(media["schema"] != known[0]["schema"] for media in known):
        raise BindingError(f"{published['operationId']}: all media types must have one schema")
    return schemas.compile(known[0]["schema"])


def _success_status(published: Mapping[str, Any]) -> int:
    found = sorted(int(status) for status in published["responses"] if status.startswith("2"))
    if not found:
        raise BindingError(f"{published['operationId']} has no success status")
    return found[0]
