"""Registering phones with redirect services, against a gateway that answers as Falconieri does."""

import logging
import time
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import orjson
import pytest
from pydantic import SecretStr

from tests.services.base import free_port
from tests.services.falconieri import PASSWORD, USERNAME, Falconieri, answer, refuse
from tests.support import Service

YEALINK = "00-15-65-11-22-33"
URL = "https://pbx.example.org/provisioning/0123456789abcdef/%257Bmac%257D.cfg"


@pytest.fixture
def gateway(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Falconieri]:
    with Falconieri() as running:
        monkeypatch.setattr(service.settings, "rps_url", running.url)
        monkeypatch.setattr(service.settings, "rps_username", USERNAME)
        monkeypatch.setattr(service.settings, "rps_password", SecretStr(PASSWORD))
        yield running


@pytest.mark.parametrize(
    ("mac", "provider", "sent"),
    [
        (YEALINK, "yealink", YEALINK),
        ("00:04:13:aa:bb:cc", "snom", "00-04-13-AA-BB-CC"),
        ("0c383eaabbcc", "fanvil", "0C-38-3E-AA-BB-CC"),
        ("e0-e6-56-aa-bb-cc", "fanvil", "E0-E6-56-AA-BB-CC"),
    ],
)
def test_the_exact_request(
    service: Service, gateway: Falconieri, mac: str, provider: str, sent: str
) -> None:
    reply = service.call("POST", f"/phones/rps/{mac}", json={"url": URL})
    assert (reply.status_code, reply.content) == (200, b"")
    [asked] = gateway.asked
    assert (asked.method, asked.target) == ("PUT", f"/providers/{provider}/{sent}")
    assert asked.body == b'{"url":"' + URL.encode() + b'"}'  # slashes and percents as they were
    key = b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    assert asked.headers["authorization"] == f"Basic {key}"
    assert asked.headers["content-type"] == "application/json;charset=utf-8"
    assert asked.headers["accept"] == "application/json;charset=utf-8"
    assert gateway.registered == {sent: URL}


def test_gigaset_needs_the_crc(service: Service, gateway: Falconieri) -> None:
    problem = service.refused("POST", "/phones/rps/7C-2F-80-11-22-33", 400, json={"url": URL})
    assert problem["error"] == "missing_mac-id_crc"
    service.post("/phones/rps/7C-2F-80-11-22-33", {"url": URL, "crc": "ab12"})
    assert gateway.asked[-1].target == "/providers/gigaset/7C-2F-80-11-22-33?crc=AB12"
    asked = len(gateway.asked)
    service.refused("POST", "/phones/rps/7C-2F-80-11-22-33", 400, json={"url": URL, "crc": "a&b=1"})
    assert len(gateway.asked) == asked


def test_what_is_refused_without_asking(service: Service, gateway: Falconieri) -> None:
    for body in ({}, {"url": ""}, {"url": None}):
        service.refused("POST", f"/phones/rps/{YEALINK}", 400, json=body)
    service.refused("POST", f"/phones/rps/{YEALINK}", 400, json={"url": 5})
    problem = service.refused("POST", "/phones/rps/00-0B-82-11-22-33", 400, json={"url": URL})
    assert problem["error"] == "provider_not_supported"
    service.refused("POST", "/phones/rps/FF-FF-FF-11-22-33", 400, json={"url": URL})
    service.refused("POST", "/phones/rps/00-15-65-11-22", 400, json={"url": URL})
    service.refused("POST", "/phones/rps/00-15:65-11-22-33", 400, json={"url": URL})
    assert gateway.asked == []


def test_the_table_of_providers_can_be_extended(
    service: Service, gateway: Falconieri, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.settings, "rps_providers", {"Grandstream": "snom"})
    service.post("/phones/rps/00-0B-82-11-22-33", {"url": URL})
    assert gateway.asked[0].target == "/providers/snom/00-0B-82-11-22-33"


def test_without_credentials_nobody_is_asked(
    service: Service, gateway: Falconieri, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.settings, "rps_password", SecretStr(""))
    service.refused("POST", f"/phones/rps/{YEALINK}", 503, json={"url": URL})
    assert gateway.asked == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (400, 400),
        (404, 404),
        (409, 409),
        (418, 418),
        (401, 502),
        (403, 502),
        (500, 502),
        (503, 502),
    ],
)
def test_refusals_are_passed_on(
    service: Service, gateway: Falconieri, theirs: int, ours: int
) -> None:
    gateway.misbehave = lambda h: refuse(h, theirs, "some_error", "what\nhappened")
    problem = service.refused("POST", f"/phones/rps/{YEALINK}", ours, json={"url": URL})
    assert problem["status"] == ours
    assert (problem["error"], problem["message"]) == ("some_error", "what happened")
    assert len(gateway.asked) == 1  # once, whatever comes of it


def _close(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def _no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff this is no HTTP\r\n\r\n")
    handler.close_connection = True


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(400)
    handler.end_headers()
    try:
        for _ in range(200):
            handler.wfile.write(b"x" * 4096)
    except OSError:
        pass
    handler.close_connection = True


def _elsewhere(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:9/")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize("rubbish", [_close, _no_http, _endless, _elsewhere])
def test_rubbish(service: Service, gateway: Falconieri, rubbish: object) -> None:
    gateway.misbehave = rubbish  # type: ignore[assignment]
    service.refused("POST", f"/phones/rps/{YEALINK}", 502, json={"url": URL})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"error": 5}', b"\xff"])
def test_refusals_without_words(service: Service, gateway: Falconieri, body: bytes) -> None:
    gateway.misbehave = lambda h: answer(h, 500, body)
    problem = service.refused("POST", f"/phones/rps/{YEALINK}", 502, json={"url": URL})
    assert "error" not in problem
    assert problem["detail"] == "the redirect service answered 500"


def test_a_body_with_success_is_fine(service: Service, gateway: Falconieri) -> None:
    gateway.misbehave = lambda h: answer(h, 200, orjson.dumps({"device_pin": None}))
    reply = service.call("POST", f"/phones/rps/{YEALINK}", json={"url": URL})
    assert (reply.status_code, reply.content) == (200, b"")


@pytest.mark.parametrize("dripping", [False, True])
def test_time_out(
    service: Service, gateway: Falconieri, monkeypatch: pytest.MonkeyPatch, dripping: bool
) -> None:
    """A gateway that says nothing, and one that goes on saying a little for ever."""
    monkeypatch.setattr(service.settings, "rps_timeout", 0.4)

    def slow(handler: BaseHTTPRequestHandler) -> None:
        try:
            while not gateway.closing.wait(0.05):
                if dripping:
                    handler.wfile.write(b"H")
        except OSError:
            pass
        handler.close_connection = True

    gateway.misbehave = slow
    began = time.monotonic()
    service.refused("POST", f"/phones/rps/{YEALINK}", 504, json={"url": URL})
    assert time.monotonic() - began < 3


def test_nobody_listens(
    service: Service, gateway: Falconieri, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.settings, "rps_url", f"http://127.0.0.1:{free_port()}")
    service.refused("POST", f"/phones/rps/{YEALINK}", 502, json={"url": URL})


def test_the_time_out_is_ten_seconds(service: Service) -> None:
    assert service.settings.rps_timeout == 10


def test_no_secret_reaches_log_or_answer(
    service: Service, gateway: Falconieri, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the credentials nor the URL, which holds the phone's token."""
    caplog.set_level(logging.DEBUG)
    key = b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    answers = []
    for status in (200, 400, 401, 500):
        gateway.misbehave = lambda h, status=status: refuse(h, status, "some_error")  # type: ignore[misc]
        reply = service.call("POST", f"/phones/rps/{YEALINK}", json={"url": URL})
        answers.append(reply.text + str(reply.headers))
    gateway.misbehave = _no_http
    answers.append(service.call("POST", f"/phones/rps/{YEALINK}", json={"url": URL}).text)
    said = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "a phone was not registered" in said
    for text in (said, *answers):
        for secret in (PASSWORD, USERNAME, key, "0123456789abcdef"):
            assert secret not in text
