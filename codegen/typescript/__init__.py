"""The TypeScript client: types by openapi-typescript, requests by openapi-fetch, a class on top.

The npm packages are pinned by package-lock.json and installed once into a cache folder.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2

from codegen import sdk
from codegen.generation_document import Document, generation_document, operations

HERE = Path(__file__).parent
TEMPLATES = {
    "package.json.jinja": "package.json",
    "tsconfig.json.jinja": "tsconfig.json",
    "README.md.jinja": "README.md",
    "gitignore.jinja": ".gitignore",
    "index.ts.jinja": "src/index.ts",
    "client.ts.jinja": "src/client.ts",
    "errors.ts.jinja": "src/errors.ts",
}


def generate(document: Document, out: Path, cache: Path | None = None) -> None:
    """Write the package, compiled, into the folder `out`; the same document gives the same bytes.

    `cache` holds the tools; without it `$XDG_CACHE_HOME/nethvoice`. Raises `sdk.MissingTool` and
    `sdk.GenerationFailed`.
    """
    tools = installed_tools(cache or _default_cache())
    with sdk.placed(out, marker="package.json") as folder, _workshop(tools) as place:
        _render(document, place)
        source = place / "document.json"
        source.write_text(json.dumps(generation_document(document)), encoding="utf-8")
        flags = ["--root-types", "--root-types-no-schema-prefix", "--root-types-keep-casing"]
        _run(tools, place, "openapi-typescript", str(source), "-o", "src/schema.ts", *flags)
        _run(tools, place, "tsc", "--project", "tsconfig.json")
        source.unlink()
        for entry in place.iterdir():
            shutil.move(entry, folder / entry.name)


# --- tools ---------------------------------------------------------------------------------------


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nethvoice"


def installed_tools(cache: Path) -> Path:
    """The folder with the tools' `node_modules`, installed when it is not there yet."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise sdk.MissingTool(
                f"the TypeScript SDK is made with {program}, which is not installed "
                "(Debian: apt-get install nodejs npm)"
            )
    lock = (HERE / "package-lock.json").read_bytes()
    folder = cache / f"typescript-{hashlib.sha256(lock).hexdigest()[:12]}"
    if (folder / "node_modules").is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="installing-") as name:
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            command, cwd=name, check=False, capture_output=True, text=True, timeout=600
        )
        if done.returncode:
            raise sdk.MissingTool(f"npm cannot install the tools: {done.stderr.strip()[-2000:]}")
        if not folder.exists():  # another process may have been faster
            Path(name).rename(folder)
            Path(name).mkdir()  # for the end of the block
    return folder


@contextmanager
def _workshop(tools: Path) -> Iterator[Path]:
    """A folder below the tools, so that what is compiled in it finds their `node_modules`."""
    with tempfile.TemporaryDirectory(dir=tools, prefix="work-") as name:
        yield Path(name)


def _run(tools: Path, place: Path, program: str, *arguments: str) -> None:
    command = [str(tools / "node_modules" / ".bin" / program), *arguments]
    done = subprocess.run(
        command, cwd=place, check=False, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise sdk.GenerationFailed(f"{program} does not take the document: {said}")


# --- text ----------------------------------------------------------------------------------------


def _render(document: Document, place: Path) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 (the result is source code)
    )
    environment.filters["comment"] = _comment
    environment.globals.update(sdk.facts(document))
    environment.globals["methods"] = [
        _method(document, path, verb, operation)
        for path, verb, operation in operations(generation_document(document))
    ]
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))
    environment.globals["dependencies"] = wanted["dependencies"]
    environment.globals["typescript"] = wanted["devDependencies"]["typescript"]
    (place / "src").mkdir()
    for template, target in TEMPLATES.items():
        text = environment.get_template(template).render()
        (place / target).write_text(text, encoding="utf-8")


def _method(
    document: Document, path: str, verb: str, operation: Mapping[str, Any]
) -> dict[str, Any]:
    """What the template of the client class says about one operation."""
    name = operation["operationId"]
    body = operation.get("requestBody")
    place = f'operations["{name}"]["parameters"]["path"]'
    values = [
        {**one, "type": _type(one["schema"], f'{place}["{one["name"]}"]')}
        for one in operation.get("parameters", [])
        if one["in"] == "path"
    ]
    order = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return {
        "name": name,
        "path": path,
        "verb": verb.upper(),
        "tag": operation["tags"][0],
        "public": not operation["security"],
        "summary": operation["summary"],
        "description": operation.get("description", ""),
        "values": sorted(values, key=lambda one: order.index(one["name"])),
        "query": [one for one in operation.get("parameters", []) if one["in"] == "query"],
        "body": _body_type(name, body) if body else None,
        "body_required": bool(body and body.get("required")),
        "body_description": sdk.body_description(document, operation),
        "answer": _answer_type(operation),
        "init": _request_init(operation),
    }


def _request_init(operation: Mapping[str, Any]) -> str:
    """What is handed to openapi-fetch: values of the path, query, body, how the answer is read."""
    names: dict[str, list[str]] = {"path": [], "query": []}
    for one in operation.get("parameters", []):
        names.setdefault(one["in"], []).append(one["name"])
    params = [f"path: {{ {', '.join(names['path'])} }}"] if names["path"] else []
    params += ["query"] if names["query"] else []
    parts = [f"params: {{ {', '.join(params)} }}"] if params else []
    if "requestBody" in operation:
        required = operation["requestBody"].get("required")
        parts.append("body" if required else "...(body === undefined ? {} : { body })")
    contents = [answer.get("content") for answer in operation["responses"].values()]
    if any(content and "application/json" not in content for content in contents):
        parts.append('parseAs: "text"')
    return f"{{ {', '.join(parts)} }}" if parts else "{}"


def _body_type(name: str, body: Mapping[str, Any]) -> str:
    media, content = next(iter(body["content"].items()))
    if media == "multipart/form-data":
        return "FormData"
    place = f'NonNullable<operations["{name}"]["requestBody"]>["content"]["{media}"]'
    return _type(content["schema"], place)


def _answer_type(operation: Mapping[str, Any]) -> str:
    """The types of an operation's successes; those without a body are `undefined`, or `void`."""
    found: list[str] = []
    for status, answer in operation["responses"].items():
        text = "undefined"
        if answer.get("content"):
            media, content = next(iter(answer["content"].items()))
            place = f'operations["{operation["operationId"]}"]["responses"][{status}]'
            text = _type(content["schema"], f'{place}["content"]["{media}"]')
        if text not in found:
            found.append(text)
    return "void" if found == ["undefined"] else " | ".join(found)


def _type(schema: Mapping[str, Any], place: str) -> str:
    """A type as people write it; where that takes more than a name, the one at `place`."""
    text = ""
    if "$ref" in schema:
        return _named(schema)
    if schema.get("type") == "array" and "$ref" in schema.get("items", {}):
        text = _named(schema["items"]) + "[]"
    elif "enum" not in schema:
        text = _SCALARS.get(str(schema.get("type")), "")
    if not text:
        return place
    return f"{text} | null" if schema.get("nullable") else text


def _named(schema: Mapping[str, Any]) -> str:
    return "schema." + str(schema["$ref"]).rpartition("/")[2]


_SCALARS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}


def _comment(text: str, indent: int = 0) -> str:
    """Text for inside a documentation comment: wrapped, and nothing in it ends the comment."""
    prefix = "\n" + " " * indent + " * "
    wrapped: list[str] = []
    for paragraph in text.replace("*/", "*\\/").strip().splitlines():
        line = ""
        for word in paragraph.split():
            if line and len(line) + len(word) > 90 - indent:
                wrapped.append(line)
                line = ""
            line = f"{line} {word}".strip()
        wrapped.append(line)
    return prefix.join(wrapped).replace(" * \n", " *\n")
