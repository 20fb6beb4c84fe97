"""The Python client: openapi-python-client with our templates and a client class on top."""

import shlex
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from codegen import sdk
from codegen.generation_document import Document, generation_document, operations

try:
    from openapi_python_client import Project
    from openapi_python_client.config import ClassOverride, Config, ConfigFile, MetaType
    from openapi_python_client.parser import GeneratorData
    from openapi_python_client.parser.errors import GeneratorError
    from openapi_python_client.strings import snake_case
    from ruff import find_ruff_bin
except ImportError as error:
    raise sdk.MissingTool(
        f"the Python SDK is made with openapi-python-client, but there is no {error.name}: "
        "install the extra 'sdk', pip install '.[sdk]' in the folder of NethVoice REST"
    ) from None

HERE = Path(__file__).parent

# Neither settings nor ignore files of the place where this runs may change the result.
_RUFF = shlex.quote(find_ruff_bin())
_STYLE = (
    "--isolated --no-cache --no-respect-gitignore --quiet --target-version py310 "
    "--config line-length=100 --config format.skip-magic-trailing-comma=true "
    "--config lint.isort.split-on-trailing-comma=false"
)


def generate(document: Document, out: Path) -> None:
    """Write the package into the folder `out`; the same document gives the same bytes.

    Raises `sdk.MissingTool` (when imported) and `sdk.GenerationFailed`.
    """
    with sdk.placed(out, marker="pyproject.toml") as folder:
        _build(document, folder)


def _build(document: Document, folder: Path) -> None:
    config = Config.from_sources(
        ConfigFile.load_from_path(HERE / "config.yaml"),
        MetaType.UV,
        document_source=HERE / "config.yaml",  # not read: the document is handed over below
        file_encoding="utf-8",
        overwrite=True,
        output_path=folder,
    )
    config.post_hooks = [
        f"{_RUFF} check --select F401,I --fix-only {_STYLE} .",
        f"{_RUFF} format {_STYLE} .",
    ]
    config.class_overrides |= _renamed_modules(document)
    data = GeneratorData.from_dict(generation_document(document), config=config)
    if isinstance(data, GeneratorError):
        raise sdk.GenerationFailed(f"{data.header}: {data.detail}")
    project = Project(openapi=data, config=config, custom_template_path=HERE / "templates")
    project.env.globals.update(sdk.facts(document))
    project.env.globals["model_imports"] = _model_imports(data)
    project.env.globals["described"] = _describer(document)
    with redirect_stdout(StringIO()):
        problems = project.build()
    if problems:
        first = problems[0]
        raise sdk.GenerationFailed(f"{first.header} {first.detail or ''}".strip())


def _renamed_modules(document: Document) -> dict[str, ClassOverride]:
    """Other module names for models that have a member of their own name.

    The generator calls the new object like the module, so `gateway.gateway` would overwrite it.
    """
    schemas = document.get("components", {}).get("schemas", {})
    taken = {snake_case(name) for name in schemas}
    renamed: dict[str, ClassOverride] = {}
    for name, schema in schemas.items():
        module = snake_case(name)
        if module in map(snake_case, schema.get("properties", {})):
            while module in taken:
                module += "_object"
            taken.add(module)
            renamed[name] = ClassOverride(module_name=module)
    return renamed


def _model_imports(data: GeneratorData) -> list[str]:
    """What the client class imports: all that the endpoint modules do, seen from where it is."""
    found = {"from .models import Credentials, Task"}  # what the class itself uses
    for collection in data.endpoint_collections_by_tag.values():
        for endpoint in collection.endpoints:
            found |= {line.replace("from ...", "from .") for line in endpoint.relative_imports}
    return sorted(found)


def _describer(document: Document) -> Any:
    bodies = {operation["operationId"]: sdk.body_description(document, operation)
              for _, _, operation in operations(document)}  # fmt: skip

    def described(endpoint: Any, parameter: Any) -> str:
        """What the document says about a parameter or the body."""
        if parameter.python_name == "body":
            return bodies[str(endpoint.name)]
        text = parameter.description
        return str(text.get_untrusted_value() if text else "")

    return described
