"""Mobile numbers, mailboxes and the final report."""

from base64 import b64encode

import pytest

from nethvoice.store import tables as t
from tests.support import Service


@pytest.fixture
def ada(service: Service) -> int:
    return service.person("ada", "200", displayname="Ada, Rossi", email="ada@example.org")


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("+39 (333) 12-34", "00393331234"),
        ("+39 333-123 4567", "00393331234567"),
        ("0721405516", "0721405516"),
        ("'; DROP TABLE rest_users; --", None),
        ("", None),
        (None, None),
    ],
)
def test_numbers_are_normalised(
    service: Service, ada: int, sent: str | None, stored: str | None
) -> None:
    service.post("/mobiles", {"username": "ada", "mobile": "1"})
    answer = service.call("POST", "/mobiles", json={"username": "ada", "mobile": sent})
    assert (answer.status_code, answer.content) == (200, b"")
    assert service.row(t.rest_users)["mobile"] == stored
    assert service.get("/mobiles") == [{"mobile": stored, "username": "ada"}]
    if stored is None:
        service.get("/mobiles/ada", 404)
    else:
        assert service.get("/mobiles/ada") == stored


def test_mobile_refusals_and_no_op(service: Service, ada: int) -> None:
    service.settle()
    answer = service.call("POST", "/mobiles", json={"username": "ada"})
    assert "X-Apply-Task" not in answer.headers
    assert service.rows(t.rest_users) == []
    service.refused("POST", "/mobiles", 404, json={"username": "nobody", "mobile": "1"})
    service.refused("POST", "/mobiles", 422, json={"username": "ada", "mobile": "1" * 21})
    service.refused("POST", "/mobiles", 400, json={"mobile": "1"})
    service.get("/mobiles/ada' OR '1'='1", 404)
    service.get("/mobiles/username", 404)


CONF = """; written by hand
[general]
format=wav49|gsm ; keep me
odbcstorage=asteriskcdrdb

[default]
100 => 1111,Old Box,,,attach=yes

[zonemessages]
eu=Europe/Rome|'vm-received' Q 'digits/at' R
"""


def test_voicemail_on_and_off(service: Service, ada: int) -> None:
    conf = service.settings.voicemail_conf
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text(CONF)
    service.get("/voicemails/200", 404)
    answer = service.call("POST", "/voicemails", json={"extension": "200", "state": "yes"})
    assert (answer.status_code, answer.json()) == (200, {"status": True})
    box = service.get("/voicemails/200")
    pin = box["pwd"]
    assert box == {
        "mailbox": 200,
        "pwd": pin,
        "name": "Ada Rossi",
        "email": "ada@example.org",
        "pager": "",
        "options": {"attach": "no", "saycid": "no", "envelope": "no", "delete": "no"},
    }
    assert len(pin) == 4
    assert pin.isdigit()
    assert sorted(service.get("/voicemails")) == ["100", "200"]
    lines = conf.read_text().splitlines()
    assert (
        f"200={pin},Ada Rossi,ada@example.org,,attach=no|saycid=no|envelope=no|delete=no" in lines
    )
    assert "200@device=200@default" in lines
    for line in CONF.splitlines():
        assert line in lines
    mapping = service.row(t.kvstore_voicemail)
    assert (mapping["id"], mapping["key"], mapping["type"]) == ("vmmapping", "200", "json-arr")
    assert mapping["val"] == '["200@device","200@default"]'
    assert service.row(t.users)["voicemail"] == "default"
    keys = service.astdb("AMPUSER", "200")
    assert (keys["voicemail"], keys["novmpw"]) == ("default", "yes")
    service.settle()
    again = service.call("POST", "/voicemails", json={"extension": 200})
    assert "X-Apply-Task" not in again.headers
    assert service.get("/voicemails/200")["pwd"] == pin
    spool = service.settings.voicemail_spool / "default" / "200" / "INBOX"
    spool.mkdir(parents=True, exist_ok=True)
    service.post("/voicemails", {"extension": "200", "state": "no"})
    service.get("/voicemails/200", 404)
    assert "200@device" not in conf.read_text()
    assert service.rows(t.kvstore_voicemail) == []
    assert service.row(t.users)["voicemail"] == "novm"
    assert service.astdb("AMPUSER", "200")["voicemail"] == "novm"
    assert spool.is_dir()
    assert (
        conf.read_text()
        .replace("aliasescontext=pbxaliases\n", "")
        .startswith(CONF.partition("[zone")[0].rstrip())
    )
    service.settle()
    off = service.call("POST", "/voicemails", json={"extension": "200", "state": "no"})
    assert (off.status_code, "X-Apply-Task" in off.headers) == (200, False)


def test_voicemail_flags_are_repaired(service: Service, ada: int) -> None:
    service.post("/voicemails", {"extension": "200"})
    pin = service.get("/voicemails/200")["pwd"]
    with service.database.write() as connection:
        connection.execute(t.users.update().values(voicemail="novm"))
    answer = service.call("POST", "/voicemails", json={"extension": "200", "state": True})
    assert "X-Apply-Task" in answer.headers
    assert service.row(t.users)["voicemail"] == "default"
    assert service.get("/voicemails/200")["pwd"] == pin


def test_voicemail_of_a_removed_extension_is_wiped(service: Service, ada: int) -> None:
    service.post("/voicemails", {"extension": "200"})
    spool = service.settings.voicemail_spool / "default" / "200"
    (spool / "INBOX").mkdir(parents=True, exist_ok=True)
    service.post("/mainextensions", {"username": "ada"})
    assert service.get("/voicemails") == {}
    assert not spool.exists()


def test_a_new_device_gets_no_mailbox_that_was_left(service: Service, ada: int) -> None:
    conf = service.settings.voicemail_conf
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text("[default]\n91200 => 1111,Old Box,,,\n")
    service.post("/physicalextensions", {"mainextension": "200"})
    assert service.post("/physicalextensions", {"mainextension": "200"}) == {"extension": "91200"}
    assert service.row(t.users, extension="91200")["voicemail"] == "novm"
    assert service.astdb("AMPUSER", "91200")["voicemail"] == "novm"
    assert "91200" not in conf.read_text()


def test_a_mailbox_that_goes_with_an_extension_is_made_anew(service: Service, ada: int) -> None:
    """The import moves ada to the number of her device, whose old mailbox is removed by that."""
    service.post("/physicalextensions", {"mainextension": "200"})
    service.post("/physicalextensions", {"mainextension": "200"})
    service.post("/voicemails", {"extension": "91200"})
    upload = b64encode(b"ada,Ada Rossi,91200,,,TRUE").decode()
    service.post("/csv/csvimport", {"file": f"data:text/csv;base64,{upload}"})
    service.settle()
    assert service.get("/csv/csvimport")["result"] == 100
    assert service.row(t.users)["extension"] == "91200"
    assert service.get("/voicemails/91200")["email"] == "ada@example.org"
    assert service.row(t.users)["voicemail"] == "default"


def test_voicemail_refusals(service: Service, ada: int) -> None:
    service.settle()
    problem = service.refused("POST", "/voicemails", 400, json={"extension": "999"})
    assert problem["detail"] == "Extension 999 doesn't exist"
    service.refused("POST", "/voicemails", 422, json={"extension": "200", "state": "maybe"})
    service.refused("POST", "/voicemails", 400, json={})
    service.get("/voicemails/none", 404)
    assert service.get("/voicemails") == {}


def test_final_report(service: Service, ada: int) -> None:
    assert service.get("/final") == []
    service.person("bob", "1000")
    service.person("eve")
    service.post("/users/bob/password", {"password": "Bobs!pw1"}, 201)
    service.post("/users/ada/password", {"password": "Adas!pw1"}, 201)
    service.post("/users/eve/password", {"password": "Eves!pw1"}, 201)
    service.post("/voicemails", {"extension": "200"})
    report = service.get("/final")
    assert [row["default_extension"] for row in report] == ["1000", "200"]
    assert report[1] == {
        "username": "ada",
        "displayname": "Ada, Rossi",
        "password": "Adas!pw1",
        "default_extension": "200",
        "voicemailpwd": service.get("/voicemails/200")["pwd"],
    }
    assert report[0]["voicemailpwd"] == ""
