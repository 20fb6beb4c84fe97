"""Trunks, providers and codecs: every row that FreePBX and its CTI module expect."""

import re
import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import insert

from nethvoice.store import tables as t
from tests.support import Service

ACCOUNT = {"username": "0721000111", "password": "s3cret-X", "phone": "0721405516"}

TRUNK = {
    "trunkid": 1,
    "tech": "pjsip",
    "channelid": "MyVoip",
    "name": "MyVoip",
    "outcid": "0721405516",
    "keepcid": "off",
    "maxchans": "",
    "failscript": "",
    "dialoutprefix": "",
    "usercontext": "",
    "provider": "",
    "disabled": "off",
    "continue": "off",
}

COMMON = {
    "aor_contact": "",
    "aors": "",
    "auth_rejection_permanent": "off",
    "auth_username": "",
    "authentication": "outbound",
    "client_uri": "",
    "dialoutopts_cb": "sys",
    "dialopts": "",
    "direct_media": "no",
    "disabletrunk": "off",
    "dtmfmode": "auto",
    "expiration": "300",
    "failtrunk_enable": "0",
    "fatal_retry_interval": "0",
    "fax_detect": "no",
    "forbidden_retry_interval": "10",
    "force_rport": "yes",
    "hcid": "on",
    "identify_by": "default",
    "inband_progress": "no",
    "language": "",
    "match": "",
    "max_retries": "10000",
    "maxchans": "",
    "media_address": "",
    "media_encryption": "no",
    "message_context": "",
    "npanxx": "",
    "outbound_proxy": "",
    "peerdetails": "",
    "pjsip_line": "true",
    "qualify_frequency": "60",
    "register": "",
    "registration": "send",
    "retry_interval": "60",
    "rewrite_contact": "yes",
    "rtp_symmetric": "no",
    "send_connected_line": "false",
    "sendrpid": "no",
    "server_uri": "",
    "sip_server_port": "5060",
    "support_path": "no",
    "sv_usercontext": "",
    "t38_udptl": "no",
    "t38_udptl_ec": "none",
    "t38_udptl_maxdatagram": "",
    "t38_udptl_nat": "no",
    "transport": "0.0.0.0-udp",
    "trust_id_outbound": "no",
    "trust_rpid": "no",
    "user_eq_phone": "no",
    "userconfig": "",
}

MYVOIP = {
    **COMMON,
    "sip_server": "sip.vivavox.it",
    "from_domain": "sip.vivavox.it",
    "context": "from-pstn",
    "codecs": "alaw,ulaw",
    "contact_user": "0721000111",
    "from_user": "0721000111",
    "username": "0721000111",
    "secret": "s3cret-X",
    "trunk_name": "MyVoip",
    "sv_trunk_name": "MyVoip",
    "sv_channelid": "MyVoip",
    "extdisplay": "OUT_1",
}


def create(service: Service, provider: str = "vivavox", **more: Any) -> str:
    answer = service.post("/trunks", {"provider": provider, **ACCOUNT, **more})
    trunk_id: str = answer["trunkid"]
    return trunk_id


def pjsip(service: Service, trunk_id: str = "1") -> dict[str, str]:
    return {row["keyword"]: row["data"] for row in service.rows(t.pjsip, id=trunk_id)}


def put(service: Service, trunk_id: str, **options: str) -> None:
    """Set options as an administrator does in FreePBX."""
    rows = t.pjsip.c
    with service.database.write() as connection:
        for keyword, data in options.items():
            where = (rows.id == trunk_id) & (rows.keyword == keyword)
            assert connection.execute(t.pjsip.update().where(where).values(data=data)).rowcount == 1


def flags(service: Service, trunk_id: str = "1") -> dict[str, str]:
    rows = service.rows(t.kvstore_nethcti3, id=trunk_id)
    assert all(row["type"] is None for row in rows)
    return {row["key"]: row["val"] for row in rows}


def unchanged(service: Service, method: str, path: str, status: int, **more: Any) -> None:
    """The request succeeds without writing a row and without asking for a reload."""
    service.settle()
    before = service.everything()
    answer = service.call(method, path, **more)
    assert answer.status_code == status, answer.text
    assert "X-Apply-Task" not in answer.headers
    assert service.everything() == before


# --- creating -------------------------------------------------------------------------------------


def test_create_writes_what_freepbx_expects(service: Service) -> None:
    body = {"provider": "vivavox", "name": "MyVoip", **ACCOUNT, "codecs": ["alaw", "ulaw"]}
    answer = service.call("POST", "/trunks", json={**body, "forceCodec": True})
    assert (answer.status_code, answer.json()) == (200, {"trunkid": "1"})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Apply-Task"])

    assert service.row(t.trunks) == TRUNK
    assert pjsip(service) == MYVOIP
    assert {row["flags"] for row in service.rows(t.pjsip)} == {0}
    assert flags(service) == {"disable_topos_header": "0", "disable_srtp_header": "1"}
    assert service.astdb("TRUNK") == {}
    for table in (t.trunk_dialpatterns, t.outbound_route_trunks, t.sip, t.rest_outbox):
        assert service.rows(table) == []


def test_a_trunk_is_enabled_and_can_be_edited_in_freepbx(service: Service) -> None:
    """It was once created switched off, and without what FreePBX's edit page needs."""
    create(service)
    rows = pjsip(service)
    assert (rows["disabletrunk"], service.row(t.trunks)["disabled"]) == ("off", "off")
    assert rows["extdisplay"] == "OUT_1"


def test_forms_and_the_names_of_older_clients(service: Service) -> None:
    form = {"provider": "vivavox", **ACCOUNT, "codec": "alaw, ulaw", "forceCodec": "1"}
    answer = service.call("POST", "/trunks", data=form)
    assert answer.json() == {"trunkid": "1"}
    assert pjsip(service)["codecs"] == "alaw,ulaw"
    form = {"provider": "wic", **ACCOUNT, "codecs[0]": "ulaw", "codecs[1]": "gsm"}
    assert service.call("POST", "/trunks", data={**form, "forceCodec": "true"}).status_code == 200
    assert pjsip(service, "2")["codecs"] == "ulaw,gsm"
    form = {"provider": "oval", **ACCOUNT, "codecs[]": "ulaw", "forceCodec": "yes", "name": "o"}
    assert service.call("POST", "/trunks", data=form).json() == {"trunkid": "3"}
    assert pjsip(service, "3")["codecs"] == "ulaw"
    service.delete("/trunks/3")
    form = {"provider": "plink", **ACCOUNT, "codecs": "", "name": ""}
    assert service.call("POST", "/trunks", data=form).status_code == 200
    assert pjsip(service, "3")["codecs"] == "ulaw,alaw,gsm,g726,g722,g729"
    assert pjsip(service, "3")["trunk_name"] == "plink"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({}, "g729,ulaw,alaw"),
        ({"codecs": []}, "g729,ulaw,alaw"),
        ({"codecs": None, "forceCodec": True}, "g729,ulaw,alaw"),
        ({"codecs": ["alaw"]}, "alaw,g729,ulaw"),
        ({"codecs": ["alaw"], "forceCodec": False}, "alaw,g729,ulaw"),
        ({"codecs": ["gsm", "alaw", "gsm"], "forceCodec": False}, "gsm,alaw,g729,ulaw"),
        ({"codecs": "opus:20,alaw", "forceCodec": True}, "opus:20,alaw"),
        ({"codecs": ["alaw"], "forceCodec": True}, "alaw"),
    ],
)
def test_codecs(service: Service, sent: dict[str, Any], stored: str) -> None:
    create(service, "netoip", **sent)
    assert pjsip(service)["codecs"] == stored


def test_the_facts_of_each_provider_end_in_its_trunk(service: Service) -> None:
    """Deviations from the common set, special options and header switches, of every kind."""
    cases: dict[str, dict[str, str | None]] = {
        "opensolution_gnr": {
            "username": "",
            "secret": "",
            "contact_user": "0721000111",
            "authentication": "off",
            "registration": "none",
        },
        "viatek": {
            "client_uri": "sip:0721000111@CHANGE_ME",
            "sip_server_port": "5083",
            "from_domain": "",
        },
        "wic-voip": {
            "username": "0721405516",
            "auth_username": "0721000111",
            "contact_user": "0721405516",
            "from_user": "0721405516",
        },
        "enegan": {
            "client_uri": "sip:0721000111@sip.enegan.it:5060",
            "server_uri": "sip:sip.enegan.it:5060",
            "outbound_proxy": "sip:proxysip.tlc.enegan.it;lr;hide",
            "retry_interval": "180",
            "auth_username": None,
            "pjsip_line": None,
            "send_connected_line": None,
            "trust_id_outbound": None,
            "user_eq_phone": None,
        },
        "elevenlabs": {
            "auth_username": "0721000111",
            "transport": "0.0.0.0-tcp",
            "authentication": "inbound",
            "registration": "none",
            "context": "from-internal",
        },
        "mynet": {"send_connected_line": None, "pjsip_line": "true"},
    }
    switches = {
        "enegan": {"disable_topos_header": "1", "disable_srtp_header": "1"},
        "elevenlabs": {"disable_topos_header": "0", "disable_srtp_header": "0"},
        # Nothing is left open: a missing switch would mean the module's own default.
        "wic-voip": {"disable_topos_header": "0", "disable_srtp_header": "1"},
    }
    for provider, expected in cases.items():
        trunk_id = create(service, provider)
        rows = pjsip(service, trunk_id)
        assert {key: rows.get(key) for key in expected} == expected, provider
        assert rows["extdisplay"] == f"OUT_{trunk_id}"
        if provider in switches:
            assert flags(service, trunk_id) == switches[provider]


def test_every_provider_makes_a_trunk(service: Service) -> None:
    keys = [provider["provider"] for provider in service.get("/providers")]
    ids = [create(service, key) for key in keys]
    assert ids == [str(number) for number in range(1, 33)]
    servers = {pjsip(service, trunk_id)["sip_server"] for trunk_id in ids}
    assert len(servers) == 32
    assert all(len(flags(service, trunk_id)) == 2 for trunk_id in ids)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("  My line  2 ", "My_line__2"),
        ("", "vivavox"),
        ("   ", "vivavox"),
        (None, "vivavox"),
        ("x" * 50, "x" * 50),
        ("0721000111", "0721000111"),  # its own user name
        ("a+b.c-d'e (1) ünï%_", "a+b.c-d'e_(1)_ünï%_"),
    ],
)
def test_names(service: Service, given: str | None, stored: str) -> None:
    create(service, name=given)
    trunk = service.row(t.trunks)
    rows = pjsip(service)
    assert {trunk["name"], trunk["channelid"], rows["trunk_name"], rows["sv_channelid"]} == {stored}
    assert service.get("/trunks")[0]["name"] == stored


@pytest.mark.parametrize(
    "fault",
    [
        {"provider": "nobody"},
        {"provider": ""},
        {"provider": "vivavox' OR '1'='1"},
        {"provider": "%"},
        {"provider": None},
        {"provider": 15},
        {"username": None},
        {"password": None},
        {"phone": None},
        {"username": ""},
        {"username": "a\r\nb"},
        {"username": "a;b"},
        {"username": "a b"},
        {"username": "<a>"},
        {"password": "a\nb"},
        {"password": "a\x00b"},
        {"password": "pass;word"},
        {"password": ">word"},
        {"phone": "0721\n[evil]"},
        {"phone": "0721;"},
        {"phone": "${SHELL(id)}"},
        {"name": "x" * 51},
        {"name": "a\nb"},
        {"name": "line\n"},
        *({"name": f"a{char}b"} for char in '[];/@"<>,&${}|\\\t'),
        {"codecs": ["ala w"]},
        {"codecs": ["alaw\n"]},
        {"codecs": ["alaw;"]},
        {"codecs": ["ALAW"]},
        {"codecs": "alaw,ulaw;"},
        {"codecs": "alaw:x"},
        {"codecs": ["alaw", 3]},
        {"codec": {"a": 1}},
        {"forceCodec": "maybe"},
    ],
    ids=repr,
)
def test_what_cannot_be_a_trunk_is_refused_before_anything_is_written(
    service: Service, fault: dict[str, Any]
) -> None:
    body = {"provider": "vivavox", "name": "MyVoip", **ACCOUNT, **fault}
    service.refused("POST", "/trunks", 400, json=body)


def test_values_are_as_long_as_the_columns_allow(service: Service) -> None:
    """255 characters everywhere, but 40 for the number in the database of a real FreePBX."""
    width = 40 if service.name == "production" else 255
    longest = {"username": "u" * 255, "password": "p" * 255, "phone": "7" * width}
    trunk_id = create(service, **longest)
    assert service.row(t.trunks)["outcid"] == "7" * width
    rows = pjsip(service, trunk_id)
    assert (rows["username"], rows["secret"]) == ("u" * 255, "p" * 255)
    service.settle()
    body = {"provider": "plink", **ACCOUNT}
    for member in ("username", "password"):
        service.refused("POST", "/trunks", 400, json={**body, member: "x" * 256})
    problem = 422 if service.name == "production" else 400
    service.refused("POST", "/trunks", problem, json={**body, "phone": "7" * (width + 1)})
    service.refused("PATCH", "/trunks/1", problem, json={"phone": "7" * (width + 1)})
    if service.name == "production":
        # The user name is part of a longer value.
        gone = {**body, "provider": "enegan", "username": "u" * 250}
        service.refused("POST", "/trunks", 422, json=gone)


def test_a_name_is_given_once(service: Service) -> None:
    service.person("ada", "200")
    service.add(
        t.trunks,
        {"trunkid": 4, "tech": "pjsip", "channelid": "Channel", "name": "Named", "outcid": ""},
        {"trunkid": 5, "tech": "sip", "channelid": "old-sip", "name": "", "outcid": ""},
    )
    # A row that no trunk has any more is still written into PJSIP's files.
    service.add(t.pjsip, {"id": "77", "keyword": "trunk_name", "data": "Orphan"})
    service.settle()
    body = {"provider": "vivavox", **ACCOUNT}
    for name in ("named", "CHANNEL", "Old-Sip", "orphan", " ORPHAN ", "200", "Anonymous"):
        problem = service.refused("POST", "/trunks", 409, json={**body, "name": name})
        assert problem["error"] == problem["detail"]
    create(service)
    service.settle()
    problem = service.refused("POST", "/trunks", 409, json=body)
    assert problem["error"] == "the name vivavox is in use"


def test_an_id_that_is_used_again_brings_nothing_along(service: Service) -> None:
    assert [create(service, name=name) for name in "abc"] == ["1", "2", "3"]
    create_leftovers(service, 2)
    if service.name == "production":
        service.asterisk.cli("database put TRUNK 2/dialopts Ttr")
    else:
        service.add(t.rest_astdb, {"key": "/TRUNK/2/dialopts", "value": "Ttr"})
    with service.database.write() as connection:
        connection.execute(t.trunks.delete().where(t.trunks.c.trunkid == 2))
    with service.database.write() as connection:
        stale = (t.pjsip.c.id == "2") & (t.pjsip.c.keyword == "match")
        connection.execute(t.pjsip.update().where(stale).values(data="192.0.2.1"))
    assert create(service, name="new") == "2"
    assert pjsip(service, "2")["trunk_name"] == "new"
    assert pjsip(service, "2")["match"] == ""
    assert service.rows(t.trunk_dialpatterns, trunkid=2) == []
    assert service.rows(t.outbound_route_trunks, trunk_id=2) == []
    assert service.astdb("TRUNK") == {}
    assert len(service.rows(t.kvstore_nethcti3, id="2")) == 2


def create_leftovers(service: Service, trunk_id: int) -> None:
    service.add(
        t.trunk_dialpatterns,
        {"trunkid": trunk_id, "match_pattern_prefix": "0", "match_pattern_pass": "X.", "seq": 0},
    )
    service.add(t.outbound_route_trunks, {"route_id": 1, "trunk_id": trunk_id, "seq": 0})


# --- lists ----------------------------------------------------------------------------------------


def test_list(service: Service) -> None:
    assert service.get("/trunks") == []
    assert service.get("/trunks/count") == 0
    create(service, name="MyVoip", codecs=["alaw", "ulaw"], forceCodec=True)
    found = service.get("/trunks")
    expected = {**TRUNK, "trunkid": "1", "dialopts": False, "username": "0721000111"}
    details = {key: data for key, data in MYVOIP.items() if key != "secret"}
    assert found == [{**expected, "details": details}]
    assert list(found[0]) == [*TRUNK, "dialopts", "username", "details"]
    assert service.get("/trunks/count") == 1
    assert "s3cret-X" not in service.call("GET", "/trunks").text


def test_list_of_all_technologies(service: Service) -> None:
    """One technology without a table of settings once made the whole list fail."""
    names = ("dahdi", "sip", "custom", "iax2", "enum", "dundi", "misdn", "pjsip")
    service.person("ada", "2")
    service.add(
        t.trunks,
        *(
            {"trunkid": number, "tech": tech, "channelid": f"c{number}", "outcid": "", "name": ""}
            for number, tech in enumerate(names, 1)
        ),
    )
    service.add(
        t.sip,
        {"id": "tr-peer-2", "keyword": "username", "data": "sip user"},
        {"id": "tr-peer-2", "keyword": "secret", "data": "hidden"},
        {"id": "tr-reg-2", "keyword": "register", "data": "u:hidden@host"},
    )
    service.add(t.iax, {"id": "tr-peer-4", "keyword": "host", "data": "192.0.2.4"})
    service.add(
        t.pjsip,
        {"id": "8", "keyword": "trunk_name", "data": 'quote " back \\ tab\tünïcødé \U0001f4de'},
        {"id": "8", "keyword": "secret", "data": "hidden"},
        {"id": "8", "keyword": "peerdetails", "data": "secret=hidden\ntype=peer"},
        {"id": "8", "keyword": "register", "data": ""},
    )
    found = service.get("/trunks")
    assert [trunk["name"] for trunk in found] == [
        "DAHDI/c1", "SIP/c2", "AMP:c3", "IAX2/c4", "ENUM/c5", "DUNDI/c6", "MISDN/c7", "PJSIP/c8",
    ]  # fmt: skip
    assert [trunk["username"] for trunk in found] == [None, "sip user", *[None] * 6]
    assert [trunk["details"] for trunk in found] == [
        {}, {"username": "sip user"}, {}, {"host": "192.0.2.4"}, {}, {}, {},
        {"trunk_name": 'quote " back \\ tab\tünïcødé \U0001f4de', "register": ""},
    ]  # fmt: skip
    assert "hidden" not in service.call("GET", "/trunks").text
    assert service.get("/trunks/count") == 8
    assert service.get("/trunks/PJsip") == [found[7]]
    assert service.get("/trunks/iax2") == [found[3]]
    for other in ("h323", "3", "count_"):
        assert service.get(f"/trunks/{other}") == []
    service.get("/trunks/pj-sip", 404)


def test_own_dial_options_are_shown(service: Service) -> None:
    create(service)
    for number, value in ((1, "Ttr"), (11, "no such trunk")):
        if service.name == "production":
            service.asterisk.cli(f'database put TRUNK {number}/dialopts "{value}"')
        else:
            service.add(t.rest_astdb, {"key": f"/TRUNK/{number}/dialopts", "value": value})
    assert [trunk["dialopts"] for trunk in service.get("/trunks")] == ["Ttr"]


def add_trunks(service: Service, count: int) -> None:
    """Trunks of a provider, straight into the tables."""
    trunks = [
        {**TRUNK, "trunkid": number, "name": f"t{number}", "channelid": f"t{number}"}
        for number in range(1, count + 1)
    ]
    rows = [
        {"id": str(number), "keyword": keyword, "data": data}
        for number in range(1, count + 1)
        for keyword, data in {**MYVOIP, "extdisplay": f"OUT_{number}"}.items()
    ]
    with service.database.write() as connection:
        connection.execute(insert(t.trunks), trunks)
        connection.execute(insert(t.pjsip), rows)


def test_statements_do_not_grow_with_the_trunks(service: Service) -> None:
    counts: dict[str, list[int]] = {}
    paths = ("/trunks", "/trunks/pjsip", "/trunks/count", "/providers", "/codecs/voip")
    for amount in (2, 200):
        service.reset()
        add_trunks(service, amount)
        assert len(service.get("/trunks")) == amount
        for path in paths:
            with service.statements() as seen:
                service.get(path)
            # Not those of the apply worker and of authentication, which come when they like.
            own = [s for s in seen if s.startswith("SELECT")]
            counts.setdefault(path, []).append(len(own))
    for path, (few, many) in counts.items():
        assert few == many, path
    assert max(max(found) for found in counts.values()) <= 4
    assert service.get("/trunks/count") == 200
    assert [trunk["trunkid"] for trunk in service.get("/trunks")] == [
        str(number) for number in range(1, 201)
    ]


# --- changing -------------------------------------------------------------------------------------


def test_patch_changes_account_number_and_codecs(service: Service) -> None:
    create(service, name="MyVoip", codecs=["alaw", "ulaw"], forceCodec=True)
    body = {
        "username": "new-user",
        "password": "new-secret",
        "phone": "0541",
        "codecs": ["g722"],
        "forceCodec": True,
    }
    answer = service.call("PATCH", "/trunks/1", json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "X-Apply-Task" in answer.headers
    assert pjsip(service) == {
        **MYVOIP,
        "username": "new-user",
        "contact_user": "new-user",
        "from_user": "new-user",
        "secret": "new-secret",
        "codecs": "g722",
    }
    assert service.row(t.trunks) == {**TRUNK, "outcid": "0541"}


KEYS = ("vivavox", "wic-voip", "enegan", "viatek", "opensolution_gnr", "elevenlabs", "xstream")


@pytest.mark.parametrize("provider", KEYS)
def test_patch_with_what_was_read_changes_nothing(service: Service, provider: str) -> None:
    """Opening and saving a trunk once swapped its users for the number."""
    create(service, provider)
    shown = service.get("/trunks")[0]
    same = {
        "username": shown["username"],
        "password": "",
        "phone": shown["outcid"],
        "codecs": shown["details"]["codecs"].split(","),
    }
    for more in ({"forceCodec": True}, {"forceCodec": False}, {}):
        unchanged(service, "PATCH", "/trunks/1", 204, json={**same, **more})
    for part in (
        {},
        {"username": shown["username"]},
        {"phone": shown["outcid"]},
        {"password": ""},
        {"password": None, "username": None, "phone": None},
        {"codecs": []},
        {"codecs": [], "forceCodec": True},
        {"forceCodec": True},
    ):
        unchanged(service, "PATCH", "/trunks/1", 204, json=part)


def test_an_empty_password_keeps_the_secret(service: Service) -> None:
    create(service)
    service.call("PATCH", "/trunks/1", json={"password": "", "phone": "1"})
    assert pjsip(service)["secret"] == "s3cret-X"
    form = {"username": "other", "password": "", "phone": "2", "codecs": "", "forceCodec": ""}
    assert service.call("PATCH", "/trunks/1", data=form).status_code == 204
    assert pjsip(service)["secret"] == "s3cret-X"
    assert pjsip(service)["username"] == "other"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"codecs": ["alaw"]}, "alaw,g729,ulaw"),
        ({"codecs": ["alaw"], "forceCodec": False}, "alaw,g729,ulaw"),
        ({"codecs": "gsm", "forceCodec": False}, "gsm,g729,ulaw,alaw"),
        ({"codec": "gsm,alaw", "forceCodec": True}, "gsm,alaw"),
        ({"codecs": [], "forceCodec": False}, "ulaw"),
        ({"forceCodec": True}, "ulaw"),
    ],
)
def test_codecs_of_a_patch(service: Service, sent: dict[str, Any], stored: str) -> None:
    create(service, "netoip")  # trunk 1; the former service mended trunk 2 whatever was asked
    create(service, "oval", codecs=["ulaw"], forceCodec=True)
    create(service, "wicity", codecs=["ulaw"], forceCodec=True)
    assert service.call("PATCH", "/trunks/2", json=sent).status_code == 204
    assert pjsip(service, "2")["codecs"] == stored
    assert pjsip(service, "1")["codecs"] == "g729,ulaw,alaw"
    assert pjsip(service, "3")["codecs"] == "ulaw"


def test_the_number_alone_leads_the_users(service: Service) -> None:
    create(service)
    service.call("PATCH", "/trunks/1", json={"phone": "0541"})
    rows = pjsip(service)
    assert (rows["contact_user"], rows["from_user"]) == ("0541", "0541")
    assert rows["username"] == "0721000111"
    assert service.row(t.trunks)["outcid"] == "0541"
    service.call("PATCH", "/trunks/1", json={"phone": "0721000111"})
    assert {pjsip(service)[name] for name in ("contact_user", "from_user")} == {"0721000111"}
    service.call("PATCH", "/trunks/1", json={"phone": "0541"})
    # With the user name in the same request they follow that.
    service.call("PATCH", "/trunks/1", json={"phone": "0542", "username": "u2"})
    rows = pjsip(service)
    assert (rows["contact_user"], rows["from_user"], rows["username"]) == ("u2", "u2", "u2")


def test_users_that_the_number_led_follow_the_user_name_again(service: Service) -> None:
    """A client that sends all members led them back to the old number once."""
    create(service)
    same = {"username": "0721000111", "password": ""}
    service.call("PATCH", "/trunks/1", json={"phone": "0541"})
    unchanged(service, "PATCH", "/trunks/1", 204, json={**same, "phone": "0541"})
    service.call("PATCH", "/trunks/1", json={**same, "phone": "0542"})
    rows = pjsip(service)
    assert {rows[name] for name in ("contact_user", "from_user", "username")} == {"0721000111"}
    assert service.row(t.trunks)["outcid"] == "0542"
    # What the number does not lead stays.
    put(service, "1", contact_user="0542", from_user="set-by-hand")
    service.call("PATCH", "/trunks/1", json={**same, "phone": "0543"})
    rows = pjsip(service)
    assert (rows["contact_user"], rows["from_user"]) == ("0721000111", "set-by-hand")
    # A provider that wants the number there still gets it.
    create(service, "wic-voip")
    shown = service.get("/trunks")[1]["username"]
    service.call("PATCH", "/trunks/2", json={"username": shown, "phone": "0544"})
    rows = pjsip(service, "2")
    assert {rows[name] for name in ("contact_user", "from_user", "username")} == {"0544"}


@pytest.mark.parametrize("provider", ["viatek", "xstream", "enegan"])
def test_what_was_emptied_in_freepbx_stays_empty(service: Service, provider: str) -> None:
    """The placeholder of the provider's template once came back."""
    create(service, provider)
    put(service, "1", client_uri="")
    for body in ({"password": "p2"}, {"username": "u2", "phone": "0541"}, {"phone": "0542"}):
        assert service.call("PATCH", "/trunks/1", json=body).status_code == 204
        assert pjsip(service)["client_uri"] == ""


@pytest.mark.parametrize(
    ("body", "user"),
    [
        ({"username": ACCOUNT["username"], "phone": ACCOUNT["phone"]}, ACCOUNT["username"]),
        ({"username": "u2"}, "u2"),
        ({"phone": "0541"}, ACCOUNT["username"]),
        ({"password": "p2"}, ACCOUNT["username"]),
        ({"codecs": ["alaw"]}, ACCOUNT["username"]),
    ],
)
def test_a_user_name_that_was_never_filled_in(
    service: Service, body: dict[str, Any], user: str
) -> None:
    """The former service registered all trunks of enegan as the user "USERNAME"."""
    create(service, "enegan")
    put(service, "1", client_uri="sip:USERNAME@sip.enegan.it:5060")
    answer = service.call("PATCH", "/trunks/1", json=body)
    assert (answer.status_code, "X-Apply-Task" in answer.headers) == (204, True)
    assert pjsip(service)["client_uri"] == f"sip:{user}@sip.enegan.it:5060"


def test_what_was_set_in_freepbx_stays(service: Service) -> None:
    """Edits once overwrote user fields and the outbound proxy that an administrator had set."""
    create(service, "viatek")
    own = {
        "from_user": "set-by-hand",
        "outbound_proxy": "sip:proxy.example.org;lr",
        "client_uri": "sip:0721000111@real.example.org",
        "qualify_frequency": "20",
    }
    put(service, "1", **own)
    shown = service.get("/trunks")[0]
    same = {"username": shown["username"], "phone": shown["outcid"], "password": ""}
    unchanged(service, "PATCH", "/trunks/1", 204, json=same)
    service.call("PATCH", "/trunks/1", json={"phone": "0541", "username": "u2", "password": "p2"})
    rows = pjsip(service)
    assert rows["from_user"] == "set-by-hand"
    assert rows["contact_user"] == "u2"
    assert rows["outbound_proxy"] == "sip:proxy.example.org;lr"
    assert rows["client_uri"] == "sip:u2@real.example.org"
    assert rows["qualify_frequency"] == "20"


def test_special_options_follow_account_and_number(service: Service) -> None:
    create(service, "wic-voip")
    names = ("username", "auth_username", "contact_user", "from_user")

    def users() -> list[str]:
        rows = pjsip(service)
        return [rows[name] for name in names]

    service.call("PATCH", "/trunks/1", json={"phone": "0541"})
    assert users() == ["0541", "0721000111", "0541", "0541"]
    service.call("PATCH", "/trunks/1", json={"username": "account2"})
    assert users() == ["0541", "account2", "0541", "0541"]
    service.call("PATCH", "/trunks/1", json={"username": "0541", "phone": "0542"})
    assert users() == ["0542", "account2", "0542", "0542"]
    assert service.row(t.trunks)["outcid"] == "0542"

    create(service, "enegan")
    service.call("PATCH", "/trunks/2", json={"username": "u2"})
    assert pjsip(service, "2")["client_uri"] == "sip:u2@sip.enegan.it:5060"
    assert "auth_username" not in pjsip(service, "2")

    # This one is known by its address and has neither user name nor secret.
    create(service, "opensolution_gnr")
    service.call("PATCH", "/trunks/3", json={"username": "u3", "password": "p3"})
    rows = pjsip(service, "3")
    assert (rows["username"], rows["secret"], rows["contact_user"]) == ("", "", "u3")


def test_a_keyword_without_a_row_gets_one(service: Service) -> None:
    create(service)
    with service.database.write() as connection:
        missing = t.pjsip.c.keyword.in_(["secret", "codecs", "from_user"])
        connection.execute(t.pjsip.delete().where(missing))
    body = {"password": "p2", "codecs": ["alaw"], "forceCodec": True, "username": "u2"}
    assert service.call("PATCH", "/trunks/1", json=body).status_code == 204
    rows = pjsip(service)
    assert (rows["secret"], rows["codecs"], rows["from_user"]) == ("p2", "alaw", "u2")


def test_a_trunk_of_nobody_we_know(service: Service) -> None:
    """Made in FreePBX: there are no codecs to append and no special options."""
    service.add(t.trunks, {**TRUNK, "trunkid": 7})
    service.add(
        t.pjsip,
        {"id": "7", "keyword": "server_uri", "data": "sip:192.0.2.7"},
        {"id": "7", "keyword": "registration", "data": "send"},
        {"id": "7", "keyword": "codecs", "data": "ulaw"},
    )
    body = {"codecs": ["alaw", "gsm"], "username": "u", "phone": ""}
    assert service.call("PATCH", "/trunks/7", json=body).status_code == 204
    assert pjsip(service, "7") == {
        "server_uri": "sip:192.0.2.7",
        "registration": "send",
        "codecs": "alaw,gsm",
        "username": "u",
        "contact_user": "u",
        "from_user": "u",
    }
    assert service.row(t.trunks)["outcid"] == ""


def test_patch_refusals(service: Service) -> None:
    create(service)
    service.add(t.trunks, {**TRUNK, "trunkid": 2, "tech": "sip", "channelid": "s", "name": "s"})
    service.settle()
    for trunk_id, status in ((3, 404), (2, 400)):
        problem = service.refused("PATCH", f"/trunks/{trunk_id}", status, json={"phone": "1"})
        assert problem["error"] == f"Can't patch trunk {trunk_id}"
    for path in ("/trunks/abc", "/trunks/-1", "/trunks/1234567890", "/trunks/1%27"):
        service.refused("PATCH", path, 404, json={"phone": "1"})
    service.refused("PATCH", "/trunks/1", 400)
    for fault in (
        {"username": "a;b"},
        {"username": "a b"},
        {"username": ""},
        {"username": 5},
        {"password": "a\nb"},
        {"password": "a;b"},
        {"phone": "1\n2"},
        {"codecs": ["a b"]},
        {"codecs": 5},
        {"forceCodec": "maybe", "codecs": ["alaw"]},
        ["phone"],
    ):
        service.refused("PATCH", "/trunks/1", 400, json=fault)


# --- deleting -------------------------------------------------------------------------------------


def test_delete_takes_everything_along(service: Service) -> None:
    for name in ("one", "two", "three"):
        create(service, name=name)
    for number in (1, 2, 3):
        create_leftovers(service, number)
        service.add(t.outbound_route_trunks, {"route_id": 2, "trunk_id": number, "seq": number})
        if service.name == "production":
            service.asterisk.cli(f"database put TRUNK {number}/dialopts r")
        else:
            service.add(t.rest_astdb, {"key": f"/TRUNK/{number}/dialopts", "value": "r"})
    service.add(t.kvstore_nethcti3, {"key": "other", "val": "kept", "id": "2"})
    service.settle()
    answer = service.call("DELETE", "/trunks/2")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" in answer.headers
    assert [row["trunkid"] for row in service.rows(t.trunks)] == [1, 3]
    assert {row["id"] for row in service.rows(t.pjsip)} == {"1", "3"}
    assert {row["trunkid"] for row in service.rows(t.trunk_dialpatterns)} == {1, 3}
    assert sorted((r["route_id"], r["trunk_id"], r["seq"])
                  for r in service.rows(t.outbound_route_trunks)) == [
        (1, 1, 0), (1, 3, 0), (2, 1, 1), (2, 3, 3)]  # fmt: skip
    assert service.astdb("TRUNK") == {"1/dialopts": "r", "3/dialopts": "r"}
    assert flags(service, "2") == {"other": "kept"}
    assert len(flags(service, "1")) == len(flags(service, "3")) == 2
    service.settle()
    service.refused("DELETE", "/trunks/2", 404)
    assert create(service, name="again") == "2"


def test_delete_of_older_technologies(service: Service) -> None:
    service.person("ada", "6")
    service.add(
        t.trunks,
        {**TRUNK, "trunkid": 6, "tech": "sip"},
        {**TRUNK, "trunkid": 16, "tech": "iax2", "channelid": "i", "name": "i"},
        {**TRUNK, "trunkid": 26, "tech": "dahdi", "channelid": "g0", "name": "g"},
    )
    rows = [
        {"id": f"tr-{kind}-{number}", "keyword": "k", "data": "d"}
        for kind in ("peer", "user", "reg")
        for number in (6, 16, 66)
    ]
    service.add(t.sip, *rows)
    service.add(t.iax, *rows)
    service.delete("/trunks/6")
    service.delete("/trunks/26")
    left = {row["id"] for row in service.rows(t.sip)}
    assert left == {"6", *(f"tr-{kind}-{n}" for kind in ("peer", "user", "reg") for n in (16, 66))}
    service.delete("/trunks/16")
    assert {row["id"] for row in service.rows(t.iax)} == {"tr-peer-66", "tr-user-66", "tr-reg-66"}
    assert service.get("/trunks") == []


def test_delete_refusals(service: Service) -> None:
    create(service)
    service.settle()
    for path in ("/trunks/2", "/trunks/abc", "/trunks/1;2", "/trunks/0", "/trunks/1%20OR%201=1"):
        service.refused("DELETE", path, 404)
    assert service.call("DELETE", "/trunks/count").status_code == 405


# --- concurrency ----------------------------------------------------------------------------------


def test_ids_are_given_once(service: Service) -> None:
    """Sixteen clients at once: no id twice, no hole, and a name goes to one of them."""
    answers: list[tuple[int, str]] = []
    guard = threading.Lock()
    start = threading.Barrier(16)

    def client(number: int) -> None:
        # Pairs of clients want the same name.
        body = {"provider": "vivavox", **ACCOUNT, "name": f"line{number // 2}"}
        start.wait(30)
        answer = service.call("POST", "/trunks", json=body)
        with guard:
            answers.append((answer.status_code, answer.text))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Counter(status for status, _ in answers) == {200: 8, 409: 8}
    trunks = service.rows(t.trunks)
    assert sorted(row["trunkid"] for row in trunks) == [*range(1, 9)]
    assert sorted(row["name"] for row in trunks) == [f"line{number}" for number in range(8)]
    for row in trunks:
        assert pjsip(service, str(row["trunkid"]))["trunk_name"] == row["name"]


# --- providers and codecs -------------------------------------------------------------------------


def test_providers(service: Service) -> None:
    found = {provider["provider"]: provider for provider in service.get("/providers")}
    assert len(found) == 32
    descriptions = [provider["description"].lower() for provider in found.values()]
    assert descriptions == sorted(descriptions)
    assert {int(provider["id"]) for provider in found.values()} == {*range(1, 33)}
    vivavox = found["vivavox"]
    assert (vivavox["id"], vivavox["description"]) == ("15", "VivaVox")
    assert vivavox["descrizione"] == "VivaVox"
    assert vivavox["dettpeer"].split("\n") == [
        "disallow=all", "allow=CODECS", "bindaddr=0.0.0.0", "canreinvite=yes",
        "defaultexpirey=330", "dtmfmode=rfc2833", "fromuser=USERNAME", "host=sip.vivavox.it",
        "insecure=very", "nat=yes", "port=5060", "qualify=yes", "realm=sip.vivavox.it",
        "secret=PASSWORD", "srvlookup=yes", "type=friend", "useragent=Asterisk_Eut",
        "username=USERNAME", "fromdomain=sip.vivavox.it",
    ]  # fmt: skip
    assert vivavox["dettuser"] == (
        "allow=CODECS\ncontext=from-pstn\nsecret=PASSWORD\ntype=user\ndtmfmode=rfc2833"
    )
    assert vivavox["registration"] == "USERNAME:PASSWORD@sip.vivavox.it/NUMERO"
    # Keys that the older form does not have, or has in other letters.
    assert found["digitalia"]["registration"] == "USERNAME:PASSWORD@sip.digiclex.it/NUMERO"
    assert found["digitalia"]["dettpeer"] == found["digitalia"]["dettuser"] == ""
    assert found["opensolution_gnr"]["registration"] == ""
    assert found["elevenlabs"]["registration"] == ""
    assert "dtmfmode=rfc2933" in found["mynet"]["dettpeer"]
    assert found["sixcomm"]["registration"] == (
        "USERNAME@voip.sixcomm.net:PASSWORD:USERNAME@pcscf.sixcomm.net/USERNAME"
    )


def test_codec_list(service: Service) -> None:
    assert service.get("/codecs/voip") == [
        {"codec": "alaw", "enabled": True},
        {"codec": "ulaw", "enabled": True},
        {"codec": "g729", "enabled": True},
    ]


def test_the_document_names_every_codec_that_a_trunk_may_have(service: Service) -> None:
    create(service, codecs=[codec["codec"] for codec in service.get("/codecs/voip")])
    assert pjsip(service)["codecs"].startswith("alaw,ulaw,g729,")
