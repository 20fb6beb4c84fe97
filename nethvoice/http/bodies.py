"""Reading request bodies: JSON and forms, in the variants that clients really send."""

import re
from typing import Any
from urllib.parse import parse_qsl

import orjson
from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError
from starlette.types import Receive, Scope

from nethvoice.http.schemas import Schema, Schemas, is_json
from nethvoice.problems import Problem, bad_request

LIMIT = 10 * 1024 * 1024
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_FIELDS = 1000

_TRUE = {"1", "true", "on", "yes"}
_FALSE = {"0", "false", "off", "no", ""}
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")

MISSING: Any = object()


def header(scope: Scope, name: bytes) -> str | None:
    """A request header's last value."""
    found = None
    for key, value in scope["headers"]:
        if key == name:
            found = value.decode("latin-1")
    return found


async def read_raw(scope: Scope, receive: Receive) -> bytes:
    """The whole body. Raises Problem 413 above 10 MiB, unread when its length is told."""
    length = header(scope, b"content-length")
    if length is not None and length.isdigit() and int(length) > LIMIT:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise bad_request("the client went away")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > LIMIT:
            raise _too_large()
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large() -> Problem:
    return Problem(
        413,
        "Content too large",
        f"the body is larger than {LIMIT} bytes",
        headers={"Connection": "close"},
    )


class BodyReader:
    """Reads the bodies of one operation into the form that its schema expects."""

    def __init__(self, schemas: Schemas, schema: Schema) -> None:
        self._schemas = schemas
        self._schema = schemas.resolve(schema)
        self.is_array = self._schema.get("type") == "array"
        self._members = schemas.members(schema)

    async def read(self, scope: Scope, receive: Receive) -> Any:
        """The body as data, `MISSING` when none was sent. Raises Problem 400, 413, 415."""
        raw = await read_raw(scope, receive)
        if not raw:
            return MISSING
        content_type = header(scope, b"content-type") or "application/json"
        media_type, _, parameters = content_type.partition(";")
        media_type = media_type.strip().lower()
        if is_json(media_type):
            return self._json(raw)
        if media_type == FORM:
            return self._form(_parse_urlencoded(raw))
        if media_type == MULTIPART:
            return self._form(_parse_multipart(raw, f"{MULTIPART};{parameters}"))
        raise Problem(
            415,
            "Unsupported media type",
            f"the body must be application/json or {FORM}, not {media_type[:80]}",
        )

    def _json(self, raw: bytes) -> Any:
        try:
            body = orjson.loads(raw.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            raise bad_request(f"the body is not JSON: {error}") from None
        if isinstance(body, dict):
            # null is the same as missing, except where the schema gives it a meaning.
            return {
                key: value
                for key, value in body.items()
                if value is not None or self._nullable(key)
            }
        return body

    def _nullable(self, name: str) -> bool:
        schema = self._members.get(name)
        return schema is None or _takes_null(self._schemas, schema)

    def _form(self, pairs: list[tuple[str, str]]) -> Any:
        data = _nest(pairs)
        if self.is_array and data and all(map(_is_place, data)):
            return [data[key] for key in sorted(data, key=int)]
        return self._coerce(data, self._schema)

    def _coerce(self, value: Any, schema: Schema) -> Any:
        schema = self._schemas.resolve(schema)
        kind = schema.get("type")
        if kind == "object" or "properties" in schema or "allOf" in schema:
            return self._coerce_object(value, schema)
        if kind == "array":
            return self._coerce_array(value, schema)
        if not isinstance(value, str):
            return self._coerce_choice(value, schema)
        if kind == "boolean":
            return _boolean(value)
        if kind in ("integer", "number"):
            return _number(value, kind)
        return value

    def _coerce_choice(self, value: Any, schema: Schema) -> Any:
        """Brackets where a text would do as well are for the alternative that is made of parts."""
        for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
            resolved = self._schemas.resolve(part)
            if isinstance(value, dict) and resolved.get("type") in ("array", "object"):
                return self._coerce(value, resolved)
        return value

    def _coerce_object(self, value: Any, schema: Schema) -> Any:
        if value == "":
            return {}
        if not isinstance(value, dict):
            return value
        members = self._schemas.members(schema)
        others = schema.get("additionalProperties")
        if not isinstance(others, dict):
            others = {}
        return {key: self._coerce(item, members.get(key, others)) for key, item in value.items()}

    def _coerce_array(self, value: Any, schema: Schema) -> Any:
        if value == "":
            return []
        if isinstance(value, dict) and all(map(_is_place, value)):
            value = [value[key] for key in sorted(value, key=int)]
        if not isinstance(value, list):
            return value
        return [self._coerce(item, schema.get("items", {})) for item in value]


def _is_place(key: str) -> bool:
    """True for a number in brackets that a form uses as the place in a list."""
    return key.isascii() and key.isdigit() and len(key) < 10


def _takes_null(schemas: Schemas, schema: Schema) -> bool:
    schema = schemas.resolve(schema)
    if schema.get("nullable"):
        return True
    parts = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
    typeless = "type" not in schema and not parts and "allOf" not in schema
    return typeless or any(_takes_null(schemas, part) for part in parts)


def _boolean(text: str) -> Any:
    word = text.lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else text


def _number(text: str, kind: str) -> Any:
    try:
        return int(text) if kind == "integer" else float(text)
    except ValueError:
        return text


def _parse_urlencoded(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS
        )
    except ValueError as error:
        raise bad_request(f"the form cannot be read: {error}") from None


def _parse_multipart(raw: bytes, content_type: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []

    def on_field(field: Any) -> None:
        if len(pairs) >= _FIELDS:
            raise FormParserError("too many fields")
        name = (field.field_name or b"").decode("utf-8")
        pairs.append((name, (field.value or b"").decode("utf-8")))

    def on_file(_file: object) -> None:
        raise bad_request("files are not taken here")

    try:
        parser = create_form_parser(
            {"Content-Type": content_type.encode("latin-1")}, on_field, on_file
        )
        parser.write(raw)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise bad_request(f"the form cannot be read: {error}") from None
    return pairs


def _nest(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """PHP's bracket notation as nested data: `a[0][type]=pp` is `{"a": {"0": {"type": "pp"}}}`."""
    data: dict[str, Any] = {}
    for name, value in pairs:
        if not name:
            raise bad_request("a form field has no name")
        match = _KEY.fullmatch(name)
        if match is None:
            continue
        path = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        if len(path) > 8:
            raise bad_request(f"the form field {name[:40]} is nested too deeply")
        node = data
        for part in path[:-1]:
            below = node.setdefault(part or str(len(node)), {})
            if not isinstance(below, dict):
                raise bad_request(f"the form field {name[:40]} contradicts another one")
            node = below
        last = path[-1]
        node[last if last or len(path) == 1 else str(len(node))] = value
    return data
