"""CSV import and export."""

import base64
import csv
import io
import threading
from typing import Any

import pytest
from sqlalchemy import select

from nethvoice.document import load_document
from nethvoice.pbx import csv_import
from nethvoice.store import tables as t
from nethvoice.store.unit import Unit
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


def test_without_a_profile_its_dialling_rights_are_gone(service: Service) -> None:
    service.add(t.rest_cti_profiles, {"id": 3, "name": "Advanced"}, {"id": 4, "name": "Hotel"})
    profiles = {"200": "Advanced", "201": "Advanced", "202": "Advanced", "203": "Hotel"}
    with_profile = "".join(f"p{n},P {n},{n},,,,,,{name}\n" for n, name in profiles.items())
    assert run_import(service, with_profile).json() == {"result": 100}
    assert [service.sip(n)["context"] for n in profiles] == ["cti-profile-3"] * 3 + ["hotel"]
    with service.database.write() as connection:
        for number, context in (("201", "my-own"), ("202", "hotel")):
            where = (t.sip.c.id == number) & (t.sip.c.keyword == "context")
            connection.execute(t.sip.update().where(where).values(data=context))
    without = "".join(f"p{n},P {n},{n},,,,,,\n" for n in profiles)
    applied = len(service.rows(t.rest_tasks, kind="apply"))
    assert run_import(service, without).json() == {"result": 100}
    assert {row["profile_id"] for row in service.rows(t.rest_users)} == {None}
    contexts = ["from-internal", "my-own", "hotel", "from-internal"]
    assert [service.sip(n)["context"] for n in profiles] == contexts
    service.settle()
    assert len(service.rows(t.rest_tasks, kind="apply")) == applied + 1
    assert run_import(service, without).json() == {"result": 100}
    service.settle()
    assert len(service.rows(t.rest_tasks, kind="apply")) == applied + 1


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
    assert service.everything() == before
    assert len(service.rows(t.rest_tasks, kind="apply")) == applied


def test_mailboxes_of_other_contexts_survive_a_round_trip(service: Service) -> None:
    service.person("ada", "200")
    service.person("bob", "201")
    conf = service.settings.voicemail_conf
    text = "[general]\n\n[default]\n\n[branch]\n200 => 4711,Ada,,,\n"
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text(text)
    assert [row[5] for row in exported(service)] == ["TRUE", "FALSE"]
    for _ in range(2):
        answer = run_import(service, base64.b64decode(service.get("/csv/csvexport")))
        assert answer.json() == {"result": 100}
        service.settle()
        assert conf.read_text() == text
        assert service.astdb("AMPUSER", "200")["voicemail"] == "branch"


def test_texts_that_are_no_extension_leave_it_alone(service: Service) -> None:
    service.person("ada", "200")
    service.post("/webrtc", {"extension": "200"})
    service.settle()
    before = service.everything()
    for text in ("0", "000", "none", "2oo", ""):
        assert run_import(service, f"ada,Ada,{text}\n").json() == {"result": 100}
    service.settle()
    assert service.everything() == before


def test_a_crash_amid_an_import_stays_visible(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row that needs a reload says so in its own transaction (D-23), no other row does."""
    seen: list[str] = []
    set_groups = csv_import.cti_profiles.set_groups
    flag = select(t.admin.c.value).where(t.admin.c.variable == "need_reload")

    def look_before(unit: Unit, *rest: Any) -> None:
        with service.database.read() as connection:
            seen.append(str(connection.scalar(flag)))
        set_groups(unit, *rest)

    monkeypatch.setattr(csv_import.cti_profiles, "set_groups", look_before)
    text = "ada,Ada,200,,,,,Sales\nbob,Bob,201,,,,,Sales\ncarl,Carl,202,,,,,Sales\n"
    for expected in (["false", "true", "true"], ["false", "false", "false"]):
        assert run_import(service, text).json() == {"result": 100}
        assert seen == expected
        service.settle()
        assert service.row(t.admin, variable="need_reload")["value"] == "false"
        seen.clear()


def lock_directory(service: Service, state: int) -> None:
    with service.database.write() as connection:
        connection.execute(t.userman_directories.update().values(locked=state))


def test_a_locked_directory_refuses_its_rows(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ada", "bob", "carl"):
        service.person(name)
    lock_directory(service, 1)
    monkeypatch.setattr(csv_import, "_PATIENCE", 0.5)
    answer = run_import(service, "ada,Ada,200,,333\nbob,Bob,201,,444\ncarl,Carl,none,,555\n")
    assert answer.json()["errors"] == [
        "line 1 (ada): ERROR: directory is locked",
        "line 2 (bob): ERROR: directory is locked",
    ]
    assert service.rows(t.users) == []
    assert [row["mobile"] for row in service.rows(t.rest_users)] == ["555"]


def test_an_import_waits_for_a_lock_that_goes_away(service: Service) -> None:
    service.person("ada")
    lock_directory(service, 1)
    unlock = threading.Timer(1.0, lock_directory, [service, 0])
    unlock.start()
    assert run_import(service, "ada,Ada,200\n").json() == {"result": 100}
    assert service.row(t.userman_directories)["locked"] == 0
    unlock.join(10)
    assert service.row(t.users)["extension"] == "200"


def test_problems_are_those_of_the_document(service: Service) -> None:
    responses = load_document()["paths"]["/csv/csvimport"]["get"]["responses"]
    examples = responses["422"]["content"]["application/problem+json"]["examples"]
    none = service.call("GET", "/csv/csvimport")
    failed = run_import(service, "ada\n")
    for answer, name in ((none, "none"), (failed, "failed")):
        example = examples[name]["value"]
        problem = answer.json()
        assert (answer.status_code, problem.keys()) == (422, example.keys())
        for member in ("type", "title", "status"):
            assert problem[member] == example[member]


def test_errors_of_rows(service: Service) -> None:
    text = (
        "good,Good One,200\n,No Name,201\nbad,Bad Number,200\nprof,Pro File,203,,,,,,Nope\n"
        "9digits,Digit First,204\nlast,Last One,205\ngrp,Group Name,,,,,,東京|Sales\n"
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
    assert "line 7 (grp): the group name 東京 has no letter" in errors
    assert len(problem["errors"]) == 5
    assert service.rows(t.rest_cti_groups) == service.rows(t.rest_cti_permissions) == []
    configured = {user["username"]: user["default_extension"] for user in service.get("/users/all")}
    del configured["grp"]
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
