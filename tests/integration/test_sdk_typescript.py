"""The TypeScript SDK: installed with npm, compiled strictly, driving a live server from Node."""

import json
import re
from pathlib import Path

import pytest

from codegen import typescript
from codegen.generation_document import operations
from nethvoice.document import load_document
from tests.processes import Process
from tests.sdks import FLOWS, TOOLS, compiled, generate, run
from tests.support import ADMIN, BASE, PASSWORD


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the package, without what npm installed beside it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return {
        name: data
        for name, data in names.items()
        if not name.startswith("node_modules/") and name != "package-lock.json"
    }


def test_an_integrators_program(typescript_sdk: Path, npm_tools: Path, tmp_path: Path) -> None:
    program = compiled(typescript_sdk, npm_tools, (FLOWS / "flow.ts").read_text(), "flow")
    with Process(tmp_path / "log", DATA_DIR=tmp_path / "data") as server:
        url = f"http://127.0.0.1:{server.port}{BASE}"
        steps = run(["node", program, url, ADMIN, PASSWORD]).split()
    assert steps[0] == "people"
    assert steps[-1] == "applied"


def test_wrong_types_do_not_compile(typescript_sdk: Path, npm_tools: Path) -> None:
    lines = (
        'import type { Client } from "nethvoice-sdk";',
        "declare const api: Client;",
        "await api.get_user(7);",
        "await api.create_trunk({ provider: 'x' });",
        "export const number: number = (await api.get_user('ada')).default_extension;",
    )
    with pytest.raises(AssertionError) as refused:
        compiled(typescript_sdk, npm_tools, "\n".join(lines), "wrong", "--skipLibCheck")
    assert re.findall(r"wrong\.ts\((\d+),\d+\): error TS2", str(refused.value)) == ["3", "4", "5"]


def test_every_operation_is_a_method_with_its_documentation(typescript_sdk: Path) -> None:
    text = (typescript_sdk / "sdk/dist/client.d.ts").read_text(encoding="utf-8")
    for _, _, operation in operations(load_document()):
        found = re.search(rf"((?:\s+\*.*\n)+)    {operation['operationId']}\(", text)
        assert found, operation["operationId"]
        assert operation["summary"][:60] in found[1]


def test_generating_twice_gives_the_same_bytes(typescript_sdk: Path, tmp_path: Path) -> None:
    again = generate("typescript", tmp_path / "again", cache=TOOLS)
    assert contents(again) == contents(typescript_sdk / "sdk")


def test_the_lock_file_names_no_registry() -> None:
    text = (typescript.HERE / "package-lock.json").read_text(encoding="utf-8")
    lock = json.loads(text)
    wanted = json.loads((typescript.HERE / "package.json").read_text(encoding="utf-8"))
    assert '"resolved"' not in text
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
