"""Outbound routes: templates of countries, order, trunks, and every row FreePBX expects."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nethvoice.pbx.outbound_locales import CATALOGUE
from nethvoice.store import tables as t
from tests.support import Service


@pytest.fixture(autouse=True)
def _locales(service: Service) -> None:
    with service.database.write() as connection:
        CATALOGUE.load(connection, service.settings.data_dir)


@pytest.fixture
def trunks(service: Service) -> None:
    service.add(
        t.trunks,
        {"trunkid": 1, "tech": "dahdi", "channelid": "g0", "name": "DAHDI/g0"},
        {"trunkid": 2, "tech": "pjsip", "channelid": "MyVoip", "name": "MyVoip"},
        {"trunkid": 3, "tech": "pjsip", "channelid": "Second", "name": ""},
        {"trunkid": 10, "tech": "custom", "channelid": "Local/1", "name": ""},
    )


NAMES = {1: "DAHDI/g0", 2: "MyVoip", 3: "PJSIP/Second", 10: "AMP:Local/1"}


def links(*numbers: int | str) -> list[dict[str, Any]]:
    return [{"trunkid": str(number), "name": "x"} for number in numbers]


def listed(service: Service) -> list[tuple[str, list[str]]]:
    routes = service.get("/outboundroutes")
    assert [route["seq"] for route in routes] == sorted((r["seq"] for r in routes), key=int)
    return [(r["name"], [trunk["trunkid"] for trunk in r["trunks"]]) for r in routes]


def sequence(service: Service) -> list[tuple[int, int]]:
    rows = service.rows(t.outbound_route_sequence)
    return sorted((row["seq"], row["route_id"]) for row in rows)


def make_defaults(service: Service) -> list[dict[str, Any]]:
    defaults: list[dict[str, Any]] = service.get("/outboundroutes/defaults")["it"]
    service.post("/outboundroutes", {"it": defaults})
    return defaults


# --- reading ---


def test_locales_and_defaults(service: Service, trunks: None) -> None:
    assert service.get("/outboundroutes/supportedLocales") == ["de", "en", "es", "fr", "it"]
    defaults = service.get("/outboundroutes/defaults")
    assert list(defaults) == ["de", "en", "es", "fr", "it"]
    assert [route["name"] for route in defaults["it"]] == [
        "national_it",
        "cellphone_it",
        "international_it",
        "toll_it",
    ]
    # All trunks but the one that FreePBX's installation makes.
    for routes in defaults.values():
        assert len(routes) == 4
        for route in routes:
            assert route["trunks"] == [
                {"name": NAMES[number], "trunkid": str(number), "id": str(number)}
                for number in (2, 3, 10)
            ]


def test_empty(service: Service) -> None:
    assert service.get("/outboundroutes") == []
    assert service.get("/outboundroutes/count") == 0
    with service.database.write() as connection:
        connection.execute(t.outbound_routes_locales.delete())
    assert service.get("/outboundroutes/supportedLocales") == []
    assert service.get("/outboundroutes/defaults") == {}


def test_a_trunk_that_only_looks_like_the_factory_one_is_offered(service: Service) -> None:
    service.add(t.trunks, {"trunkid": 1, "tech": "dahdi", "channelid": "g1", "name": "DAHDI/g0"})
    trunks = service.get("/outboundroutes/defaults")["de"][0]["trunks"]
    assert [trunk["trunkid"] for trunk in trunks] == ["1"]


# --- creating ---


def test_create_writes_every_row(service: Service, trunks: None) -> None:
    answer = service.call(
        "POST",
        "/outboundroutes",
        json={"it": [{"name": "cellphone_it", "trunks": links(10, 2)}]},
    )
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" in answer.headers
    route = service.row(t.outbound_routes)
    number = route.pop("route_id")
    assert route.pop("notification_on", "") == ""
    assert route == {
        "name": "cellphone_it",
        "outcid": "",
        "outcid_mode": "",
        "password": "",
        "emergency_route": "",
        "intracompany_route": "",
        "mohclass": "default",
        "time_group_id": None,
        "dest": "",
        "time_mode": "",
        "calendar_id": None,
        "calendar_group_id": None,
        "timezone": "",
    }
    patterns = service.rows(t.outbound_route_patterns, route_id=number)
    assert {(row["match_pattern_prefix"], row["match_pattern_pass"]) for row in patterns} == {
        ("", "3XXXXXX."),
        ("+39", "3XXXXXX."),
        ("0039", "3XXXXXX."),
    }
    assert {(row["match_cid"], row["prepend_digits"]) for row in patterns} == {("", "")}
    assert len(patterns) == 3
    rows = service.rows(t.outbound_route_trunks)
    assert sorted((row["seq"], row["trunk_id"], row["route_id"]) for row in rows) == [
        (0, 10, number),
        (1, 2, number),
    ]
    assert sequence(service) == [(0, number)]
    if service.database.live(t.outbound_route_email):
        assert service.row(t.outbound_route_email) == {
            "route_id": number,
            "emailfrom": "",
            "emailto": "",
            "emailsubject": "",
            "emailbody": "",
        }
    element = service.get("/outboundroutes")[0]
    element.pop("notification_on", None)
    assert element == {
        "route_id": str(number),
        **route,
        "seq": "0",
        "trunks": [
            {"trunkid": "10", "name": "AMP:Local/1"},
            {"trunkid": "2", "name": "MyVoip"},
        ],
    }


def test_routes_are_made_in_the_posted_order_below_those_there(
    service: Service, trunks: None
) -> None:
    make_defaults(service)
    italian = ["national_it", "cellphone_it", "international_it", "toll_it"]
    assert [name for name, _ in listed(service)] == italian
    service.post(
        "/outboundroutes",
        {"de": [{"name": name, "trunks": []} for name in ("toll_de", "hand_made")]},
    )
    assert [name for name, _ in listed(service)] == [*italian, "toll_de", "hand_made"]
    assert [seq for seq, _ in sequence(service)] == list(range(6))
    assert service.get("/outboundroutes/count") == 6
    patterns = service.rows(t.outbound_route_patterns)
    by_route = {row["route_id"] for row in patterns}
    # A name that is no template has no patterns.
    assert len(by_route) == 5
    assert len(patterns) == 7 + 3 + 1 + 7 + 2


def test_all_patterns_of_all_locales(service: Service) -> None:
    for locale in service.get("/outboundroutes/supportedLocales"):
        service.post("/outboundroutes", {locale: service.get("/outboundroutes/defaults")[locale]})
    rows = service.rows(t.outbound_route_patterns)
    assert len(rows) == len(service.rows(t.outbound_routes_locales)) == 70
    names = {row["route_id"]: row["name"] for row in service.rows(t.outbound_routes)}
    made = {
        (names[row["route_id"]], row["match_pattern_prefix"], row["match_pattern_pass"])
        for row in rows
    }
    assert made == {
        (f"{row['key']}_{row['locale']}", row["prefix_value"], row["pattern_value"])
        for row in service.rows(t.outbound_routes_locales)
    }
    assert ("national_it", "+39", "0ZXXX.") in made
    assert ("national_fr", "", "0[1-59]XXX.") in made


def test_rows_of_templates_are_filtered_as_freepbx_does(service: Service) -> None:
    service.add(
        t.outbound_routes_locales,
        {"locale": "xx", "key": "odd", "prefix_value": "9", "pattern_value": "nx x!."},
        {"locale": "xx", "key": "odd", "prefix_value": "9", "pattern_value": "NXX."},
        {"locale": "xx", "key": "odd", "prefix_value": "", "pattern_value": "'; --"},
        {"locale": "xx", "key": "odd", "prefix_value": "", "pattern_value": " "},
    )
    service.post("/outboundroutes", {"xx": [{"name": "odd_xx", "trunks": []}]})
    rows = service.rows(t.outbound_route_patterns)
    assert sorted((row["match_pattern_prefix"], row["match_pattern_pass"]) for row in rows) == [
        ("", "--"),
        ("9", "NXX."),
    ]


# --- changing ---


def test_order_and_trunks(service: Service, trunks: None) -> None:
    make_defaults(service)
    national, cellphone, international, toll = service.get("/outboundroutes")
    before = service.rows(t.outbound_routes), service.rows(t.outbound_route_patterns)
    toll["trunks"] = links(3)
    toll["name"] = "other"
    toll["password"] = "1234"
    cellphone["trunks"] = []
    # Whole rows of GET /trunks, and the older key.
    international["trunks"] = [{"tech": "pjsip", "trunkid": 2}, {"id": "10"}]
    service.post("/outboundroutes", {"en": [toll, international, cellphone]})
    assert listed(service) == [
        ("toll_it", ["3"]),
        ("international_it", ["2", "10"]),
        ("cellphone_it", []),
        ("national_it", ["2", "3", "10"]),
    ]
    assert [seq for seq, _ in sequence(service)] == [0, 1, 2, 3]
    assert (service.rows(t.outbound_routes), service.rows(t.outbound_route_patterns)) == before
    assert national["name"] == "national_it"


def test_saving_what_was_read_changes_nothing(service: Service, trunks: None) -> None:
    make_defaults(service)
    with service.database.write() as connection:
        # FreePBX leaves holes in the sequence.
        connection.execute(
            t.outbound_route_sequence.update().values(seq=t.outbound_route_sequence.c.seq * 3 + 1)
        )
    service.settle()
    before = service.everything()
    for body in (
        {"it": service.get("/outboundroutes")},
        {"it": service.get("/outboundroutes")[:2]},
        {},
        {"it": []},
        {"nowhere": []},
    ):
        answer = service.call("POST", "/outboundroutes", json=body)
        assert (answer.status_code, "X-Apply-Task" in answer.headers) == (200, False)
        assert service.everything() == before


def test_trunks_that_are_not_sent_stay(service: Service, trunks: None) -> None:
    make_defaults(service)
    first = service.get("/outboundroutes")[0]["route_id"]
    last = service.get("/outboundroutes")[3]["route_id"]
    service.post("/outboundroutes", {"it": [{"route_id": last}, {"route_id": int(first)}]})
    assert [name for name, numbers in listed(service) if numbers == ["2", "3", "10"]] == [
        "toll_it",
        "national_it",
        "cellphone_it",
        "international_it",
    ]


def test_new_and_old_in_one_request(service: Service, trunks: None) -> None:
    make_defaults(service)
    last = service.get("/outboundroutes")[3]["route_id"]
    body = {"fr": [{"name": "toll_fr", "trunks": links(2)}, {"route_id": last, "trunks": []}]}
    service.post("/outboundroutes", body)
    assert [name for name, _ in listed(service)] == [
        "toll_it",
        "national_it",
        "cellphone_it",
        "international_it",
        "toll_fr",
    ]


def test_a_route_without_place_gets_one(service: Service, trunks: None) -> None:
    service.add(t.outbound_routes, {"route_id": 77, "name": "lost"})
    assert service.get("/outboundroutes") == []
    service.post("/outboundroutes", {"it": [{"route_id": 77, "trunks": links(2)}]})
    assert listed(service) == [("lost", ["2"])]


def test_forms_of_php_clients(service: Service, trunks: None) -> None:
    form = {
        "it[0][name]": "national_it",
        "it[0][trunks][0][trunkid]": "2",
        "it[0][trunks][0][name]": "MyVoip",
        "it[0][trunks][1][trunkid]": "3",
        "it[1][name]": "toll_it",
        "it[1][trunks]": "",
    }
    assert service.call("POST", "/outboundroutes", data=form).status_code == 200
    assert listed(service) == [("national_it", ["2", "3"]), ("toll_it", [])]
    first, second = (route["route_id"] for route in service.get("/outboundroutes"))
    form = {
        "it[0][route_id]": second,
        "it[0][trunks][0][trunkid]": "2",
        "it[1][route_id]": first,
        "it[1][trunks]": "",
    }
    assert service.call("POST", "/outboundroutes", data=form).status_code == 200
    assert listed(service) == [("toll_it", ["2"]), ("national_it", [])]
    answer = service.call("POST", "/outboundroutes", data={"it": ""})
    assert (answer.status_code, "X-Apply-Task" in answer.headers) == (200, False)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"it": [], "fr": []}, 400, "one member"),
        ({"it": {}}, 400, "it"),
        ({"it": None}, 400, "it"),
        ([], 400, "body"),
        ({"it": ["national_it"]}, 400, "it"),
        ({"xx": [{"name": "national_xx", "trunks": []}]}, 400, "locale"),
        ({"it' OR '1'='1": [{"name": "n", "trunks": []}]}, 400, "locale"),
        ({"it": [{"name": "national_it", "trunks": [{"trunkid": 99}]}]}, 400, "trunk 99"),
        ({"it": [{"name": "national_it", "trunks": [{}]}]}, 400, "trunkid"),
        ({"it": [{"name": "national_it", "trunks": [{"trunkid": "2 OR 1"}]}]}, 400, "trunkid"),
        ({"it": [{"route_id": "99", "trunks": []}]}, 400, "route 99"),
        ({"it": [{"route_id": "1; DROP", "trunks": []}]}, 400, "route_id"),
        ({"it": [{"name": "", "trunks": []}]}, 400, "name"),
        ({"it": [{"trunks": []}]}, 400, "name"),
        ({"it": [{"name": "a\nb", "trunks": []}]}, 400, "name"),
        ({"it": [{"name": "x" * 41, "trunks": []}]}, 400, "name"),
        ({"it": [{"name": "hand", "trunks": []}]}, 409, "hand"),
        ({"it": [{"name": "toll_it", "trunks": []}] * 2}, 409, "toll_it"),
        ({"it": [{"name": "toll_it"}, {"name": "HAND"}]}, 409, "HAND"),
        ({"it": [{"route_id": 7, "trunks": []}, {"route_id": "7", "trunks": []}]}, 400, "twice"),
        (
            {"it": [{"route_id": 7, "trunks": []}, {"name": "x", "trunks": links(99)}]},
            400,
            "trunk 99",
        ),
    ],
)
def test_refusals(service: Service, trunks: None, body: Any, status: int, word: str) -> None:
    service.add(t.outbound_routes, {"route_id": 7, "name": "hand"})
    service.add(t.outbound_route_sequence, {"route_id": 7, "seq": 0})
    service.add(t.outbound_route_trunks, {"route_id": 7, "trunk_id": 2, "seq": 0})
    service.settle()
    problem = service.refused("POST", "/outboundroutes", status, json=body)
    assert word in problem["detail"]


def test_trunks_that_exist_no_more_are_left_out(service: Service, trunks: None) -> None:
    make_defaults(service)
    with service.database.write() as connection:
        connection.execute(t.trunks.delete().where(t.trunks.c.trunkid == 3))
    assert {tuple(numbers) for _, numbers in listed(service)} == {("2", "10")}


# --- deleting ---


def test_delete(service: Service, trunks: None) -> None:
    make_defaults(service)
    ids = [int(route["route_id"]) for route in service.get("/outboundroutes")]
    gone = ids[1]
    service.add(
        t.pin_protected_routes,
        {"route_id": gone, "enabled": 1},
        {"route_id": ids[0], "enabled": 1},
    )
    service.add(
        t.rest_cti_profiles_routes_permission,
        {"profile_id": 1, "route_id": gone, "permission": 1},
        {"profile_id": 1, "route_id": ids[0], "permission": 1},
    )
    service.add(
        t.customcontexts_includes,
        {"context": "cti-profile-1", "include": f"outrt-{gone}"},
        {"context": "cti-profile-1", "include": f"outrt-{gone}0"},
    )
    answer = service.call("DELETE", f"/outboundroutes/{gone}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" in answer.headers
    for table in (
        t.outbound_routes,
        t.outbound_route_patterns,
        t.outbound_route_trunks,
        t.outbound_route_email,
        t.outbound_route_sequence,
        t.pin_protected_routes,
        t.rest_cti_profiles_routes_permission,
    ):
        if service.database.live(table):
            found = {row["route_id"] for row in service.rows(table)}
            assert gone not in found
            assert found
    assert [row["include"] for row in service.rows(t.customcontexts_includes)] == [f"outrt-{gone}0"]
    assert sequence(service) == [(0, ids[0]), (1, ids[2]), (2, ids[3])]
    service.settle()
    service.refused("DELETE", f"/outboundroutes/{gone}", 404)
    for bad in ("0", "999999999", "1234567890", "x", "1%20OR%201=1", "-1"):
        service.refused("DELETE", f"/outboundroutes/{bad}", 404)
    service.refused("DELETE", "/outboundroutes/defaults", 405)


def test_remove_a_trunk(service: Service, trunks: None) -> None:
    make_defaults(service)
    route = service.get("/outboundroutes")[0]["route_id"]
    answer = service.call("DELETE", f"/outboundroutes/{route}/trunks/3")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" in answer.headers
    assert listed(service)[:2] == [
        ("national_it", ["2", "10"]),
        ("cellphone_it", ["2", "3", "10"]),
    ]
    service.settle()
    before = service.everything()
    # The wizard sends places in its lists; nothing matches, nothing happens.
    for path in (f"{route}/trunks/3", "0/trunks/1", "999/trunks/2", f"{route}/trunks/99"):
        answer = service.call("DELETE", f"/outboundroutes/{path}")
        assert (answer.status_code, "X-Apply-Task" in answer.headers) == (200, False)
    for path in (f"{route}/trunks/x", f"{route}/trunks/2%20OR%201=1", "x/trunks/2"):
        assert service.call("DELETE", f"/outboundroutes/{path}").status_code == 404
    assert service.everything() == before


# --- size ---


def test_100_routes_cost_as_many_statements_as_one(service: Service) -> None:
    def statements() -> int:
        with service.statements() as seen:
            service.get("/outboundroutes")
            service.get("/outboundroutes/count")
            service.get("/outboundroutes/defaults")
        return sum("SELECT" in text for text in seen)

    service.add(
        t.trunks,
        *(
            {"trunkid": n, "tech": "pjsip", "channelid": f"T{n}", "name": f"T{n}"}
            for n in range(1, 201)
        ),
    )
    service.get("/outboundroutes")
    service.post("/outboundroutes", {"it": [{"name": "first", "trunks": links(1)}]})
    few = statements()
    routes = [{"name": f"route {n}", "trunks": links(n + 1, n + 2, n + 100)} for n in range(99)]
    service.post("/outboundroutes", {"it": routes})
    assert statements() == few <= 7
    found = service.get("/outboundroutes")
    assert len(found) == 100
    service.settle()
    with service.statements() as seen:
        service.post("/outboundroutes", {"it": list(reversed(found))})
    assert len(seen) < 20
    assert service.get("/outboundroutes") == [
        {**route, "seq": str(place)} for place, route in enumerate(reversed(found))
    ]


def test_many_at_once_leave_one_order(service: Service, trunks: None) -> None:
    def send(place: int) -> int:
        name = f"route {place % 8}"
        body = {"it": [{"name": name, "trunks": links(2, 3)}]}
        return service.call("POST", "/outboundroutes", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(send, range(16)))
    assert codes == [200] * 8 + [409] * 8
    assert [seq for seq, _ in sequence(service)] == list(range(8))
    assert {name for name, _ in listed(service)} == {f"route {place}" for place in range(8)}
