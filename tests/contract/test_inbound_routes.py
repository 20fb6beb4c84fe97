"""Inbound routes: rows of `incoming` as FreePBX's own page writes them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from nethvoice.store import tables as t
from tests.support import Service

HANG_UP = "app-blackhole,hangup,1"


def test_create_writes_the_row_of_freepbx(service: Service) -> None:
    body = {"extension": " <0721000111> ", "cidnum": "", "destination": HANG_UP}
    answer = service.call("POST", "/inboundroutes", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" in answer.headers
    assert service.row(t.incoming) == {
        "cidnum": "",
        "extension": "0721000111",
        "destination": HANG_UP,
        "privacyman": 0,
        "alertinfo": "",
        "ringing": "",
        "fanswer": "",
        "mohclass": "default",
        "description": "",
        "grppre": "",
        "delay_answer": 0,
        "pricid": "",
        "pmmaxretries": "3",
        "pmminlength": "10",
        "reversal": "",
        "rvolume": "0",
        "indication_zone": "default",
    }


def test_all_members_are_stored(service: Service) -> None:
    service.person("ada", "201")
    body = {
        "extension": "_07210[2-5]X.",
        "cidnum": 347,
        "destination": "from-did-direct,201,1",
        "privacyman": 1,
        "alertinfo": "<http://127.0.0.1>;info=ring2",
        "ringing": "CHECKED",
        "fanswer": "CHECKED",
        "mohclass": "jazz",
        "description": 'Ünïcode\'s "main" line',
        "grppre": "IN:",
        "delay_answer": "2",
        "pricid": "CHECKED",
        "pmmaxretries": "",
        "pmminlength": 6,
        "reversal": "CHECKED",
        "rvolume": "-2",
        "indication_zone": "it",
        # Members of older clients, and unknown ones.
        "faxexten": "default",
        "faxemail": "",
        "answer": "0",
        "wait": "0",
        "0": "step",
    }
    service.post("/inboundroutes", body)
    row = service.row(t.incoming)
    assert row == {
        **{name: body[name] for name in row},
        "cidnum": "347",
        "delay_answer": 2,
        "pmmaxretries": "3",
        "pmminlength": "6",
    }


def test_forms_are_read_alike(service: Service) -> None:
    form = {"extension": "0721", "cidnum": "", "destination": HANG_UP, "delay_answer": ""}
    assert service.call("POST", "/inboundroutes", data=form).status_code == 200
    row = service.row(t.incoming)
    assert (row["extension"], row["destination"], row["delay_answer"]) == ("0721", HANG_UP, 0)
    answer = service.call("POST", "/inboundroutes/delete", data={"extension": "0721", "cid": ""})
    assert answer.status_code == 200
    assert service.rows(t.incoming) == []


def test_empty_body_is_the_route_of_any_call(service: Service) -> None:
    service.post("/inboundroutes", {})
    row = service.row(t.incoming)
    assert (row["extension"], row["cidnum"], row["destination"]) == ("", "", None)
    assert service.get("/inboundroutes")["routes"][0]["destination"] is None
    service.delete("/inboundroutes/-")
    assert service.rows(t.incoming) == []


def test_list_and_count(service: Service) -> None:
    empty = service.get("/inboundroutes")
    assert empty["routes"] == []
    assert service.get("/inboundroutes/count") == 0
    for extension, cid in (("20", ""), ("10", "99"), ("10", "")):
        body = {"extension": extension, "cidnum": cid, "destination": HANG_UP}
        service.post("/inboundroutes", body)
    # A route of the visual plan, which writes the table itself.
    row = {"extension": "_X.", "cidnum": "", "destination": "ivr-1,s,1", "ringing": "CHECKED"}
    service.add(t.incoming, row)
    assert service.get("/inboundroutes/count") == 4
    answer = service.get("/inboundroutes")
    pairs = [(route["extension"], route["cidnum"]) for route in answer["routes"]]
    # Databases sort a `_` differently.
    assert [pair for pair in pairs if pair[0] != "_X."] == [("10", ""), ("10", "99"), ("20", "")]
    routes = {route["extension"]: route for route in answer["routes"]}
    assert list(routes["20"]) == [column.name for column in t.incoming.columns]
    assert routes["20"]["privacyman"] == "0"
    assert (routes["_X."]["ringing"], routes["_X."]["delay_answer"]) == ("CHECKED", None)
    assert answer["destinations"][HANG_UP] == {
        "destination": HANG_UP,
        "description": "Hangup",
        "category": "Terminate Call",
        "id": "blackhole",
        "module": "core",
        "name": "Terminate Call",
        "edit_url": "",
    }


@pytest.mark.parametrize("extension", ["0721000111", "07AB", ""])
def test_a_number_that_has_a_route(service: Service, extension: str) -> None:
    service.post("/inboundroutes", {"extension": extension, "destination": HANG_UP})
    service.settle()
    other = {"extension": extension.lower(), "cidnum": "", "destination": "app-blackhole,busy,1"}
    problem = service.refused("POST", "/inboundroutes", 409, json=other)
    assert "already" in problem["detail"]
    assert problem["error"] == problem["detail"]  # where the former service's clients look
    # Another caller is another route.
    service.post("/inboundroutes", {**other, "cidnum": "347"})


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"extension": "_0721[2-"}, 400, "dial pattern"),
        ({"extension": "_0721[]X"}, 400, "dial pattern"),
        ({"extension": "_0721[5-2]"}, 400, "dial pattern"),
        ({"extension": "_07.21"}, 400, "dial pattern"),
        ({"extension": "_"}, 400, "dial pattern"),
        ({"extension": "0721,1"}, 400, "extension"),
        ({"extension": "0721/347"}, 400, "extension"),
        ({"extension": "0721;x"}, 400, "extension"),
        ({"extension": "07\r\n[x]"}, 400, "extension"),
        ({"cidnum": "_[", "extension": "1"}, 400, "cidnum"),
        ({"extension": "1" * 101}, 400, "extension"),
        ({"extension": "1", "cidnum": "2" * 51}, 400, "cidnum"),
        ({"extension": "1", "destination": "a,b," + "1" * 50}, 400, "destination"),
        ({"extension": "1", "description": "x" * 81}, 400, "description"),
        ({"extension": "1", "description": "a\nb"}, 400, "description"),
        ({"extension": "1", "ringing": "maybe"}, 400, "ringing"),
        ({"extension": "1", "privacyman": "2"}, 400, "privacyman"),
        ({"extension": "1", "pmminlength": "x"}, 400, "pmminlength"),
        ({"extension": ["1"]}, 400, "extension"),
        ({"extension": "1", "destination": "nowhere"}, 422, "destination"),
        ({"extension": "1", "destination": "popover"}, 422, "destination"),
        ({"extension": "1", "destination": "from-did-direct,999,1"}, 422, "does not exist"),
        ({"extension": "1", "destination": "ext-group,600,1"}, 422, "does not exist"),
        ({"extension": "1", "destination": "ext-local,vmu200,1"}, 422, "does not exist"),
        ({"extension": "1", "destination": "app-blackhole,nothing,1"}, 422, "does not exist"),
    ],
)
def test_refusals(service: Service, body: dict[str, Any], status: int, word: str) -> None:
    service.settle()
    problem = service.refused("POST", "/inboundroutes", status, json=body)
    assert word in problem["detail"]
    assert "X-Apply-Task" not in service.call("POST", "/inboundroutes", json=body).headers


def test_destinations_of_unknown_modules_are_taken(service: Service) -> None:
    for place, destination in enumerate(
        ("app-custom-thing,s,1", "from-internal,${EXTEN},1", "ext-local,200,dest")
    ):
        service.post("/inboundroutes", {"extension": str(place), "destination": destination})


def add_routes(service: Service, *pairs: tuple[str, str]) -> None:
    service.add(t.incoming, *({"extension": e, "cidnum": c, "mohclass": ""} for e, c in pairs))


def left(service: Service) -> list[tuple[str, str]]:
    return sorted((row["extension"], row["cidnum"]) for row in service.rows(t.incoming))


@pytest.mark.parametrize(
    ("route_id", "gone"),
    [
        ("0721", ("0721", "")),
        ("0721-", ("0721", "")),
        ("0721-347", ("0721", "347")),
        ("0721/347", ("0721", "347")),
        ("0721 / 347", ("0721", "347")),
        ("_0[2-5]X", ("_0[2-5]X", "")),
        ("_0[2-5]X-347", ("_0[2-5]X", "347")),
        ("_0[2-5]x-347", ("_0[2-5]X", "347")),
        ("-347", ("", "347")),
        ("-", ("", "")),
        ("0721 / ", ("0721", "")),
        ("a-b", ("a-b", "")),
        ("a-b-c", ("a-b", "c")),
    ],
)
def test_delete_by_id(service: Service, route_id: str, gone: tuple[str, str]) -> None:
    pairs = [
        ("0721", ""),
        ("0721", "347"),
        ("_0[2-5]X", ""),
        ("_0[2-5]X", "347"),
        ("", ""),
        ("", "347"),
        ("a", "b"),
        ("a-b", ""),
        ("a-b", "c"),
    ]
    add_routes(service, *pairs)
    answer = service.call("DELETE", f"/inboundroutes/{quote(route_id, safe='')}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" in answer.headers
    assert left(service) == sorted(set(pairs) - {gone})


def test_deletes_take_what_other_modules_keep(service: Service) -> None:
    add_routes(service, ("1", ""), ("1", "2"), ("3", ""))
    pairs = ({"extension": "1", "cidnum": ""}, {"extension": "1", "cidnum": "2"})
    service.add(t.fax_incoming, *pairs)
    service.add(t.language_incoming, *({**pair, "language": "it"} for pair in pairs))
    service.delete("/inboundroutes/1")
    assert [row["cidnum"] for row in service.rows(t.fax_incoming)] == ["2"]
    assert [row["cidnum"] for row in service.rows(t.language_incoming)] == ["2"]
    answer = service.call("POST", "/inboundroutes/delete", json={"extension": "1", "cid": "2"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert service.rows(t.fax_incoming) == service.rows(t.language_incoming) == []
    assert left(service) == [("3", "")]


def test_delete_by_number(service: Service) -> None:
    add_routes(service, ("", ""), ("5", "0"), ("5", ""))
    service.post("/inboundroutes/delete", {"extension": "5", "cid": "0"})
    assert left(service) == [("", ""), ("5", "")]
    service.post("/inboundroutes/delete", {"extension": 5})
    service.post("/inboundroutes/delete", {"extension": "", "cid": None})
    assert left(service) == []


def test_delete_refusals(service: Service) -> None:
    add_routes(service, ("0721", "347"), ("", ""))
    for body in ({}, {"cid": "347"}, {"extension": None, "cid": "347"}):
        service.refused("POST", "/inboundroutes/delete", 400, json=body)
    for body in ({"extension": "0721"}, {"extension": "0721", "cid": "0"}):
        service.refused("POST", "/inboundroutes/delete", 404, json=body)
    for name in ("0721", "0721-34", "9", "' OR '1'='1", "%", "_", "07%25"):
        service.refused("DELETE", f"/inboundroutes/{quote(name)}", 404)
    service.refused("DELETE", "/inboundroutes/count", 405)
    service.refused("DELETE", f"/inboundroutes/{'1' * 161}", 404)


def test_500_routes_cost_as_many_statements_as_one(service: Service) -> None:
    def statements() -> int:
        with service.statements() as seen:
            service.get("/inboundroutes")
            service.get("/inboundroutes/count")
        return sum("SELECT" in text for text in seen)

    service.get("/inboundroutes")
    add_routes(service, ("1", ""))
    few = statements()
    add_routes(service, *((f"0721{n:06}", "") for n in range(500)))
    service.add(
        t.trunks,
        *(
            {"trunkid": n, "tech": "pjsip", "channelid": f"T{n}", "name": f"T{n}"}
            for n in range(1, 201)
        ),
    )
    assert statements() == few <= 4
    answer = service.get("/inboundroutes")
    assert len(answer["routes"]) == 501
    assert answer["destinations"]["ext-trunk,200,1"]["description"] == "T200 (pjsip)"
    assert answer["destinations"]["from-trunk,0721000499,1"]["category"] == "Inbound Routes"


def test_one_of_many_at_once_gets_the_number(service: Service) -> None:
    def send(place: int) -> int:
        body = {"extension": "0721", "description": str(place), "destination": HANG_UP}
        return service.call("POST", "/inboundroutes", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(send, range(16)))
    assert codes == [200] + [409] * 15
    assert len(service.rows(t.incoming)) == 1
