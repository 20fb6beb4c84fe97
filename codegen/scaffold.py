"""The beginning of a new operation: its handler and its contract test, from the document.

Both are complete as far as the document can tell. What the operation does is left to the person:
until then the handler raises NotImplementedError, and the test fails.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_METHODS = ("get", "post", "put", "patch", "delete")
_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
_WIDTH = 100

Mapped = Mapping[str, Any]


class ScaffoldError(Exception):
    """The operation cannot be begun; the text says why."""


@dataclass(frozen=True)
class _Operation:
    """An operation of the document, with what is written about it."""

    document: Mapped
    path: str
    method: str
    description: Mapped

    @property
    def name(self) -> str:
        return str(self.description["operationId"])

    @property
    def module(self) -> str:
        return str(self.description["x-openapi-router-controller"]).rpartition(".")[2]

    @property
    def parameters(self) -> list[Mapped]:
        shared = self.document["paths"][self.path].get("parameters", [])
        return [*shared, *self.description.get("parameters", [])]

    @property
    def body(self) -> Mapped | None:
        """The schema of the body, None without one."""
        content = self.description.get("requestBody", {}).get("content", {})
        found: Mapped | None = content.get("application/json", {}).get("schema")
        return found

    @property
    def success(self) -> tuple[int, Mapped | None]:
        """The first 2xx status with the schema of its answer."""
        responses = self.description["responses"]
        status = min(key for key in responses if key.startswith("2"))
        response = self._resolve(responses[status])
        content = response.get("content", {})
        return int(status), content.get("application/json", {}).get("schema")

    def _resolve(self, node: Mapped) -> Mapped:
        while "$ref" in node:
            kind, name = node["$ref"].split("/")[-2:]
            node = self.document["components"][kind][name]
        return node

    def annotation(self, schema: Mapped) -> str:
        """The schema as a Python type, named ones by their names in `nethvoice.bodies`."""
        if "$ref" in schema:
            return "bodies." + str(schema["$ref"]).rpartition("/")[2]
        kind = schema.get("type")
        if kind == "array":
            return f"list[{self.annotation(schema['items'])}]"
        text = _TYPES.get(str(kind), "dict[str, Any]" if kind == "object" else "Any")
        return f"{text} | None" if schema.get("nullable") and text != "Any" else text

    def example(self, schema: Mapped) -> Any:
        """What the document gives as an example, put together from the members where it must be."""
        found = self._resolve(schema)
        if "example" in found:
            return found["example"]
        if found.get("enum"):
            return found["enum"][0]
        if "default" in found:
            return found["default"]
        kind = found.get("type")
        if kind == "array":
            return [self.example(found["items"])]
        if kind == "object" or "properties" in found:
            return {key: self.example(part) for key, part in found.get("properties", {}).items()}
        return {"string": "", "integer": 0, "number": 0.0, "boolean": False}.get(str(kind))


def scaffold(root: Path, operation_id: str) -> list[Path]:
    """Write handler and test of an operation into the source tree `root`; returns what changed.

    What is there already is left alone. Raises ScaffoldError for an operation that the document
    lacks, and when both are there.
    """
    text = (root / "openapi" / "nethvoice.yaml").read_text(encoding="utf-8")
    operation = _find(yaml.load(text, Loader=yaml.CSafeLoader), operation_id)
    handler = root / "handlers" / f"{operation.module}.py"
    test = root / "tests" / "contract" / f"test_{operation.module}.py"
    written = []
    if not _defines(handler, operation.name):
        _add(handler, _handler_module(operation), _handler_imports(operation), _handler(operation))
        written.append(handler)
    if not any(_defines(path, f"test_{operation.name}") for path in test.parent.glob("test_*.py")):
        _add(test, _test_module(operation), ["from tests.support import Service"], _test(operation))
        written.append(test)
    if not written:
        raise ScaffoldError(f"{operation_id} has its handler and its test already")
    return written


def _find(document: Mapped, operation_id: str) -> _Operation:
    for path, item in document["paths"].items():
        for method in _METHODS:
            description = item.get(method)
            if description is not None and description.get("operationId") == operation_id:
                return _Operation(document, path, method, description)
    raise ScaffoldError(f"openapi/nethvoice.yaml has no operation {operation_id}")


def _defines(file: Path, name: str) -> bool:
    if not file.exists():
        return False
    text = file.read_text(encoding="utf-8")
    return re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE) is not None


# --- texts ----------------------------------------------------------------------------------------


def _handler_module(operation: _Operation) -> str:
    tags = {tag["name"]: tag.get("description", "") for tag in operation.document["tags"]}
    [tag] = operation.description["tags"]
    return _docstring(tags.get(tag) or f"{tag}.", "")


def _test_module(operation: _Operation) -> str:
    [tag] = operation.description["tags"]
    return _docstring(f"Contract of the operations tagged {tag}.", "")


def _handler_imports(operation: _Operation) -> list[str]:
    used = _signature(operation)
    found = ["from nethvoice.system import System"]
    if "bodies." in used:
        found.append("from nethvoice import bodies")
    if re.search(r"\bAny\b", used):
        found.append("from typing import Any")
    return found


def _signature(operation: _Operation) -> str:
    arguments = []
    for parameter in operation.parameters:
        kind = operation.annotation(parameter["schema"])
        optional = not parameter.get("required") and "default" not in parameter["schema"]
        arguments.append(f"{parameter['name']}: {kind}{' | None' if optional else ''}")
    if operation.body is not None:
        arguments.append(f"body: {operation.annotation(operation.body)}")
    arguments.append("system: System")
    answer = operation.success[1]
    result = "None" if answer is None else operation.annotation(answer)
    line = f"def {operation.name}(*, {', '.join(arguments)}) -> {result}:"
    if len(line) <= _WIDTH:
        return line
    middle = f"    *, {', '.join(arguments)}"
    if len(middle) > _WIDTH:
        middle = ",\n".join(f"    {part}" for part in ["*", *arguments]) + ","
    return f"def {operation.name}(\n{middle}\n) -> {result}:"


def _handler(operation: _Operation) -> str:
    about = f"{operation.description['summary']}.\n\n{operation.description['description']}"
    return (
        f"{_signature(operation)}\n"
        f"{_docstring(about, '    ')}"
        f'    raise NotImplementedError("{operation.name}")\n'
    )


def _test(operation: _Operation) -> str:
    status, answer = operation.success
    path = operation.path
    for parameter in operation.parameters:
        if parameter["in"] == "path":
            example = parameter.get("example", operation.example(parameter["schema"]))
            path = path.replace("{%s}" % parameter["name"], str(example))  # noqa: UP031
    body = operation.body
    sent = "" if body is None else f", json={_literal(operation.example(body))}"
    call = f'service.call("{operation.method.upper()}", {_literal(path)}{sent})'
    expected = f"assert answer.status_code == {status}, answer.text"
    checked = (
        'assert answer.content == b""'
        if answer is None
        else f"assert answer.json() == {_literal(operation.example(answer))}"
    )
    lines = [f"    answer = {call}", f"    {expected}", f"    {checked}"]
    refusals = list(_refusals(operation, path))
    if refusals:
        lines += ["", "", f"def test_{operation.name}_refusals(service: Service) -> None:"]
        lines += [f"    {line}" for line in refusals]
    about = _docstring(f"{operation.description['summary']}.", "    ")
    head = f"def test_{operation.name}(service: Service) -> None:\n{about}"
    return head + "\n".join(lines) + "\n"


def _refusals(operation: _Operation, path: str) -> Iterator[str]:
    method = operation.method.upper()
    body = operation.body
    if body is not None and operation.description["requestBody"].get("required"):
        yield f'service.refused("{method}", {_literal(path)}, 400, json=[[]])'
    for parameter in operation.parameters:
        if parameter["in"] == "path" and parameter["schema"].get("pattern"):
            other = operation.path.replace("{%s}" % parameter["name"], "%20")  # noqa: UP031
            if "{" not in other:
                status = parameter.get("x-mismatch-status", 404)
                yield f'service.refused("{method}", {_literal(other)}, {status})'


def _literal(value: Any) -> str:
    """A value as ruff would format it, if it is short."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_literal(part) for part in value) + "]"
    return repr(value)


def _docstring(text: str, indent: str) -> str:
    paragraphs = [" ".join(part.split()) for part in text.strip().split("\n\n")]
    body = "\n\n".join(
        textwrap.fill(
            ('"""' if number == 0 else "") + part.replace("\\", "\\\\"),
            _WIDTH - len(indent),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, part in enumerate(paragraphs)
    )
    lines = body.split("\n")
    if len(lines) == 1 and len(indent + lines[0]) + 3 <= _WIDTH:
        lines[0] += '"""'
    else:
        lines.append('"""')
    return "".join(f"{indent}{line}".rstrip() + "\n" for line in lines)


# --- files ----------------------------------------------------------------------------------------


def _add(file: Path, header: str, imports: list[str], function: str) -> None:
    """Append the function, with the imports that it needs; a new file begins with `header`."""
    text = file.read_text(encoding="utf-8") if file.exists() else header
    for line in imports:
        text = _with_import(text, line)
    file.write_text(f"{text.rstrip()}\n\n\n{function}", encoding="utf-8")


def _with_import(text: str, line: str) -> str:
    """The text with an import line among the others, in isort's order; as it was if it is there."""
    module, names = _parts(line)
    lines = text.split("\n")
    at = None
    last = None
    for number, present in enumerate(lines):
        if not present.startswith(("from ", "import ")):
            continue
        last = number
        if present.startswith(f"from {module} import "):
            if names in re.findall(r"\w+", present.partition(" import ")[2]):
                return text
            if "(" not in present:
                together = sorted({*present.partition(" import ")[2].split(", "), names})
                lines[number] = f"from {module} import {', '.join(together)}"
                return "\n".join(lines)
        if at is None and _order(present) > _order(line):
            at = number
    if last is None:  # the file has its docstring only
        return f"{text.rstrip()}\n\n{line}\n"
    if at is None:
        at = last + 1
        if _order(lines[last])[0] != _order(line)[0]:
            lines.insert(at, "")
            at += 1
    elif _order(lines[at])[0] != _order(line)[0]:
        lines.insert(at, "")
    lines.insert(at, line)
    return "\n".join(lines)


def _parts(line: str) -> tuple[str, str]:
    words = line.split()
    return words[1], words[-1]


def _order(line: str) -> tuple[int, str]:
    """Standard library before our own packages; a multi-line import counts by its first line."""
    module = line.split()[1]
    ours = module.split(".")[0] in ("nethvoice", "handlers", "provisioning", "tests")
    return int(ours), module
