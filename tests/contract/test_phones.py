"""Remote control of phones: reboots now and later, accounts, states, reconfiguration."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from nethvoice.store import tables as t
from nethvoice.store.ami import AmiClient, AmiUnavailable
from tests.support import Service

YEALINK = "00-15-65-11-22-33"
STORED = "00:15:65:11:22:33"
PJSIP = """
[91200]
type=endpoint
transport=udp
aors=91200
[91200]
type=aor
max_contacts=1
"""


def phone(mac: str = STORED, **columns: Any) -> dict[str, Any]:
    row = {
        "mac": mac,
        "vendor": "Yealink/Dreamwave",
        "extension": "91200",
        "secret": "s3cr3t-91200",
    }
    return {**row, "line": 1, "type": "physical", **columns}


@pytest.fixture
def endpoint(service: Service) -> Iterator[None]:
    """Asterisk knows endpoint 91200, so a NOTIFY to it is taken on."""
    if service.asterisk is None:
        yield
        return
    conf = service.asterisk.home / "etc" / "pjsip.conf"
    before = conf.read_text()
    conf.write_text(before + PJSIP)
    service.asterisk.cli("module reload res_pjsip.so")
    yield
    conf.write_text(before)
    service.asterisk.cli("module reload res_pjsip.so")


def notified(service: Service) -> list[tuple[str, str]]:
    return [(row["extension"], row["event"]) for row in service.rows(t.rest_notifies)]


# --- now ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [{}, None, [], {"hours": None}, {"hours": "", "minutes": ""}])
def test_reboot_now(service: Service, endpoint: None, now: object) -> None:
    service.add(t.rest_devices_phones, phone())
    answer = service.call("POST", "/phones/reboot", json={YEALINK: now})
    assert (answer.status_code, answer.json()) == (200, {YEALINK: {"code": 204}})
    assert "X-Apply-Task" not in answer.headers
    assert notified(service) == [("91200", "check-sync;reboot=true")]
    assert service.get("/phones/reboot") == {}


def test_every_phone_has_its_answer(service: Service, endpoint: None) -> None:
    """As the client wrote it; one address in two forms is one phone."""
    service.add(
        t.rest_devices_phones,
        phone(line=1, extension=None, secret=None),
        phone(line=2),
        phone("00:15:65:00:00:01", vendor="Grandstream", extension="91201"),
        phone("00:15:65:00:00:02", extension=None),
    )
    answer = service.post(
        "/phones/reboot",
        {
            YEALINK: {},
            "001565112233": {},
            "00-15-65-00-00-01": {},
            "00-15-65-00-00-02": {},
            "00-15-65-00-00-03": {},
            "00-15-65-11-22-33-44": {},
            "../../etc": {},
            "00-15-65-11-22-44": {"hours": 99, "minutes": 0},
        },
    )
    assert answer[YEALINK] == answer["001565112233"] == {"code": 204}
    assert notified(service) == [("91200", "check-sync;reboot=true")]
    details = {
        "00-15-65-00-00-01": "vendor not supported",
        "00-15-65-00-00-02": "no extension",
        "00-15-65-00-00-03": "phone not found",
    }
    for mac, words in details.items():
        assert (answer[mac]["title"], answer[mac]["code"]) == ("Unknown error", 500)
        assert words in answer[mac]["detail"]
    assert answer["00-15-65-11-22-33-44"] == {
        "title": "Malformed MAC address",
        "detail": "Malformed MAC address: 00-15-65-11-22-33-44",
        "code": 400,
    }
    assert answer["../../etc"]["code"] == 400
    assert answer["00-15-65-11-22-44"] == {
        "title": "Malformed time",
        "detail": "Malformed time: 99:0",
        "code": 400,
    }
    assert len(answer) == 8


def test_asterisk_refuses_an_endpoint_that_it_does_not_know(service: Service) -> None:
    service.add(t.rest_devices_phones, phone(extension="91299"))
    answer = service.post("/phones/reboot", {YEALINK: {}})
    if service.asterisk is None:
        assert answer == {YEALINK: {"code": 204}}  # recorded, there is no Asterisk
    else:
        assert answer[YEALINK]["code"] == 500
        assert notified(service) == []


def test_the_statements_do_not_grow_with_the_phones(service: Service) -> None:
    def count(phones: int) -> int:
        wish = {f"00-15-65-00-{n >> 8:02X}-{n & 255:02X}": {"hours": 3, "minutes": 5} for n in
                range(phones)}  # fmt: skip
        with service.statements() as seen:
            service.post("/phones/reboot", wish)
            assert len(service.get("/phones/reboot")) == phones
            service.call("DELETE", "/phones/reboot", json=list(wish))
        assert service.get("/phones/reboot") == {}
        return len(seen)

    service.get("/phones/reboot")  # the administrator is known from here on
    assert count(2) == count(300)


def test_nothing_and_rubbish(service: Service) -> None:
    assert service.post("/phones/reboot", {}) == {}
    for body in ([], "x", 5, {YEALINK: 5}, {YEALINK: "now"}, {YEALINK: {"hours": [1]}},
                 {YEALINK: [1]}, {YEALINK: {"hours": 1.5, "minutes": 1}}):  # fmt: skip
        service.refused("POST", "/phones/reboot", 400, json=body)
    service.refused("POST", "/phones/reboot", 400)


# --- later ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "minutes", "shown"),
    [("08", "05", ("08", "05")), (8, 5, ("08", "05")), ("8", 5, ("08", "05")), (0, 0, ("00", "00")),
     ("23", "59", ("23", "59"))],
)  # fmt: skip
def test_plan(service: Service, hours: object, minutes: object, shown: tuple[str, str]) -> None:
    wish = {YEALINK: {"hours": hours, "minutes": minutes}}
    assert service.post("/phones/reboot", wish) == {YEALINK: {"code": 204}}
    planned = {YEALINK: {"hours": shown[0], "minutes": shown[1]}}
    assert service.get("/phones/reboot") == planned
    for form in (YEALINK, STORED, "001565112233", YEALINK.lower()):
        assert service.get(f"/phones/reboot/{form}") == planned
    assert service.get("/phones/reboot/00-15-65-11-22-44") == {}
    assert notified(service) == []


@pytest.mark.parametrize(
    ("hours", "minutes"),
    [("24", "00"), ("12", "60"), (None, "5"), ("5", None), (-1, 5), ("007", "5"), ("5", "x"),
     ("00\n* * * * * reboot", "00"), ("٣", "5")],
)  # fmt: skip
def test_times_that_are_none(service: Service, hours: object, minutes: object) -> None:
    wish = {
        YEALINK: {"hours": hours, "minutes": minutes},
        "00-15-65-11-22-44": {"hours": 1, "minutes": 2},
    }
    answer = service.post("/phones/reboot", wish)
    assert (answer[YEALINK]["title"], answer[YEALINK]["code"]) == ("Malformed time", 400)
    assert answer["00-15-65-11-22-44"] == {"code": 204}
    assert list(service.get("/phones/reboot")) == ["00-15-65-11-22-44"]


def test_planning_again_replaces_and_a_reboot_now_touches_no_plan(
    service: Service, endpoint: None
) -> None:
    """In the original an immediate reboot cancelled the plans of others at the same minute."""
    service.add(t.rest_devices_phones, phone())
    others = {f"00-15-65-00-00-0{n}": {"hours": "22", "minutes": "05"} for n in range(3)}
    service.post("/phones/reboot", {**others, YEALINK: {"hours": "22", "minutes": "05"}})
    service.post("/phones/reboot", {STORED: {"hours": "6", "minutes": "30"}})
    assert service.get("/phones/reboot")[YEALINK] == {"hours": "06", "minutes": "30"}
    assert service.post("/phones/reboot", {YEALINK: {}}) == {YEALINK: {"code": 204}}
    assert sorted(service.get("/phones/reboot")) == [*sorted(others), YEALINK]
    before = service.everything()
    service.post("/phones/reboot", others)
    assert service.everything() == before


def test_plan_by_form(service: Service) -> None:
    form = {f"{YEALINK}[hours]": "22", f"{YEALINK}[minutes]": "05"}
    assert service.call("POST", "/phones/reboot", data=form).json() == {YEALINK: {"code": 204}}
    assert service.get("/phones/reboot") == {YEALINK: {"hours": "22", "minutes": "05"}}


def test_cancel(service: Service) -> None:
    service.post("/phones/reboot", {YEALINK: {"hours": 22, "minutes": 5}})
    answer = service.call(
        "DELETE", "/phones/reboot", json=[STORED, "00-15-65-11-22-44", "00-15-65-11-22-33-44"]
    )
    assert answer.status_code == 200
    assert answer.json() == {
        STORED: {"code": 202},
        "00-15-65-11-22-44": {"code": 202},
        "00-15-65-11-22-33-44": {
            "title": "Malformed MAC address",
            "detail": "Malformed MAC address: 00-15-65-11-22-33-44",
            "code": 400,
        },
    }
    assert service.get("/phones/reboot") == {}


def test_cancel_without_body_or_content_type(service: Service) -> None:
    service.post("/phones/reboot", {YEALINK: {"hours": 22, "minutes": 5}})
    for more in ({}, {"json": []}, {"headers": {"Content-Type": "application/json;charset=utf-8"}},
                 {"headers": {"Content-Type": "application/x-www-form-urlencoded"}}):  # fmt: skip
        answer = service.call("DELETE", "/phones/reboot", **more)
        assert (answer.status_code, answer.json()) == (200, {})
    assert list(service.get("/phones/reboot")) == [YEALINK]
    answer = service.call("DELETE", "/phones/reboot", content=f'["{YEALINK}"]'.encode())
    assert answer.json() == {YEALINK: {"code": 202}}
    assert service.get("/phones/reboot") == {}
    service.refused("DELETE", "/phones/reboot", 400, json={YEALINK: {}})
    service.refused("DELETE", "/phones/reboot", 400, json=[5])


def test_the_older_paths(service: Service) -> None:
    """What the test scripts of the former service call."""
    mac = "00-11-22-33-44-55"
    answer = service.call("POST", f"/phones/reboot/{mac}/23/59", json={})
    assert (answer.status_code, answer.content) == (201, b"")
    text = service.call("GET", "/phones/reboot").text
    assert text == '{"00-11-22-33-44-55":{"hours":"23","minutes":"59"}}'
    for _ in range(2):
        answer = service.call("DELETE", f"/phones/reboot/{mac}", json={})
        assert (answer.status_code, answer.content) == (204, b"")
    assert service.get("/phones/reboot") == {}
    service.refused("POST", f"/phones/reboot/{mac}/24/00", 400)
    service.refused("POST", f"/phones/reboot/{mac}/12/60", 400)
    service.refused("POST", f"/phones/reboot/{mac}/x/60", 404)
    service.refused("POST", f"/phones/reboot/{mac}/120/0", 404)
    for method in ("GET", "DELETE"):
        service.refused(method, "/phones/reboot/00-11-22", 400)
        service.refused(method, "/phones/reboot/00-11:22-33-44-55", 400)
    service.refused("POST", "/phones/reboot/00-11-22/1/2", 400)


def test_a_removed_phone_is_not_rebooted(service: Service) -> None:
    service.add(t.rest_devices_phones, phone(extension=None))
    service.post("/phones/reboot", {YEALINK: {"hours": 22, "minutes": 5}})
    service.delete(f"/physicalextensions/{YEALINK}")
    assert service.get("/phones/reboot") == {}


# --- reconfigure ----------------------------------------------------------------------------------


def test_reconfigure(service: Service, endpoint: None) -> None:
    service.add(t.devices, {"id": "91200", "tech": "pjsip"}, {"id": "299", "tech": "pjsip"})
    for extension in ("91200", 91200):
        answer = service.call("POST", "/phones/reconfigure", json={"extension": extension})
        assert (answer.status_code, answer.content) == (200, b"")
    assert notified(service) == [("91200", "check-sync;reboot=false")] * 2
    service.refused("POST", "/phones/reconfigure", 404, json={"extension": "91201"})
    for wrong in ("", "91200\r\nAction: Reload", "x", "1" * 17, "٢", None):
        service.refused("POST", "/phones/reconfigure", 400, json={"extension": wrong})
    service.refused("POST", "/phones/reconfigure", 400, json={})
    if service.asterisk is not None:
        service.refused("POST", "/phones/reconfigure", 502, json={"extension": "299"})


# --- accounts -------------------------------------------------------------------------------------


def test_account(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service.add(
        t.rest_devices_phones,
        phone(line=3, extension="93200", secret="s3cr3t-93200"),
        phone(line=1, extension=None, secret=None),
        phone(line=2),
        phone("00:15:65:00:00:02", extension=None, secret=None),
    )
    for form in (YEALINK, STORED, "001565112233", YEALINK.lower()):
        answer = service.call("GET", f"/phones/account/{form}")
        assert answer.json() == {"extension": "91200", "secret": "s3cr3t-91200"}
        assert answer.headers["cache-control"] == "no-store"
    assert service.get("/phones/account/00-15-65-00-00-02") == {"extension": None, "secret": None}
    assert service.call("GET", "/phones/account/00-15-65-00-00-03").text == "{}"
    service.refused("GET", "/phones/account/00-15-65", 400)
    service.refused("GET", "/phones/account/' OR '1'='1", 400)
    assert "s3cr3t" not in caplog.text + "".join(str(vars(r)) for r in caplog.records)


# --- states ---------------------------------------------------------------------------------------


def test_states(service: Service) -> None:
    assert service.call("GET", "/phones/state").text == "{}"
    service.person("ada", "201")
    service.person("bob", "200")
    service.settle()  # a reload would drop what is added by hand
    if service.asterisk is not None:
        service.asterisk.cli("dialplan add extension 200,hint,Custom:bob into ext-local")
        service.asterisk.cli("dialplan add extension 201,hint,Custom:other into elsewhere")
        service.asterisk.cli("devstate change Custom:bob RINGING")
    states = service.get("/phones/state")
    assert list(states) == ["200", "201"]
    assert states["201"] == {
        "Response": "Success",
        "Message": "Extension Status",
        "Exten": "201",
        "Context": "ext-local",
        "Hint": False,
        "Status": "-1",
        "StatusText": "Unknown",
    }
    if service.asterisk is not None:
        bob = states["200"]
        assert (bob["Hint"], bob["Status"], bob["StatusText"]) == ("Custom:bob", "8", "Ringing")
        service.asterisk.cli("dialplan remove context ext-local")
        service.asterisk.cli("dialplan remove context elsewhere")


def test_states_of_an_asterisk_that_is_away(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    if service.asterisk is None:
        pytest.skip("there is no Asterisk")
    service.person("ada", "201")

    def away(*_: object, **__: object) -> None:
        raise AmiUnavailable("the connection to Asterisk was lost")

    monkeypatch.setattr("nethvoice.store.ami.AmiClient.list_action", away)
    answer = service.call("GET", "/phones/state")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


def test_the_reader_of_states_asks_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    if service.asterisk is None:
        pytest.skip("there is no Asterisk")
    for number in range(200, 205):
        service.person(f"user{number}", str(number))
    asked: list[str] = []
    original = AmiClient.list_action

    def noting(self: AmiClient, name: str, *rest: Any, **more: Any) -> Any:
        asked.append(name)
        return original(self, name, *rest, **more)

    monkeypatch.setattr(AmiClient, "list_action", noting)
    assert len(service.get("/phones/state")) == 5
    assert asked == ["ExtensionStateList"]
