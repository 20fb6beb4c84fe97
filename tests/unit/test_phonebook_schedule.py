"""When sources are due, and what of their rows becomes a contact."""

import json
from pathlib import Path

import pytest

from nethvoice import first_start
from nethvoice.ldap.directory import fingerprint
from nethvoice.pbx.phonebook import readers
from nethvoice.pbx.phonebook.contacts import Mapped, map_rows, replace_contacts
from nethvoice.pbx.phonebook.rows import Rows, SourceError
from nethvoice.pbx.phonebook.sources import Source, check_config, write_source
from nethvoice.pbx.phonebook.sync import CLAIM_DIES, State, all_keys, due, sync
from nethvoice.problems import Problem
from nethvoice.settings import Settings
from nethvoice.system import System

HOUR = 3600.0
NOW = 1_800_000_000.0


def _due(enabled: bool = True, only_wanted: bool = False, **state: float) -> bool:
    known = {"crm": State("crm", **state)} if state else {}  # type: ignore[arg-type]
    return due({"crm": (enabled, HOUR)}, known, NOW, only_wanted=only_wanted) == ["crm"]


def test_by_interval() -> None:
    assert _due()
    assert not _due(tried=NOW - HOUR + 1)
    assert _due(tried=NOW - HOUR)
    assert _due(tried=NOW + 60), "a clock that was set back"
    assert not _due(enabled=False)
    assert not _due(only_wanted=True)


def test_when_asked_for() -> None:
    assert _due(tried=NOW - 1, wanted=NOW)
    assert _due(enabled=False, wanted=NOW), "a disabled source is emptied"
    assert _due(only_wanted=True, wanted=NOW)
    assert not _due(tried=NOW - 1, wanted=NOW + 5)


def test_claimed_by_another_process() -> None:
    assert not _due(claimed=NOW - 1, wanted=NOW)
    assert _due(claimed=NOW - CLAIM_DIES, wanted=NOW)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("15", 900), (60, 3600), (None, 86400), ("0", 86400), (5000, 86400), ("x", 86400)],
)
def test_intervals(interval: object, seconds: float) -> None:
    config = {"enabled": True} | ({} if interval is None else {"interval": interval})
    assert Source("crm", config, None).interval == seconds  # type: ignore[arg-type]


MAPPING = {"Full Name": "name", "tel": "workphone", "tel 2": "workphone"}


def test_rows_become_contacts() -> None:
    rows = Rows(
        ["full name", "tel", "tel 2"],
        [[" Ada\n Rossi ", "", "0721"], ["Bob", "1", "2"], ["", "", ""], ["Carl", "1" * 26, ""]],
    )
    mapped = map_rows(rows, MAPPING, "CRM", {"workphone": 25, "type": 255})
    assert mapped.contacts == [
        {"name": "Ada Rossi", "workphone": "0721", "type": "CRM"},
        {"name": "Bob", "workphone": "1", "type": "CRM"},
    ]
    assert (mapped.skipped, mapped.reason) == (1, "row 4: workphone is longer than 25 characters")


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="no column 'tel 2'"):
        map_rows(Rows(["Full Name", "tel"], []), MAPPING, "CRM", {})


def _config(**more: object) -> dict[str, object]:
    return {"dbtype": "csv", "url": "https://x/y.csv", "mapping": {"a": "name"}, **more}


def test_the_order_of_a_stored_source() -> None:
    body = {"enabled": True, "type": "CRM", "readonly": True, "interval": 60, **_config()}
    assert list(check_config(body)) == [
        "url", "mapping", "dbtype", "interval", "readonly", "type", "enabled"
    ]  # fmt: skip
    assert check_config(body)["interval"] == "60"


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 400, "Missing value: dbtype"),
        (_config(dbtype="oracle"), 400, "Bad dbtype value"),
        (_config(dbtype="mysql"), 400, "Missing value: host"),
        (_config(url=""), 400, "Missing value: url"),
        (_config(url="0"), 400, "Missing value: url"),
        (_config(mapping={}), 400, "Missing value: mapping"),
        (_config(interval="5\n* * * * * id"), 400, "interval"),
        (_config(interval="-1"), 400, "interval"),
        (_config(mapping={"a": "name) VALUES (1"}), 422, "no column of the phonebook"),
        (_config(mapping={"a": "id"}), 422, "no column of the phonebook"),
        (_config(mapping={"a": "sid_imported"}), 422, "no column of the phonebook"),
        (_config(url="https://x/\r\nHost: y"), 422, "one line"),
        (_config(note="x" * 200_000), 422, "not stored"),
    ],
)
def test_what_is_refused(body: dict[str, object], status: int, detail: str) -> None:
    with pytest.raises(Problem) as caught:
        check_config(body)
    assert caught.value.status == status
    assert detail in caught.value.detail


def test_a_run_failed_or_left_rows_out() -> None:
    assert State("crm", tried=NOW, last_error="down").failed
    assert State("crm", tried=NOW, synced=NOW - HOUR, last_error="down").failed
    assert not State("crm", tried=NOW, synced=NOW + 1, last_error="1 rows left out").failed
    assert not State("crm", tried=NOW, synced=NOW + 1).failed
    assert not State("crm").failed


def test_no_part_of_a_password_is_left_where_an_error_is_cut() -> None:
    words = readers._words(
        OSError("x" * 290 + " top-secret-password"), {"password": "top-secret-password"}
    )
    assert "top" not in words
    assert len(words) == 299


def _system(folder: Path) -> System:
    settings = Settings(data_dir=folder, secret="x", admin_password="x")
    first_start.initialise(settings)
    return System(settings)


def test_files_written_by_hand(tmp_path: Path) -> None:
    """Others in the file stay; names of built-in sources are left alone."""
    system = _system(tmp_path)
    try:
        folder = system.settings.phonebook_sources
        folder.mkdir(parents=True)
        others = {"other": _config(), "nethvoice extensions": _config(enabled=True)}
        (folder / "crm.json").write_text(json.dumps(others))
        write_source(system, "crm", _config())
        assert set(json.loads((folder / "crm.json").read_text())) == {*others, "crm"}
        (folder / "broken.json").write_text("{")
        write_source(system, "broken", _config())
        assert set(json.loads((folder / "broken.json").read_text())) == {"broken"}
        assert all_keys(system) == ["builtin:extensions", "builtin:nethcti", "builtin:speeddial"]
        with pytest.raises(SourceError, match="built-in"):
            sync(system, "nethvoice extensions")
    finally:
        system.stop()


def test_a_contact_in_place_of_another_is_noticed(tmp_path: Path) -> None:
    system = _system(tmp_path)
    try:
        seen = set()
        for name in ("Ada", "Bob", "Carl"):
            with system.phonebook_database.write() as connection:
                contacts = Mapped([{"name": name, "workphone": "1", "type": "x"}])
                replace_contacts(connection, "crm", contacts)
            seen.add(fingerprint(system.phonebook_database))
        assert len(seen) == 3
    finally:
        system.stop()
