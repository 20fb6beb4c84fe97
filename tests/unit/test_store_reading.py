"""Prepared statements, packed rows and the connections behind them, on both databases."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from nethvoice.problems import Problem
from nethvoice.store.database import Database
from nethvoice.store.packed import Packed, json_objectagg
from nethvoice.store.prepared import Prepared
from nethvoice.store.remembered import remember_last
from nethvoice.store.rows import (
    change_row,
    delete_rows,
    insert_row,
    insert_rows,
    json_row,
    put_row,
)
from nethvoice.store.tables import rest_outbox

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(100), unique=True),
    Column("note", String(200)),
    mysql_charset="utf8mb4",
)

NASTY = [
    "plain",
    "O'Brien",
    'say "hi"',
    "back\\slash",
    "100 % %s %(name)s %%",
    "a:b :name ?",
    "Zoë 日本 🎉",
    "line\nbreak\ttab",
    "record\x1eand\x1ffield",
    "",
]


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'things.db'}"
    else:
        url = request.getfixturevalue("mariadb").create_database("things")
    database = Database(url, tmp_path, connections=3)
    metadata.create_all(database.engine)
    yield database
    metadata.drop_all(database.engine)
    database.close()


on_mariadb = pytest.mark.parametrize("database", ["mariadb"], indirect=True)


def _fill(database: Database, notes: list[str | None]) -> None:
    with database.write() as connection:
        rows = [{"name": f"n{place:03}", "note": note} for place, note in enumerate(notes)]
        connection.execute(insert(things), rows)


# --- prepared ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", NASTY)
def test_texts_arrive_as_they_are(database: Database, text: str) -> None:
    _fill(database, [text, "other"])
    # One as a parameter, one as a constant that is part of the statement.
    by_parameter = Prepared(select(things.c.note).where(things.c.note == bindparam("note")))
    by_constant = Prepared(
        select(things.c.note, literal(text).label("same")).where(
            things.c.note == literal(text), literal("%(param_1)s %(note_1)s") != literal("x")
        )
    )
    with database.read() as connection:
        assert by_parameter.scalar(connection, {"note": text}) == text
        assert tuple(by_constant.first(connection)) == (text, text)
        assert by_parameter.first(connection, {"note": "nothing"}) is None
        assert by_parameter.scalar(connection, {"note": "nothing"}) is None


def test_rows_have_names(database: Database) -> None:
    _fill(database, ["a", None])
    query = Prepared(select(things.c.name, things.c.note).order_by(things.c.id))
    with database.read() as connection:
        rows = query.rows(connection)
    assert [(row.name, row.note) for row in rows] == [("n000", "a"), ("n001", None)]


def test_a_missing_value_is_an_error(database: Database) -> None:
    query = Prepared(select(things.c.note).where(things.c.note == bindparam("note")))
    with database.read() as connection, pytest.raises(KeyError):
        query.first(connection, {})


def test_columns_that_need_a_conversion_are_refused(database: Database) -> None:
    query = Prepared(select(rest_outbox.c.parked))
    with database.read() as connection, pytest.raises(TypeError, match="parked"):
        query.rows(connection)


def test_errors_are_those_of_sqlalchemy_without_values(database: Database) -> None:
    secret = "s3cret-value"
    with pytest.raises(IntegrityError) as caught, database.write() as connection:
        insert_row(connection, things, {"name": "twice", "note": secret})
        insert_row(connection, things, {"name": "twice", "note": secret})
    assert secret not in str(caught.value)
    with database.read() as connection:
        assert Prepared(select(things.c.id)).rows(connection) == []
    with pytest.raises(DBAPIError) as missing, database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM things JOIN missing")
    assert missing.value.hide_parameters


def test_helpers_of_rows(database: Database) -> None:
    with database.write() as connection:
        first = insert_row(connection, things, {"name": "a", "note": "x"})
        insert_rows(connection, things, [{"name": n, "note": "x"} for n in ("b", "c")])
        insert_rows(connection, things, [])
        assert put_row(connection, things, {"name": "a"}, {"note": "y"})
        assert not put_row(connection, things, {"name": "a"}, {"note": "y"})
        assert put_row(connection, things, {"name": "a"}, {"note": "Y"})  # letter case counts
        assert put_row(connection, things, {"name": "a"}, {"note": None})
        assert not put_row(connection, things, {"name": "a"}, {"note": None})
        assert put_row(connection, things, {"name": "d"}, {"note": "new"})
        assert change_row(connection, things, {"note": "x"}, {"note": "z"}) == 2
        assert change_row(connection, things, {"id": first}, {"note": "z"}) == 1
        assert delete_rows(connection, things, {"note": "z"}) == 3
        assert delete_rows(connection, things, {"note": "z"}) == 0
    with database.read() as connection:
        rows = Prepared(select(things.c.name, things.c.note)).rows(connection)
    assert [tuple(row) for row in rows] == [("d", "new")]


# --- packed --------------------------------------------------------------------------------------

_JSON = json_row([("name", things.c.name), ("note", things.c.note)])
_ALL = Packed(select(things.c.id, _JSON, things.c.note), things.c.name.desc())
_ARRAY = Packed(select(_JSON), things.c.name)


def _both(database: Database) -> tuple[list[Any], list[Any]]:
    with database.read() as connection:
        rows = [(int(a), orjson.loads(b), c) for a, b, c in _ALL.rows(connection)]
        array = orjson.loads(f"[{_ARRAY.joined(connection)}]")
    return rows, array


def test_packed_rows(database: Database) -> None:
    assert _both(database) == ([], [])
    notes = [*NASTY, None]
    _fill(database, notes)
    rows, array = _both(database)
    assert array == [{"name": f"n{i:03}", "note": note} for i, note in enumerate(notes)]
    assert [told for _, told, _ in rows] == array[::-1]
    assert [note for *_, note in rows] == [note or "" for note in notes[::-1]]


@on_mariadb
def test_what_is_too_long_for_one_value_is_read_row_by_row(database: Database) -> None:
    _fill(database, ["x" * 150] * 50)
    expected = _both(database)
    for limit in (1024, 1025, 5000):  # cut in the middle of a text, of a name, at a separator
        with database.read() as connection:
            connection.exec_driver_sql(f"SET SESSION group_concat_max_len = {limit}")
        assert _both(database) == expected
    assert len(expected[0]) == 50


def test_packed_rows_are_equal_when_the_same_was_sent(database: Database) -> None:
    _fill(database, ["a", "b"])
    with database.read() as connection:
        first, second = _ALL.rows(connection), _ALL.rows(connection)
    assert first == second
    with database.write() as connection:
        insert_row(connection, things, {"name": "n999", "note": "c"})
    with database.read() as connection:
        third = _ALL.rows(connection)
    assert third != first
    assert (len(first), len(third)) == (2, 3)
    assert len(first[:1]) == 1


@on_mariadb
def test_what_was_sent_before_is_not_taken_apart_again(database: Database) -> None:
    with database.read() as connection:
        assert not _ALL.rows(connection)
    _fill(database, ["a", "b"])
    with database.read() as connection:
        first = _ALL.rows(connection)
        assert first
        assert _ALL.rows(connection) is first
    with database.write() as connection:
        change_row(connection, things, {"name": "n001"}, {"note": "c"})
    with database.read() as connection:
        again = _ALL.rows(connection)
        assert again is not first
        assert [note for *_, note in again] == ["c", "a"]
    with database.write() as connection:
        connection.execute(delete(things))
    with database.read() as connection:
        assert not _ALL.rows(connection)


@on_mariadb
def test_texts_of_an_older_database_and_of_any_length(database: Database) -> None:
    """FreePBX's tables were latin1 for years, and some columns hold whole documents."""
    older = Table(
        "older",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("name", String(100)),
        Column("document", Text),
        mysql_charset="latin1",
    )
    query = Packed(
        select(json_row([(str(c.name), c) for c in older.c]), older.c.name), older.c.name
    )
    older.create(database.engine)
    rows: list[dict[str, Any]] = [
        {"id": 1, "name": 'Zoë "Ü"', "document": "é\n" * 10_000},
        {"id": 2, "name": "ß", "document": None},
    ]
    with database.write() as connection:
        insert_rows(connection, older, rows)
    with database.read() as connection:
        found = [(orjson.loads(text), name) for text, name in query.rows(connection)]
    older.drop(database.engine)
    expected = [({**row, "id": str(row["id"])}, row["name"]) for row in rows]
    assert sorted(found, key=lambda pair: str(pair[0]["id"])) == expected


def test_objects_of_keys_and_values(database: Database) -> None:
    query = Prepared(select(json_objectagg(things.c.name, things.c.note)))
    with database.read() as connection:
        assert orjson.loads(query.scalar(connection) or "{}") == {}
    _fill(database, [note for note in NASTY if "\x1e" not in note])
    with database.read() as connection:
        found = orjson.loads(query.scalar(connection))
    assert list(found.values()) == [note for note in NASTY if "\x1e" not in note]


def test_the_last_result_is_remembered() -> None:
    calls: list[object] = []

    @remember_last
    def shape(rows: list[int], *, more: int = 0) -> list[int]:
        calls.append(rows)
        if not rows:
            raise ValueError("nothing")
        return [*rows, more]

    first = shape([1, 2], more=3)
    assert shape([1, 2], more=3) is first
    assert shape([1, 2], more=4) == [1, 2, 4]
    assert shape([2], more=3) == [2, 3]
    for _ in range(2):
        with pytest.raises(ValueError, match="nothing"):
            shape([])
    assert len(calls) == 5


# --- connections ---------------------------------------------------------------------------------

_COUNT = Prepared(select(things.c.id))


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        insert_row(connection, things, {"name": "a", "note": ""})
        connection.execute(insert(things).values(name="b"))
        raise ZeroDivisionError
    with database.read() as connection:
        assert _COUNT.rows(connection) == []
        # Reading leaves no transaction behind: others' commits are seen at once.
        with database.write() as other:
            insert_row(other, things, {"name": "c", "note": ""})
        assert len(_COUNT.rows(connection)) == 1


def test_a_step_is_undone_alone(database: Database) -> None:
    with database.write() as connection:
        insert_row(connection, things, {"name": "a", "note": ""})
        with pytest.raises(IntegrityError), connection.begin_nested():
            insert_row(connection, things, {"name": "b", "note": ""})
            insert_row(connection, things, {"name": "a", "note": ""})
    with database.read() as connection:
        assert len(_COUNT.rows(connection)) == 1


def test_one_connection_serves_one_after_the_other(database: Database) -> None:
    seen = set()
    for _ in range(5):
        with database.read() as connection:
            seen.add(id(connection.connection.dbapi_connection))
        with database.write() as connection:
            seen.add(id(connection.connection.dbapi_connection))
    assert len(seen) == 1


def test_who_waits_for_a_connection_gets_the_next_one(database: Database) -> None:
    """All are in use, one is given back: it goes to the one who waits at the pool."""
    held = [database.read() for _ in range(3)]
    for each in held:
        each.__enter__()
    got = threading.Event()

    def wait() -> None:
        with database.read() as connection:
            _COUNT.rows(connection)
            got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    assert not got.is_set()
    held.pop().__exit__(None, None, None)
    assert got.wait(5)
    thread.join()
    for each in held:
        each.__exit__(None, None, None)


@on_mariadb
def test_a_lost_connection_is_an_outage_once(database: Database) -> None:
    number = Prepared(select(literal(0)))
    with database.read() as connection:
        number.rows(connection)
        mine = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
    with database.engine.connect() as other:
        other.exec_driver_sql(f"KILL {mine}")
    with pytest.raises(Problem) as caught, database.read() as connection:
        number.rows(connection)
    assert caught.value.status == 503
    with database.read() as connection:
        assert [tuple(row) for row in number.rows(connection)] == [(0,)]


@on_mariadb
@pytest.mark.parametrize("idle", [0.0, 60.0])
def test_a_restarted_server_costs_one_request_at_most(
    database: Database, monkeypatch: pytest.MonkeyPatch, idle: float
) -> None:
    """All connections are lost. Those that lay idle for long are tried before they are used."""
    more = Database(str(database.engine.url.render_as_string(False)), Path("/"), connections=8)
    held = [more.read() for _ in range(6)]
    numbers = [
        each.__enter__().exec_driver_sql("SELECT CONNECTION_ID()").scalar_one() for each in held
    ]
    for each in held:
        each.__exit__(None, None, None)
    with database.engine.connect() as other:
        for number in numbers:
            other.exec_driver_sql(f"KILL {number}")
    later = time.monotonic() + idle
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: later)
        failed = sum(_fails(more) for _ in range(8))
    more.close()
    assert failed == (1 if not idle else 0)


def _fails(database: Database) -> bool:
    try:
        with database.read() as connection:
            _COUNT.rows(connection)
    except Problem as problem:
        return problem.status == 503
    return False


def test_two_at_once_make_the_first_row_of_a_key(database: Database) -> None:
    both = threading.Barrier(2, timeout=10)
    results: list[object] = []

    def put(note: str) -> None:
        try:
            with database.write() as connection:
                if not database.is_sqlite:  # which has one writer at a time
                    _COUNT.rows(connection)
                    both.wait()
                results.append(put_row(connection, things, {"name": "a"}, {"note": note}))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=put, args=(note,)) for note in ("x", "y")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [True, True]
    with database.read() as connection:
        assert len(_COUNT.rows(connection)) == 1


def test_a_put_that_the_table_refuses_is_an_error(database: Database) -> None:
    with database.write() as connection:
        insert_row(connection, things, {"name": "a", "note": "x"})
    with pytest.raises(IntegrityError), database.write() as connection:
        put_row(connection, things, {"note": "y"}, {"name": "a"})


def test_tables_that_come_and_go(database: Database) -> None:
    """FreePBX's modules are installed and removed while the service runs."""
    module = Table("module", MetaData(), Column("id", Integer, primary_key=True))
    query = Prepared(select(module.c.id))
    made: list[Database] = []

    def build(of: Database) -> Prepared:
        made.append(of)
        return query

    assert database.live(module) is None
    database.statement(build)
    module.create(database.engine)
    assert database.live(module) is None
    database.look_again()
    assert database.live(module) is not None
    database.statement(build)
    assert len(made) == 2
    database.look_again()
    database.statement(build)
    assert len(made) == 2
    module.drop(database.engine)
    with pytest.raises(DBAPIError), database.read() as connection:
        query.rows(connection)
    assert database.live(module) is None


def test_the_embedded_database_is_for_its_owner_only(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'nethvoice.db'}", tmp_path)
    metadata.create_all(database.engine)
    with database.write() as connection:
        insert_row(connection, things, {"name": "a", "note": ""})
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("nethvoice.db*")}
    database.close()
    assert set(modes) >= {"nethvoice.db", "nethvoice.db-wal"}
    assert set(modes.values()) == {0o600}


def test_a_named_lock_is_exclusive_and_given_back(database: Database) -> None:
    order = []
    inside = threading.Event()

    def second() -> None:
        inside.wait(5)
        with database.write(lock="test.things") as connection:
            order.append(len(_COUNT.rows(connection)))

    thread = threading.Thread(target=second)
    thread.start()
    with database.write(lock=["test.things", "test.others"]) as connection:
        inside.set()
        time.sleep(0.1)
        insert_row(connection, things, {"name": "a", "note": ""})
        order.append(0)
    thread.join(10)
    assert order == [0, 1]
