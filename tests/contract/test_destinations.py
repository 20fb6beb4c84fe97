"""Destinations of calls and dialplan contexts: what FreePBX and its modules offer."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from nethvoice.pbx.destinations import read_destinations
from nethvoice.store import tables as t
from nethvoice.system import System
from tests.support import Service


def described(service: Service, category: str) -> list[tuple[str, str]]:
    found = service.get("/destinations").get(category, [])
    return [(item["destination"], item["description"]) for item in found]


def test_an_empty_system(service: Service) -> None:
    found = service.get("/destinations")
    assert list(found) == ["Terminate Call"]
    assert found["Terminate Call"][0] == {
        "destination": "app-blackhole,hangup,1",
        "description": "Hangup",
        "category": "Terminate Call",
        "id": "blackhole",
        "selected": True,
    }
    assert [(i["destination"], i["selected"]) for i in found["Terminate Call"]][1:] == [
        ("app-blackhole,congestion,1", False),
        ("app-blackhole,busy,1", False),
        ("app-blackhole,zapateller,1", False),
        ("app-blackhole,musiconhold,1", False),
        ("app-blackhole,ring,1", False),
        ("app-blackhole,no-service,1", False),
    ]


def test_extensions_and_mailboxes(service: Service) -> None:
    service.person("ada", "1200", displayname="Ada Rossi")
    service.person("bob", "201", displayname="Bob")
    service.post("/voicemails", {"extension": "201"})
    assert described(service, "Extensions") == [
        ("from-did-direct,201,1", " 201 Bob"),
        ("from-did-direct,1200,1", " 1200 Ada Rossi"),
    ]
    assert described(service, "Voicemail") == [
        ("ext-local,vmb201,1", "201 Bob (Busy Message)"),
        ("ext-local,vmu201,1", "201 Bob (Unavailable Message)"),
        ("ext-local,vms201,1", "201 Bob (No Message)"),
        ("ext-local,vmi201,1", "201 Bob (Instructions Only)"),
    ]
    found = service.get("/inboundroutes")["destinations"]["from-did-direct,201,1"]
    assert (found["id"], found["name"], found["module"]) == ("extensions", "Extensions", "core")
    assert found["edit_url"] == "config.php?display=extensions&extdisplay=201"
    service.add(t.freepbx_settings, {"keyword": "AMPEXTENSIONS", "value": "deviceanduser"})
    assert [number for number, _ in described(service, "Users")] == [
        "from-did-direct,201,1",
        "from-did-direct,1200,1",
    ]
    assert service.get("/destinations")["Users"][0]["id"] == "users"


def test_trunks_and_routes(service: Service) -> None:
    service.add(
        t.trunks,
        {"trunkid": 10, "tech": "pjsip", "channelid": "B", "name": "B"},
        {"trunkid": 2, "tech": "custom", "channelid": "Local/1", "name": ""},
        {"trunkid": 3, "tech": "enum", "channelid": "ENUM", "name": "ENUM"},
    )
    service.add(
        t.incoming,
        {"extension": "0721", "cidnum": "", "description": "main", "mohclass": ""},
        {"extension": "", "cidnum": "", "description": "rest", "mohclass": ""},
    )
    assert described(service, "Trunks") == [
        ("ext-trunk,2,1", "AMP:Local/1 (custom)"),
        ("ext-trunk,10,1", "B (pjsip)"),
    ]
    assert described(service, "Inbound Routes") == [
        ("from-trunk,,1", "rest()"),
        ("from-trunk,0721,1", "main(0721)"),
    ]


def send(service: Service, destination: str, status: int) -> None:
    """Make a route there."""
    body = {"extension": destination.split(",")[1], "destination": destination}
    answer = service.call("POST", "/inboundroutes", json=body)
    assert answer.status_code == status, (destination, answer.text)


def test_trunks_that_menus_leave_out_are_destinations_too(service: Service) -> None:
    service.add(
        t.trunks,
        {"trunkid": 3, "tech": "enum", "channelid": "ENUM", "name": "ENUM"},
        {"trunkid": 30, "tech": "pjsip", "channelid": "B", "name": "B"},
    )
    assert described(service, "Trunks") == [("ext-trunk,30,1", "B (pjsip)")]
    send(service, "ext-trunk,3,1", 200)
    assert "ext-trunk,3,1" not in service.get("/inboundroutes")["destinations"]
    for unknown in ("ext-trunk,4,1", "ext-trunk,300,1", "ext-trunk,03,1"):
        send(service, unknown, 422)


@contextlib.contextmanager
def altered(service: Service, table: str, change: str, back: str) -> Iterator[System]:
    """A service that finds a table as another version of FreePBX has it."""

    def alter(what: str) -> None:
        with service.database.write() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} {what}")

    alter(change)
    system = System(service.settings)
    try:
        yield system
    finally:
        system.stop()
        alter(back)


def test_trunks_that_an_administrator_has_hidden(service: Service) -> None:
    add = "ADD COLUMN routedisplay VARCHAR(4) DEFAULT 'on'"
    with altered(service, "trunks", add, "DROP COLUMN routedisplay") as system:
        trunk = {"tech": "sip", "channelid": "T"}
        service.add(t.trunks, {**trunk, "trunkid": 5}, {**trunk, "trunkid": 6})
        with system.database.write() as connection:
            connection.exec_driver_sql("UPDATE trunks SET routedisplay = 'off' WHERE trunkid = 5")
            found = read_destinations(system, connection)
    trunks = [item.destination for item in found.items if item.heading == "Trunks"]
    assert trunks == ["ext-trunk,6,1"]
    assert found.error_of("ext-trunk,5,1") is found.error_of("ext-trunk,6,1") is None
    assert "does not exist" in (found.error_of("ext-trunk,7,1") or "")


def test_fax_recipients(service: Service) -> None:
    people = {
        "ada": service.person("ada", displayname="Ada Rossi"),
        "bob": service.person("bob", displayname=" ", fname="Bob", lname="Verdi"),
        "eve": service.person("eve", displayname=None, fname=None, lname=None),
        "off": service.person("off"),
        "none": service.person("none"),
    }
    on = [{"user": str(people[name]), "faxenabled": "true"} for name in ("ada", "bob", "eve")]
    nobody = str(people["none"] + 1)
    service.add(
        t.fax_users,
        *on,
        {"user": str(people["off"]), "faxenabled": "false"},
        {"user": nobody, "faxenabled": "true"},
    )
    expected = [
        (f"ext-fax,{people['ada']},1", "Ada Rossi (ada)"),
        (f"ext-fax,{people['bob']},1", "Bob Verdi (bob)"),
        (f"ext-fax,{people['eve']},1", "eve (eve)"),
    ]
    assert described(service, "Fax Recipient") == expected
    assert service.get("/destinations")["Fax Recipient"][0]["category"] == "Fax Recipient"
    entry = service.get("/inboundroutes")["destinations"][expected[0][0]]
    page = f"config.php?display=userman&action=showuser&user={people['ada']}"
    assert (entry["module"], entry["edit_url"]) == ("fax", page)
    for destination, _ in expected:
        send(service, destination, 200)
    for unknown in (people["off"], people["none"], nobody):
        send(service, f"ext-fax,{unknown},1", 422)


def test_a_fax_module_without_the_switch(service: Service) -> None:
    """Destinations of a table that is not as we know it are taken as they are."""
    there, back = "faxenabled TO enabled", "enabled TO faxenabled"
    renamed = altered(service, "fax_users", f"RENAME COLUMN {there}", f"RENAME COLUMN {back}")
    with renamed as system, system.read() as connection:
        found = read_destinations(system, connection)
    assert not any(item.module == "fax" for item in found.items)
    assert found.error_of("ext-fax,1,1") is None


CASES: list[tuple[Any, list[dict[str, Any]], str, list[tuple[str, str]]]] = [
    (
        t.queues_config,
        [{"extension": "400", "descr": "Support"}],
        "Queues",
        [("ext-queues,400,1", "400 Support")],
    ),
    (
        t.ringgroups,
        [{"grpnum": "600", "description": "Sales"}, {"grpnum": "61", "description": "Été"}],
        "Ring Groups",
        [("ext-group,61,1", "Été <61>"), ("ext-group,600,1", "Sales <600>")],
    ),
    (
        t.timeconditions,
        [
            {"timeconditions_id": 1, "displayname": "Weekend"},
            {"timeconditions_id": 2, "displayname": "Office"},
        ],
        "Time Conditions",
        [("timeconditions,2,1", "Office"), ("timeconditions,1,1", "Weekend")],
    ),
    (
        t.daynight,
        [
            {"ext": "0", "dmode": "day", "dest": "a,b,1"},
            {"ext": "0", "dmode": "night", "dest": "a,b,1"},
            {"ext": "0", "dmode": "fc_description", "dest": "Night"},
            {"ext": "1", "dmode": "day", "dest": "a,b,1"},
            {"ext": "1", "dmode": "fc_description", "dest": "Half"},
            {"ext": "2", "dmode": "day", "dest": "a,b,1"},
            {"ext": "2", "dmode": "night", "dest": "a,b,1"},
        ],
        "Call Flow Control",
        [("app-daynight,0,1", "(0) Night"), ("app-daynight,2,1", "(2) Call Flow Toggle")],
    ),
    (
        t.announcement,
        [{"announcement_id": 3, "description": "Closed"}],
        "Announcements",
        [("app-announcement-3,s,1", "Closed")],
    ),
    (t.ivr_details, [{"id": 4, "name": "Welcome"}], "IVR", [("ivr-4,s,1", "Welcome")]),
    (
        t.meetme,
        [{"exten": "800", "description": "Board"}],
        "Conferences",
        [("ext-meetme,800,1", "800 Board")],
    ),
    (
        t.miscdests,
        [{"id": 5, "description": "Mobile", "destdial": "333"}],
        "Misc Destinations",
        [("ext-miscdests,5,1", "Mobile")],
    ),
    (
        t.paging_config,
        [{"page_group": "70", "description": ""}],
        "Paging and Intercom",
        [("app-pagegroups,70,1", "Page Group 70")],
    ),
    (
        t.nethcqr_details,
        [{"id_cqr": 6, "name": "Customers"}, {"id_cqr": 7, "name": ""}],
        "CQR",
        [("nethcqr,7,1", "CQR ID: 7"), ("nethcqr,6,1", "Customers")],
    ),
    (
        t.queueoptions,
        [{"id": 8, "name": "VIP"}],
        "QueueOptions",
        [("queueoptions-8,s,1", "VIP")],
    ),
    (
        t.customcontexts_contexts,
        [{"context": "cti-profile-3", "description": "CTI Profile Advanced"}],
        "Custom Contexts",
        [("cti-profile-3,${EXTEN},1", "CTI Profile Advanced")],
    ),
]


@pytest.mark.parametrize(
    ("table", "rows", "category", "expected"), CASES, ids=[case[0].name for case in CASES]
)
def test_modules(
    service: Service,
    table: Any,
    rows: list[dict[str, Any]],
    category: str,
    expected: list[tuple[str, str]],
) -> None:
    service.add(table, *rows)
    assert described(service, category) == expected
    by_destination = service.get("/inboundroutes")["destinations"]
    for destination, description in expected:
        assert by_destination[destination]["description"] == description
        assert by_destination[destination]["name"] == category
        # What is listed can be routed to, by the same text.
        service.post("/inboundroutes", {"extension": destination[-9:-2].replace(",", "-"),
                                        "destination": destination})  # fmt: skip


def test_modules_that_are_not_installed(service: Service) -> None:
    missing = [table for table in (t.disa, t.setcid, t.directory_details) if not
               service.database.live(table)]  # fmt: skip
    assert bool(missing) == (service.name == "production")
    body = {"extension": "1", "destination": "disa,99,1"}
    answer = service.call("POST", "/inboundroutes", json=body)
    assert answer.status_code == (200 if missing else 422)


def test_odd_names(service: Service) -> None:
    names = ["'; DROP TABLE users; --", '"q" \\ <b>&', "% _ ünïcødé 日本"]
    service.add(
        t.announcement,
        *({"announcement_id": n, "description": name} for n, name in enumerate(names, 1)),
    )
    assert {text for _, text in described(service, "Announcements")} == set(names)


def test_contexts(service: Service) -> None:
    assert service.get("/contexts") == {"from-internal": "Standard"}
    service.add(
        t.customcontexts_contexts,
        {"context": "hotel", "description": "Hotel"},
        {"context": "cti-profile-3", "description": "CTI Profile Advanced"},
    )
    assert list(service.get("/contexts").items()) == [
        ("from-internal", "Standard"),
        ("cti-profile-3", "CTI Profile Advanced"),
        ("hotel", "Hotel"),
    ]


def test_statements_are_constant(service: Service) -> None:
    def statements() -> int:
        with service.statements() as seen:
            service.get("/destinations")
            service.get("/contexts")
        return sum("SELECT" in text for text in seen)

    service.get("/destinations")
    few = statements()
    service.add(t.ringgroups, *({"grpnum": str(n), "description": ""} for n in range(300)))
    service.add(t.users, *({"extension": str(n), "name": "x"} for n in range(1000, 2000)))
    assert statements() == few <= 4
