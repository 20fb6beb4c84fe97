"""Regressions that the histories of such systems show, in the area of the system's configuration.

The numbers are those of the list of lessons this product keeps to; each test says what was wrong
elsewhere and holds what is right here.
"""

import base64
import json
import logging
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nethvoice.store import tables as t
from nethvoice.store.ami import AmiClient, AmiUnavailable
from nethvoice.store.restarts import KEYWORD
from nethvoice.store.state import get_state
from tests.services.falconieri import Falconieri, refuse
from tests.support import Service

MAC = "00-15-65-11-22-33"
KEY = {"type": "service_account", "client_email": "robot@example.iam", "private_key": "k3y"}
FILE = base64.b64encode(json.dumps(KEY).encode()).decode()


# --- 12, 13: each change says what it needs to take effect ----------------------------------------

CHANGES = [
    ("/configuration/mode", {"mode": "uc"}, False, False),
    ("/configuration/wizard", {"step": 3, "status": "true"}, False, False),
    ("/configuration/allowexternalsips/disabled", None, False, False),
    ("/configuration/googleauth", {"file": FILE}, False, False),
    ("/settings/conferenceurl", {"url": "meet.example.org"}, False, False),
    ("/phones/reboot", {MAC: {"hours": 3, "minutes": 5}}, False, False),
    ("/configuration/voicemailgooglestt/enabled", None, True, False),
    ("/settings/defaultlanguage", {"lang": "it"}, True, False),
    ("/configuration/externalip/203.0.113.7", None, True, True),
    ("/configuration/localnetworks", [{"net": "10.0.0.0", "mask": "8"}], True, True),
]


def wants_restart(service: Service) -> bool:
    with service.database.read() as connection:
        return get_state(connection, KEYWORD) is not None


@pytest.mark.parametrize("change", CHANGES, ids=[change[0] for change in CHANGES])
def test_12_13_each_change_declares_its_effect(
    service: Service, monkeypatch: pytest.MonkeyPatch, change: tuple[str, Any, bool, bool]
) -> None:
    """A12: what needs a reload asks for one. A13: NAT needs a restart. A repeat needs nothing."""
    path, body, reload, restart = change
    service.post("/configuration/googleauth", {"file": FILE})
    (service.settings.sounds_folder / "it").mkdir(parents=True, exist_ok=True)
    wishes: list[object] = []
    monkeypatch.setattr("nethvoice.pbx.nat.want_restart", wishes.append)
    service.settle()
    more = {} if body is None else {"json": body}
    answer = service.call("POST", path, **more)
    assert answer.status_code == 200
    assert ("X-Apply-Task" in answer.headers) is reload
    assert bool(wishes) is restart
    service.settle()
    wishes.clear()
    again = service.call("POST", path, **more)
    assert again.status_code == 200
    assert "X-Apply-Task" not in again.headers
    assert not wishes
    (service.settings.sounds_folder / "it").rmdir()
    service.settings.google_key_file.unlink(missing_ok=True)


def test_13_a_restart_outlives_the_request(service: Service) -> None:
    """A13: without an Asterisk there is nothing to restart; with one the need is kept."""
    service.post("/configuration/localnetworks", [{"net": "10.0.0.0", "mask": "8"}])
    service.settle()
    assert wants_restart(service) is (service.asterisk is not None)


def test_13_transports_that_may_be_reloaded_need_no_restart(service: Service) -> None:
    service.add(t.kvstore_sipsettings, {"key": "pjsip_allow_reload", "val": "yes", "id": "noid"})
    service.post("/configuration/externalip/203.0.113.7")
    service.settle()
    assert not wants_restart(service)


# --- 1: no text breaks anything -------------------------------------------------------------------


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=60), path=st.text(min_size=1, max_size=40))
def test_1_no_text_breaks_anything(service: Service, text: str, path: str) -> None:
    bodies: list[tuple[str, Any]] = [
        ("/configuration/mode", {"mode": text}),
        ("/configuration/wizard", {"step": text, "status": path}),
        ("/configuration/localnetworks", [{"net": text, "mask": path}]),
        ("/configuration/googleauth", {"file": text}),
        ("/settings/defaultlanguage", {"lang": text}),
        ("/settings/conferenceurl", {"url": text}),
        ("/phones/reboot", {text: {"hours": path, "minutes": text}, path: {}}),
        ("/phones/reconfigure", {"extension": text}),
        ("/provisioning/connectivitycheck", {"host": text, "scheme": path}),
    ]
    for where, body in bodies:
        assert service.call("POST", where, json=body).status_code < 500, where
    segment = quote(path, safe="")
    for method, where in (
        ("POST", f"/configuration/externalip/{segment}"),
        ("GET", f"/phones/reboot/{segment}"),
        ("DELETE", f"/phones/reboot/{segment}"),
        ("GET", f"/phones/account/{segment}"),
        ("POST", f"/phones/reboot/{segment}/1/2"),
    ):
        assert service.call(method, where).status_code < 500, where
    answer = service.call("DELETE", "/phones/reboot", json=[text, path])
    assert answer.status_code == 200


# --- 18: the shape of an answer does not depend on how much is in it ------------------------------


@pytest.mark.parametrize(
    ("path", "empty"),
    [
        ("/configuration/wizard", "[]"),
        ("/phones/reboot", "{}"),
        (f"/phones/reboot/{MAC}", "{}"),
        (f"/phones/account/{MAC}", "{}"),
        ("/phones/state", "{}"),
        ("/settings/conferenceurl", '""'),
    ],
)
def test_18_empty_answers_keep_their_type(service: Service, path: str, empty: str) -> None:
    assert service.call("GET", path).text == empty


# --- 24: what somebody set is not rewritten -------------------------------------------------------


def test_24_reading_writes_nothing(service: Service) -> None:
    """A24: the list of languages replaced rows at each call."""
    service.add(t.soundlang_settings, {"keyword": "language", "value": "it"})
    service.get("/configuration/networks")
    before = service.everything()
    for path in ("/settings/languages", "/configuration/externalip", "/configuration/localnetworks",
                 "/configuration/allowexternalsips", "/configuration/voicemailgooglestt",
                 "/configuration/mode", "/configuration/networks", "/phones/reboot"):  # fmt: skip
        service.get(path)
    assert service.everything() == before


def test_24_another_mail_command_is_not_ours_to_remove(service: Service) -> None:
    conf = service.settings.voicemail_conf
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text("[general]\nmailcmd=/usr/local/bin/mine\n")
    service.post("/configuration/voicemailgooglestt/disabled")
    assert conf.read_text() == "[general]\nmailcmd=/usr/local/bin/mine\n"


# --- 32, 65: no success without a NOTIFY ----------------------------------------------------------


def test_32_a_reboot_that_was_not_sent_is_no_success(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A32: 200, and no NOTIFY was sent."""
    if service.asterisk is None:
        pytest.skip("there is no Asterisk")
    service.add(
        t.rest_devices_phones,
        {"mac": MAC.replace("-", ":"), "vendor": "Snom", "extension": "91200", "type": "physical"},
    )
    service.add(t.devices, {"id": "91200", "tech": "pjsip"})

    def away(*_: object, **__: object) -> None:
        raise AmiUnavailable("the connection to Asterisk was lost")

    with monkeypatch.context() as patch:
        patch.setattr(AmiClient, "action", away)
        outcome = service.post("/phones/reboot", {MAC: {}})[MAC]
        assert outcome["code"] == 500
        assert "cannot be reached" in outcome["detail"]
        answer = service.call("POST", "/phones/reconfigure", json={"extension": "91200"})
        assert answer.status_code == 503
    assert service.rows(t.rest_notifies) == []


def test_32_65_acting_on_one_phone_leaves_the_others_alone(service: Service) -> None:
    """D65: a phone without an extension is not sought by its address; nobody else is told."""
    service.add(
        t.rest_devices_phones,
        {"mac": MAC.replace("-", ":"), "vendor": "Snom", "extension": None, "type": "physical"},
        {"mac": "00:15:65:11:22:44", "vendor": "Snom", "extension": "91200", "type": "physical"},
    )
    assert service.post("/phones/reboot", {MAC: {}})[MAC]["code"] == 500
    assert service.rows(t.rest_notifies) == []


# --- 33: an outside service is asked once ---------------------------------------------------------


def test_33_the_redirect_service_is_asked_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A33: up to 10,000 tries."""
    from pydantic import SecretStr

    monkeypatch.setattr(service.settings, "rps_username", "somebody")
    monkeypatch.setattr(service.settings, "rps_password", SecretStr("something"))
    with Falconieri() as gateway:
        monkeypatch.setattr(service.settings, "rps_url", gateway.url)
        gateway.misbehave = lambda handler: refuse(handler, 503, "try_later")
        service.refused("POST", f"/phones/rps/{MAC}", 502, json={"url": "https://x.example.org/"})
        assert len(gateway.asked) == 1


# --- 49: no secret is logged, at any level --------------------------------------------------------


def test_49_no_secret_is_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """C49: whole scopes with their secrets at debug level."""
    caplog.set_level(logging.DEBUG)
    service.add(
        t.rest_devices_phones,
        {"mac": MAC.replace("-", ":"), "vendor": "Snom", "extension": "91200",
         "secret": "s3cr3t-sip", "type": "physical"},
    )  # fmt: skip
    service.get(f"/phones/account/{MAC}")
    service.post("/configuration/googleauth", {"file": FILE})
    service.post("/phones/reboot", {MAC: {}})
    service.settings.google_key_file.unlink()
    said = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "handler" in said or "request" in said
    for secret in ("s3cr3t-sip", "k3y", FILE):
        assert secret not in said


# --- the wizard's first screen --------------------------------------------------------------------


def test_the_wizard_gets_past_its_first_screen(service: Service) -> None:
    """What it asks after the login, in its order, and the types that it compares with `===`."""
    assert service.get("/login") == {"success": True}
    assert service.get("/configuration/wizard") == []
    assert service.get("/migration/ismigration") is False
    assert service.get("/configuration/userprovider")["configured"] == 1
    assert isinstance(service.get("/users/count"), int)
    assert service.get("/provisioning/engine") == "tancredi"
    service.post("/configuration/wizard", {"status": "true", "step": "1"})
    [row] = service.get("/configuration/wizard")
    assert (row["status"], row["step"]) == ("true", "1")
