"""CSV import and export."""

import base64
import csv
import io
from typing import Any

import pytest

from nethvoice.store import tables as t
from tests.support import Service, eventually


def upload(text: str | bytes, prefix: str = "data:text/csv;base64,") -> dict[str, str]:
    raw = text if isinstance(text, bytes) else text.encode()
    return {"file": prefix + base64.b64encode(raw).decode()}


def run_import(service: Service, text: str | bytes) -> Any:
    """Import, wait for the end, and return the last answer."""
    service.post("/csv/csvimport", upload(text))

    def ended() -> Any:
        answer = service.call("GET", "/csv/csvimport")
        if answer.status_code == 200 and answer.json()["result"] < 100:
            return None
        return answer

    return eventually(ended, 60)


def exported(service: Service) -> list[list[str]]:
    text = base64.b64decode(service.get("/csv/csvexport")).decode()
    assert text == "" or text.endswith("\r\n")
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture
def profile(service: Service) -> None:
    service.add(t.rest_cti_profiles, {"id": 3, "name": "Advanced"})
    service.add(t.rest_cti_macro_permissions, {"id": 11, "name": "presence_panel"})


GOOD = """\ufeffusername,fullname
# a comment
jdoe,"John ""J"" Doe, jr.",200,Pa9!xyzw,+39 333 123,TRUE,TRUE,Sales|Süpport,Advanced,FALSE

Mary,Mary Major,201,,,FALSE,FALSE,,
newbie,New User,none
"""


@pytest.mark.usefixtures("profile")
def test_import(service: Service) -> None:
    answer = run_import(service, GOOD)
    assert (answer.status_code, answer.json()) == (200, {"result": 100})
    users = {user["username"]: user for user in service.get("/users/all")}
    assert sorted(users) == ["jdoe", "mary", "newbie"]
    john = users["jdoe"]
    assert john["displayname"] == 'John "J" Doe, jr.'
    assert (john["default_extension"], john["password"], john["profile"]) == (
        "200",
        "Pa9!xyzw",
        "3",
    )
    assert [device["type"] for device in john["devices"]] == ["webrtc"]
    assert service.get("/mobiles/jdoe") == "0039333123"
    assert service.get("/voicemails/200")["mailbox"] == 200
    assert service.get("/webrtc/200") == "200"
    assert service.sip("200")["context"] == "cti-profile-3"
    groups = {row["id"]: row["name"] for row in service.rows(t.rest_cti_groups)}
    assert sorted(groups.values()) == ["Sales", "Süpport"]
    permissions = {row["name"]: row for row in service.rows(t.rest_cti_permissions)}
    assert sorted(permissions) == ["grp_sales", "grp_spport"]
    assert permissions["grp_sales"]["displayname"] == "Group: Sales"
    links = service.rows(t.rest_cti_macro_permissions_permissions)
    assert {link["macro_permission_id"] for link in links} == {11}
    settings = {row["key_name"]: row["value"] for row in service.rows(t.user_settings)}
    assert settings == {
        "desktop_notifications": "true",
        "open_ccard": "connected",
        "chat_notifications": "true",
    }
    assert users["mary"]["default_extension"] == "201"
    assert len(users["mary"]["password"]) == 8
    assert users["newbie"]["default_extension"] == "none"


@pytest.mark.usefixtures("profile")
def test_export_reimports_without_a_change(service: Service) -> None:
    run_import(service, GOOD)
    service.settle()
    before = service.everything()
    rows = exported(service)
    assert rows[0] == ["jdoe", 'John "J" Doe, jr.', "200", "Pa9!xyzw", "0039333123", "TRUE",
                       "TRUE", "Sales|Süpport", "Advanced"]  # fmt: skip
    assert rows[2][:3] == ["newbie", "New User", "none"]
    applied = len(service.rows(t.rest_tasks, kind="apply"))
    answer = run_import(service, base64.b64decode(service.get("/csv/csvexport")))
    assert answer.json() == {"result": 100}
    service.settle()
    after = service.everything()
    for state in (before, after):  # a new salt makes a new hash of the same password
        state["userman_users"] = [row[:5] + row[6:] for row in state["userman_users"]]
    assert after == before
    assert len(service.rows(t.rest_tasks, kind="apply")) == applied


def test_errors_of_rows(service: Service) -> None:
    text = (
        "good,Good One,200\n,No Name,201\nbad,Bad Number,200\nprof,Pro File,203,,,,,,Nope\n"
        "9digits,Digit First,204\nlast,Last One,205\n"
    )
    answer = run_import(service, text)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["title"] == "CSV import failed"
    errors = "\n".join(problem["errors"])
    assert problem["detail"] == errors
    assert "line 2: Error creating user: username and fullname can't be empty" in errors
    assert "line 3 (bad): Extension 200 already in use" in errors
    assert "line 4 (prof): Can't find profile Nope" in errors
    assert "line 5 (9digits): Error creating user 9digits" in errors
    assert len(problem["errors"]) == 4
    configured = {user["username"]: user["default_extension"] for user in service.get("/users/all")}
    assert configured == {"good": "200", "bad": "none", "prof": "203", "last": "205"}
    # Reading the end again gives the same answer.
    assert service.call("GET", "/csv/csvimport").json()["errors"] == problem["errors"]


def test_state_before_any_import(service: Service) -> None:
    answer = service.call("GET", "/csv/csvimport")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "No csv import active"
    assert exported(service) == []


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"file": "%%%"}, 422, "base64"),
        ({"file": ""}, 422, "empty"),
        (upload(" \n "), 422, "empty"),
        (upload("ada,Ad\xe9\n".encode("latin-1")), 422, "UTF-8"),
        (upload('a,b\nada,"Ada\n'), 422, "broken"),
        (upload('ada,"Ada"x,200\n'), 422, "line 1"),
        (upload("# only a comment\n"), 422, "no lines"),
        (upload("ada," + "x" * 5000), 422, "4096"),
        ({}, 400, "file"),
        (None, 400, ""),
    ],
)
def test_broken_files(service: Service, body: Any, status: int, word: str) -> None:
    problem = service.refused("POST", "/csv/csvimport", status, json=body)
    assert word in problem["detail"]
    assert service.rows(t.rest_tasks) == []


def test_media_types_of_browsers(service: Service) -> None:
    for prefix in ("", "data:application/vnd.ms-excel;base64,", "data:;base64,",
                   "data:Text/CSV;charset=UTF-8;base64,"):  # fmt: skip
        service.post("/csv/csvimport", upload("ada,Ada", prefix))
        service.settle()
    assert service.get("/users/count") == 1


def test_off_is_no_error_for_what_is_not_there(service: Service) -> None:
    answer = run_import(service, "ada,Ada,200,,,FALSE,FALSE,,,FALSE\nbob,Bob,,,,FALSE,FALSE,,\n")
    assert answer.json() == {"result": 100}
    answer = run_import(service, "ada,Ada,200,,,TRUE,TRUE,,,TRUE\n")
    pin = service.get("/voicemails/200")["pwd"]
    answer = run_import(service, "ada,Ada,200,,,TRUE,TRUE,,,TRUE\n")
    assert answer.json() == {"result": 100}
    assert service.get("/voicemails/200")["pwd"] == pin
    assert sorted(row["extension"] for row in service.rows(t.users)) == ["200", "91200"]


def test_one_reload_for_a_whole_import(service: Service) -> None:
    service.settle()
    before = len(service.rows(t.rest_tasks, kind="apply"))
    text = "".join(f"user{n},User {n},{1000 + n}\n" for n in range(30))
    assert run_import(service, text).json() == {"result": 100}
    assert len(service.rows(t.rest_tasks, kind="apply")) == before + 1


@pytest.mark.timeout(900)
def test_a_thousand_people(service: Service) -> None:
    """A small constant of statements a person, progress on the way, and one reload."""

    def statements(first: int, people: int) -> int:
        text = "".join(
            f"p{n},Person {n},{n},,0039{n},FALSE,FALSE,Sales\n"
            for n in range(first, first + people)
        )
        seen_progress: set[int] = set()
        with service.statements() as seen:
            service.post("/csv/csvimport", upload(text))

            def finished() -> bool:
                state = service.get("/csv/csvimport")["result"]
                seen_progress.add(state)
                return bool(state == 100)

            eventually(finished, 600)
            service.settle()
        if people > 100:
            assert len(seen_progress) > 10
        return len(seen)

    statements(1000, 2)
    small = statements(2000, 10)
    before = len(service.rows(t.rest_tasks, kind="apply"))
    large = statements(3000, 1000)
    assert len(service.rows(t.rest_tasks, kind="apply")) == before + 1
    assert service.get("/users/count") == 1012
    per_person = (large - small) / 990
    assert per_person < 60
    assert large < small + 990 * (small / 10)
