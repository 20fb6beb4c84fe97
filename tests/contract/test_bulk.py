"""Bulk settings: compared over many extensions, and set for all of them or for none."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nethvoice.store import tables as t
from tests.support import Service, without_asterisk

HANG_UP = "app-blackhole,hangup,1"
EMPTY = {
    "profile": -1,
    "callwaiting": False,
    "ringtime": "0",
    "callgroup": "",
    "pickupgroup": "",
    "noanswerdest": "",
    "busydest": "",
    "notreachabledest": "",
    "outboundcid": "",
}


@pytest.fixture
def people(service: Service) -> tuple[int, int]:
    """Two people, 200 with a second device."""
    ada = service.person("ada", "200", displayname="Room 200")
    bob = service.person("bob", "201", displayname="Room 201")
    service.post("/physicalextensions", {"mainextension": "200"})
    service.post("/physicalextensions", {"mainextension": "200"})
    service.settle()
    return ada, bob


def user(service: Service, extension: str) -> dict[str, Any]:
    return service.row(t.users, extension=extension)


def keys(service: Service, extension: str) -> dict[str, str]:
    return service.astdb("AMPUSER", extension)


# --- reading ---


def test_get(service: Service, people: tuple[int, int]) -> None:
    assert service.get("/bulk/201") == {"displayname": "Room ???", **EMPTY}
    body = {"busydest": HANG_UP, "ringtime": 20, "callgroup": "a,b", "callwaiting": True}
    service.post("/bulk/200", {**body, "pickupgroup": ""})
    assert service.get("/bulk/200,201") == {
        "displayname": "Room ???",
        **EMPTY,
        "callwaiting": None,
        "busydest": None,
        "ringtime": None,
        "callgroup": None,
    }
    # Unknown numbers do not count, nor does one that is named twice.
    assert service.get("/bulk/200,999,200")["ringtime"] == "20"
    service.get("/bulk/999,998", 404)
    for path in ("none", "200,", ",200", "200;201", "1" * 17, "%27", "200%20"):
        service.get(f"/bulk/{path}", 404)
    service.get("/bulk/" + ",".join(str(n) for n in range(1001)), 404)


def test_values_are_really_compared(service: Service, people: tuple[int, int]) -> None:
    service.add(t.rest_cti_profiles, {"id": 3, "name": "Advanced"})
    # One has no profile, whichever comes first.
    service.post("/bulk/201", {"profile": "3"})
    assert service.get("/bulk/200,201")["profile"] is None
    assert service.get("/bulk/201,200")["profile"] is None
    assert service.get("/bulk/201")["profile"] == "3"
    with service.database.write() as connection:
        connection.execute(t.users.update().values(outboundcid=None))
    assert service.get("/bulk/200,201")["outboundcid"] == ""
    service.add(t.users, {"extension": "300", "name": "Virtual"})
    virtual = service.get("/bulk/300")
    assert (virtual["ringtime"], virtual["callgroup"], virtual["profile"]) == (False, "", -1)


@pytest.mark.parametrize(
    ("extension", "name", "shown"),
    [
        ("200", "Room 200", "Room ???"),
        ("201", "201 201", "??? ???"),
        ("1201", "Desk 1201", "Desk ????"),
        ("1201", "Desk 201, 01, 1, 2", "Desk ???, ??, ?, 2"),
        ("20", "Desk 20", "Desk ??"),
        ("12345", "Phone 12345", "Phone ?????"),
    ],
)
def test_names_are_masked(service: Service, extension: str, name: str, shown: str) -> None:
    service.person("ada", extension, displayname=name)
    assert service.get(f"/bulk/{extension}")["displayname"] == shown


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("<0721>", "0721"),
        ("<+390721>", "+390721"),
        ('"Acme" <0721>', '"Acme" <0721>'),
        ('"Acme" <+390721>', '"Acme" <+390721>'),
        ("0721", "0721"),
        ("<>", "<>"),
        ("<+>", "<+>"),
        ("<++39>", "<++39>"),
    ],
)
def test_caller_id_without_brackets(service: Service, stored: str, shown: str) -> None:
    service.person("ada", "200")
    with service.database.write() as connection:
        connection.execute(t.users.update().values(outboundcid=stored))
    assert service.get("/bulk/200")["outboundcid"] == shown


# --- writing ---


def test_display_names(service: Service, people: tuple[int, int]) -> None:
    answer = service.call("POST", "/bulk/200,201", json={"displayname": "Desk ??? (?)"})
    assert (answer.status_code, answer.json()) == (200, {"status": True})
    assert "X-Apply-Task" in answer.headers
    for main, members in (("200", ("200", "91200")), ("201", ("201",))):
        name = f"Desk {main} ({main[-1]})"
        for extension in members:
            assert user(service, extension)["name"] == name
            assert service.row(t.devices, id=extension)["description"] == name
            assert service.sip(extension)["callerid"] == f"{name} <{main}>"
            assert keys(service, extension)["cidname"] == name


def test_a_name_that_is_another_extension_is_no_extension(service: Service) -> None:
    """Nobody else is renamed, whatever stands in a row of the person who is."""
    service.person("ada", "200", displayname="201")
    service.person("bob", "201", displayname="Bob")
    service.post("/bulk/200", {"displayname": "New ???"})
    assert user(service, "200")["name"] == "New 200"
    assert user(service, "201")["name"] == "Bob"


def test_long_extension_names(service: Service) -> None:
    service.person("ada", "12345", displayname="x")
    row = {"id": "12345", "keyword": "cidname", "data": "", "flags": 0}
    service.add(t.sip, row)
    service.post("/bulk/12345", {"displayname": "Phone ????? <?> " + "?" * 180})
    name = "Phone 12345 <5> " + "12345" * 36
    assert user(service, "12345")["name"] == name.replace("<5>", "(5)")[:50]
    assert keys(service, "12345")["cidname"] == name
    service.post("/bulk/12345", {"displayname": "Phone " + "????" * 48})
    name = "Phone " + "12345" * 38 + "45"
    assert service.sip("12345")["cidname"] == keys(service, "12345")["cidname"] == name
    service.post("/bulk/12345", {"displayname": "????x" * 40})
    assert keys(service, "12345")["cidname"] == "12345x" * 40
    assert service.sip("12345")["cidname"] == ("12345x" * 40)[:255]


def test_call_waiting_and_ring_time(service: Service, people: tuple[int, int]) -> None:
    service.post("/bulk/200,201", {"callwaiting": True, "ringtime": "25"})
    waiting = service.astdb("CW")
    for extension in ("200", "91200", "201"):
        assert waiting[extension] == "ENABLED"
        assert user(service, extension)["ringtimer"] == 25
        assert keys(service, extension)["ringtimer"] == "25"
    service.post("/bulk/200", {"callwaiting": False, "ringtime": 0})
    assert set(service.astdb("CW")) == {"201"}
    assert keys(service, "91200")["ringtimer"] == "0"
    assert keys(service, "201")["ringtimer"] == "25"


def test_groups(service: Service, people: tuple[int, int]) -> None:
    with service.database.write() as connection:
        connection.execute(
            t.sip.delete().where(t.sip.c.id == "91200", t.sip.c.keyword == "namedcallgroup")
        )
    service.add(t.users, {"extension": "300", "name": "Virtual"})
    service.post("/bulk/200,300", {"callgroup": "sales", "pickupgroup": "sales,support"})
    for extension in ("200", "91200"):
        assert service.sip(extension)["namedcallgroup"] == "sales"
        assert service.sip(extension)["namedpickupgroup"] == "sales,support"
    row = service.row(t.sip, id="91200", keyword="namedcallgroup")
    assert row["flags"] == 15
    assert service.sip("201")["namedcallgroup"] == ""
    # An extension without a device gets no rows that would make one of it.
    assert service.sip("300") == {}


def test_destinations(service: Service, people: tuple[int, int]) -> None:
    body = {
        "noanswerdest": "from-did-direct,201,1",
        "busydest": HANG_UP,
        "notreachabledest": "some-module,1,1",
    }
    service.post("/bulk/200", body)
    row = user(service, "200")
    assert row["noanswer_dest"] == "from-did-direct,201,1"
    assert (row["busy_dest"], row["chanunavail_dest"]) == (HANG_UP, "some-module,1,1")
    assert user(service, "91200")["busy_dest"] != HANG_UP
    service.post("/bulk/200", {"noanswerdest": "", "busydest": None})
    row = user(service, "200")
    assert (row["noanswer_dest"], row["busy_dest"]) == ("", HANG_UP)


@pytest.mark.parametrize(
    ("fixed", "variable", "column", "key"),
    [
        ("0721", None, "<0721>", "0721"),
        ("0721", "", "<0721>", "0721"),
        ("0721", 0, "<0721>", "0721"),
        ("0721", "2", "<072100>", "072100"),
        ("0721", 9, "<0721200>", "0721200"),
        (721, None, "<721>", "721"),
        ("", None, "", ""),
        ("", 2, "<00>", "00"),
        ("+390721", None, "<+390721>", "+390721"),
        ("+39072", 3, "<+39072200>", "+39072200"),
        # Some send what FreePBX shows.
        ("<0721>", None, "<0721>", "0721"),
        (" <+390721> ", None, "<+390721>", "+390721"),
        ("<+39072>", 3, "<+39072200>", "+39072200"),
        ('"Acme" <0721>', None, '"Acme" <0721>', '"Acme" <0721>'),
    ],
)
@pytest.mark.usefixtures("people")
def test_outbound_caller_id(
    service: Service, fixed: Any, variable: Any, column: str, key: str
) -> None:
    service.post("/bulk/200", {"outboundcid_fixed": "1"})
    body = {"outboundcid": "fixed", "outboundcid_fixed": fixed, "outboundcid_variable": variable}
    service.post("/bulk/200", body)
    for extension in ("200", "91200"):
        assert user(service, extension)["outboundcid"] == column
        assert keys(service, extension)["outboundcid"] == key
    assert user(service, "201")["outboundcid"] == ""


def test_profile(service: Service, people: tuple[int, int]) -> None:
    service.add(t.rest_cti_profiles, {"id": 3, "name": "Advanced"}, {"id": 4, "name": "Hotel"})
    with service.database.write() as connection:
        connection.execute(
            t.sip.update()
            .where(t.sip.c.id == "201", t.sip.c.keyword == "context")
            .values(data="my-own")
        )
    service.post("/bulk/200,201", {"profile": "3"})
    assert {row["profile_id"] for row in service.rows(t.rest_users)} == {3}
    assert service.sip("200")["context"] == service.sip("91200")["context"] == "cti-profile-3"
    assert service.sip("201")["context"] == "my-own"
    assert {row["username"] for row in service.rows(t.user_settings)} == {"ada", "bob"}
    service.settle()
    before = service.everything()
    for nothing in (-1, "-1", None, ""):
        answer = service.call("POST", "/bulk/200,201", json={"profile": nothing})
        assert (answer.status_code, "X-Apply-Task" in answer.headers) == (200, False)
    assert service.everything() == before
    service.post("/bulk/200", {"profile": 4})
    assert service.sip("91200")["context"] == "hotel"
    assert service.get("/bulk/200,201")["profile"] is None


@pytest.mark.usefixtures("people")
def test_an_international_caller_id_comes_back_as_it_was_sent(service: Service) -> None:
    """What was read once went into AstDB with the brackets of SQL."""
    service.post("/bulk/200", {"outboundcid_fixed": "+390721405516"})
    shown = service.get("/bulk/200")["outboundcid"]
    assert shown == "+390721405516"
    service.post("/bulk/201", {"outboundcid_fixed": shown})
    assert user(service, "201")["outboundcid"] == "<+390721405516>"
    assert keys(service, "201")["outboundcid"] == "+390721405516"
    service.settle()
    before = service.everything()
    answer = service.call("POST", "/bulk/200,201", json={"outboundcid_fixed": shown})
    assert (answer.status_code, "X-Apply-Task" in answer.headers) == (200, False)
    assert service.everything() == before


def test_a_trunk_without_a_place_in_the_menus_can_be_called(
    service: Service, people: tuple[int, int]
) -> None:
    service.add(t.trunks, {"trunkid": 3, "tech": "enum", "channelid": "ENUM", "name": "ENUM"})
    service.post("/bulk/200", {"busydest": "ext-trunk,3,1"})
    assert user(service, "200")["busy_dest"] == "ext-trunk,3,1"
    problem = service.refused("POST", "/bulk/200", 422, json={"busydest": "ext-trunk,4,1"})
    assert problem["errors"] == ["busydest leads to ext-trunk,4,1, which does not exist"]


def test_saving_what_was_read_changes_nothing(service: Service, people: tuple[int, int]) -> None:
    service.add(t.rest_cti_profiles, {"id": 3, "name": "Advanced"})
    # Digits that are those of the extension by chance only, and a caller id without brackets.
    service.person("eve", "2012", displayname="Eve 92012 of 201, 2nd floor")
    service.post("/mainextensions", {"username": "eve", "extension": "2012",
                                     "outboundcid": "<0721405516>"}, 201)  # fmt: skip
    service.post("/mainextensions", {"username": "bob", "extension": "201",
                                     "outboundcid": "0721 405516"}, 201)  # fmt: skip
    service.post("/bulk/200", {"profile": "3", "ringtime": 20, "callgroup": "a"})
    with service.database.write() as connection:
        # It led somewhere once.
        connection.execute(
            t.users.update().where(t.users.c.extension == "201").values(busy_dest="ext-group,9,1")
        )
    service.settle()
    before = service.everything()
    for path in ("200", "201", "2012", "200,201", "2012,201,200"):
        body = service.get(f"/bulk/{path}")
        # The wizard moves the caller id, and reads the ring time as a number.
        if body["outboundcid"]:
            body |= {"outboundcid_fixed": body["outboundcid"], "outboundcid": "fixed"}
        if body["ringtime"] is not None:
            body["ringtime"] = int(body["ringtime"])
        body |= {"directdid": {"root": "0721", "variable": 2}, "directdidmodule": "x"}
        answer = service.call("POST", f"/bulk/{path}", json=body)
        assert (answer.status_code, "X-Apply-Task" in answer.headers) == (200, False), path
        assert service.everything() == before, path
    assert service.call("POST", "/bulk/200", json={}).json() == {"status": True}
    assert service.everything() == before


def test_forms(service: Service, people: tuple[int, int]) -> None:
    form = {
        "displayname": "Form ???",
        "callwaiting": "1",
        "ringtime": "30",
        "busydest": HANG_UP,
        "outboundcid_fixed": "0721",
        "outboundcid_variable": "3",
        "context": "from-internal",
        "0": "step",
    }
    assert service.call("POST", "/bulk/200", data=form).json() == {"status": True}
    assert user(service, "200")["name"] == "Form 200"
    assert user(service, "91200")["outboundcid"] == "<0721200>"
    assert service.astdb("CW")["91200"] == "ENABLED"
    assert service.sip("200")["context"] == "from-internal"


def test_other_peoples_extensions_are_never_touched(service: Service) -> None:
    """911200, 9200 and 1200 end like 200 and belong to others; so does 91200 as a main one."""
    service.person("ada", "200")
    for place, number in enumerate(("1200", "9200", "55200")):
        service.person(f"other{place}", number)
    for _ in range(2):
        service.post("/physicalextensions", {"mainextension": "1200"})
    service.add(t.users, {"extension": "91200", "name": "Nine"})
    service.add(
        t.userman_users,
        {"username": "nine", "auth": "1", "default_extension": "91200"},
    )
    service.add(t.rest_cti_profiles, {"id": 3, "name": "Advanced"})
    others = ("1200", "911200", "9200", "55200", "91200")

    def rows() -> Any:
        return [
            [service.rows(t.users, extension=n), service.rows(t.devices, id=n), service.sip(n),
             keys(service, n), service.astdb("CW").get(n)]
            for n in others
        ]  # fmt: skip

    before = rows()
    body = {
        "displayname": "X ???",
        "callwaiting": True,
        "ringtime": 99,
        "callgroup": "g",
        "pickupgroup": "g",
        "busydest": HANG_UP,
        "outboundcid_fixed": "5",
        "profile": "3",
    }
    service.post("/bulk/200", body)
    assert user(service, "200")["name"] == "X 200"
    assert rows() == before


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("200,999,998", {"ringtime": 5}, 422, ["extension 999", "extension 998"]),
        ("999", {}, 422, ["extension 999"]),
        ("91200", {"displayname": "x"}, 422, ["91200 is a device of extension 200"]),
        ("200", {"ringtime": 121}, 422, ["ringtime"]),
        ("200", {"ringtime": -1}, 422, ["ringtime"]),
        ("200", {"busydest": "popover"}, 422, ["busydest"]),
        ("200", {"noanswerdest": "nowhere"}, 422, ["noanswerdest"]),
        ("200", {"noanswerdest": "ext-group,9,1"}, 422, ["does not exist"]),
        ("200", {"notreachabledest": "a,b," + "1" * 260}, 422, ["notreachabledest"]),
        ("200", {"displayname": " "}, 422, ["displayname"]),
        ("200", {"displayname": "a\r\nb"}, 422, ["displayname"]),
        ("200", {"callgroup": "a\nb"}, 422, ["callgroup"]),
        ("200", {"pickupgroup": "a;b"}, 422, ["pickupgroup"]),
        ("200", {"callgroup": "x" * 256}, 422, ["callgroup"]),
        ("200", {"outboundcid_fixed": "1" * 49}, 422, ["outboundcid_fixed"]),
        ("200", {"outboundcid_fixed": "1\n2"}, 422, ["outboundcid_fixed"]),
        ("200", {"outboundcid_fixed": "Acme", "outboundcid_variable": 2}, 422, ["variable"]),
        ("200", {"profile": "9"}, 400, ["profile 9"]),
        ("200,999", {"profile": "9"}, 422, ["extension 999", "profile 9"]),
        ("300", {"profile": "3"}, 422, ["belongs to nobody"]),
        ("200", {"ringtime": "x"}, 400, []),
        ("200", {"callwaiting": "maybe"}, 400, []),
        ("200", {"displayname": ["x"]}, 400, []),
        ("200", {"profile": "1 OR 1"}, 400, []),
        ("200", ["x"], 400, []),
        ("200;1", {"ringtime": 5}, 404, []),
        ("200%20OR%201", {"ringtime": 5}, 404, []),
    ],
)
@pytest.mark.usefixtures("people")
def test_refusals(service: Service, path: str, body: Any, status: int, words: list[str]) -> None:
    service.add(t.rest_cti_profiles, {"id": 3, "name": "Advanced"})
    service.add(t.users, {"extension": "300", "name": "Virtual"})
    sent = {"displayname": "Never ???", "callwaiting": False, **body} if (
        isinstance(body, dict)) else body  # fmt: skip
    problem = service.refused("POST", f"/bulk/{path}", status, json=sent)
    assert len(problem.get("errors", [])) == len(words)
    for word, error in zip(words, problem.get("errors", []), strict=True):
        assert word in error
        assert error in problem["detail"]


def many(service: Service, count: int) -> list[str]:
    """People with extensions and devices, written directly."""
    numbers = [str(10000 + n) for n in range(count)]
    service.add(
        t.userman_users,
        *(
            {"username": f"u{n}", "auth": "1", "displayname": f"U {n}", "default_extension": n}
            for n in numbers
        ),
    )
    both = [n for number in numbers for n in (number, f"91{number}")]
    service.add(t.users, *({"extension": n, "name": f"U {n}", "ringtimer": 0} for n in both))
    service.add(t.devices, *({"id": n, "tech": "pjsip", "dial": f"PJSIP/{n}"} for n in both))
    service.add(
        t.sip,
        *(
            {"id": n, "keyword": keyword, "data": "", "flags": 0}
            for n in both
            for keyword in ("namedcallgroup", "callerid")
        ),
    )
    return numbers


def test_500_extensions_all_or_nothing(service: Service) -> None:
    numbers = many(service, 500)
    body = {
        "displayname": "Desk ?????",
        "callwaiting": True,
        "ringtime": 20,
        "callgroup": "g",
        "busydest": HANG_UP,
        "outboundcid_fixed": "0721",
        "outboundcid_variable": 3,
    }
    wrong = [*numbers[:250], "999", *numbers[250:499]]
    problem = service.refused("POST", "/bulk/" + ",".join(wrong), 422, json=body)
    assert problem["errors"] == ["there is no extension 999"]
    assert problem["detail"] == "there is no extension 999"
    path = "/bulk/" + ",".join(numbers)
    service.settle()
    service.post(path, body)
    assert {row["ringtimer"] for row in service.rows(t.users)} == {20}
    for number in (numbers[0], numbers[499]):
        for extension in (number, f"91{number}"):
            row = user(service, extension)
            assert row["name"] == f"Desk {number}"
            assert row["outboundcid"] == f"<0721{number[-3:]}>"
            found = keys(service, extension)
            assert found["cidname"] == f"Desk {number}"
            assert found["ringtimer"] == "20"
            assert found["outboundcid"] == f"0721{number[-3:]}"
            assert service.sip(extension) == {
                "namedcallgroup": "g",
                "callerid": f"Desk {number} <{number}>",
            }
    assert len(service.astdb("CW")) == 1000
    service.settle()
    before = service.everything()
    with service.statements() as seen:
        again = service.call("POST", path, json=body)
    assert (again.status_code, "X-Apply-Task" in again.headers) == (200, False)
    assert service.everything() == before
    # Caller ids that differ by extension cost one statement each, nothing else does.
    assert len(seen) < 500 + 40
    assert service.get(path)["displayname"] == "Desk ?????"


def test_reading_500_costs_as_many_statements_as_one(service: Service) -> None:
    numbers = many(service, 500)

    def statements(path: str) -> int:
        with service.statements() as seen:
            service.get(path)
        return sum("SELECT" in text for text in seen)

    few = statements(f"/bulk/{numbers[0]}")
    assert statements("/bulk/" + ",".join(numbers)) == few <= 6


def test_while_asterisk_is_away(tmp_path: Path) -> None:
    """SQL answers and changes; what AstDB has is unknown, and what it is to have waits."""
    with without_asterisk(tmp_path) as service:
        many(service, 2)
        found = service.get("/bulk/10000,10001")
        assert (found["callwaiting"], found["ringtime"]) == (None, None)
        assert (found["busydest"], found["profile"]) == ("", -1)
        service.post("/bulk/10000", {"callwaiting": True, "ringtime": 9, "displayname": "A ?"})
        assert {row["ringtimer"] for row in service.rows(t.users)} == {0, 9}
        waiting = "".join(row["operations"] for row in service.rows(t.rest_outbox))
        for operation in (
            '["put","CW","9110000","ENABLED"]',
            '["put","AMPUSER","10000/ringtimer","9"]',
            '["put","AMPUSER","9110000/cidname","A 0"]',
        ):
            assert operation in waiting


def test_two_at_once_on_the_same_extensions(service: Service) -> None:
    """Each of them is applied whole; the last one wins in SQL and in AstDB."""
    numbers = many(service, 20)
    path = "/bulk/" + ",".join(numbers)

    def send(seconds: int) -> int:
        return service.call("POST", path, json={"ringtime": seconds}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(1, 17))) == {200}
    stored = {row["ringtimer"] for row in service.rows(t.users)}
    assert len(stored) == 1
    (seconds,) = stored
    values = {v for k, v in service.astdb("AMPUSER").items() if k.endswith("/ringtimer")}
    assert values == {str(seconds)}
