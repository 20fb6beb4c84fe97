"""Synchronising people from OpenLDAP and from Active Directory's classes, on both databases."""

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, event, insert, select, text, update

from nethvoice import doctor, first_start
from nethvoice.pbx import csv_format, csv_import, directories
from nethvoice.pbx.people import find_person
from nethvoice.problems import Problem
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.store.tasks import Task
from nethvoice.system import System
from tests.contract.conftest import load_freepbx_schema
from tests.services.relay import Relay
from tests.services.slapd import BASE, LIMITED, PASSWORD, READER, Slapd
from tests.support import PASSWORD as ADMIN_PASSWORD
from tests.support import SECRET, LiveServer, eventually
from tests.support import Service as RunningService


class Lab:
    """Systems over one database, each with its own way to the directory."""

    def __init__(self, folder: Path, server: Slapd, database_url: str | None) -> None:
        self.server = server
        self._values: dict[str, Any] = {
            "data_dir": folder,
            "secret": SECRET,
            "admin_password": ADMIN_PASSWORD,
            "database_url": database_url,
            "user_directory": "ldap",
            "ldap_url": server.url,
            "ldap_base_dn": BASE,
            "ldap_bind_dn": READER,
            "ldap_bind_password": PASSWORD,
            "ldap_timeout": 1,
        }
        self._made: list[System] = []
        first_start.initialise(self.settings())
        self.system = self.with_settings()

    def settings(self, **more: Any) -> Settings:
        return Settings(**self._values | more)

    def with_settings(self, **more: Any) -> System:
        system = System(self.settings(**more))
        self._made.append(system)
        return system

    def sync(self, **more: Any) -> Task:
        """Synchronise and wait for the end."""
        system = self.with_settings(**more) if more else self.system
        task_id = directories.start_sync(system)

        def ended() -> Task | None:
            task = system.tasks.get(task_id)
            assert task is not None
            return None if task.state == "running" else task

        return eventually(ended)  # type: ignore[no-any-return]

    def rows(self, table: Table = t.userman_users) -> list[dict[str, Any]]:
        with self.system.read() as connection:
            return [dict(row._mapping) for row in connection.execute(select(table))]

    def people(self) -> dict[str, dict[str, Any]]:
        return {row["username"]: row for row in self.rows()}

    def add(self, table: Table, **values: Any) -> int:
        with self.system.change() as unit:
            key = unit.conn.execute(insert(table).values(values)).inserted_primary_key
            return int(key[0])  # type: ignore[index]

    def give_extension(self, username: str, extension: str) -> None:
        with self.system.change() as unit:
            unit.conn.execute(
                update(t.userman_users)
                .where(t.userman_users.c.username == username)
                .values(default_extension=extension)
            )

    def close(self) -> None:
        for system in self._made:
            system.stop()


@pytest.fixture(params=["sqlite", "mariadb"])
def lab(request: pytest.FixtureRequest, tmp_path: Path, slapd: Slapd) -> Iterator[Lab]:
    slapd.clear()
    url = None
    if request.param == "mariadb":
        url = request.getfixturevalue("mariadb").create_database("directory")
        settings = Settings(data_dir=tmp_path, database_url=url)
        system = System(settings)
        load_freepbx_schema(system.database)
        system.stop()
    found = Lab(tmp_path, slapd, url)
    yield found
    slapd.thaw()
    found.close()


def test_first_sync(lab: Lab) -> None:
    lab.server.person("ada", "Ada Rossi", givenName="Ada", mail="ada@example.org")
    lab.server.person("Bob", "Bob O'Neil \\ % _ ünïcødé")
    task = lab.sync()
    assert (task.state, task.output) == (
        "succeeded",
        ["2 people read: 2 added, 0 changed, 0 removed"],
    )
    people = lab.people()
    assert sorted(people) == ["ada", "bob"]
    (internal, ldap) = lab.rows(t.userman_directories)
    assert (ldap["name"], ldap["driver"], ldap["active"]) == ("NethVoice LDAP", "Openldap2", 0)
    ada = people["ada"]
    assert ada["auth"] == str(ldap["id"]) != str(internal["id"])
    assert (ada["default_extension"], ada["password"]) == ("none", None)
    assert (ada["displayname"], ada["fname"], ada["email"]) == (
        "Ada Rossi",
        "Ada",
        "ada@example.org",
    )
    assert people["bob"]["displayname"] == "Bob O'Neil \\ % _ ünïcødé"
    assert uuid.UUID(ada["authid"])


def test_again_changes_nothing(lab: Lab) -> None:
    for number in range(50):
        lab.server.person(f"user{number}", f"User {number}")
    lab.sync()
    before = lab.rows()
    written: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        words = statement.split()
        if words[0] in ("INSERT", "UPDATE", "DELETE") and "rest_tasks" not in statement:
            written.append(statement)

    event.listen(lab.system.database.engine, "before_cursor_execute", note)
    try:
        task = lab.sync()
    finally:
        event.remove(lab.system.database.engine, "before_cursor_execute", note)
    assert task.output == ["50 people read: 0 added, 0 changed, 0 removed"]
    assert written == []
    assert lab.rows() == before


def test_an_older_table_without_some_columns(lab: Lab) -> None:
    """Columns that a version of FreePBX lacks are not written."""
    with lab.system.change() as unit:
        unit.conn.execute(text("ALTER TABLE userman_users DROP COLUMN company"))
    lab.system.database.forget_schema()
    lab.server.person("ada", "Ada Rossi", o="ACME", title="Boss")
    assert lab.sync().output == ["1 people read: 1 added, 0 changed, 0 removed"]
    assert lab.sync().output == ["1 people read: 0 added, 0 changed, 0 removed"]
    with lab.system.read() as connection:
        assert connection.scalar(select(t.userman_users.c.title)) == "Boss"


def test_doctor_says_what_is_wrong(lab: Lab) -> None:
    def finding(**more: Any) -> doctor.Finding:
        found = doctor.examine(lab.settings(**more))
        return next(f for f in found if f.name == "user directory")

    assert finding().state == "ok"
    wrong = finding(ldap_bind_password="wrong")
    assert (wrong.state, wrong.mend) == ("fail", "check NETHVOICE_LDAP_* settings")
    assert "invalidCredentials" in wrong.text


def test_changes_keep_the_extension_and_all_else(lab: Lab) -> None:
    dn = lab.server.person("ada", "Ada Rossi", mail="ada@example.org", title="Boss")
    lab.sync()
    lab.give_extension("ada", "200")
    person = lab.people()["ada"]["id"]
    lab.add(t.rest_users, user_id=person, mobile="0039333", password="kept")
    dn = lab.server.rename(dn, "Ada Bianchi", "abianchi")
    lab.server.change(dn, sn="Bianchi", mail=[])
    task = lab.sync()
    assert task.output == ["1 people read: 0 added, 1 changed, 0 removed"]
    (row,) = lab.rows()
    assert (row["id"], row["username"], row["default_extension"]) == (person, "abianchi", "200")
    assert (row["displayname"], row["lname"], row["email"]) == ("Ada Bianchi", "Bianchi", "")
    assert row["title"] == "Boss"
    (own,) = lab.rows(t.rest_users)
    assert (own["mobile"], own["password"]) == ("0039333", "kept")
    assert lab.rows(t.rest_tasks)[0]["kind"] == "sync"  # and no reload
    assert {row["kind"] for row in lab.rows(t.rest_tasks)} == {"sync"}


def test_swapped_names(lab: Lab) -> None:
    ada = lab.server.person("ada", "One Person")
    bob = lab.server.person("bob", "Another Person")
    lab.sync()
    before = {row["authid"]: row["username"] for row in lab.rows()}
    aside = lab.server.rename(ada, "One Person", "aside")
    lab.server.rename(bob, "Another Person", "ada")
    lab.server.rename(aside, "One Person", "bob")
    assert lab.sync().output == ["2 people read: 0 added, 2 changed, 0 removed"]
    after = {row["authid"]: row["username"] for row in lab.rows()}
    assert {before[key]: after[key] for key in before} == {"ada": "bob", "bob": "ada"}


def test_who_has_left_is_removed(lab: Lab) -> None:
    dn = lab.server.person("ada", "Ada Rossi")
    lab.server.person("bob", "Bob Major")
    lab.add(t.userman_users, auth="1", username="local", displayname="Of the internal directory")
    lab.sync()
    lab.give_extension("ada", "200")
    lab.give_extension("bob", "201")
    ada, bob = (lab.people()[name]["id"] for name in ("ada", "bob"))
    for person in (ada, bob):
        lab.add(t.rest_users, user_id=person, password="secret")
        lab.add(t.rest_cti_users_groups, user_id=person, group_id=1)
    lab.add(
        t.rest_devices_phones, user_id=ada, mac="00:15:65:AA:BB:CC", extension="200", secret="s"
    )
    lab.server.delete(dn)
    task = lab.sync()
    assert task.output == [
        "1 people read: 0 added, 0 changed, 1 removed",
        "extensions whose person has left: 200",
    ]
    people = lab.people()
    assert sorted(people) == ["bob", "local"]
    assert people["bob"]["default_extension"] == "201"
    assert [row["user_id"] for row in lab.rows(t.rest_users)] == [bob]
    assert [row["user_id"] for row in lab.rows(t.rest_cti_users_groups)] == [bob]
    (phone,) = lab.rows(t.rest_devices_phones)
    assert (phone["user_id"], phone["extension"], phone["secret"]) == (None, "200", "s")


def test_failures_change_nothing(lab: Lab) -> None:
    for number in range(2000):
        lab.server.person(f"user{number}", f"User {number}")
    assert lab.sync().output == ["2000 people read: 2000 added, 0 changed, 0 removed"]
    lab.give_extension("user7", "207")
    before = lab.rows()

    def fails(reason: str, **more: Any) -> None:
        task = lab.sync(**more)
        assert task.state == "failed"
        assert reason in task.output[-1]
        assert PASSWORD not in "".join(task.output)
        assert lab.rows() == before

    fails("invalidCredentials", ldap_bind_password="wrong")
    fails("not complete", ldap_bind_dn=LIMITED)
    fails("Connection refused", ldap_url="ldap://127.0.0.1:1")
    fails("CERTIFICATE_VERIFY_FAILED", ldap_start_tls=True,
          ldap_ca_file=lab.server.other_authority.file)  # fmt: skip
    fails("nobody", ldap_user_filter="(uid=nobody)")
    fails("there is no", ldap_base_dn="ou=elsewhere,dc=example,dc=org")
    with Relay(lab.server.port, limit=250_000) as relay:
        fails("no answer", ldap_url=relay.url)
    lab.server.freeze()
    fails("timed out")
    lab.server.thaw()
    assert lab.sync().output == ["2000 people read: 0 added, 0 changed, 0 removed"]


def test_server_down_and_up_again(lab: Lab) -> None:
    lab.server.person("ada", "Ada Rossi")
    lab.sync()
    lab.server.stop()
    try:
        assert "Connection refused" in lab.sync().output[-1]
        assert "Connection refused" in _problem(lab).detail
        assert sorted(lab.people()) == ["ada"]
    finally:
        lab.server.start()
    assert lab.sync().state == "succeeded"
    assert directories.examine(lab.system).endswith("1 people, not encrypted")


def _problem(lab: Lab) -> Problem:
    with pytest.raises(Problem) as caught:
        directories.examine(lab.system)
    return caught.value


def test_active_directory(lab: Lab) -> None:
    key = uuid.UUID("270db4d0-249d-46a7-9cc5-eb695d9af9ac")
    lab.server.ad_person("JDoe", "John Doe", guid=key, company="ACME")
    lab.server.ad_person("PC17$", "PC17", guid=uuid.uuid4(), kind="computer")
    lab.server.ad_person("krbtgt", "Key Centre", guid=uuid.uuid4())
    lab.sync(ldap_type="ad", ldap_start_tls=True, ldap_ca_file=lab.server.authority.file)
    row = lab.people()["jdoe"]
    assert (row["authid"], row["company"]) == (str(key), "ACME")
    assert lab.rows(t.userman_directories)[1]["driver"] == "Msad2"
    ad = lab.with_settings(ldap_type="ad")
    assert directories.describe(ad) == {
        "configured": 1,
        "local": 0,
        "type": "ad",
        "domain": "example.org",
    }


def test_directory_that_freepbx_kept_is_taken_over(lab: Lab) -> None:
    """Its people are found by `authid` or by name, spelled as FreePBX has them."""
    lab.server.person("ada", "Ada Rossi")
    lab.server.person("bob", "Bob Major")
    lab.sync()
    keys = {name: row["authid"] for name, row in lab.people().items()}
    with lab.system.change() as unit:
        unit.conn.execute(t.userman_users.delete())
        unit.conn.execute(
            update(t.userman_directories)
            .where(t.userman_directories.c.driver == "Openldap2")
            .values(active=1, name="NethServer LDAP")
        )
    place = str(lab.rows(t.userman_directories)[1]["id"])
    lab.add(t.userman_users, auth=place, authid=keys["ada"], username="Ada@example.org",
            default_extension="200")  # fmt: skip
    lab.add(
        t.userman_users, auth=place, authid="of-before", username="bob", default_extension="201"
    )
    before = lab.rows()
    reason = "FreePBX synchronises the directory NethServer LDAP itself"
    assert reason in lab.sync().output[-1]
    assert reason in _problem(lab).detail
    assert lab.rows() == before
    with lab.system.change() as unit:
        unit.conn.execute(update(t.userman_directories).values(active=0))
    assert lab.sync().output == ["2 people read: 0 added, 2 changed, 0 removed"]
    people = lab.people()
    assert {name: row["default_extension"] for name, row in people.items()} == {
        "Ada@example.org": "200",
        "bob": "201",
    }
    assert people["bob"]["authid"] == keys["bob"]
    assert lab.sync().output == ["2 people read: 0 added, 0 changed, 0 removed"]


def test_a_name_that_is_used_twice(lab: Lab) -> None:
    lab.server.person("ada", "Ada Rossi")
    lab.sync()
    lab.give_extension("ada", "200")
    first = lab.people()["ada"]["authid"]
    lab.server.person("ADA", "Another Ada")
    lab.server.person("adà", "A third one")
    task = lab.sync()
    assert task.output[0] == "3 people read: 0 added, 0 changed, 0 removed"
    assert task.output[1].startswith("not taken, the name is used twice: ")
    (row,) = lab.rows()
    assert (row["authid"], row["default_extension"]) == (first, "200")


def test_long_values_are_cut(lab: Lab) -> None:
    lab.server.person("ada", "Ada", displayName="Ada " + "x" * 300, title="t" * 300)
    lab.sync()
    assert lab.sync().output == ["1 people read: 0 added, 0 changed, 0 removed"]
    (row,) = lab.rows()
    assert (len(row["displayname"]), len(row["title"])) == (200, 100)


def test_a_directory_that_is_only_read(lab: Lab) -> None:
    lab.server.person("ada", "Ada Rossi")
    lab.sync()
    before = lab.rows()
    with lab.system.read() as connection:
        ada = find_person(connection, "ada")
    assert ada is not None
    attempts: list[Any] = [
        lambda: directories.create_user(lab.system, "bob", "Bob Major"),
        lambda: directories.create_user(lab.system, "ada", "Ada Bianchi"),
        lambda: directories.set_password(lab.system, ada, "a-password"),
    ]
    for attempt in attempts:
        with pytest.raises(Problem) as caught:
            attempt()
        assert caught.value.status == 422
        assert "only read" in caught.value.members["result"]
    assert lab.rows() == before
    assert lab.rows(t.rest_users) == []


def errors_of_import(lab: Lab, file: str) -> list[str]:
    """Import, wait for the end, and return what went wrong."""
    csv_import.start_import(lab.system, file)

    def ended() -> list[list[str]]:
        try:
            return [[]] if csv_import.import_state(lab.system) == 100 else []
        except Problem as problem:
            return [problem.members["errors"]]

    return eventually(ended, 60)[0]  # type: ignore[no-any-return]


def test_an_import_asks_the_directory_before_it_refuses(lab: Lab) -> None:
    lab.server.person("ada", "Ada Rossi")
    lab.server.person("bob", "Bob Major")
    text = "ada,Ada Rossi,200\nnobody,No Body,201\nbob,Bob Major,202\nnone,No One,203\n"
    refused = "The user directory is only read: add the user there"
    assert errors_of_import(lab, base64.b64encode(text.encode()).decode()) == [
        f"line {line} ({name}): Error creating user {name}: {refused}"
        for line, name in ((2, "nobody"), (4, "none"))
    ]
    people = lab.people()
    assert {name: row["default_extension"] for name, row in people.items()} == {
        "ada": "200",
        "bob": "202",
    }
    lab.server.stop()
    try:
        errors = errors_of_import(lab, base64.b64encode(b"carl,Carl,204\n").decode())
    finally:
        lab.server.start()
    assert "synchronising the user directory failed" in errors[0]
    assert errors[1] == f"line 1 (carl): Error creating user carl: {refused}"


def test_an_export_of_a_directory_that_is_only_read_reimports(lab: Lab) -> None:
    lab.server.person("ada", "Ada Rossi")
    lab.sync()
    ada = lab.people()["ada"]["id"]
    lab.add(t.rest_users, user_id=ada, password="Pa9!xyzw")
    before = lab.rows()
    assert errors_of_import(lab, csv_format.export(lab.system)) == []
    (error,) = errors_of_import(lab, base64.b64encode(b"ada,Ada Rossi,,other\n").decode())
    assert "is only read: set the password there" in error
    assert lab.rows() == before
    assert lab.rows(t.rest_users)[0]["password"] == "Pa9!xyzw"


def test_over_http(lab: Lab) -> None:
    lab.server.person("ada", "Ada Rossi")
    settings = lab.settings(ldap_timeout=5)
    with LiveServer(settings) as running:
        service = RunningService(
            "ldap", settings, running.port, lab.system.database, lambda _: {}, lambda: None
        )
        assert service.get("/configuration/userprovider") == {
            "configured": 1,
            "local": 0,
            "type": "ldap",
            "domain": "example.org",
        }
        assert len(service.get("/users/true")) <= 1  # the list does not wait
        eventually(lambda: [user["username"] for user in service.get("/users")] == ["ada"])
        eventually(lambda: service.get("/users/sync") is False)
        # While the directory is silent the list still answers, and one synchronisation is joined.
        lab.server.freeze()
        task = service.post("/users/sync")["result"]
        assert service.get("/users/sync") is True
        assert service.post("/users/sync")["result"] == task
        assert len(service.get("/users/true")) == 1
        eventually(lambda: service.call("GET", f"/tasks/{task}").status_code == 500)
        assert "timed out" in service.call("GET", f"/tasks/{task}").json()["detail"]
        assert service.get("/users/sync") is False
        lab.server.thaw()
        for path, body in (
            ("/users", {"username": "bob", "fullname": "Bob Major"}),
            ("/users", {"username": "ada", "fullname": "Ada Bianchi"}),
            ("/users/ada/password", {"password": "Pa9!xyzw"}),
        ):
            problem = service.refused("POST", path, 422, json=body)
            assert "only read" in problem["result"]
        service.post("/mainextensions", {"username": "ada", "extension": "200"}, 201)
        service.post("/users/sync")
        eventually(lambda: service.get("/users/sync") is False)
        assert service.get("/users/ada")["default_extension"] == "200"
        service.settle()
        service.client.close()
