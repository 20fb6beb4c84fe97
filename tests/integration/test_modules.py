"""Modules: the sample at work, and what is refused."""

import shutil
from pathlib import Path

import pytest
import yaml

from nethvoice.modules import ModuleError, served_document
from nethvoice.settings import Settings
from nethvoice.store.database import Database
from tests.contract.conftest import load_freepbx_schema
from tests.processes import Process
from tests.services.asterisk import Asterisk
from tests.services.mariadb import MariaDB
from tests.support import SECRET, eventually
from tests.unit.test_cli import Cli

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(params=["embedded", "production"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    """Settings of a store: SQLite with the embedded AstDB, or MariaDB with Asterisk."""
    if request.param == "embedded":
        return {}
    mariadb: MariaDB = request.getfixturevalue("mariadb")
    asterisk: Asterisk = request.getfixturevalue("asterisk22")
    url = mariadb.create_database("modules")
    database = Database(url, tmp_path, connections=2)
    load_freepbx_schema(database)
    database.close()
    return {
        "DATABASE_URL": url,
        "AMI_HOST": "127.0.0.1",
        "AMI_PORT": asterisk.ami_port,
        "AMI_USERNAME": "provisioning",
        "AMI_PASSWORD": asterisk.provisioning_secret,
    }


def test_the_sample_module(
    store: dict[str, object], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = {"DATA_DIR": tmp_path / "data", "MODULES_DIR": DOCS / "modules", **store}
    with Process(tmp_path / "log", **settings) as process, process.client() as client:
        document = client.get("/openapi.json").json()
        assert "/speeddials/{code}" in document["paths"]
        assert client.get("/users").status_code == 200

        assert client.post("/speeddials", json={"code": "12", "number": "07"}).status_code == 204
        form = client.post("/speeddials", data={"code": "7", "number": "+390721"})
        assert form.status_code == 204
        assert client.get("/speeddials").json() == [
            {"code": "12", "number": "07"},
            {"code": "7", "number": "+390721"},
        ]

        # Authenticated and validated like the built-in operations.
        refused = client.get("/speeddials", headers={"Secretkey": "0" * 40})
        assert refused.status_code == 403
        problem = client.post("/speeddials", json={"code": "twelve", "number": "07"})
        assert problem.status_code == 400
        assert problem.json()["pointer"] == "/code"
        assert client.delete("/speeddials/x").status_code == 404
        assert client.delete("/speeddials/99").status_code == 404
        assert client.put("/speeddials").status_code == 405

        assert client.delete("/speeddials/7").status_code == 204
        if store:
            asterisk: Asterisk = request.getfixturevalue("asterisk22")
            assert asterisk.database_show("speeddial") == {"12": "07"}
            asterisk.cli("database put speeddial 12 99")
            asterisk.cli("database put speeddial 50 99")
        task = client.post("/speeddials/repair").json()["result"]
        done = eventually(lambda: _ended(client.get(f"/tasks/{task}").json()))
        assert done["progress"] == 100
        assert done["action"] is None
        if store:
            assert asterisk.database_show("speeddial") == {"12": "07"}
            asterisk.cli("database deltree speeddial")


def _ended(task: dict[str, object]) -> dict[str, object] | None:
    return task if task["progress"] == 100 else None


class Modules:
    """A folder with the sample's fragment and functions that do nothing.

    The sample itself would add its table to those of every later test in this process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.fragment = folder / "speed_dials.yaml"
        self.code = folder / "speed_dials.py"
        shutil.copy(DOCS / "modules" / "speed_dials.yaml", self.fragment)
        self.code.write_text(
            "".join(
                f"def {name}(*, system):\n    return None\n"
                for name in (
                    "list_speed_dials",
                    "set_speed_dial",
                    "repair_speed_dials",
                    "delete_speed_dial",
                )
            ),
            encoding="utf-8",
        )

    def change(self, before: str, after: str) -> None:
        text = self.fragment.read_text(encoding="utf-8")
        assert before in text
        self.fragment.write_text(text.replace(before, after), encoding="utf-8")

    def refused(self) -> str:
        settings = Settings(data_dir=self.folder / "data", secret=SECRET, modules_dir=self.folder)
        with pytest.raises(ModuleError) as caught:
            served_document(settings)
        return str(caught.value)


@pytest.fixture
def modules(tmp_path: Path) -> Modules:
    return Modules(tmp_path / "modules")


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("  /speeddials:", "  /users:", "GET /users is there already"),
        ("  /speeddials/{code}:", "  /users/{code}:", "/users/{code} would take requests of"),
        ("  /speeddials:", "  /users/ada:", "/users/ada would take requests of /users/{username}"),
        ("list_speed_dials", "list_users", "operationId list_users is used by /users"),
        ("delete_speed_dial", "list_speed_dials", "operationId list_speed_dials is used by"),
        ("SpeedDial", "Task", "components.schemas.Task is there already"),
        ("name: speed-dials", "name: users", "the tag users is there already"),
        ("delete_speed_dial", "remove_speed_dial", "has no function remove_speed_dial"),
        ("summary:", "sumary:", "the merged document is wrong at paths/"),
        ("paths:", "path:", "has no paths"),
        ("tags:\n", "servers: []\ntags:\n", "servers has no place in a fragment"),
        ("tags:\n", "tags: [\n", "cannot be read"),
        (
            "operationId: list_speed_dials",
            "operationId: list_speed_dials\n      x-openapi-router-controller: os",
            "are bound to its own Python",
        ),
    ],
)
def test_conflicts_are_told(modules: Modules, before: str, after: str, complaint: str) -> None:
    modules.change(before, after)
    told = modules.refused()
    assert complaint in told
    assert told.startswith("module")


def test_broken_files_are_told(modules: Modules) -> None:
    modules.code.rename(modules.folder / "aside.txt")
    assert "there is no speed_dials.py" in modules.refused()
    modules.code.write_text("import nothing_of_this_name\n", encoding="utf-8")
    assert "speed_dials.py cannot be loaded: ModuleNotFoundError" in modules.refused()
    modules.code.chmod(0o666)
    assert "everybody may write" in modules.refused()
    modules.fragment.unlink()
    assert "there is no speed_dials.yaml" in modules.refused()
    shutil.rmtree(modules.folder)
    assert "is not a folder" in modules.refused()


def test_two_modules_may_not_have_the_same(modules: Modules) -> None:
    for kind in ("yaml", "py"):
        shutil.copy(modules.folder / f"speed_dials.{kind}", modules.folder / f"again.{kind}")
    assert modules.refused().startswith("module speed_dials: operationId list_speed_dials")


def test_the_command_line_shows_them(
    modules: Modules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(tmp_path, monkeypatch)
    plain = yaml.safe_load(cli("spec", "print").output)
    modules.code.write_text("def count_pens(*, system):\n    return 3\n", encoding="utf-8")
    modules.code.rename(modules.folder / "pens.py")
    modules.fragment.write_text(
        "paths:\n  /pens:\n    get:\n      operationId: count_pens\n"
        "      responses: {'200': {description: n}}\n",
        encoding="utf-8",
    )
    modules.fragment.rename(modules.folder / "pens.yaml")
    monkeypatch.setenv("NETHVOICE_MODULES_DIR", str(modules.folder))
    merged = yaml.safe_load(cli("spec", "print").output)
    operation = merged["paths"].pop("/pens")["get"]
    assert operation["x-openapi-router-controller"] == "nethvoice_modules.pens"
    assert set(operation["responses"]) == {"200", "403", "429", "500", "503"}
    assert merged == plain
    assert "operations" in cli("spec", "validate").output
    (modules.folder / "pens.py").unlink()
    assert "Error: module pens" in cli("init", code=1).output
