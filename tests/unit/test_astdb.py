"""The embedded AstDB, and what may be recorded as a change of any AstDB."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, select

from nethvoice.store.astdb import AmiAstDB, AstdbChanges, AstdbOperation, EmbeddedAstDB
from nethvoice.store.database import Database
from nethvoice.store.tables import rest_astdb
from tests.astdb_scenarios import SCENARIOS, Scenario


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'nethvoice.db'}", tmp_path)
    rest_astdb.create(database.engine)
    yield database
    database.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_embedded(database: Database, scenario: Scenario) -> None:
    scenario(EmbeddedAstDB(database))


def test_keys_are_those_of_asterisk(database: Database) -> None:
    changes = AstdbChanges()
    changes.put("AMPUSER", "200/cidname", "Ada")
    EmbeddedAstDB(database).apply(changes.operations)
    with database.engine.connect() as connection:
        assert connection.execute(select(rest_astdb)).all() == [("/AMPUSER/200/cidname", "Ada")]


def test_joins_a_transaction(database: Database) -> None:
    astdb = EmbeddedAstDB(database)
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        astdb.apply([["put", "CW", "200", "ENABLED"]], connection)
        astdb.apply([["copy", "CW", "200", "201"]], connection)
        raise ZeroDivisionError
    assert astdb.tree("CW") == {}


def test_all_or_nothing_in_its_own_transaction(database: Database) -> None:
    astdb = EmbeddedAstDB(database)
    with pytest.raises(ValueError, match="no AstDB operation"):
        astdb.apply([["put", "CW", "200", "ENABLED"], ["explode", "CW", "200"]])
    assert astdb.tree("CW") == {}


def test_operations_are_json() -> None:
    changes = AstdbChanges()
    changes.put("AMPUSER", "200/cidname", " Ada è ")
    changes.delete("CW", "200")
    changes.delete_tree("AMPUSER", "200")
    changes.append_member("AMPUSER", "200/device", "91200")
    changes.remove_member("AMPUSER", "200/device", "91200")
    changes.copy("AMPUSER", "200/accountcode", "91200/accountcode")
    changes.put_if_exists("AMPUSER", "200/a", "200/b", "x")
    assert json.loads(json.dumps(changes.operations)) == [
        ["put", "AMPUSER", "200/cidname", "Ada è"],
        ["delete", "CW", "200"],
        ["delete_tree", "AMPUSER", "200"],
        ["append_member", "AMPUSER", "200/device", "91200"],
        ["remove_member", "AMPUSER", "200/device", "91200"],
        ["copy", "AMPUSER", "200/accountcode", "91200/accountcode"],
        ["put_if_exists", "AMPUSER", "200/a", "200/b", "x"],
    ]


@pytest.mark.parametrize(
    "record",
    [
        lambda c: c.put("", "200", "x"),
        lambda c: c.put("A/B", "200", "x"),
        lambda c: c.put("A\r\n\r\nAction: Logoff", "200", "x"),
        lambda c: c.put("A", "", "x"),
        lambda c: c.put("A", "/cidname", "x"),
        lambda c: c.put("A", "200//x", "x"),
        lambda c: c.put("A", "200/", "x"),
        lambda c: c.put("A", " 200", "x"),
        lambda c: c.put("A", "200 /x", "x"),
        lambda c: c.put("A", "200\n", "x"),
        lambda c: c.put("A", "2\0", "x"),
        lambda c: c.put("A", "x" * 253, "x"),
        lambda c: c.put("A", "è" * 127, "x"),
        lambda c: c.put("A", "200", "x\r\ny"),
        lambda c: c.put("A", "200", "x\n"),
        lambda c: c.put("A", "200", "x\0"),
        lambda c: c.put("A", "200", "è" * 501),
        lambda c: c.put("A", "200", "\ud800"),
        lambda c: c.delete("A", ""),
        lambda c: c.delete("A", "/x"),
        lambda c: c.append_member("A", "200/device", ""),
        lambda c: c.append_member("A", "200/device", "1&2"),
        lambda c: c.append_member("A", "200/device", "1\n"),
        lambda c: c.append_member("A", "/device", "1"),
        lambda c: c.remove_member("A", "200/device", " "),
        lambda c: c.copy("A", "200/x", "/x"),
        lambda c: c.copy("A", "", "200/x"),
        lambda c: c.put_if_exists("A", "/x", "200/x", "1"),
        lambda c: c.put_if_exists("A", "200/x", "200/x", "1\r"),
    ],
)
def test_refused_when_recorded(record: Callable[[AstdbChanges], Any]) -> None:
    changes = AstdbChanges()
    with pytest.raises(ValueError, match=r"AstDB|surrogates"):
        record(changes)
    assert changes.operations == []


def test_longest_path_and_value() -> None:
    changes = AstdbChanges()
    changes.put("A", "x" * 252, "è" * 500)
    assert len(changes.operations) == 1


BAD_BRANCHES = [
    ("AMPUSER", ""),
    ("AMPUSER", "/"),
    ("AMPUSER", "/200"),
    ("AMPUSER", "%"),
    ("AMPUSER", "_"),
    ("AMPUSER", "2%"),
    ("AMPUSER", "20_"),
    ("AMPUSER", "200/%"),
    ("AMPUSER", "200/a_b"),
    ("AMPUSER", "200/"),
    ("AMPUSER", "200//x"),
    ("AMPUSER", "none"),
    ("AMPUSER", "200\n"),
    ("AMPUSER", "٢٠٠"),
    ("AMPUSER", " 200"),
    ("AMP%", "200"),
    ("AMP_SER", "200"),
    ("", "200"),
    ("/", "200"),
]


@pytest.mark.parametrize(("family", "key"), BAD_BRANCHES)
def test_branches_that_are_never_deleted(database: Database, family: str, key: str) -> None:
    astdb = EmbeddedAstDB(database)
    astdb.apply([["put", "AMPUSER", "200/cidname", "Ada"], ["put", "DEVICE", "200/user", "200"]])
    changes = AstdbChanges()
    with pytest.raises(ValueError, match="AstDB"):
        changes.delete_tree(family, key)
    assert changes.operations == []
    operation: AstdbOperation = ["delete_tree", family, key]
    with pytest.raises(ValueError, match="AstDB"):
        astdb.apply([operation])
    with pytest.raises(ValueError, match="AstDB"):
        AmiAstDB(None).apply([["put", "AMPUSER", "1", "x"], operation])  # type: ignore[arg-type]
    assert astdb.tree("AMPUSER") == {"200/cidname": "Ada"}
    assert astdb.tree("DEVICE") == {"200/user": "200"}


@pytest.mark.parametrize(
    "operation",
    [
        [],
        ["put"],
        ["put", "A", "1"],
        ["put", "A", "1", 5],
        ["put", "A", "1", "x", "y"],
        ["delete", "A"],
        ["PUT", "A", "1", "x"],
        [None, "A", "1"],
        [["put"], "A", "1"],
    ],
)
def test_malformed_operations(database: Database, operation: AstdbOperation) -> None:
    with pytest.raises(ValueError, match="no AstDB operation"):
        EmbeddedAstDB(database).apply([operation])


@pytest.mark.parametrize("family", ["", "/", "A/B", " ", "A\r\n"])
def test_families_that_are_none(database: Database, family: str) -> None:
    with pytest.raises(ValueError, match="AstDB"):
        EmbeddedAstDB(database).tree(family)
    with pytest.raises(ValueError, match="AstDB"):
        AmiAstDB(None).tree(family)  # type: ignore[arg-type]


keys = st.text("2/0_%.A-", min_size=1, max_size=6)


@given(st.sets(keys, max_size=12), st.from_regex(r"[20]{1,2}(/[20.A-]{1,2})?", fullmatch=True))
def test_a_branch_is_its_key_and_all_below(paths: set[str], branch: str) -> None:
    engine = create_engine("sqlite://")
    rest_astdb.create(engine)
    with engine.begin() as connection:
        rows = [{"key": f"/AMPUSER/{path}", "value": ""} for path in paths]
        if rows:
            connection.execute(insert(rest_astdb), rows)
        astdb = EmbeddedAstDB(None)  # type: ignore[arg-type]
        astdb.apply([["delete_tree", "AMPUSER", branch]], connection)
        left = {key[9:] for key in connection.scalars(select(rest_astdb.c.key))}
    engine.dispose()
    assert left == {p for p in paths if p != branch and not p.startswith(f"{branch}/")}
