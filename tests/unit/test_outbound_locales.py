"""The catalogue of dial patterns: the shipped file, and an operator's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import delete, insert, select

from nethvoice.pbx.outbound_locales import CATALOGUE, KINDS, list_locales, list_templates, parse
from nethvoice.store import tables as t
from nethvoice.store.catalogue import CatalogueError
from nethvoice.store.database import Database

FILE = "outbound_locales.yaml"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/db", tmp_path)
    made.create_missing()
    yield made
    made.close()


def load(database: Database, folder: Path) -> bool:
    with database.write() as connection:
        return CATALOGUE.load(connection, folder)


def rows(database: Database) -> list[tuple[str, str, str, str]]:
    table = t.outbound_routes_locales.c
    query = select(table.locale, table.key, table.prefix_value, table.pattern_value)
    with database.read() as connection:
        return [(r[0], r[1], r[2], r[3]) for r in connection.execute(query.order_by(table.id))]


def templates(database: Database) -> dict[str, list[str]]:
    with database.read() as connection:
        return list_templates(connection)


def test_the_shipped_file_is_loaded_once(database: Database, tmp_path: Path) -> None:
    assert load(database, tmp_path)
    first = rows(database)
    assert len(first) == 70
    counts = {
        locale: [sum(row[:2] == (locale, kind) for row in first) for kind in KINDS]
        for locale in ("it", "fr", "es", "de", "en")
    }
    assert counts == {
        "it": [7, 3, 1, 7],
        "fr": [7, 3, 1, 1],
        "es": [7, 3, 1, 2],
        "de": [8, 3, 1, 2],
        "en": [6, 3, 1, 3],
    }
    assert ("it", "cellphone", "+39", "3XXXXXX.") in first
    assert not load(database, tmp_path)
    assert rows(database) == first


def test_rows_of_the_former_service_stay(database: Database, tmp_path: Path) -> None:
    load(database, tmp_path)
    first = rows(database)
    with database.write() as connection:
        connection.execute(delete(t.rest_state))
        hand = {"locale": "xx", "key": "own", "prefix_value": "", "pattern_value": "9XX"}
        connection.execute(insert(t.outbound_routes_locales).values(hand))
    load(database, tmp_path)
    assert rows(database) == [*first, ("xx", "own", "", "9XX")]


def test_an_operators_file_adds_and_replaces(database: Database, tmp_path: Path) -> None:
    load(database, tmp_path)
    shipped = rows(database)
    own = tmp_path / FILE
    own.write_text(
        yaml.safe_dump(
            {
                "pt_BR": {"toll": ["0300XXX."], "emergency": ["19X"], "national": ["0|ZZXXXX."]},
                "it": {"toll": ["144XXX."]},
                "no": {"national": ["NXXXXXXX"]},
            }
        )
    )
    assert load(database, tmp_path)
    found = rows(database)
    assert [row for row in found if row[0] == "pt_BR"] == [
        ("pt_BR", "emergency", "", "19X"),
        ("pt_BR", "national", "0", "ZZXXXX."),
        ("pt_BR", "toll", "", "0300XXX."),
    ]
    assert [row for row in found if row[:2] == ("it", "toll")] == [("it", "toll", "", "144XXX.")]
    assert len([row for row in found if row[0] == "it"]) == 12
    # Known kinds first, in their usual order.
    assert templates(database)["pt_BR"] == ["national_pt_BR", "toll_pt_BR", "emergency_pt_BR"]
    with database.read() as connection:
        assert list_locales(connection) == ["de", "en", "es", "fr", "it", "no", "pt_BR"]
    assert not load(database, tmp_path)
    own.unlink()
    assert load(database, tmp_path)
    assert sorted(rows(database)) == sorted(shipped)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("it: {national: [0123]}", "dial pattern"),
        ("it: {national: ['0[9-1]X']}", "dial pattern"),
        ("it: {national: ['_0X']}", "dial pattern"),
        ("it: {national: ['x|0X']}", "dial pattern"),
        ("it: {national: ['|0X']}", "dial pattern"),
        ("it: {national: ['0X; exten']}", "dial pattern"),
        ("it: {national: []}", "list of patterns"),
        ("it: {national: '0X'}", "list of patterns"),
        ("it: {Na_tional: ['0X']}", "lower-case"),
        ("'../x': {national: ['0X']}", "locale"),
        ("no: {national: ['0X']}", "mapping"),
        ("it: x", "mapping"),
        ("- it", "mapping"),
        ("it: [", "outbound_locales"),
    ],
)
def test_malformed_files(database: Database, tmp_path: Path, text: str, word: str) -> None:
    load(database, tmp_path)
    before = rows(database)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(CatalogueError) as caught:
        load(database, tmp_path)
    assert word in str(caught.value)
    assert str(tmp_path / FILE) in str(caught.value)
    assert rows(database) == before


def test_parsing_nothing() -> None:
    assert parse(None, None) == {}
