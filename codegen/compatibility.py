"""What in a new document breaks clients that were written to an older one.

A request must still be accepted if it was before, so its schemas may only get wider; an answer must
still be understood, so its schemas may only get narrower. Texts and examples may change freely.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

Schema = Mapping[str, Any]
Direction = Literal["request", "answer"]

_METHODS = ("get", "post", "put", "patch", "delete")
_LOWER_BOUNDS = ("minimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "maxLength", "maxItems", "maxProperties")


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What clients of the old document stumble over, one line each; none when it is compatible."""
    return list(_Comparison(old, new).all())


def is_allowed(old: Schema, new: Schema) -> bool:
    """True when nothing breaks, or when the major version says that it may."""
    return _major(new) > _major(old) or not breaking_changes(old, new)


def _major(document: Schema) -> int:
    return int(str(document["info"]["version"]).split(".")[0])


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        self._open: set[tuple[str, str, str]] = set()

    def all(self) -> Iterator[str]:
        for path, item in self._old["paths"].items():
            for method in _METHODS:
                if method not in item:
                    continue
                where = f"{method.upper()} {path}"
                present = self._new["paths"].get(path, {})
                if method not in present:
                    yield f"{where}: removed"
                    continue
                yield from self._operation(
                    where, _whole(item, item[method]), _whole(present, present[method])
                )

    def _operation(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{where}: operationId {old['operationId']} is now {new['operationId']}"
        if old.get("security") == [] and new.get("security") != []:
            yield f"{where}: needs authentication now"
        yield from self._parameters(where, old, new)
        yield from self._body(where, old.get("requestBody"), new.get("requestBody"))
        for status, response in old["responses"].items():
            if not status.startswith("2"):
                continue
            if status not in new["responses"]:
                yield f"{where}: no longer answers {status}"
                continue
            yield from self._content(
                f"{where} {status}",
                _resolved(self._old, response),
                _resolved(self._new, new["responses"][status]),
                "answer",
            )

    def _parameters(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        before = self._by_name(self._old, old)
        after = self._by_name(self._new, new)
        for key, parameter in before.items():
            place = f"{where}: parameter {key[1]}"
            if key not in after:
                yield f"{place} removed"
                continue
            if after[key].get("required") and not parameter.get("required"):
                yield f"{place} is required now"
            yield from self._schema(place, parameter["schema"], after[key]["schema"], "request")
        for key in after.keys() - before.keys():
            if after[key].get("required"):
                yield f"{where}: parameter {key[1]} is new and required"

    @staticmethod
    def _by_name(document: Schema, operation: Schema) -> dict[tuple[str, str], Schema]:
        found = [_resolved(document, p) for p in operation.get("parameters", ())]
        return {(str(p["in"]), str(p["name"])): p for p in found}

    def _body(self, where: str, old: Schema | None, new: Schema | None) -> Iterator[str]:
        if old is None:
            if new is not None and new.get("required"):
                yield f"{where}: a body is required now"
            return
        if new is None:
            yield f"{where}: the body is no longer read"
            return
        if new.get("required") and not old.get("required"):
            yield f"{where}: the body is required now"
        yield from self._content(f"{where} body", old, new, "request")

    def _content(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        before, after = old.get("content", {}), new.get("content", {})
        for media_type, media in before.items():
            if media_type not in after:
                yield f"{where}: no longer {media_type}"
            elif "schema" in media and "schema" in after[media_type]:
                yield from self._schema(
                    where, media["schema"], after[media_type]["schema"], direction
                )
        if direction == "answer" and after and not before:
            yield f"{where}: has a body now"

    # --- schemas ---

    def _schema(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        names = (str(old.get("$ref")), str(new.get("$ref")), direction)
        if "$ref" in old and "$ref" in new:
            if names in self._open:
                return
            self._open.add(names)
        try:
            yield from self._alternatives(
                where, _choices(self._old, old), _choices(self._new, new), direction
            )
        finally:
            self._open.discard(names)

    def _alternatives(
        self, where: str, old: list[Schema], new: list[Schema], direction: Direction
    ) -> Iterator[str]:
        if len(old) == len(new) == 1:
            yield from self._one(where, old[0], new[0], direction)
            return

        def fits(one: Schema, other: Schema) -> bool:
            return not any(True for _ in self._one("", one, other, direction))

        if direction == "request":
            if not all(any(fits(one, other) for other in new) for one in old):
                yield f"{where}: an alternative is gone or narrower"
        elif not all(any(fits(one, other) for one in old) for other in new):
            yield f"{where}: an alternative is new or wider"

    def _one(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        rules: list[Callable[[str, Schema, Schema, Direction], Iterator[str]]] = [
            self._type,
            self._enum,
            self._members,
            self._items,
        ]
        for rule in rules:
            yield from rule(where, old, new, direction)
        if direction == "request":
            yield from self._limits(where, old, new)

    def _type(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        before, after = old.get("type"), new.get("type")
        wider = {("integer", "number")}
        pair = (before, after) if direction == "request" else (after, before)
        allowed = before == after or pair in wider or pair[1] is None
        if not allowed:
            yield f"{where}: {before or 'any type'} is now {after or 'any type'}"
        narrower, wanted = (new, old) if direction == "request" else (old, new)
        if wanted.get("nullable") and narrower.get("type") and not narrower.get("nullable"):
            yield f"{where}: null is {'refused' if direction == 'request' else 'possible'} now"

    def _enum(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        narrow, wide = (old, new) if direction == "request" else (new, old)
        if "enum" not in wide:
            return
        verb = "no longer" if direction == "request" else "now also"
        if "enum" not in narrow:
            yield f"{where}: {'only listed values' if direction == 'request' else 'any value'} now"
            return
        for value in narrow["enum"]:
            if value not in wide["enum"]:
                yield f"{where}: {verb} {value!r}"

    def _members(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name, part in before.items():
            place = f"{where}.{name}"
            if name not in after:
                yield f"{place}: removed"
                continue
            yield from self._schema(place, part, after[name], direction)
        if direction == "request":
            for name in sorted(needs - needed):
                yield f"{where}.{name}: required now"
            if new.get("additionalProperties") is False is not old.get("additionalProperties"):
                yield f"{where}: other members are refused now"
        else:
            for name in sorted((needed - needs) & after.keys()):
                yield f"{where}.{name}: may be missing now"
        others, allowed = old.get("additionalProperties"), new.get("additionalProperties")
        if isinstance(others, dict) and isinstance(allowed, dict):
            yield from self._schema(f"{where}.*", others, allowed, direction)

    def _items(self, where: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        if "items" in old and "items" in new:
            yield from self._schema(f"{where}[]", old["items"], new["items"], direction)

    @staticmethod
    def _limits(where: str, old: Schema, new: Schema) -> Iterator[str]:
        # Whether one pattern takes all that another one takes is for a person to see.
        if new.get("pattern") not in (None, old.get("pattern")):
            yield f"{where}: pattern {old.get('pattern')} is now {new['pattern']}"
        for key in _LOWER_BOUNDS:
            if key in new and new[key] > old.get(key, float("-inf" if key == "minimum" else 0)):
                yield f"{where}: {key} is now {new[key]}"
        for key in _UPPER_BOUNDS:
            if key in new and new[key] < old.get(key, float("inf")):
                yield f"{where}: {key} is now {new[key]}"


def _whole(item: Schema, operation: Schema) -> Schema:
    """An operation with the parameters of its path."""
    shared = [*item.get("parameters", ()), *operation.get("parameters", ())]
    return {**operation, "parameters": shared}


def _resolved(document: Schema, node: Schema) -> Schema:
    while "$ref" in node:
        kind, name = str(node["$ref"]).split("/")[-2:]
        node = document["components"][kind][name]
    return node


def _choices(document: Schema, schema: Schema) -> list[Schema]:
    """The alternatives of a schema, each with the members of all its parts."""
    found = _resolved(document, schema)
    alternatives = [*found.get("oneOf", ()), *found.get("anyOf", ())]
    if not alternatives:
        return [_flat(document, found)]
    own = {k: v for k, v in found.items() if k not in ("oneOf", "anyOf")}
    return [
        _together(own, choice) if own.keys() - {"description", "example"} else choice
        for part in alternatives
        for choice in _choices(document, part)
    ]


def _flat(document: Schema, schema: Schema) -> Schema:
    if "allOf" not in schema:
        return schema
    flat: Schema = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        flat = _together(flat, _flat(document, _resolved(document, part)))
    return flat


def _together(one: Schema, other: Schema) -> Schema:
    joined = {**other, **one}
    for key in ("properties",):
        if key in one or key in other:
            joined[key] = {**other.get(key, {}), **one.get(key, {})}
    required = {*one.get("required", ()), *other.get("required", ())}
    if required:
        joined["required"] = sorted(required)
    return joined
