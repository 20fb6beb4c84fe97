"""When sources are due, and what of their rows becomes a contact."""

import pytest

from nethvoice.pbx.phonebook.contacts import map_rows
from nethvoice.pbx.phonebook.rows import Rows, SourceError
from nethvoice.pbx.phonebook.sources import Source, check_config
from nethvoice.pbx.phonebook.sync import CLAIM_DIES, State, due
from nethvoice.problems import Problem

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
