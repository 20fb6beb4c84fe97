"""People of the user directory: lists, creation, passwords, synchronisation, the final report."""

import re
import threading
import time
from typing import Any

import bcrypt
import httpx
import pytest
from sqlalchemy import insert, update

from nethvoice.store import tables as t
from tests.support import ADMIN, BASE, PASSWORD, Service, eventually, headers, sha1

COLUMNS = [
    "id", "auth", "authid", "username", "description", "password", "default_extension",
    "primary_group", "permissions", "fname", "lname", "displayname", "title", "company",
    "department", "language", "timezone", "dateformat", "timeformat", "datetimeformat", "email",
    "cell", "work", "home", "fax",
]  # fmt: skip
LISTS = ["/users", "/users/all", "/users/true", "/users/false"]


# --- lists ---------------------------------------------------------------------------------------


def test_element_has_every_column_and_what_we_know(service: Service) -> None:
    person = service.person(
        "jdoe", "200", displayname="John Doe", fname="John", lname="Doe", email="jdoe@example.org",
        description="", password="$2a$08$" + "x" * 53, primary_group=1901, authid="7e8c",
    )  # fmt: skip
    service.post("/physicalextensions", {"mainextension": "200", "mac": "00-15-65-AA-BB-CC",
                                         "model": "yealink-T46", "web_user": "admin",
                                         "web_password": "phone-admin"})  # fmt: skip
    service.post("/webrtc", {"extension": "200"})
    service.post("/users/jdoe/password", {"password": "Pa9!xyzw"}, 201)
    with service.database.write() as connection:
        connection.execute(update(t.rest_users).values(profile_id=3))
    (user,) = service.get("/users")
    assert [name for name in user if name in COLUMNS] == COLUMNS
    assert set(user) - set(COLUMNS) == {"dn", "devices", "profile"}
    computed = {"dn", "devices", "profile"}
    assert all(value is None or isinstance(value, str) for key, value in user.items()
               if key not in computed)  # fmt: skip
    assert (user["id"], user["auth"], user["primary_group"]) == (str(person), "1", "1901")
    assert (user["dn"], user["displayname"], user["profile"]) == ("John Doe", "John Doe", "3")
    assert (user["password"], user["permissions"], user["description"]) == ("Pa9!xyzw", None, "")
    phone, browser = user["devices"]
    secret = service.sip("200")["secret"]
    assert phone == {
        "id": phone["id"], "user_id": str(person), "mac": "00:15:65:AA:BB:CC",
        "vendor": phone["vendor"], "model": "yealink-T46", "line": "1", "extension": "200",
        "secret": secret, "web_user": "admin", "web_password": "phone-admin", "type": "physical",
        "srtp": phone["srtp"], "registered": False,
    }  # fmt: skip
    assert phone["vendor"].startswith("Yealink")
    assert (browser["type"], browser["extension"], browser["line"], browser["mac"]) == (
        "webrtc", "91200", None, None,
    )  # fmt: skip
    assert service.get("/users/jdoe") == user
    for path in LISTS:
        assert service.get(path) == [user], path


def test_who_is_listed_where(service: Service) -> None:
    for number, name in enumerate(("zoe", "Bob", "ada@example.org")):
        service.person(name, str(200 + number))
    service.person("newbie", displayname=None)
    service.person("empty", default_extension="")
    service.person("elsewhere", auth="77")
    everybody = ["ada@example.org", "Bob", "elsewhere", "empty", "newbie", "zoe"]
    for path in ("/users", "/users/all", "/users/true"):
        assert [user["username"] for user in service.get(path)] == everybody, path
    configured = service.get("/users/false")
    assert [user["username"] for user in configured] == ["ada@example.org", "Bob", "zoe"]
    assert service.get("/users/count") == 6
    newbie = service.get("/users/newbie")
    assert (newbie["dn"], newbie["devices"], newbie["profile"]) == ("newbie", [], None)
    assert (newbie["password"], newbie["default_extension"]) == (None, "none")


def test_lists_are_arrays_when_there_is_nobody(service: Service) -> None:
    for path in LISTS:
        assert service.get(path) == [], path
    assert service.get("/users/count") == 0
    assert service.get("/final") == []


@pytest.mark.parametrize(
    "name",
    ["admin", "Administrator", "GUEST", "krbtgt", "ldapservice", "administrator@example.org",
     "true", "false", "all", "count", "sync"],
)  # fmt: skip
def test_reserved_names_are_hidden_everywhere(service: Service, name: str) -> None:
    service.person(name)
    service.person("administrator2")
    for path in ("/users", "/users/all", "/users/true"):
        assert [user["username"] for user in service.get(path)] == ["administrator2"], path
    assert service.get("/users/count") == 1
    if name.lower() not in ("true", "false", "all", "count", "sync"):
        service.get(f"/users/{name}", 404)
        service.get(f"/users/{name}/password", 404)


def test_people_without_extension_share_no_devices(service: Service) -> None:
    """The original joined devices on `default_extension`, which is `none` for all of them."""
    for name in ("ada", "bob"):
        service.person(name)
    person = service.person("carl")
    service.add(t.rest_devices_phones, {"user_id": person, "extension": "none", "type": "physical"})
    found = {user["username"]: len(user["devices"]) for user in service.get("/users")}
    assert found == {"ada": 0, "bob": 0, "carl": 1}


def test_registered_devices(service: Service) -> None:
    service.person("ada", "200")
    for _ in range(2):
        service.post("/physicalextensions", {"mainextension": "200"})
    keys = ["contact/200;@0a1b2c", "contact/91200;@NOT-A-HASH", "contact/9120;@0a1b2c"]
    if service.asterisk is None:
        service.add(t.rest_astdb, *({"key": f"/registrar/{key}", "value": "{}"} for key in keys))
    else:
        for key in keys:
            service.asterisk.cli(f'database put registrar "{key}" x')
    (user,) = service.get("/users")
    states = {device["extension"]: device["registered"] for device in user["devices"]}
    assert states == {"200": True, "91200": False}


ODD_NAMES = ["o'neil", 'say "hi"', "back\\slash", "per%cent", "under_score", "<b>", "jürgen",
             "x' OR '1'='1", "*)(uid=*", "a/b", "two words", "名前"]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_found_and_shown(service: Service, name: str) -> None:
    """FreePBX and LDAP allow more than we do for new people."""
    service.person(name, displayname=f"The {name}")
    service.person("another")
    path = "/users/" + "".join(f"%{byte:02X}" for byte in name.encode())
    user = service.get(path)
    assert (user["username"], user["displayname"]) == (name, f"The {name}")
    assert (
        service.call("POST", path + "/password", json={"password": "a'\"\\%_<é"}).status_code == 201
    )
    assert service.get(path + "/password") == {"result": "a'\"\\%_<é"}
    service.get("/users/another/password", 404)


def test_names_resolve_to_one_person(service: Service) -> None:
    service.add(
        t.userman_directories,
        {"id": 2, "name": "First", "driver": "Openldap2", "active": 1, "order": 1},
        {"id": 3, "name": "Second", "driver": "Openldap2", "active": 1, "order": 2},
    )
    ids = {
        "domain": service.person("jdoe@example.org"),
        "second": service.person("mary", auth="3"),
        "first": service.person("mary", auth="2"),
        "bare": service.person("carl"),
        "accent": service.person("josé"),
    }

    def found(name: str) -> str:
        person = service.get(f"/users/{name}")["id"]
        return next(key for key, value in ids.items() if str(value) == person)

    assert found("jdoe") == found("JDoe") == found("jdoe@example.org") == "domain"
    assert found("mary") == "first"
    assert found("Carl@example.org") == "bare"
    assert found("josé") == "accent"
    for unknown in ("jdoe@example.com", "jose", "jdo", "j%25", "mary%20", "nobody", "1"):
        service.get(f"/users/{unknown}", 404)


def test_unusable_path_names(service: Service) -> None:
    for name in ("x" * 151, "a%00b", "a%0Ab"):
        assert service.call("GET", f"/users/{name}").status_code == 404
    assert service.call("GET", "/users/count/").status_code == 404
    assert service.call("DELETE", "/users/count").status_code == 405
    assert service.call("POST", "/users/true").status_code == 405


def test_lists_and_passwords_are_not_kept_by_proxies(service: Service) -> None:
    service.person("ada")
    service.post("/users/ada/password", {"password": "Pa9!xyzw"}, 201)
    for path in (*LISTS, "/users/ada", "/users/ada/password", "/final"):
        assert service.call("GET", path).headers["cache-control"] == "no-store", path


def test_a_list_costs_a_constant_number_of_statements(service: Service) -> None:
    def fill(first: int, count: int) -> None:
        people = range(first, first + count)
        with service.database.write() as connection:
            connection.execute(
                insert(t.userman_users),
                [{"id": n, "auth": "1", "username": f"user{n:05}", "displayname": f"User {n}",
                  "default_extension": str(n)} for n in people],
            )  # fmt: skip
            connection.execute(
                insert(t.rest_users),
                [{"user_id": n, "password": "p", "profile_id": 1} for n in people],
            )
            connection.execute(
                insert(t.rest_devices_phones),
                [{"user_id": n, "extension": str(n), "type": "physical"} for n in people],
            )

    def cost(path: str) -> int:
        """The least of some tries: the upkeep of the service may come between."""
        found = []
        for _ in range(4):
            with service.statements() as seen:
                service.get(path)
            found.append(len(seen))
        return min(found)

    paths = [*LISTS, "/users/count", "/users/sync", "/final", "/users/user01001"]
    fill(1000, 10)
    few = {path: cost(path) for path in paths}
    fill(2000, 990)
    assert len(service.get("/users")) == 1000
    assert {path: cost(path) for path in paths} == few
    assert max(few.values()) <= 8, few


# --- creating ------------------------------------------------------------------------------------


def test_create(service: Service) -> None:
    answer = service.call(
        "POST", "/users", json={"username": " JDoe ", "fullname": " John van Doe "}
    )
    assert (answer.status_code, answer.content) == (201, b"")
    assert "X-Apply-Task" not in answer.headers
    row = service.row(t.userman_users)
    assert (row["username"], row["auth"], row["default_extension"]) == ("jdoe", "1", "none")
    assert (row["displayname"], row["fname"], row["lname"]) == ("John van Doe", "John", "van Doe")
    assert row["password"] is None
    assert service.rows(t.rest_users) == []
    # What the wizard does next: password by the name as typed, then the extension.
    service.post("/users/JDoe/password", {"password": "a1B2c3D4"}, 201)
    service.post("/mainextensions", {"username": "jdoe", "extension": "200"}, 201)
    (user,) = service.get("/users/false")
    assert (user["password"], user["default_extension"]) == ("a1B2c3D4", "200")


def test_create_by_form(service: Service) -> None:
    answer = service.call("POST", "/users", data={"username": "ada", "fullname": "Ada Rossi"})
    assert answer.status_code == 201
    assert (
        service.call("POST", "/users/ada/password", data={"password": "x y&z"}).status_code == 201
    )
    assert service.get("/users/ada/password") == {"result": "x y&z"}


def test_creating_again_renames(service: Service) -> None:
    service.post("/users", {"username": "ada", "fullname": "Ada Rossi"}, 201)
    service.post("/users/ada/password", {"password": "Pa9!xyzw"}, 201)
    service.post("/mainextensions", {"username": "ada", "extension": "200"}, 201)
    before = service.row(t.userman_users)
    service.settle()
    reloads = len(service.rows(t.rest_tasks, kind="apply"))
    service.post("/users", {"username": "ADA", "fullname": "Ada Bianchi"}, 201)
    after = service.row(t.userman_users)
    changed = {"displayname": "Ada Bianchi", "lname": "Bianchi"}
    assert after == {**before, **changed}
    # Names that were set by hand stay; the same name again writes nothing.
    with service.database.write() as connection:
        connection.execute(update(t.userman_users).values(fname="Augusta"))
    service.post("/users", {"username": "ada", "fullname": "Ada Verdi"}, 201)
    row = service.row(t.userman_users)
    assert (row["displayname"], row["fname"], row["lname"]) == ("Ada Verdi", "Augusta", "Bianchi")
    state = service.everything()
    service.post("/users", {"username": "ada", "fullname": "Ada Verdi"}, 201)
    assert service.everything() == state
    assert len(service.rows(t.rest_tasks, kind="apply")) == reloads


def test_one_person_with_and_without_domain(service: Service) -> None:
    service.person("jdoe@example.org")
    service.post("/users", {"username": "jdoe", "fullname": "John Doe"}, 201)
    assert service.row(t.userman_users)["displayname"] == "John Doe"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "ada"},
        {"fullname": "Ada Rossi"},
        {"username": "", "fullname": "Ada Rossi"},
        {"username": "ada", "fullname": "  "},
        {"username": None, "fullname": "Ada Rossi"},
        {"username": "9lives", "fullname": "Cat"},
        {"username": "ada rossi", "fullname": "Ada Rossi"},
        {"username": "ada'; DROP TABLE users; --", "fullname": "Ada Rossi"},
        {"username": "ada*)(uid=*", "fullname": "Ada Rossi"},
        {"username": "ada/../bob", "fullname": "Ada Rossi"},
        {"username": "jürgen", "fullname": "Jürgen"},
        {"username": "ada@", "fullname": "Ada Rossi"},
        {"username": "a" * 65, "fullname": "Ada Rossi"},
        {"username": "ada@" + "e" * 150, "fullname": "Ada Rossi"},
        {"username": "ada", "fullname": "Ada\nRossi"},
    ],
)
def test_names_that_are_not_allowed(service: Service, body: dict[str, Any]) -> None:
    problem = service.refused("POST", "/users", 422, json=body)
    assert problem["result"] == problem["detail"] == "User name or full name invalid"


@pytest.mark.parametrize("name", ["admin", "Guest", "administrator@example.org", "true", "sync"])
def test_reserved_names_are_refused(service: Service, name: str) -> None:
    problem = service.refused("POST", "/users", 422, json={"username": name, "fullname": "X"})
    assert "reserved" in problem["result"]


def test_bad_bodies(service: Service) -> None:
    service.refused("POST", "/users", 400)
    service.refused("POST", "/users", 400, json=["ada"])
    service.refused("POST", "/users", 400, json={"username": ["ada"], "fullname": "Ada"})
    service.refused("POST", "/users", 400, json={"username": "ada", "fullname": "x" * 201})
    service.refused("POST", "/users", 400, content=b'{"username": "ada"')
    service.refused("POST", "/users", 415, content=b"<a/>", headers={"Content-Type": "text/xml"})


def test_a_directory_that_is_only_read_refuses(service: Service) -> None:
    service.add(
        t.userman_directories,
        {"id": 2, "name": "NethServer LDAP", "driver": "Openldap2", "active": 1, "order": 1},
    )
    service.person("ldapada", auth="2", displayname="Ada")
    problem = service.refused(
        "POST", "/users", 422, json={"username": "ldapada", "fullname": "Ada Rossi"}
    )
    assert problem["result"] == "NethServer LDAP is only read: change the user there"
    problem = service.refused("POST", "/users/ldapada/password", 422, json={"password": "x"})
    assert problem["result"] == "NethServer LDAP is only read: set the password there"
    with service.database.write() as connection:
        connection.execute(update(t.userman_directories).values(active=0))
    service.refused("POST", "/users", 422, json={"username": "bob", "fullname": "Bob"})


def test_many_at_once_make_one_person(service: Service) -> None:
    codes: list[int] = []

    def create() -> None:
        body = {"username": "ada", "fullname": "Ada Rossi"}
        codes.append(service.client.post("/users", json=body).status_code)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert codes == [201] * 8
    assert len(service.rows(t.userman_users)) == 1


# --- passwords -----------------------------------------------------------------------------------


def test_password_is_hashed_as_freepbx_does_and_kept_in_clear(service: Service) -> None:
    service.person("ada")
    service.get("/users/ada/password", 404)
    answer = service.call("POST", "/users/ADA/password", json={"password": "Pa9!xyzw"})
    assert (answer.status_code, answer.content) == (201, b"")
    assert "X-Apply-Task" not in answer.headers
    stored = service.row(t.userman_users)["password"]
    assert re.fullmatch(r"\$2a\$08\$[./A-Za-z0-9]{53}", stored)
    assert bcrypt.checkpw(b"Pa9!xyzw", stored.encode())
    assert service.get("/users/ada/password") == {"result": "Pa9!xyzw"}
    assert service.row(t.rest_users)["password"] == "Pa9!xyzw"
    # The same again writes nothing, another one both.
    state = service.everything()
    service.post("/users/ada/password", {"password": "Pa9!xyzw"}, 201)
    assert service.everything() == state
    service.post("/users/ada/password", {"password": "another"}, 201)
    assert bcrypt.checkpw(b"another", service.row(t.userman_users)["password"].encode())
    assert service.get("/users/ada")["password"] == "another"


def test_password_replaces_the_hash_of_old_versions(service: Service) -> None:
    service.person("ada", auth="freepbx", password=sha1("Pa9!xyzw"))
    service.post("/users/ada/password", {"password": "Pa9!xyzw"}, 201)
    assert service.row(t.userman_users)["password"].startswith("$2a$08$")


def test_password_keeps_what_else_is_stored(service: Service) -> None:
    person = service.person("ada")
    service.add(t.rest_users, {"user_id": person, "mobile": "0039333", "profile_id": 3})
    service.post("/users/ada/password", {"password": "Pa9!xyzw"}, 201)
    row = service.row(t.rest_users)
    assert (row["mobile"], row["profile_id"], row["password"]) == ("0039333", 3, "Pa9!xyzw")


def test_long_passwords(service: Service) -> None:
    service.person("ada")
    long = "ä" * 100
    service.post("/users/ada/password", {"password": long}, 201)
    assert service.get("/users/ada/password") == {"result": long}
    service.refused("POST", "/users/ada/password", 400, json={"password": "x" * 129})


@pytest.mark.parametrize("body", [{}, {"password": ""}, {"password": None}])
@pytest.mark.parametrize("name", ["ada", "admin"])
def test_password_is_required(service: Service, name: str, body: dict[str, Any]) -> None:
    service.person("ada")
    problem = service.refused("POST", f"/users/{name}/password", 422, json=body)
    assert problem["result"] == problem["detail"] == "Password is required"


def test_passwords_that_are_refused(service: Service) -> None:
    service.person("ada")
    for bad in ("a\0b", "a\nb"):
        problem = service.refused("POST", "/users/ada/password", 422, json={"password": bad})
        assert "control characters" in problem["result"]
    service.refused("POST", "/users/ada/password", 400)
    service.refused("POST", "/users/ada/password", 400, json={"password": ["x"]})


@pytest.mark.parametrize("name", ["Nobody", "guest", "x' OR '1'='1"])
def test_password_of_nobody(service: Service, name: str) -> None:
    service.person("ada")
    service.person("guest")
    problem = service.refused("POST", f"/users/{name}/password", 422, json={"password": "x"})
    assert problem["result"] == f"{name.lower()} user doesn't exist"
    service.get(f"/users/{name}/password", 404)


def test_password_of_the_administrator(service: Service) -> None:
    service.person("admin")  # a person of that name has nothing to do with it
    new = "a new admin's pässword"
    answer = service.call("POST", "/users/Admin/password", json={"password": new})
    try:
        assert (answer.status_code, answer.content) == (201, b"")
        assert answer.headers["X-Apply-Task"]
        assert service.row(t.ampusers)["password_sha1"] == sha1(new)
        # The old key is wrong from the answer on, and the new one right.
        assert service.call("GET", "/login").status_code == 403
        service.client.headers.update(headers(ADMIN, new))
        assert service.get("/login") == {"success": True}
        service.get("/users/admin/password", 404)
        assert service.rows(t.rest_users) == []
        service.settle()
        again = service.call("POST", "/users/admin/password", json={"password": new})
        assert again.status_code == 201
        assert "X-Apply-Task" not in again.headers
    finally:
        service.client.headers.update(headers(ADMIN, new))
        service.call("POST", "/users/admin/password", json={"password": PASSWORD})
        service.client.headers.update(headers())
    assert service.get("/login") == {"success": True}


def test_passwords_are_in_no_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    service.person("ada")
    word = "a-word-that-nobody-logs"
    service.post("/users/ada/password", {"password": word}, 201)
    service.get("/users/ada/password")
    service.call("POST", "/users/nobody/password", json={"password": word})
    service.call("POST", "/users/ada/password", json={"password": word + "\n"})
    service.call("POST", "/users/ada/password", json={"password": [word]})
    assert caplog.records
    for record in caplog.records:
        assert word not in f"{record.getMessage()} {vars(record)}"


def test_unknown_administrator(service: Service) -> None:
    """Another administrator may be the one who asks."""
    with service.database.write() as connection:
        connection.execute(update(t.ampusers).values(username="chief"))
    url = f"http://127.0.0.1:{service.port}{BASE}/users/admin/password"
    answer = httpx.post(url, json={"password": "x"}, headers=headers("chief"))
    assert answer.status_code == 404
    assert service.row(t.ampusers)["password_sha1"] == sha1(PASSWORD)


# --- synchronising -------------------------------------------------------------------------------


def test_sync_of_the_internal_directory_has_ended_at_once(service: Service) -> None:
    service.person("ada", "200")
    service.settle()
    before = service.everything()
    answer = service.call("POST", "/users/sync")
    assert answer.status_code == 200
    assert "X-Apply-Task" not in answer.headers
    task = answer.json()["result"]
    assert re.fullmatch(r"[0-9a-f]{32}", task)
    assert service.get(f"/tasks/{task}") == {"task": task, "action": None, "progress": 100}
    assert service.get("/users/sync") is False
    assert service.everything() == before
    # Whatever is sent along is dropped unread.
    for more in ({"content": b"{"}, {"content": b"x", "headers": {"Content-Type": "text/xml"}}):
        assert service.call("POST", "/users/sync", **more).status_code == 200


def test_lists_ask_for_a_sync_every_half_minute(service: Service) -> None:
    def syncs() -> int:
        return len(service.rows(t.rest_tasks, kind="sync"))

    for path in ("/users", "/users/all", "/users/false", "/users/count", "/users/ada"):
        service.call("GET", path)
    assert syncs() == 0
    for _ in range(3):
        service.get("/users/true")
    assert syncs() == 1
    with service.database.write() as connection:
        connection.execute(update(t.rest_tasks).values(created=time.time() - 31))
    service.get("/users/true")
    assert syncs() == 2


def test_sync_state_is_that_of_all_processes(service: Service) -> None:
    now = time.time()
    service.add(
        t.rest_tasks,
        {"id": "a" * 32, "kind": "sync", "state": "running", "owner": "another-host:1:1",
         "created": now - 60, "updated": now},
    )  # fmt: skip
    assert service.get("/users/sync") is True
    service.get("/users/true")
    assert len(service.rows(t.rest_tasks)) == 1
    with service.database.write() as connection:
        connection.execute(update(t.rest_tasks).values(updated=now - 31))
    assert service.get("/users/sync") is False  # its process has died
    eventually(lambda: service.row(t.rest_tasks)["state"] == "failed")


# --- what clients show ---------------------------------------------------------------------------


def test_user_provider(service: Service) -> None:
    found = service.get("/configuration/userprovider")
    assert found == {"configured": 1, "local": 1, "type": "ldap", "domain": ""}
    assert type(found["configured"]) is type(found["local"]) is int


def test_final_report(service: Service) -> None:
    for name, extension in (("ada", "200"), ("bob", "1000"), ("carl", "30"), ("dora", None)):
        service.person(name, extension, displayname=None if name == "bob" else name.title())
        if name != "carl":
            service.post("/mobiles", {"username": name, "mobile": "333"})
    service.person("administrator", "400")
    service.post("/users/ada/password", {"password": "Pa9!xyzw"}, 201)
    administrator = service.row(t.userman_users, username="administrator")["id"]
    service.add(t.rest_users, {"user_id": administrator})
    service.post("/voicemails", {"extension": "200"})
    pin = service.get("/voicemails/200")["pwd"]
    report = service.get("/final")
    assert [list(row) for row in report] == [
        ["username", "displayname", "password", "default_extension", "voicemailpwd"]
    ] * 3
    assert [list(row.values()) for row in report] == [
        ["bob", None, None, "1000", ""],
        ["ada", "Ada", "Pa9!xyzw", "200", pin],
        ["administrator", "Administrator", None, "400", ""],
    ]
