"""Mobile app, WebRTC and NethLink; display name and SRTP."""

from pathlib import Path

import pytest

from nethvoice.store import tables as t
from tests.support import Service, without_asterisk

CREATE = [("/mobileapp", "mainextension"), ("/webrtc", "extension"), ("/nethlink", "extension")]


@pytest.fixture
def ada(service: Service) -> int:
    return service.person("ada", "200", displayname="Ada Rossi")


def test_mobile_app(service: Service, ada: int) -> None:
    service.get("/mobileapp/200", 404)
    service.post("/physicalextensions", {"mainextension": "200"})
    assert service.post("/mobileapp", {"mainextension": "200"}, 201) == {"extension": "91200"}
    assert service.get("/mobileapp/200") == "91200"
    sip = service.sip("91200")
    assert {
        key: sip[key]
        for key in ("maximum_expiration", "qualifyfreq", "rewrite_contact", "transport",
                    "media_encryption", "outbound_proxy", "force_rport", "rtp_symmetric")
    } == {
        "maximum_expiration": "7200",
        "qualifyfreq": "60",
        "rewrite_contact": "yes",
        "transport": "0.0.0.0-tls",
        "media_encryption": "sdes",
        "outbound_proxy": "",
        "force_rport": "yes",
        "rtp_symmetric": "yes",
    }  # fmt: skip
    row = service.row(t.rest_devices_phones, extension="91200")
    assert (row["type"], row["mac"], row["line"], row["user_id"]) == ("mobile", None, 1, ada)
    assert row["secret"] == sip["secret"]
    service.settle()
    again = service.call("POST", "/mobileapp", json={"mainextension": "200"})
    assert (again.status_code, again.json()) == (201, {"extension": "91200"})
    assert "X-Apply-Task" not in again.headers
    answer = service.call("DELETE", "/mobileapp/91200")
    assert (answer.status_code, answer.content) == (204, b"")
    service.get("/mobileapp/200", 404)
    assert service.rows(t.users, extension="91200") == []
    assert service.astdb("AMPUSER", "200")["device"] == "200"


@pytest.mark.parametrize("path", ["none", "undefined", "200", "999"])
def test_mobile_app_deletes_only_apps(service: Service, ada: int, path: str) -> None:
    service.post("/physicalextensions", {"mainextension": "200"})
    service.settle()
    service.refused("DELETE", f"/mobileapp/{path}", 404)


@pytest.mark.parametrize("kind", ["webrtc", "nethlink"])
def test_software_clients(service: Service, ada: int, kind: str) -> None:
    service.get(f"/{kind}/200", 404)
    service.get(f"/{kind}/none", 404)
    created = service.post(f"/{kind}", {"extension": "200"})
    assert created == {"extension": "200", "mobile_extension": None}
    assert service.get(f"/{kind}/200") == "200"
    assert service.sip("200")["allow"] == "ulaw,alaw,gsm,g726,h264,vp8"
    row = service.row(t.rest_devices_phones)
    assert (row["type"], row["line"], row["mac"], row["extension"]) == (kind, None, None, "200")
    assert service.post(f"/{kind}", {"mainextension": 200}) == created
    assert len(service.rows(t.rest_devices_phones)) == 1
    answer = service.call("DELETE", f"/{kind}/200")
    assert (answer.status_code, answer.content) == (200, b"")
    assert service.rows(t.rest_devices_phones) == []
    assert len(service.rows(t.users)) == 1
    service.settle()
    service.refused("DELETE", f"/{kind}/200", 404)


@pytest.mark.parametrize(("path", "key"), CREATE)
def test_apps_need_a_main_extension(service: Service, ada: int, path: str, key: str) -> None:
    service.settle()
    service.refused("POST", path, 422, json={key: "999"})
    service.refused("POST", path, 400, json={})
    service.refused("POST", path, 400, json={key: ""})


@pytest.mark.parametrize(("path", "key"), CREATE)
def test_apps_need_a_main_extension_with_a_device(service: Service, path: str, key: str) -> None:
    service.person("vera", default_extension="700")
    service.add(t.users, {"extension": "700", "name": "Vera"})
    service.settle()
    service.refused("POST", path, 422, json={key: "700"})


def test_no_number_is_left(service: Service, ada: int) -> None:
    """Apps tell it as any problem; only POST /physicalextensions has a text for its status."""
    for _ in range(8):
        service.post("/physicalextensions", {"mainextension": "200"})
    service.settle()
    for path, key in CREATE:
        problem = service.refused("POST", path, 409, json={key: "200"})
        assert problem["status"] == 409
        assert problem["detail"] == "There aren't available extension numbers"


def test_one_of_each_kind(service: Service, ada: int) -> None:
    service.post("/webrtc", {"extension": "200"})
    assert service.post("/nethlink", {"extension": "200"})["extension"] == "91200"
    assert service.post("/mobileapp", {"mainextension": "200"}, 201)["extension"] == "92200"
    service.delete("/webrtc/200")
    assert service.get("/nethlink/200") == "91200"
    assert service.get("/mobileapp/200") == "92200"


def test_display_name(service: Service, ada: int) -> None:
    service.post("/physicalextensions", {"mainextension": "200"})
    service.post("/physicalextensions", {"mainextension": "200"})
    service.person("bob", "1200")
    answer = service.call("POST", "/extension/200", json={"displayname": "Ada Bianchi"})
    assert (answer.status_code, answer.content) == (204, b"")
    for extension in ("200", "91200"):
        assert service.row(t.users, extension=extension)["name"] == "Ada Bianchi"
        assert service.row(t.devices, id=extension)["description"] == "Ada Bianchi"
        assert service.sip(extension)["callerid"] == "Ada Bianchi <200>"
        assert service.get(f"/extension/{extension}/displayname") == {"displayname": "Ada Bianchi"}
    assert service.row(t.users, extension="1200")["name"] == "Bob"
    assert service.get("/extension/999/displayname") == {"displayname": False}
    service.settle()
    again = service.call("POST", "/extension/200", json={"displayname": "Ada Bianchi"})
    assert "X-Apply-Task" not in again.headers
    service.refused("POST", "/extension/999", 404, json={"displayname": "x"})
    service.refused("POST", "/extension/200", 400, json={})
    service.refused("POST", "/extension/200", 400, json={"displayname": ""})
    service.refused("POST", "/extension/200", 400, json={"displayname": "a\r\nb"})


def test_display_name_of_a_device_alone(service: Service, ada: int) -> None:
    service.post("/physicalextensions", {"mainextension": "200"})
    service.post("/physicalextensions", {"mainextension": "200"})
    service.post("/extension/91200", {"displayname": "Sub"}, 204)
    assert service.sip("91200")["callerid"] == "Sub <200>"
    assert service.row(t.users, extension="91200")["name"] == "Sub"
    assert service.sip("200")["callerid"] == "Ada Rossi <200>"


def test_display_name_while_asterisk_is_away(tmp_path: Path) -> None:
    with without_asterisk(tmp_path) as service:
        service.person("ada", "200")
        service.refused("GET", "/extension/200/displayname", 503)


def test_srtp(service: Service, ada: int) -> None:
    service.post("/physicalextensions", {"mainextension": "200"})
    assert service.get("/extensions/200/srtp") is False
    answer = service.call("POST", "/extensions/200/srtp/true")
    assert (answer.status_code, answer.content) == (200, b"")
    assert service.sip("200")["media_encryption"] == "sdes"
    assert service.row(t.rest_devices_phones)["srtp"] == 1
    assert service.get("/extensions/200/srtp") is True
    assert service.get("/users/ada")["devices"][0]["srtp"] == "1"
    service.settle()
    again = service.call("POST", "/extensions/200/srtp/true")
    assert "X-Apply-Task" not in again.headers
    service.post("/extensions/200/srtp/false")
    assert service.sip("200")["media_encryption"] == "no"
    assert service.row(t.rest_devices_phones)["srtp"] == 0
    assert service.get("/extensions/999/srtp") is False
    service.settle()
    service.refused("POST", "/extensions/999/srtp/true", 404)
    service.refused("POST", "/extensions/200/srtp/maybe", 404)
