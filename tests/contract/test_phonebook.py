"""The phonebook's operations: sources as files, contacts as rows, switches, LDAP settings."""

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from nethvoice.pbx.phonebook import sync
from nethvoice.store import tables as t
from nethvoice.system import System
from tests.support import Service, eventually

CSV = "Name;Tel;Mail\nAda Rossi;0721;ada@example.org\nBob;;bob@example.org\n"
MAPPING = {"Name": "name", "Tel": "workphone", "Mail": "workemail"}


def upload(service: Service, text: str = CSV) -> str:
    answer = service.call("POST", "/phonebook/uploadfile", files={"0": ("a.csv", text.encode())})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["uri"])


def source(service: Service, text: str = CSV, **more: Any) -> dict[str, Any]:
    return {
        "dbtype": "csv",
        "url": upload(service, text),
        "type": "Customers",
        "mapping": MAPPING,
        "interval": "60",
        "enabled": True,
        **more,
    }


def contacts(service: Service, sid: str) -> list[tuple[Any, ...]]:
    rows = service.rows(t.phonebook, sid_imported=sid)
    return sorted((row["name"], row["workphone"], row["workemail"], row["type"]) for row in rows)


IMPORTED = [
    ("Ada Rossi", "0721", "ada@example.org", "Customers"),
    ("Bob", None, "bob@example.org", "Customers"),
]


def test_fields(service: Service) -> None:
    fields = service.get("/phonebook/fields")
    assert len(fields) == 24
    assert fields == sorted(fields)
    assert set(fields) <= set(t.phonebook.c.keys())


def test_a_source_from_creation_to_deletion(service: Service) -> None:
    assert service.get("/phonebook/config") == {}
    body = source(service)
    assert service.post("/phonebook/config", body) == {"status": True, "id": "custom_1"}
    eventually(lambda: contacts(service, "custom_1") == IMPORTED)
    path = service.settings.phonebook_sources / "custom_1.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    stored = json.loads(path.read_bytes())
    assert stored == {"custom_1": body}
    assert list(stored["custom_1"]) == ["url", "mapping", "dbtype", "interval", "type", "enabled"]
    answer = service.call("GET", "/phonebook/config")
    assert answer.json() == stored
    assert answer.headers["cache-control"] == "no-store"
    assert service.post("/phonebook/config", body) == {"status": True, "id": "custom_2"}
    # The upload is the other one's too.
    service.delete("/phonebook/config/custom_1")
    assert contacts(service, "custom_1") == []
    assert not path.exists()
    file = Path(body["url"].removeprefix("file://"))
    assert file.exists()
    assert service.post("/phonebook/config", source(service))["id"] == "custom_1"
    service.settle()
    service.delete("/phonebook/config/custom_2")
    assert not file.exists()
    assert service.refused("DELETE", "/phonebook/config/custom_2", 404)
    assert "X-Apply-Task" not in answer.headers


def test_a_disabled_source_keeps_no_contacts(service: Service) -> None:
    body = source(service)
    service.post("/phonebook/config/crm", body)
    eventually(lambda: contacts(service, "crm") == IMPORTED)
    service.post("/phonebook/config/crm", {**body, "enabled": False})
    assert contacts(service, "crm") == []
    assert service.get("/phonebook/config")["crm"]["enabled"] is False
    service.post("/phonebook/syncnow/crm")
    assert contacts(service, "crm") == []
    service.post("/phonebook/config/crm", {**body, "enabled": True})
    eventually(lambda: contacts(service, "crm") == IMPORTED)


@pytest.mark.parametrize("more", [{}, {"interval": "", "type": ""}])
def test_what_is_not_sent_is_stored_with_its_default(
    service: Service, more: dict[str, str]
) -> None:
    body = {"dbtype": "csv", "url": upload(service), "mapping": MAPPING, **more}
    source_id = service.post("/phonebook/config", body)["id"]
    stored = service.get("/phonebook/config")[source_id]
    defaults = {"interval": "1440", "type": source_id, "enabled": False}
    assert stored == {**body, **defaults}
    assert list(stored) == ["url", "mapping", "dbtype", "interval", "type", "enabled"]


def test_what_stays_keeps_its_id(service: Service) -> None:
    body = source(service)
    service.post("/phonebook/config/crm", body)
    eventually(lambda: len(contacts(service, "crm")) == 2)
    service.add(t.phonebook, {"name": "By hand", "sid_imported": "CRM", "workphone": "5"})
    service.add(t.phonebook, {"name": "Nobody's", "workphone": "6"})
    before = {row["name"]: row["id"] for row in service.rows(t.phonebook)}
    with service.statements() as seen:
        service.post("/phonebook/syncnow/crm")
    written = [s for s in seen if "rest_phonebook" not in s and not s.startswith("SELECT")]
    assert not [s for s in written if "phonebook" in s], "nothing changed, nothing is written"
    service.post("/phonebook/config/crm", {**body, "url": upload(service, CSV + "Zoe;9;\n")})
    eventually(lambda: len(service.rows(t.phonebook)) == 5)
    after = {row["name"]: row["id"] for row in service.rows(t.phonebook)}
    assert {name: after[name] for name in before} == before


def test_the_same_rows_twice_and_rows_that_do_not_fit(service: Service) -> None:
    text = "Name;Tel;Mail\nAda;1;\nAda;1;\nBob;" + "1" * 26 + ";\nZoë 🎉;2;\n;;\n"
    service.post("/phonebook/config/crm", source(service, text))
    eventually(lambda: service.rows(t.rest_phonebook_sources, source="crm")[0]["synced"])
    assert [row[0] for row in contacts(service, "crm")] == ["Ada", "Ada", "Zoë 🎉"]
    state = service.row(t.rest_phonebook_sources, source="crm")
    assert (state["contacts"], state["skipped"]) == (3, 1)
    assert "row 3: workphone is longer than 25 characters" in state["last_error"]


def test_forms_of_php_clients(service: Service) -> None:
    body = source(service)
    form = {
        **{k: v for k, v in body.items() if k != "mapping"},
        **{f"mapping[{k}]": v for k, v in MAPPING.items()},
        "enabled": "1",
    }
    answer = service.call("POST", "/phonebook/config/crm", data=form)
    assert answer.status_code == 200, answer.text
    assert service.get("/phonebook/config")["crm"] == body


def test_members_of_others_are_kept(service: Service) -> None:
    folder = service.settings.phonebook_sources
    folder.mkdir(parents=True, exist_ok=True)
    hand = {"dbtype": "mssql", "driver": "FreeTDS", "password": "päss", "enabled": "true"}
    (folder / "erp.json").write_text(json.dumps({"erp": hand, "two": {"dbtype": "infinity"}}))
    (folder / "broken.json").write_text("{")
    (folder / "list.json").write_text("[]")
    (folder / "notes.txt").write_text("no source")
    found = service.get("/phonebook/config")
    assert found == {
        "erp": {**hand, "enabled": True},
        "two": {"dbtype": "infinity", "enabled": False},
    }
    body = source(service, readonly=True, driver={"x": [1]})
    service.post("/phonebook/config/two", body)
    assert json.loads((folder / "erp.json").read_text())["erp"] == hand
    assert service.get("/phonebook/config")["two"] == body
    problem = service.refused("POST", "/phonebook/syncnow/erp", 422)
    assert "mapping" in problem["detail"]
    service.settle()
    service.delete("/phonebook/config/two")
    assert list(service.get("/phonebook/config")) == ["erp"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/phonebook/config/..%2F..%2Fx", 404),
        ("/phonebook/config/a%0Ab", 404),
        ("/phonebook/config/a'b", 404),
        ("/phonebook/config/" + "x" * 65, 404),
        ("/phonebook/config/nethcti", 422),
        ("/phonebook/config/SpeedDial", 422),
    ],
)
def test_ids_that_are_refused(service: Service, path: str, status: int) -> None:
    service.refused("POST", path, status, json=source(service))


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"dbtype": None}, 400, "Missing value: dbtype"),
        ({"dbtype": "oracle"}, 400, "Bad dbtype value"),
        ({"dbtype": "mysql"}, 400, "Missing value: host"),
        ({"url": ""}, 400, "Missing value: url"),
        ({"mapping": {}}, 400, "Missing value: mapping"),
        ({"mapping": []}, 400, "mapping"),
        ({"mapping": {"a": 'name"; DROP TABLE phonebook'}}, 422, "no column of the phonebook"),
        ({"interval": "5\n* * * * * id"}, 400, "interval"),
    ],
)
def test_bodies_that_are_refused(
    service: Service, change: dict[str, Any], status: int, detail: str
) -> None:
    body = {**source(service), **change}
    for path in ("/phonebook/config", "/phonebook/config/crm"):
        assert detail in service.refused("POST", path, status, json=body)["detail"]
    service.refused("POST", "/phonebook/config", 400, content=b"{")
    service.refused("POST", "/phonebook/config", 400)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "file://{uploads}/../nethvoice.db", "file://{uploads}/link.csv",
            "file://{uploads}", "gopher://127.0.0.1/x", "file://evil.example.org{good}", "/etc/x",
            "http://[", "file:///{uploads}/%00"]
)  # fmt: skip
def test_urls_of_other_files(service: Service, url: str) -> None:
    good = upload(service).removeprefix("file://")
    uploads = service.settings.phonebook_uploads
    link = uploads / "link.csv"
    link.unlink(missing_ok=True)
    link.symlink_to("/etc/passwd")
    try:
        named = url.format(uploads=uploads, good=good)
        body = {"dbtype": "csv", "url": named, "mapping": {"a": "name"}}
        assert service.post("/phonebook/test", body) == {"status": False}
        service.post("/phonebook/config/crm", {**body, "enabled": False})
        service.delete("/phonebook/config/crm")
        assert os.path.lexists(link)
        assert Path("/etc/passwd").exists()
        assert Path(good).exists()
    finally:
        link.unlink()


def test_trials(service: Service) -> None:
    body = {"dbtype": "csv", "url": upload(service)}
    assert service.post("/phonebook/test", body)[0] == {
        "Name": "Ada Rossi", "Tel": "0721", "Mail": "ada@example.org"
    }  # fmt: skip
    body["url"] = upload(service, "Name;Tel\n")
    assert service.post("/phonebook/test", body) == []
    assert service.refused("POST", "/phonebook/test", 400, json={"dbtype": "csv"})
    assert service.get("/phonebook/config") == {}


def test_sync_now(service: Service) -> None:
    assert service.refused("POST", "/phonebook/syncnow/crm", 404)
    service.post("/phonebook/config/crm", source(service, mapping={"Phone": "workphone"}))
    service.settle()
    problem = service.refused("POST", "/phonebook/syncnow/crm", 422)
    assert problem["detail"] == "the source has no column 'Phone'"
    assert "no column" in service.row(t.rest_phonebook_sources, source="crm")["last_error"]
    service.post("/phonebook/config/crm", source(service))
    assert service.post("/phonebook/syncnow/crm") == {"status": True}
    assert contacts(service, "crm") == IMPORTED
    assert service.row(t.rest_phonebook_sources, source="crm")["last_error"] is None


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"dbtype": "mysql", "host": "x", "port": "3306"}, "the source has no user"),
        ({"url": None}, "the source has no url"),
        ({"mapping": {"Name": ["name"]}}, "mapping: the name of a column is not text"),
    ],
)
def test_sources_written_by_hand_that_cannot_be_used(
    service: Service, change: dict[str, Any], detail: str
) -> None:
    folder = service.settings.phonebook_sources
    folder.mkdir(parents=True, exist_ok=True)
    hand = {"dbtype": "csv", "url": upload(service), "mapping": MAPPING, "enabled": True}
    (folder / "hand.json").write_text(json.dumps({"hand": {**hand, **change}}))
    problem = service.refused("POST", "/phonebook/syncnow/hand", 422)
    assert problem["detail"] == detail


# --- built-in sources -----------------------------------------------------------------------------


def test_switches_of_built_in_sources(service: Service) -> None:
    switches = {"extensions": True, "nethcti": True, "speeddial": True}
    assert service.get("/phonebook/sources") == switches
    ada = service.person("ada", "200")
    service.person("bob")
    guest = service.person("room1", "201")
    service.post("/mobiles", {"username": "ada", "mobile": "3331234567"})
    for user_id in (ada, guest):
        if not service.rows(t.rest_users, user_id=user_id):
            service.add(t.rest_users, {"user_id": user_id})
    with service.database.write() as connection:
        where = (t.sip.c.id == "201") & (t.sip.c.keyword == "context")
        connection.execute(t.sip.update().where(where).values(data="hotel"))
    service.add(t.rapidcode, {"number": "118", "label": "Emergency"})
    service.add(
        t.cti_phonebook,
        {"name": "Shared", "type": "public", "owner_id": "ada", "workphone": "1"},
        {"name": "Own", "type": "private", "owner_id": "ada", "workphone": "2"},
    )
    service.add(t.phonebook, {"name": "Other", "workphone": "9", "sid_imported": "crm"})
    for name in switches:
        service.post(f"/phonebook/sources/{name}/enabled")

    def found(sid: str) -> list[tuple[Any, ...]]:
        rows = service.rows(t.phonebook, sid_imported=sid)
        return [(r["name"], r["workphone"], r["cellphone"], r["owner_id"], r["type"]) for r in rows]

    eventually(
        lambda: (
            found("nethvoice extensions") == [("Ada", "200", "3331234567", "admin", "extension")]
        )
    )
    eventually(lambda: found("nethcti") == [("Shared", "1", None, "ada", "nethcti")])
    expected = [("Emergency", "118", None, "admin", "rapidcode")]
    eventually(lambda: found("NethVoice RapidCodes") == expected)
    service.post("/phonebook/sources/extensions/disabled")
    assert service.get("/phonebook/sources") == {**switches, "extensions": False}
    eventually(lambda: found("nethvoice extensions") == [])
    assert found("crm")
    assert found("nethcti")


@pytest.mark.parametrize(
    "path",
    [
        "/phonebook/sources/x/enabled",
        "/phonebook/sources/nethcti/on",
        "/phonebook/ldap/status/on",
        "/phonebook/x/status/enabled",
    ],
)
def test_switches_that_are_not_there(service: Service, path: str) -> None:
    service.refused("POST", path, 404)


# --- LDAP -----------------------------------------------------------------------------------------


def test_ldap_settings(service: Service) -> None:
    found = service.get("/phonebook/ldap")
    assert {len(part) for part in found.values()} == {13}
    assert not found["ldap"]["enabled"]
    assert (found["ldap"]["port"], found["ldap"]["tls"], found["ldap"]["user"]) == (
        "10389", "none", ""
    )  # fmt: skip
    assert (found["ldaps"]["port"], found["ldaps"]["tls"]) == ("10636", "ldaps")
    assert found["ldaps"]["user"] == "cn=ldapuser,dc=phonebook,dc=nh"
    assert len(found["ldaps"]["password"]) == 24
    assert service.get("/phonebook/ldap") == found, "the password stays"
    service.post("/phonebook/ldaps/status/enabled")
    after = service.get("/phonebook/ldap")
    assert (after["ldap"]["enabled"], after["ldaps"]["enabled"]) == (False, True)
    service.post("/phonebook/ldaps/status/disabled")
    assert service.get("/phonebook/ldap") == found


def test_the_hook(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "hook"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$3" = enabled ]\n')
    script.chmod(0o755)
    monkeypatch.setattr(service.settings, "hook_phonebook_ldap", [str(script), "it's one"])
    service.post("/phonebook/ldap/status/enabled")
    problem = service.refused("POST", "/phonebook/ldap/status/disabled", 500)
    assert "HOOK_PHONEBOOK_LDAP" in problem["detail"]
    assert service.get("/phonebook/ldap")["ldap"]["enabled"] is True
    assert (tmp_path / "calls").read_text() == "it's one ldap enabled\nit's one ldap disabled\n"
    monkeypatch.setattr(service.settings, "hook_phonebook_ldap", [str(tmp_path / "missing")])
    service.refused("POST", "/phonebook/ldap/status/disabled", 500)


def test_the_status_follows_the_hook(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "hook"
    script.write_text(
        f"#!/bin/sh\ntouch {tmp_path}/begun\nuntil [ -e {tmp_path}/go ]; do sleep 0.1; done\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(service.settings, "hook_phonebook_ldap", [str(script)])
    call = threading.Thread(target=service.post, args=("/phonebook/ldaps/status/enabled",))
    call.start()
    eventually((tmp_path / "begun").exists)
    assert service.get("/phonebook/ldap")["ldaps"]["enabled"] is False
    (tmp_path / "go").touch()
    call.join(30)
    assert service.get("/phonebook/ldap")["ldaps"]["enabled"] is True
    (tmp_path / "go").unlink()
    monkeypatch.setattr(service.settings, "hook_timeout", 0.5)
    problem = service.refused("POST", "/phonebook/ldaps/status/disabled", 500)
    assert "did not end within 0.5 s" in problem["detail"]


# --- several processes, and what is left over -----------------------------------------------------


def test_each_run_is_claimed_once(service: Service) -> None:
    service.post("/phonebook/config/crm", source(service))
    service.settle()
    other = System(service.settings)
    try:
        sync.want(other, "crm")
        seen = sync.states(other)["crm"]
        assert sync._claim(other, seen)
        assert not sync._claim(other, seen)
        assert "crm" not in sync.due({"crm": (True, 1.0)}, sync.states(other), sync.time.time())
        sync.sync(other, "crm")
        state = sync.states(other)["crm"]
        assert (state.claimed, state.wanted, state.contacts) == (None, None, 2)
        assert not sync._claim(other, seen), "what another process has done since is not done again"
        lines = list(sync.report(other))
        assert any(line.startswith("crm: on, 2 contacts, synchronised ") for line in lines)
    finally:
        other.stop()


def test_uploads_that_nobody_uses_go_after_a_day(service: Service) -> None:
    from nethvoice.pbx.phonebook.sources import drop_unused_uploads

    used, old, new = source(service), upload(service), upload(service)
    service.post("/phonebook/config/crm", used)
    for uri in (used["url"], old):
        os.utime(uri.removeprefix("file://"), (1, 1))
    other = System(service.settings)
    drop_unused_uploads(other)
    other.stop()
    left = [Path(uri.removeprefix("file://")).exists() for uri in (used["url"], old, new)]
    assert left == [True, False, True]


def test_uploads_stay_while_a_source_cannot_be_read(service: Service) -> None:
    from nethvoice.pbx.phonebook.sources import drop_unused_uploads

    body, old = source(service), upload(service)
    service.post("/phonebook/config/crm", body)
    service.settle()
    files = [Path(uri.removeprefix("file://")) for uri in (body["url"], old)]
    for file in files:
        os.utime(file, (1, 1))
    broken = service.settings.phonebook_sources / "broken.json"
    broken.write_text(json.dumps({"broken": body})[:-1])
    service.delete("/phonebook/config/crm")
    other = System(service.settings)
    try:
        drop_unused_uploads(other)
        assert all(file.exists() for file in files)
        broken.unlink()
        drop_unused_uploads(other)
        assert not any(file.exists() for file in files)
    finally:
        other.stop()
