"""POST /mainextensions and the lists: every row and key that FreePBX expects."""

import threading

import pytest

from nethvoice.store import tables as t
from tests.support import Service

SIP_ROWS = {
    "sipdriver": ("chan_pjsip", 2),
    "md5_cred": ("", 4),
    "dtmfmode": ("rfc4733", 5),
    "trustrpid": ("yes", 6),
    "sendrpid": ("pai", 7),
    "qualifyfreq": ("60", 8),
    "transport": ("", 9),
    "avpf": ("no", 10),
    "timers": ("yes", 11),
    "icesupport": ("no", 12),
    "send_connected_line": ("yes", 13),
    "user_eq_phone": ("no", 14),
    "namedcallgroup": ("", 15),
    "namedpickupgroup": ("", 16),
    "disallow": ("", 17),
    "allow": ("ulaw,alaw,gsm,g726,vp8", 18),
    "accountcode": ("", 19),
    "mailbox": ("200@device", 54),
    "max_contacts": ("1", 21),
    "remove_existing": ("yes", 22),
    "media_use_received_transport": ("no", 23),
    "media_address": ("", 24),
    "rtp_symmetric": ("yes", 25),
    "force_rport": ("yes", 26),
    "rewrite_contact": ("yes", 27),
    "mwi_subscription": ("auto", 28),
    "aggregate_mwi": ("no", 29),
    "media_encryption": ("no", 30),
    "media_encryption_optimistic": ("no", 31),
    "device_state_busy_at": ("0", 32),
    "rtcp_mux": ("no", 33),
    "bundle": ("no", 34),
    "minimum_expiration": ("60", 35),
    "maximum_expiration": ("7200", 36),
    "match": ("", 37),
    "rtp_timeout": ("0", 38),
    "rtp_timeout_hold": ("0", 39),
    "timers_min_se": ("90", 40),
    "direct_media": ("yes", 41),
    "force_callerid": ("no", 42),
    "max_audio_streams": ("1", 43),
    "max_video_streams": ("1", 44),
    "webrtc": ("no", 45),
    "defaultuser": ("", 46),
    "message_context": ("", 47),
    "refer_blind_progress": ("yes", 48),
    "vmexten": ("", 49),
    "outbound_auth": ("no", 50),
    "dial": ("PJSIP/200", 51),
    "context": ("from-internal", 53),
    "account": ("200", 55),
    "callerid": ("", 56),
    "outbound_proxy": ("", 58),
}

AMPUSER_KEYS = {
    "accountcode": "",
    "rvolume": "",
    "password": "",
    "ringtimer": "0",
    "cfringtimer": "0",
    "concurrency_limit": "3",
    "noanswer": "",
    "recording": "",
    "outboundcid": "",
    "cidname": "Ada Rossi",
    "cidnum": "200",
    "voicemail": "novm",
    "answermode": "disabled",
    "intercom": "enabled",
    "cwtone": "disabled",
    "recording/in/external": "dontcare",
    "recording/out/external": "dontcare",
    "recording/in/internal": "dontcare",
    "recording/out/internal": "dontcare",
    "recording/ondemand": "disabled",
    "recording/priority": "10",
    "device": "200",
}


def test_create_writes_what_freepbx_expects(service: Service) -> None:
    person = service.person("ada", displayname="Ada Rossi")
    answer = service.call("POST", "/mainextensions", json={"username": "ada", "extension": "200"})
    assert (answer.status_code, answer.content) == (201, b"")

    assert service.row(t.users) == {
        "extension": "200",
        "password": "",
        "name": "Ada Rossi",
        "voicemail": "novm",
        "ringtimer": 0,
        "noanswer": "",
        "recording": "",
        "outboundcid": "",
        "sipname": "",
        "noanswer_cid": "",
        "busy_cid": "",
        "chanunavail_cid": "",
        "noanswer_dest": "",
        "busy_dest": "",
        "chanunavail_dest": "",
        "mohclass": "default",
    }
    assert service.row(t.devices) == {
        "id": "200",
        "tech": "pjsip",
        "dial": "PJSIP/200",
        "devicetype": "fixed",
        "user": "200",
        "description": "Ada Rossi",
        "emergency_cid": "",
        "hint_override": None,
    }
    rows = {row["keyword"]: (row["data"], row["flags"]) for row in service.rows(t.sip, id="200")}
    secret, flags = rows.pop("secret")
    assert flags == 52
    assert len(secret) == 32
    assert set(secret) <= set("0123456789abcdef")
    assert rows == SIP_ROWS
    assert service.astdb("AMPUSER", "200") == AMPUSER_KEYS
    assert service.astdb("DEVICE", "200") == {
        "user": "200",
        "tech": "pjsip",
        "dial": "PJSIP/200",
        "type": "fixed",
        "default_user": "200",
    }
    assert "200" not in service.astdb("CW")
    assert service.row(t.userman_users, id=person)["default_extension"] == "200"
    assert service.rows(t.rest_devices_phones) == []
    assert service.rows(t.rest_outbox) == []


def test_settings_of_freepbx_are_used(service: Service) -> None:
    service.add(
        t.freepbx_settings,
        {"keyword": "DEVICE_SIP_QUALIFYFREQ", "value": "30"},
        {"keyword": "DEVICE_CALLGROUP", "value": "7"},
        {"keyword": "SIPSECRETSIZE", "value": "16"},
        {"keyword": "CFRINGTIMERDEFAULT", "value": "25"},
        {"keyword": "FOLLOWME_AUTO_CREATE", "value": "1"},
    )
    service.person("ada", "200")
    sip = service.sip("200")
    assert (sip["qualifyfreq"], sip["namedcallgroup"], len(sip["secret"])) == ("30", "7", 16)
    assert service.astdb("AMPUSER", "200")["cfringtimer"] == "25"
    follow = service.row(t.findmefollow)
    assert (follow["grpnum"], follow["strategy"], follow["grptime"]) == ("200", "ringall", 30)
    assert service.astdb("AMPUSER", "200")["followme/ddial"] == "EXTENSION"


def test_same_number_again_changes_nothing(service: Service) -> None:
    service.person("ada", "200")
    service.post("/physicalextensions", {"mainextension": "200"})
    service.settle()
    before = service.everything()
    answer = service.call("POST", "/mainextensions", json={"username": "ada", "extension": 200})
    assert answer.status_code == 201
    assert "X-Apply-Task" not in answer.headers
    assert service.everything() == before


def test_outbound_cid_alone_is_updated(service: Service) -> None:
    service.person("ada", "200")
    body = {"username": "ada", "extension": "200", "outboundcid": "0721 405516"}
    service.post("/mainextensions", body, 201)
    assert service.row(t.users)["outboundcid"] == "0721 405516"
    assert service.astdb("AMPUSER", "200")["outboundcid"] == "0721 405516"


def test_change_moves_the_person_and_keeps_phones_in_the_inventory(service: Service) -> None:
    person = service.person("ada", "200")
    mac = "00-15-65-AA-BB-CC"
    service.post("/physicalextensions", {"mainextension": "200", "mac": mac, "model": "T46"})
    service.post("/webrtc", {"extension": "200"})
    service.add(t.rest_cti_users_groups, {"user_id": person, "group_id": 1})
    service.post("/mobiles", {"username": "ada", "mobile": "333"})
    service.post("/mainextensions", {"username": "ada", "extension": "300"}, 201)
    assert [row["extension"] for row in service.rows(t.users)] == ["300"]
    assert {row["id"] for row in service.rows(t.sip)} == {"300"}
    assert [key for key in service.astdb("AMPUSER") if not key.startswith("300/")] == []
    assert [key for key in service.astdb("DEVICE") if not key.startswith("300/")] == []
    phone = service.row(t.rest_devices_phones)
    assert (phone["mac"], phone["model"]) == ("00:15:65:AA:BB:CC", "T46")
    assert (phone["user_id"], phone["extension"], phone["secret"]) == (None, None, None)
    assert service.rows(t.rest_cti_users_groups) == []
    assert service.row(t.rest_users)["mobile"] == "333"


@pytest.mark.parametrize("empty", [{}, {"extension": ""}, {"extension": None}, {"extension": "0"},
                                   {"extension": 0}, {"extension": "none"}])  # fmt: skip
def test_no_extension_removes(service: Service, empty: dict[str, object]) -> None:
    service.person("ada", "200")
    service.post("/voicemails", {"extension": "200"})
    answer = service.post("/mainextensions", {"username": "ada", **empty})
    assert answer == {"message": "No extension specified"}
    for table in (t.users, t.devices, t.sip, t.rest_devices_phones, t.kvstore_voicemail):
        assert service.rows(table) == []
    assert service.row(t.userman_users)["default_extension"] == "none"
    assert service.astdb("AMPUSER") == {}
    assert service.astdb("DEVICE") == {}
    assert service.get("/voicemails") == {}
    # The number is free at once, and removing again changes nothing.
    service.settle()
    again = service.call("POST", "/mainextensions", json={"username": "ada"})
    assert "X-Apply-Task" not in again.headers
    service.post("/mainextensions", {"username": "ada", "extension": "200"}, 201)


def test_removing_one_person_never_touches_another(service: Service) -> None:
    """Numbers that only end alike are no family (55200, 911200, 1200 and 91200 as a main)."""
    service.person("ada", "200")
    for position, other in enumerate(("55200", "1200", "9200")):
        service.person(f"other{position}", other)
    service.post("/physicalextensions", {"mainextension": "1200"})
    assert service.post("/physicalextensions", {"mainextension": "1200"}) == {"extension": "911200"}
    service.post("/mainextensions", {"username": "ada"})
    assert sorted(row["extension"] for row in service.rows(t.users)) == [
        "1200",
        "55200",
        "911200",
        "9200",
    ]
    assert service.astdb("AMPUSER", "911200")["cidnum"] == "1200"


@pytest.mark.parametrize(
    ("table", "row", "text"),
    [
        (t.sip, {"id": "200", "keyword": "k", "data": "d"}, "Extension 200 already in use"),
        (t.ringgroups, {"grpnum": "200"}, "Extension 200 already in use in groups"),
        (
            t.featurecodes,
            {"modulename": "m", "featurename": "f", "customcode": "200"},
            "Extension 200 already in use as custom code",
        ),
        (
            t.featurecodes,
            {"modulename": "m", "featurename": "f", "defaultcode": "200"},
            "Extension 200 already in use as default code",
        ),
        (
            t.queues_details,
            {"id": "200", "keyword": "member"},
            "Extension 200 already in use as queue",
        ),
        (
            t.trunks,
            {"trunkid": 1, "tech": "pjsip", "channelid": "200"},
            "Extension 200 already in use as trunk",
        ),
        (t.parkplus, {"parkext": "200"}, "Extension 200 already in use as parking"),
        (t.users, {"extension": "200"}, "Extension 200 already in use"),
        (t.devices, {"id": "200", "tech": "pjsip", "dial": ""}, "Extension 200 already in use"),
        (t.queues_config, {"extension": "200"}, "Extension 200 already in use as queue"),
        (t.meetme, {"exten": "200"}, "Extension 200 already in use as conference"),
        (t.miscapps, {"ext": "200"}, "Extension 200 already in use as misc application"),
        (t.paging_config, {"page_group": "200"}, "Extension 200 already in use as paging"),
        (
            t.parkplus,
            {"parkext": "70", "parkpos": "199", "numslots": 3},
            "Extension 200 already in use as parking",
        ),
        (t.ringgroups, {"grpnum": "93200"}, "Extension 93200 already in use in groups"),
    ],
    ids=lambda value: getattr(value, "name", None) or "",
)
def test_number_in_use(service: Service, table: object, row: dict[str, object], text: str) -> None:
    service.person("ada", "100")
    service.settle()
    service.add(table, row)  # type: ignore[arg-type]
    problem = service.refused(
        "POST", "/mainextensions", 422, json={"username": "ada", "extension": "200"}
    )
    assert problem["detail"] == problem["message"] == text


def test_a_default_code_that_was_changed_is_free(service: Service) -> None:
    service.add(
        t.featurecodes,
        {"modulename": "m", "featurename": "f", "defaultcode": "200", "customcode": "*99"},
    )
    service.person("ada", "200")


def test_device_numbers_of_others_are_no_main_extensions(service: Service) -> None:
    service.person("ada", "200")
    service.person("bob")
    for number in ("91200", "98200", "200"):
        service.refused(
            "POST", "/mainextensions", 422, json={"username": "bob", "extension": number}
        )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("20a", "Extension was not numeric!"),
        ("2 0", "Extension was not numeric!"),
        ("-200", "Extension was not numeric!"),
        ("٢٠٠", "Extension was not numeric!"),
        ("200'; DROP TABLE users; --", "Extension was not numeric!"),
        ("1" * 15, "Extension has more than 14 digits"),
        ("1" * 400, "Extension has more than 14 digits"),
    ],
)
def test_bad_numbers(service: Service, number: str, text: str) -> None:
    service.person("ada", "100")
    service.settle()
    problem = service.refused(
        "POST", "/mainextensions", 422, json={"username": "ada", "extension": number}
    )
    assert problem["detail"] == text


@pytest.mark.parametrize("wanted", ["200", "300", ""])
def test_left_overs_of_an_own_number_are_cleaned_away(service: Service, wanted: str) -> None:
    """D-42: a number without `users` row is made anew; D-41: one's own rows are no obstacle."""
    service.person("ada", "200")
    with service.database.write() as connection:
        connection.execute(t.users.delete())
    body = {"username": "ada", "extension": wanted}
    service.post("/mainextensions", body, 201 if wanted else 200)
    left = [wanted] if wanted else []
    assert [row["extension"] for row in service.rows(t.users)] == left
    assert [row["id"] for row in service.rows(t.devices)] == left
    assert sorted({row["id"] for row in service.rows(t.sip)}) == left
    assert service.row(t.userman_users)["default_extension"] == (wanted or "none")


def test_an_own_number_that_is_none_is_replaced(service: Service) -> None:
    service.person("ada", default_extension="reception")
    service.post("/mainextensions", {"username": "ada", "extension": "200"}, 201)
    assert service.row(t.userman_users)["default_extension"] == "200"


def test_unknown_user_and_missing_body(service: Service) -> None:
    problem = service.refused(
        "POST", "/mainextensions", 404, json={"username": "nobody", "extension": "200"}
    )
    assert problem["message"] == "User not found"
    service.refused("POST", "/mainextensions", 400)
    service.refused("POST", "/mainextensions", 400, json={"extension": "200"})
    service.refused("POST", "/mainextensions", 400, json=["ada", "200"])


def test_names_are_found_in_any_case_and_without_domain(service: Service) -> None:
    service.person("jdoe@example.org")
    service.post("/mainextensions", {"username": "JDoe", "extension": "200"}, 201)
    assert service.row(t.userman_users)["default_extension"] == "200"


def test_long_and_odd_names(service: Service) -> None:
    name = 'Ada <the "first"> O\'Neil \\ % _ ünïcødé ' + "x" * 60
    service.person("ada", "200", displayname=name)
    shown = name.replace("<", "(").replace(">", ")")
    assert service.row(t.users)["name"] == shown[:50]
    assert service.row(t.devices)["description"] == name[:50]
    assert service.astdb("AMPUSER", "200")["cidname"] == name


def test_lists(service: Service) -> None:
    assert service.get("/mainextensions") == []
    service.person("ada", "200", displayname="Ada Rossi")
    service.add(t.users, {"extension": "900", "name": "Virtual"})
    service.post("/webrtc", {"extension": "200"})
    service.post("/physicalextensions", {"mainextension": "200"})
    found = service.get("/mainextensions")
    assert [row["extension"] for row in found] == ["200", "900"]
    assert found[0] | {} == {
        **{key: found[0][key] for key in found[0]},
        "name": "Ada Rossi",
        "id": "200",
        "tech": "pjsip",
        "ringtimer": "0",
        "cwtone": "disabled",
        "recording_in_external": "dontcare",
        "recording_ondemand": "disabled",
        "recording_priority": 10,
        "answermode": "disabled",
        "intercom": "enabled",
    }
    assert found[1]["tech"] == "virtual"
    assert (found[1]["id"], found[1]["cwtone"], found[1]["recording_priority"]) == (None, "", "10")
    assert service.get("/mainextensions/200") == found[0]
    service.get("/mainextensions/91200", 404)
    physical = service.get("/physicalextensions")
    assert [row["extension"] for row in physical] == ["200", "91200"]
    assert service.get("/physicalextensions/91200") == physical[1]
    service.get("/physicalextensions/900", 404)


def test_user_limits_are_unlimited(service: Service) -> None:
    service.person("ada", "200")
    service.person("bob")
    assert service.get("/mainextensions/userlimits") == {
        "configured": 1,
        "limit": False,
        "configurable": False,
    }


def test_locked_directory_is_waited_for(service: Service) -> None:
    service.person("ada")
    with service.database.write() as connection:
        connection.execute(t.userman_directories.update().values(locked=1))
    answer = service.call("POST", "/mainextensions", json={"username": "ada", "extension": "200"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert answer.json()["detail"] == "ERROR: directory is locked"
    assert service.rows(t.users) == []


def test_a_lock_that_goes_away_in_time_refuses_nothing(service: Service) -> None:
    service.person("ada")

    def lock(state: int) -> None:
        with service.database.write() as connection:
            connection.execute(t.userman_directories.update().values(locked=state))

    lock(1)
    unlock = threading.Timer(1.0, lock, [0])
    unlock.start()
    service.post("/mainextensions", {"username": "ada", "extension": "200"}, 201)
    unlock.join(10)
    assert service.row(t.userman_users)["default_extension"] == "200"


def test_profile_context_is_kept(service: Service) -> None:
    person = service.person("ada")
    service.add(t.rest_cti_profiles, {"id": 3, "name": "Advanced"})
    service.add(t.rest_users, {"user_id": person, "profile_id": 3})
    service.post("/mainextensions", {"username": "ada", "extension": "200"}, 201)
    assert service.sip("200")["context"] == "cti-profile-3"
    service.post("/physicalextensions", {"mainextension": "200"})
    service.post("/physicalextensions", {"mainextension": "200"})
    assert service.sip("91200")["context"] == "cti-profile-3"
