"""Phones and custom devices: linking, numbers, inventory, removal."""

from typing import Any

import pytest

from nethvoice.store import tables as t
from tests.support import Service

MAC = "00-15-65-AA-BB-CC"
STORED = "00:15:65:AA:BB:CC"


@pytest.fixture
def ada(service: Service) -> int:
    return service.person("ada", "200", displayname="Ada Rossi")


def link(service: Service, expect: int = 200, **body: Any) -> Any:
    return service.post("/physicalextensions", {"mainextension": "200", **body}, expect)


def is_gone(service: Service, number: str) -> bool:
    """No row and no key is left of an extension."""
    rows = service.rows(t.users, extension=number) + service.rows(t.devices, id=number)
    return not (rows or service.sip(number) or service.astdb("AMPUSER", number))


def put(service: Service, family: str, key: str, value: str) -> None:
    """Set a key of AstDB behind the service's back."""
    if service.asterisk is not None:
        service.asterisk.cli(f"database put {family} {key} {value}")
        return
    path = f"/{family}/{key}"
    with service.database.write() as connection:
        connection.execute(t.rest_astdb.delete().where(t.rest_astdb.c.key == path))
    service.add(t.rest_astdb, {"key": path, "value": value})


def set_sip(service: Service, number: str, **values: str) -> None:
    with service.database.write() as connection:
        for keyword, data in values.items():
            row = (t.sip.c.id == number) & (t.sip.c.keyword == keyword)
            connection.execute(t.sip.update().where(row).values(data=data))


def test_first_device_takes_the_main_number(service: Service, ada: int) -> None:
    answer = link(service, mac=MAC, model="yealink-T46", web_user="admin", web_password="pw")
    assert answer == {"extension": "200"}
    sip = service.sip("200")
    phone = service.row(t.rest_devices_phones)
    assert {key: phone[key] for key in phone if key != "id"} == {
        "user_id": ada,
        "mac": STORED,
        "vendor": "Yealink/Dreamwave",
        "model": "yealink-T46",
        "line": 1,
        "extension": "200",
        "secret": sip["secret"],
        "web_user": "admin",
        "web_password": "pw",
        "type": "physical",
        "srtp": None,
    }
    assert len(service.rows(t.users)) == 1
    assert sip["namedcallgroup"] == sip["namedpickupgroup"] == "1"
    assert sip["allow"] == "ulaw,alaw,gsm,g726,vp8"
    assert (sip["accountcode"], sip["direct_media"]) == ("200", "no")
    assert sip["callerid"] == "Ada Rossi <200>"
    assert sip["context"] == "from-internal"
    assert service.astdb("AMPUSER", "200")["accountcode"] == "200"


def test_later_devices_get_their_own_numbers(service: Service, ada: int) -> None:
    service.add(t.freepbx_settings, {"keyword": "DEVICE_CALLGROUP", "value": ""})
    with service.database.write() as connection:
        connection.execute(
            t.users.update().values(noanswer_dest="ext-group,600,1", outboundcid="0721")
        )
    link(service, mac=MAC, model="yealink-T46")
    assert link(service) == {"extension": "91200"}
    user = service.row(t.users, extension="91200")
    assert user["name"] == "Ada Rossi"
    assert (user["outboundcid"], user["noanswer_dest"]) == ("0721", "ext-group,600,1")
    assert (user["ringtimer"], user["voicemail"], user["busy_dest"]) == (0, "novm", "")
    device = service.row(t.devices, id="91200")
    assert (device["tech"], device["dial"], device["user"]) == ("pjsip", "PJSIP/91200", "91200")
    sip = service.sip("91200")
    assert len(sip) == 54
    assert (sip["account"], sip["mailbox"], sip["dial"]) == ("91200", "91200@device", "PJSIP/91200")
    assert (sip["accountcode"], sip["direct_media"]) == ("200", "no")
    assert sip["callerid"] == "Ada Rossi <200>"
    assert sip["namedcallgroup"] == sip["namedpickupgroup"] == "1"
    keys = service.astdb("AMPUSER", "91200")
    assert (keys["cidnum"], keys["cidname"], keys["accountcode"]) == ("200", "Ada Rossi", "200")
    assert (keys["device"], keys["outboundcid"], keys["ringtimer"]) == ("91200", "0721", "0")
    assert service.astdb("AMPUSER", "200")["device"] == "200&91200"
    assert service.astdb("DEVICE", "91200")["user"] == "91200"
    assert "91200" not in service.astdb("CW")
    custom = service.row(t.rest_devices_phones, extension="91200")
    assert (custom["mac"], custom["line"], custom["type"]) == (None, 1, "physical")
    assert (custom["user_id"], custom["secret"]) == (ada, sip["secret"])


def test_numbers_end_at_97(service: Service, ada: int) -> None:
    given = [link(service)["extension"] for _ in range(8)]
    assert given == ["200", *(f"9{digit}200" for digit in range(1, 8))]
    before = service.everything()
    answer = service.call("POST", "/physicalextensions", json={"mainextension": "200"})
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["status"] == "There aren't available extension numbers"
    assert problem["code"] == 409
    assert service.everything() == before
    service.delete("/physicalextensions/93200")
    assert link(service) == {"extension": "93200"}


def test_numbers_held_by_others_are_passed_over(service: Service, ada: int) -> None:
    service.add(t.ringgroups, {"grpnum": "91200"})
    service.add(t.queues_config, {"extension": "92200"})
    link(service)
    assert link(service) == {"extension": "93200"}


def test_leftovers_on_a_number_are_purged(service: Service, ada: int) -> None:
    service.add(t.sip, {"id": "91200", "keyword": "old", "data": "x"})
    service.add(t.rest_devices_phones, {"extension": "91200", "type": "webrtc"})
    link(service)
    assert link(service) == {"extension": "91200"}
    assert "old" not in service.sip("91200")
    assert service.row(t.rest_devices_phones, extension="91200")["type"] == "physical"


@pytest.mark.parametrize("model", ["snom-D785", {"name": "snom-D785", "display_name": "Snom"}])
def test_model_as_name_or_object(service: Service, ada: int, model: object) -> None:
    link(service, mac="000413aabbcc", model=model, line=None)
    phone = service.row(t.rest_devices_phones)
    assert (phone["model"], phone["vendor"]) == ("snom-D785", "Snom")
    assert phone["mac"] == "00:04:13:AA:BB:CC"


def test_phone_without_model_keeps_its_web_password(service: Service, ada: int) -> None:
    link(service, mac=MAC, web_user="admin", web_password="pw")
    phone = service.row(t.rest_devices_phones)
    assert (phone["model"], phone["web_user"], phone["web_password"]) == (None, "admin", "pw")


def test_inventory_then_link(service: Service, ada: int) -> None:
    body = {"mac": MAC, "model": "yealink-T46", "line": None, "web_user": "admin",
            "web_password": "pw"}  # fmt: skip
    answer = service.call("POST", "/physicalextensions", json=body)
    assert (answer.status_code, answer.json()) == (200, {"extension": None})
    assert "X-Apply-Task" not in answer.headers
    phone = service.row(t.rest_devices_phones)
    assert (phone["user_id"], phone["extension"], phone["web_password"]) == (None, None, "pw")
    link(service, mac=MAC.lower(), model=None)
    linked = service.row(t.rest_devices_phones)
    assert linked["id"] == phone["id"]
    assert (linked["extension"], linked["model"]) == ("200", "yealink-T46")
    assert linked["web_password"] == "pw"
    service.post("/physicalextensions", {"mac": MAC, "model": "yealink-T48"})
    kept = service.row(t.rest_devices_phones)
    assert (kept["extension"], kept["model"], kept["user_id"]) == ("200", "yealink-T48", ada)


def test_linking_the_same_phone_again_keeps_its_number(service: Service, ada: int) -> None:
    link(service, mac=MAC, model="yealink-T46")
    service.settle()
    before = service.everything()
    answer = service.call(
        "POST", "/physicalextensions", json={"mainextension": "200", "mac": MAC, "model": "x"}
    )
    assert answer.json() == {"extension": "200"}
    assert "X-Apply-Task" not in answer.headers
    assert service.everything() == before


def test_a_phone_of_somebody_else_is_refused(service: Service, ada: int) -> None:
    service.person("bob", "300")
    link(service, mac=MAC, model="yealink-T46")
    service.settle()
    problem = service.refused(
        "POST", "/physicalextensions", 409, json={"mainextension": "300", "mac": MAC}
    )
    assert STORED in problem["detail"]
    assert "200" in problem["detail"]


def test_lines_of_a_base_are_linked_one_by_one(service: Service, ada: int) -> None:
    service.person("bob", "300")
    service.add(
        t.rest_devices_phones,
        {"mac": STORED, "model": "M700", "line": 1},
        {"mac": STORED, "model": "M700", "line": 2},
    )
    link(service, mac=MAC, line="1")
    service.post("/physicalextensions", {"mainextension": "300", "mac": MAC, "line": 2})
    lines = {row["line"]: row["extension"] for row in service.rows(t.rest_devices_phones)}
    assert lines == {1: "200", 2: "300"}
    service.delete(f"/physicalextensions/{MAC}")
    assert service.rows(t.rest_devices_phones) == []


def test_a_phone_with_a_line_of_somebody_else_is_refused(service: Service, ada: int) -> None:
    service.person("bob", "300")
    service.add(t.rest_devices_phones, {"mac": STORED, "line": 1}, {"mac": STORED, "line": 2})
    link(service, mac=MAC, line=1)
    service.post("/physicalextensions", {"mainextension": "300", "mac": MAC, "line": 2})
    service.settle()
    problem = service.refused(
        "POST", "/physicalextensions", 409, json={"mainextension": "200", "mac": MAC}
    )
    assert problem["detail"] == f"MAC address {STORED} is already used by extension 300"


def test_a_phone_that_gets_another_number_leaves_none_behind(service: Service, ada: int) -> None:
    link(service)
    assert link(service, mac=MAC) == {"extension": "91200"}
    assert link(service, mac=MAC, extension="93200") == {"extension": "93200"}
    assert service.row(t.rest_devices_phones, mac=STORED)["extension"] == "93200"
    assert is_gone(service, "91200")
    assert service.astdb("AMPUSER", "200")["device"] == "200&93200"


def test_lines_that_are_joined_leave_no_number_behind(service: Service, ada: int) -> None:
    service.add(t.rest_devices_phones, {"mac": STORED, "line": 1}, {"mac": STORED, "line": 2})
    link(service, mac=MAC, line=1, extension="92200")
    link(service, mac=MAC, line=2, extension="94200")
    assert link(service, mac=MAC) == {"extension": "92200"}
    lines = {row["line"]: row["extension"] for row in service.rows(t.rest_devices_phones)}
    assert lines == {1: "92200", 2: "92200"}
    assert is_gone(service, "94200")
    assert service.astdb("AMPUSER", "200")["device"] == "200&92200"


def test_a_number_that_others_use_stays_when_a_phone_leaves_it(service: Service, ada: int) -> None:
    service.add(t.rest_devices_phones, {"mac": STORED, "line": 1}, {"mac": STORED, "line": 2})
    link(service, mac=MAC, extension="92200")
    link(service, mac=MAC, line=1, extension="94200")
    lines = {row["line"]: row["extension"] for row in service.rows(t.rest_devices_phones)}
    assert lines == {1: "94200", 2: "92200"}
    assert service.sip("92200")
    assert link(service, mac=MAC, line=2, extension="200") == {"extension": "200"}
    assert is_gone(service, "92200")


def test_a_phone_on_a_number_that_freepbx_lost_gets_one_again(service: Service, ada: int) -> None:
    service.add(
        t.rest_devices_phones,
        {"user_id": ada, "extension": "200", "mac": None, "line": 1},
        {"user_id": ada, "extension": "91200", "mac": STORED, "line": 1},
    )
    assert link(service, mac=MAC) == {"extension": "91200"}
    assert service.row(t.devices, id="91200")["tech"] == "pjsip"
    phone = service.row(t.rest_devices_phones, mac=STORED)
    assert (phone["extension"], phone["secret"]) == ("91200", service.sip("91200")["secret"])


def test_explicit_number(service: Service, ada: int) -> None:
    assert link(service, extension="95200") == {"extension": "95200"}
    secret = service.sip("95200")["secret"]
    assert link(service, extension=95200, mac=MAC, model="T46") == {"extension": "95200"}
    phone = service.row(t.rest_devices_phones)
    assert (phone["mac"], phone["secret"]) == (STORED, secret)
    service.settle()
    for number in ("12345", "85200", "951200"):
        service.refused(
            "POST", "/physicalextensions", 422, json={"mainextension": "200", "extension": number}
        )
    service.add(t.ringgroups, {"grpnum": "96200"})
    problem = service.refused(
        "POST", "/physicalextensions", 422, json={"mainextension": "200", "extension": "96200"}
    )
    assert problem["detail"] == "Extension 96200 already in use in groups"


def test_explicit_number_without_a_device_is_tied_again(service: Service, ada: int) -> None:
    link(service, extension="95200")
    secret = service.sip("95200")["secret"]
    with service.database.write() as connection:
        connection.execute(t.rest_devices_phones.delete())
    set_sip(service, "200", namedcallgroup="7")
    set_sip(service, "95200", accountcode="", callerid="device <95200>")
    for family, key, value in (
        ("CW", "200", "ENABLED"),
        ("CW", "95200", "ENABLED"),
        ("AMPUSER", "200/device", "200"),
        ("AMPUSER", "95200/accountcode", "95200"),
        ("AMPUSER", "95200/cidnum", "95200"),
    ):
        put(service, family, key, value)
    assert link(service, extension="95200", mac=MAC) == {"extension": "95200"}
    sip = service.sip("95200")
    assert (sip["accountcode"], sip["callerid"]) == ("200", "Ada Rossi <200>")
    assert service.row(t.rest_devices_phones)["secret"] == sip["secret"] == secret
    keys = service.astdb("AMPUSER", "95200")
    assert (keys["accountcode"], keys["cidnum"]) == ("200", "200")
    assert service.astdb("AMPUSER", "200")["device"] == "200&95200"
    assert service.sip("200")["namedcallgroup"] == "7"
    assert service.astdb("CW") == {"200": "ENABLED"}


def test_explicit_main_number_takes_the_place_of_its_custom_device(
    service: Service, ada: int
) -> None:
    for password in ("one", "two"):
        answer = link(service, extension="200", web_user="admin", web_password=password)
        assert answer == {"extension": "200"}
        device = service.row(t.rest_devices_phones)
        assert (device["extension"], device["web_password"]) == ("200", password)
    assert len(service.rows(t.users)) == 1


@pytest.mark.parametrize("number", ["200", "91200"])
def test_a_phone_in_the_place_of_an_app_is_no_app(service: Service, ada: int, number: str) -> None:
    if number != "200":
        link(service)
    assert service.post("/mobileapp", {"mainextension": "200"}, 201) == {"extension": number}
    link(service, extension=number, mac=MAC)
    sip = service.sip(number)
    assert (sip["transport"], sip["media_encryption"]) == ("", "no")
    assert service.row(t.rest_devices_phones, extension=number)["mac"] == STORED
    service.get("/mobileapp/200", 404)


def test_clear_temporary(service: Service, ada: int) -> None:
    service.person("bob", "1200")
    service.add(
        t.rest_devices_phones,
        {"user_id": ada, "extension": "200", "type": "temporaryphysical"},
        {"user_id": 99, "extension": "1200", "type": "temporaryphysical"},
    )
    assert link(service, mac=MAC, model="T46", clear_temporary=True) == {"extension": "200"}
    types = {row["extension"]: row["type"] for row in service.rows(t.rest_devices_phones)}
    assert types == {"200": "physical", "1200": "temporaryphysical"}


def test_clear_temporary_spares_what_is_a_main_extension(service: Service, ada: int) -> None:
    link(service)
    link(service)
    service.post("/extensions/91200/srtp/true")
    bob = service.person("bob", default_extension="91200")
    with service.database.write() as connection:
        row = t.rest_devices_phones.c.extension == "91200"
        values = {"type": "temporaryphysical", "user_id": bob}
        connection.execute(t.rest_devices_phones.update().where(row).values(values))
    device, sip = service.row(t.rest_devices_phones, extension="91200"), service.sip("91200")
    assert link(service, mac=MAC, clear_temporary=True) == {"extension": "92200"}
    assert service.row(t.rest_devices_phones, extension="91200") == device
    assert service.sip("91200") == sip


def test_gs_wave(service: Service, ada: int) -> None:
    link(service, mac="000B82AABBCC", model="GS Wave")
    assert service.sip("200")["media_encryption_optimistic"] == "yes"


@pytest.mark.parametrize("mac", ["zz-15-65-AA-BB-CC", "00-15-65-AA-BB", "00:15:65:AA:BB:CC:DD",
                                 "001565AABBC'", "00-15-65-AA-BB-CC\n"])  # fmt: skip
def test_malformed_mac(service: Service, ada: int, mac: str) -> None:
    service.settle()
    service.refused("POST", "/physicalextensions", 400, json={"mainextension": "200", "mac": mac})
    service.refused("POST", "/physicalextensions", 400, json={"mac": mac})
    service.refused("PATCH", "/physicalextensions/00-15-65-AA-BB", 400, json={"model": "x"})


def test_refusals(service: Service, ada: int) -> None:
    service.add(t.users, {"extension": "400", "name": "nobody's"})
    service.settle()
    for main in ("999", "400", "20x"):
        service.refused("POST", "/physicalextensions", 422, json={"mainextension": main})
    service.refused("POST", "/physicalextensions", 400, json={})
    service.refused("POST", "/physicalextensions", 400)
    service.refused("POST", "/physicalextensions", 400, json={"mainextension": ["200"]})
    service.refused("POST", "/physicalextensions", 400, content=b"{", headers={
        "content-type": "application/json"})  # fmt: skip
    service.refused("POST", "/physicalextensions", 415, content=b"<a/>", headers={
        "content-type": "application/xml"})  # fmt: skip
    service.refused(
        "POST", "/physicalextensions", 400,
        json={"mainextension": "200", "mac": MAC, "model": "x" * 65},
    )  # fmt: skip


def test_virtual_main_extensions_have_no_devices(service: Service) -> None:
    """They are users of FreePBX without a device: nothing can register with them."""
    service.person("vera", default_extension="700")
    service.add(t.users, {"extension": "700", "name": "Vera"})
    service.settle()
    for more in ({}, {"mac": MAC}, {"extension": "700"}, {"extension": "91700"}):
        body = {"mainextension": "700", **more}
        service.refused("POST", "/physicalextensions", 422, json=body)
    before = service.everything()
    service.delete("/physicalextensions/700")
    assert service.everything() == before


def test_a_body_of_ten_megabytes(service: Service, ada: int) -> None:
    service.settle()
    big = b'{"mainextension": "200", "x": "' + b"a" * (10 * 1024 * 1024) + b'"}'
    service.refused(
        "POST", "/physicalextensions", 413, content=big,
        headers={"content-type": "application/json"},
    )  # fmt: skip


def test_forms_are_accepted(service: Service, ada: int) -> None:
    answer = service.call(
        "POST",
        "/physicalextensions",
        data={"mainextension": "200", "mac": "", "model": "", "clear_temporary": "1", "0": "step"},
    )
    assert answer.json() == {"extension": "200"}


def test_delete_releases_the_main_and_removes_the_rest(service: Service, ada: int) -> None:
    link(service, mac=MAC, model="T46")
    link(service)
    service.add(t.pin, {"extension": 200, "pin": "1"}, {"extension": 91200, "pin": "2"})
    service.delete("/physicalextensions/200")
    assert len(service.rows(t.users)) == 2
    sip = service.sip("200")
    assert (sip["media_encryption"], sip["transport"], sip["qualifyfreq"]) == ("no", "", "60")
    assert (sip["rewrite_contact"], sip["maximum_expiration"]) == ("yes", "7200")
    phone = service.row(t.rest_devices_phones, mac=STORED)
    assert (phone["user_id"], phone["extension"], phone["secret"]) == (None, None, None)
    service.delete("/physicalextensions/91200")
    assert [row["extension"] for row in service.rows(t.users)] == ["200"]
    assert [row["id"] for row in service.rows(t.devices)] == ["200"]
    assert service.sip("91200") == {}
    assert service.rows(t.pin) == []
    assert service.astdb("AMPUSER", "91200") == {}
    assert service.astdb("DEVICE", "91200") == {}
    assert service.astdb("AMPUSER", "200")["device"] == "200"
    assert [row["mac"] for row in service.rows(t.rest_devices_phones)] == [STORED]
    assert link(service) == {"extension": "200"}


def test_delete_by_mac(service: Service, ada: int) -> None:
    link(service)
    link(service, mac=MAC, model="T46")
    service.delete("/physicalextensions/00:15:65:aa:bb:cc")
    assert [row["extension"] for row in service.rows(t.users)] == ["200"]
    assert service.rows(t.rest_devices_phones, mac=STORED) == []
    service.settle()
    before = service.everything()
    again = service.call("DELETE", f"/physicalextensions/{MAC}")
    assert (again.status_code, again.content) == (200, b"")
    assert "X-Apply-Task" not in again.headers
    assert service.everything() == before


def test_delete_refusals(service: Service, ada: int) -> None:
    service.add(t.users, {"extension": "600", "name": "no device"})
    service.settle()
    for path, status in (("600", 404), ("12345", 404), ("98200", 404), ("none", 404), ("x", 404)):
        service.refused("DELETE", f"/physicalextensions/{path}", status)


def test_patch_model(service: Service, ada: int) -> None:
    link(service, mac=MAC, model="T46")
    service.settle()
    answer = service.call("PATCH", f"/physicalextensions/{MAC}", json={"model": "yealink-T58"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" not in answer.headers
    assert service.row(t.rest_devices_phones)["model"] == "yealink-T58"
    assert service.call("PATCH", f"/physicalextensions/{MAC}").status_code == 200
    assert service.row(t.rest_devices_phones)["model"] is None
    unknown = service.call("PATCH", "/physicalextensions/00-15-65-00-00-00", json={"model": "x"})
    assert unknown.status_code == 200


def test_admin_password(service: Service, ada: int) -> None:
    link(service, mac=MAC, model="T46")
    link(service)
    service.post("/physicalextensions", {"mac": "00-15-65-00-00-01"})
    answer = service.call("POST", "/physicalextensions/adminpw", json={"password": "s3cret"})
    assert (answer.status_code, answer.content) == (200, b"")
    found = {row["mac"]: (row["web_user"], row["web_password"])
             for row in service.rows(t.rest_devices_phones)}  # fmt: skip
    assert found == {
        STORED: ("admin", "s3cret"),
        "00:15:65:00:00:01": ("admin", "s3cret"),
        None: (None, None),
    }
    service.settle()
    again = service.call("POST", "/physicalextensions/adminpw", json={"password": "s3cret"})
    assert "X-Apply-Task" not in again.headers
    service.refused("POST", "/physicalextensions/adminpw", 400, json={})
    service.refused("POST", "/physicalextensions/adminpw", 400, json={"password": ""})


def test_method_that_the_literal_lacks(service: Service) -> None:
    answer = service.call("GET", "/physicalextensions/adminpw")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
