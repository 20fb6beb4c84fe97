"""Settings of the whole system."""

import base64
import json
import logging
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from nethvoice.settings import HostNetwork
from nethvoice.store import tables as t
from nethvoice.store.mailboxes import MailboxFiles
from nethvoice.store.outbox import TargetDown
from nethvoice.system import System
from tests.services.base import free_port
from tests.support import Service, eventually

Hook = Callable[..., Path]


@pytest.fixture
def hook(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """Makes a hook that notes its arguments, and sets it; `code` is what it ends with."""
    notes = tmp_path / "notes"

    def make(name: str, code: str = "") -> Path:
        script = tmp_path / "hook.py"
        script.write_text(
            f"import sys\nopen({str(notes)!r}, 'a').write(repr(sys.argv[1:]))\n{code}"
        )
        monkeypatch.setattr(service.settings, name, [sys.executable, str(script), "firewall"])
        return notes

    return make


# --- mode and wizard ------------------------------------------------------------------------------


def test_mode(service: Service) -> None:
    assert service.get("/configuration/mode") == {"result": "unknown"}
    task = service.post("/configuration/mode", {"mode": "legacy"})["result"]
    assert service.get("/configuration/mode") == {"result": "legacy"}
    assert service.get(f"/tasks/{task}") == {"task": task, "action": None, "progress": 100}
    assert service.post("/configuration/mode", {"mode": "uc"}) == {"result": "success"}
    assert service.get("/configuration/mode") == {"result": "uc"}
    for body in ({}, {"mode": "other"}, {"mode": ""}, {"mode": None}):
        problem = service.refused("POST", "/configuration/mode", 422, json=body)
        assert problem["result"] == problem["detail"] == "Invalid mode"
    service.refused("POST", "/configuration/mode", 400, json={"mode": 5})


def test_mode_as_old_clients_post_it(service: Service) -> None:
    for more in ({"data": {"mode": "uc"}}, {"files": {"mode": (None, "uc")}}):
        answer = service.call("POST", "/configuration/mode", **more)
        assert (answer.status_code, answer.json()) == (200, {"result": "success"})


@pytest.mark.parametrize(
    ("status", "stored"),
    [
        ("true", "true"),
        (True, "true"),
        (1, "true"),
        ("1", "true"),
        ("false", "false"),
        (False, "false"),
        (0, "false"),
        ("", "false"),
    ],
)
def test_wizard_status(service: Service, status: object, stored: str) -> None:
    assert service.get("/configuration/wizard") == []
    answer = service.call("POST", "/configuration/wizard", json={"step": "3", "status": status})
    assert (answer.status_code, answer.content) == (200, b"")
    assert service.get("/configuration/wizard") == [{"step": "3", "status": stored}]


def test_wizard_step(service: Service) -> None:
    service.post("/configuration/wizard", {"status": "true"})
    assert service.get("/configuration/wizard") == [{"step": "1", "status": "true"}]
    for step in (0, "5", 13, "0", 99):
        service.post("/configuration/wizard", {"step": step, "status": "true"})
        assert service.get("/configuration/wizard") == [{"step": str(step), "status": "true"}]
    service.post("/configuration/wizard", {"status": "false"})
    assert service.get("/configuration/wizard") == [{"step": "99", "status": "false"}]
    for body in (
        {"step": "3"},
        {"step": 100, "status": "true"},
        {"step": "x", "status": "true"},
        {"step": -1, "status": "true"},
        {"step": 1, "status": "maybe"},
        {"step": 1, "status": 7},
        {},
    ):
        service.refused("POST", "/configuration/wizard", 400, json=body)


def test_wizard_form_of_the_old_test_script(service: Service) -> None:
    answer = service.call("POST", "/configuration/wizard", data={"status": "1", "0": "step"})
    assert answer.status_code == 200
    assert service.get("/configuration/wizard") == [{"step": "1", "status": "true"}]


def test_wizard_with_left_over_rows(service: Service) -> None:
    service.add(t.rest_wizard, {"step": 4, "status": "true"}, {"step": 7, "status": "true"})
    service.post("/configuration/wizard", {"step": 7, "status": "true"})
    assert service.rows(t.rest_wizard) == [{"step": 7, "status": "true"}]


def test_the_end_of_the_wizard_runs_its_hook_once(service: Service, hook: Hook) -> None:
    notes = hook("hook_wizard_done")
    service.post("/configuration/wizard", {"step": 12, "status": "true"})
    assert not notes.exists()
    service.post("/configuration/wizard", {"step": 13, "status": "false"})
    service.post("/configuration/wizard", {"step": 13, "status": "false"})
    assert notes.read_text() == "['firewall', '13']"
    service.post("/configuration/wizard", {"step": 13, "status": "true"})
    hook("hook_wizard_done", "sys.exit(3)")
    service.refused("POST", "/configuration/wizard", 500, json={"status": "false"})


# --- networks -------------------------------------------------------------------------------------


def test_networks_of_the_settings(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    network = HostNetwork(network="192.168.5.0", ip="192.168.5.14", netmask="255.255.255.0")
    monkeypatch.setattr(service.settings, "host_local_networks", [network])
    shown = service.get("/configuration/networks")
    assert shown == {
        "net0": {
            "network": "192.168.5.0",
            "ip": "192.168.5.14",
            "netmask": "255.255.255.0",
            "gateway": None,
        }
    }


def test_networks_of_the_kernel(service: Service) -> None:
    shown = service.get("/configuration/networks")
    assert "lo" not in shown
    for network in shown.values():
        assert sorted(network) == ["gateway", "ip", "netmask", "network"]
        assert all(isinstance(value, str) for value in network.values())


# --- addresses ------------------------------------------------------------------------------------


def test_external_ip(service: Service) -> None:
    assert service.get("/configuration/externalip") is False
    answer = service.call("POST", "/configuration/externalip/203.0.113.7")
    assert (answer.status_code, answer.content) == (200, b"")
    task = answer.headers["X-Apply-Task"]
    assert service.get("/configuration/externalip") == "203.0.113.7"
    row = service.row(t.kvstore_sipsettings)
    assert (row["key"], row["val"], row["type"], row["id"]) == (
        "externip",
        "203.0.113.7",
        None,
        "noid",
    )
    eventually(lambda: service.get(f"/tasks/{task}")["progress"] == 100)
    service.settle()
    before = service.everything()
    again = service.call("POST", "/configuration/externalip/203.0.113.7")
    assert (again.status_code, "X-Apply-Task" in again.headers) == (200, False)
    assert service.everything() == before
    for address in ("pbx.example.org", "2001:db8::7", "pbx"):
        service.post(f"/configuration/externalip/{address}")
        assert service.get("/configuration/externalip") == address


@pytest.mark.parametrize(
    "address",
    ["300.1.1.1", "1.2.3", "a_b.example.org", "-x.example.org", "a%20b", "x;reload", "1.2.3.4%2F8",
     "x'%20OR%20'1", "fe80::1%25eth0", "a" * 64, "x.", "%0Aexternip"],
)  # fmt: skip
def test_wrong_external_ip(service: Service, address: str) -> None:
    service.settle()
    service.refused("POST", f"/configuration/externalip/{address}", 400)


def test_empty_external_ip(service: Service) -> None:
    service.refused("POST", "/configuration/externalip/", 404)


def test_values_of_freepbx_are_shown_as_they_are(service: Service) -> None:
    rows = [
        {"key": "externip", "val": "", "type": None, "id": "noid"},
        {"key": "externip", "val": "198.51.100.1", "type": None, "id": "other"},
        {"key": "localnets", "val": "null", "type": "json-arr", "id": "noid"},
    ]
    service.add(t.kvstore_sipsettings, *rows)
    assert service.get("/configuration/externalip") == ""
    assert service.get("/configuration/localnetworks") is False


NETWORKS = [{"net": "192.168.122.0", "mask": "24"}, {"net": "10.0.0.0", "mask": "255.0.0.0"}]


def test_local_networks(service: Service) -> None:
    assert service.get("/configuration/localnetworks") is False
    posted = [
        NETWORKS[0],
        {},
        {"net": "", "mask": "24"},
        {"net": None},
        {**NETWORKS[1], "$$hashKey": "object:3"},
        {"net": "2001:db8::", "mask": 32},
        {"net": "172.16.0.0", "mask": 12},
    ]
    answer = service.call("POST", "/configuration/localnetworks", json=posted)
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" in answer.headers
    stored = [
        *NETWORKS,
        {"net": "2001:db8::", "mask": "32"},
        {"net": "172.16.0.0", "mask": "12"},
    ]
    assert service.get("/configuration/localnetworks") == stored
    row = service.row(t.kvstore_sipsettings)
    assert (row["key"], row["type"], row["id"]) == ("localnets", "json-arr", "noid")
    assert json.loads(row["val"]) == stored
    service.settle()
    again = service.call("POST", "/configuration/localnetworks", json=stored)
    assert (again.status_code, "X-Apply-Task" in again.headers) == (200, False)
    service.post("/configuration/localnetworks", [])
    assert service.get("/configuration/localnetworks") == []


def test_local_networks_as_form(service: Service) -> None:
    form = {"0[net]": "192.168.1.0", "0[mask]": "24"}
    assert service.call("POST", "/configuration/localnetworks", data=form).status_code == 200
    assert service.get("/configuration/localnetworks") == [{"net": "192.168.1.0", "mask": "24"}]


@pytest.mark.parametrize(
    "network",
    [
        {"net": "192.168.1.0"},
        {"net": "192.168.1.0", "mask": "33"},
        {"net": "192.168.1.0", "mask": "0.0.0.255"},
        {"net": "192.168.1.0", "mask": "255.0.255.0"},
        {"net": "192.168.1.0/24", "mask": "24"},
        {"net": "192.168.1", "mask": "24"},
        {"net": "2001:db8::", "mask": "129"},
        {"net": "here", "mask": "24"},
        {"net": "10.0.0.0\nlocal_net=0.0.0.0/0", "mask": "8"},
        {"net": 5, "mask": "8"},
        "10.0.0.0/8",
    ],
)
def test_wrong_local_networks(service: Service, network: object) -> None:
    service.settle()
    service.refused("POST", "/configuration/localnetworks", 400, json=[NETWORKS[0], network])


@pytest.mark.parametrize("body", [{"net": "10.0.0.0", "mask": "8"}, "x", 5])
def test_local_networks_are_an_array(service: Service, body: object) -> None:
    service.settle()
    service.refused("POST", "/configuration/localnetworks", 400, json=body)


def test_more_networks_than_freepbx_can_store(service: Service) -> None:
    service.settle()
    long = "2001:db8:1234:5678:9abc:def0"
    many = [{"net": f"{long}:{number}:0", "mask": "112"} for number in range(100)]
    service.refused("POST", "/configuration/localnetworks", 400, json=many)


def test_both_addresses_at_once(service: Service) -> None:
    """The wizard sends both in the same moment: neither waits for ever, neither is lost."""
    calls = [
        lambda: service.call("POST", "/configuration/externalip/203.0.113.7"),
        lambda: service.call("POST", "/configuration/localnetworks", json=NETWORKS),
    ] * 4
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda c=call: answers.append(c())) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.headers.get("X-Apply-Task") for answer in answers}) == 3  # two, and none
    assert service.get("/configuration/externalip") == "203.0.113.7"
    assert service.get("/configuration/localnetworks") == NETWORKS
    service.settle()


# --- the suggested address ------------------------------------------------------------------------


@pytest.fixture
def echo(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A service that tells the caller's address; `status`, `body` and `wait` are set by tests."""
    state: dict[str, Any] = {"status": 200, "body": b"203.0.113.7\n", "wait": None}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if state["wait"] is not None:
                state["wait"].wait(20)
            self.send_response(state["status"])
            self.send_header("Content-Length", str(len(state["body"])))
            self.end_headers()
            self.wfile.write(state["body"])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/ip"
    monkeypatch.setattr(service.settings, "suggested_ip_url", url)
    yield state
    if state["wait"] is not None:
        state["wait"].set()
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_suggested_ip(service: Service, echo: dict[str, Any]) -> None:
    assert service.get("/configuration/suggestedip") == "203.0.113.7"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"203.0.113.7"),
        (200, b"<html>203.0.113.7</html>"),
        (200, b"2001:db8::7"),
        (200, b"999.1.1.1"),
        (200, b""),
        (200, b"\xff\xfe"),
        (200, b"1" * 100_000),
        (302, b""),
    ],
)
def test_no_suggestion(service: Service, echo: dict[str, Any], status: int, body: bytes) -> None:
    echo.update(status=status, body=body)
    service.refused("GET", "/configuration/suggestedip", 502)


def test_a_slow_suggestion(
    service: Service, echo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nethvoice.pbx.nat._SUGGESTION_TIMEOUT", 0.3)
    echo["wait"] = threading.Event()
    began = time.monotonic()
    service.refused("GET", "/configuration/suggestedip", 504)
    assert time.monotonic() - began < 3


def test_nobody_suggests(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.settings, "suggested_ip_url", f"http://127.0.0.1:{free_port()}/")
    service.refused("GET", "/configuration/suggestedip", 502)


# --- SIP over TLS from outside --------------------------------------------------------------------


def test_external_sips(service: Service, hook: Hook) -> None:
    path = "/configuration/allowexternalsips"
    assert service.get(path) == "enabled"
    service.post(f"{path}/disabled")
    assert service.get(path) == "disabled"
    notes = hook("hook_external_sips")
    answer = service.call("POST", f"{path}/enabled")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" not in answer.headers
    assert notes.read_text() == "['firewall', 'enabled']"
    assert service.get(path) == "enabled"
    service.refused("POST", f"{path}/maybe", 404)
    service.refused("POST", f"{path}/ENABLED", 404)


@pytest.mark.parametrize("code", ["sys.exit(1)", "import os; os.kill(os.getpid(), 9)"])
def test_a_failing_hook_changes_nothing(service: Service, hook: Hook, code: str) -> None:
    hook("hook_external_sips", code)
    service.refused("POST", "/configuration/allowexternalsips/disabled", 500)
    assert service.get("/configuration/allowexternalsips") == "enabled"


def test_a_hook_that_never_ends(
    service: Service, hook: Hook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is ended with all that it started."""
    child = tmp_path / "child"
    hook(
        "hook_external_sips",
        "import subprocess, time\n"
        "process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(child)!r}, 'w').write(str(process.pid))\n"
        "time.sleep(60)\n",
    )
    monkeypatch.setattr(service.settings, "hook_timeout", 1.0)
    service.refused("POST", "/configuration/allowexternalsips/disabled", 500)
    pid = child.read_text()
    eventually(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))


def _is_zombie(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_hook_that_is_not_there(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.settings, "hook_external_sips", ["/no/such/hook"])
    service.refused("POST", "/configuration/allowexternalsips/disabled", 500)


# --- voicemail as text ----------------------------------------------------------------------------

KEY = {
    "type": "service_account",
    "client_email": "robot@example.iam",
    "private_key": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
}
CONF = """; mine
[general]
format = wav49 ; keep
mailcmd=/usr/sbin/sendmail -t

[default]
100 => 1111,Old Box,,,attach=yes
"""


def encoded(data: object = KEY, prefix: str = "") -> str:
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    return prefix + base64.b64encode(content).decode()


@pytest.fixture
def key_file(service: Service) -> Iterator[Path]:
    path = service.settings.google_key_file
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


def test_google_key(service: Service, key_file: Path) -> None:
    service.refused("GET", "/configuration/googleauthexists", 404)
    prefixes = [
        "",
        "data:application/json;base64,",
        "data:application/json;charset=utf-8;base64,",
        "data:application/vnd.x-1;base64,",
    ]
    for number, prefix in enumerate(prefixes):
        key = {**KEY, "project_id": str(number)}
        answer = service.call(
            "POST", "/configuration/googleauth", json={"file": encoded(key, prefix)}
        )
        assert (answer.status_code, answer.content) == (200, b"")
        assert json.loads(key_file.read_bytes()) == key
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        assert service.get("/configuration/googleauthexists") is True
    assert [path.name for path in key_file.parent.glob(".google*")] == []
    key_file.write_text("{")
    service.refused("GET", "/configuration/googleauthexists", 404)


@pytest.mark.parametrize(
    ("file", "status"),
    [
        ("", 400),
        ("not base64!", 400),
        (encoded()[:-3], 400),
        (encoded(b"\xff\xfe"), 400),
        (encoded([KEY]), 400),
        (encoded({**KEY, "type": "authorized_user"}), 400),
        (encoded({"type": "service_account", "client_email": "x"}), 400),
        (encoded({**KEY, "private_key": 5}), 400),
        (encoded({**KEY, "more": "x" * 70_000}), 413),
    ],
)
def test_what_is_no_google_key(service: Service, key_file: Path, file: str, status: int) -> None:
    service.post("/configuration/googleauth", {"file": encoded()})
    problem = service.refused("POST", "/configuration/googleauth", status, json={"file": file})
    if status == 400:
        assert problem["message"] == problem["detail"]
    assert json.loads(key_file.read_bytes()) == KEY
    service.refused("POST", "/configuration/googleauth", 400, json={})


def test_the_google_key_reaches_no_log(
    service: Service, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.post("/configuration/googleauth", {"file": encoded()})
    wrong = {**KEY, "type": "x"}
    answer = service.call("POST", "/configuration/googleauth", json={"file": encoded(wrong)})
    said = caplog.text + answer.text
    assert "c2VjcmV0" not in said
    assert encoded()[:40] not in said


def test_transcription(service: Service, key_file: Path) -> None:
    path = "/configuration/voicemailgooglestt"
    conf = service.settings.voicemail_conf
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text(CONF)
    command = service.settings.stt_mailcmd
    assert command == "/var/lib/asterisk/bin/googlestt_sendmail.php"
    service.settle()
    assert service.get(path) == "disabled"
    problem = service.refused("POST", f"{path}/enabled", 412)
    assert problem["detail"] == "Missing authentication file"
    quiet = service.call("POST", f"{path}/disabled")
    assert (quiet.status_code, "X-Apply-Task" in quiet.headers) == (200, False)
    assert conf.read_text() == CONF  # another mail command is not ours to remove

    service.post("/configuration/googleauth", {"file": encoded()})
    answer = service.call("POST", f"{path}/enabled")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" in answer.headers
    assert conf.read_text() == CONF.replace("/usr/sbin/sendmail -t", command)
    assert service.get(path) == "enabled"
    service.settle()
    again = service.call("POST", f"{path}/enabled")
    assert (again.status_code, "X-Apply-Task" in again.headers) == (200, False)

    service.post(f"{path}/disabled")
    assert conf.read_text() == CONF.replace("mailcmd=/usr/sbin/sendmail -t\n", "")
    assert service.get(path) == "disabled"
    service.refused("POST", f"{path}/on", 404)


def test_transcription_that_waits_in_the_outbox(
    service: Service, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is what the file will say when everything that waits has got there."""
    conf = service.settings.voicemail_conf
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text(CONF)
    service.post("/configuration/googleauth", {"file": encoded()})
    service.settle()
    path = "/configuration/voicemailgooglestt"

    def down(*_: object) -> None:
        raise TargetDown("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(MailboxFiles, "apply", down)
        for status, waiting in (("enabled", 1), ("enabled", 1), ("disabled", 2), ("disabled", 2)):
            service.post(f"{path}/{status}")
            assert len(service.rows(t.rest_outbox)) == waiting
    other = System(service.settings)
    other.outbox.drain()
    other.stop()
    assert service.rows(t.rest_outbox) == []
    assert service.get(path) == "disabled"


def test_transcription_beside_mailboxes(service: Service, key_file: Path) -> None:
    """One writer: a mailbox made at the same time keeps, and so does the mail command."""
    service.post("/configuration/googleauth", {"file": encoded()})
    service.person("ada", "200")
    calls = [
        lambda: service.post("/voicemails", {"extension": "200"}),
        lambda: service.post("/configuration/voicemailgooglestt/enabled"),
    ]
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert service.get("/configuration/voicemailgooglestt") == "enabled"
    assert service.get("/voicemails/200")["mailbox"] == 200


# --- languages ------------------------------------------------------------------------------------


@pytest.fixture
def sounds(service: Service) -> Iterator[Path]:
    folder = service.settings.sounds_folder
    for name in ("en", "it", "en_GB", "custom", "tts", "de.old", "ITALIAN"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "fr").write_text("a file, not a folder")
    yield folder
    for path in folder.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()


def package(language: str, format_: str = "ulaw", installed: str | None = None) -> dict[str, Any]:
    return {
        "type": "asterisk",
        "module": "core-sounds",
        "language": language,
        "format": format_,
        "version": "1.6",
        "installed": installed,
    }


def test_languages(service: Service, sounds: Path) -> None:
    service.add(t.soundlang_packages, package("es", installed="1.6"), package("ru"))
    before = service.everything()
    assert service.get("/settings/languages") == {
        "en": {"default": True},
        "en_GB": {"default": False},
        "es": {"default": False},
        "it": {"default": False},
    }
    assert service.everything() == before  # the original's GET wrote rows
    service.add(t.soundlang_settings, {"keyword": "language", "value": "ja"})
    assert service.get("/settings/languages")["ja"] == {"default": True}
    assert service.get("/settings/languages")["en"] == {"default": False}


def test_languages_of_an_empty_system(service: Service) -> None:
    assert service.get("/settings/languages") == {"en": {"default": True}}


def test_default_language(service: Service, sounds: Path) -> None:
    with service.database.write() as connection:
        connection.execute(insert(t.freepbx_settings).values(keyword="TONEZONE", value="us"))
    service.settle()
    answer = service.call("POST", "/settings/defaultlanguage", json={"lang": "it"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert "X-Apply-Task" in answer.headers
    assert service.row(t.soundlang_settings)["value"] == "it"
    assert service.row(t.freepbx_settings, keyword="TONEZONE")["value"] == "it"
    assert service.get("/settings/languages")["it"] == {"default": True}
    service.settle()
    again = service.call("POST", "/settings/defaultlanguage", data={"lang": "it"})
    assert (again.status_code, "X-Apply-Task" in again.headers) == (200, False)
    service.post("/settings/defaultlanguage", {"lang": "en_GB"})
    assert service.row(t.soundlang_settings)["value"] == "en_GB"
    assert service.row(t.freepbx_settings, keyword="TONEZONE")["value"] == "us"
    service.settle()
    service.refused("POST", "/settings/defaultlanguage", 422, json={"lang": "de"})
    for wrong in ("", "italian", "it;reboot", "../en", "IT", "en_gb", 5, None):
        service.refused("POST", "/settings/defaultlanguage", 400, json={"lang": wrong})


def test_a_tone_zone_that_freepbx_does_not_know(service: Service, sounds: Path) -> None:
    if service.name == "embedded":
        pytest.skip("only FreePBX's own table has the options")
    from sqlalchemy import text

    options = 'a:2:{s:2:"us";s:13:"United States";s:2:"it";s:5:"Italy";}'
    with service.database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO freepbx_settings (keyword, value, options)"
                " VALUES ('TONEZONE', 'us', :options)"
            ),
            {"options": options},
        )
    (sounds / "sv").mkdir()
    service.post("/settings/defaultlanguage", {"lang": "sv"})
    assert service.row(t.soundlang_settings)["value"] == "sv"
    assert service.row(t.freepbx_settings, keyword="TONEZONE")["value"] == "us"
    service.post("/settings/defaultlanguage", {"lang": "it"})
    assert service.row(t.freepbx_settings, keyword="TONEZONE")["value"] == "it"


def test_a_language_that_is_there(service: Service, sounds: Path) -> None:
    task = service.post("/settings/language", {"lang": "it"})["result"]
    assert service.get(f"/tasks/{task}")["progress"] == 100
    for wrong in ("it; rm -rf /", "$(id)", "it\nen", "", "x"):
        service.refused("POST", "/settings/language", 400, json={"lang": wrong})


def test_installing_a_language(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "installed"
    script = tmp_path / "sounds.py"
    script.write_text(f"import sys\nopen({str(notes)!r}, 'a').write(sys.argv[1] + ' ')\n")
    monkeypatch.setattr(service.settings, "sounds_command", [sys.executable, str(script)])
    service.add(
        t.soundlang_packages,
        {"id": 11, **package("fr")},
        {"id": 12, **package("fr", "g722")},
        {"id": 13, **package("fr", "sln48")},
        {"id": 14, **package("de")},
    )
    service.add(t.soundlang_settings, {"keyword": "formats", "value": "ulaw,g722"})
    task = service.post("/settings/language", {"lang": "fr"})["result"]
    eventually(lambda: service.get(f"/tasks/{task}")["progress"] == 100)
    assert notes.read_text() == "11 12 "
    script.write_text("raise SystemExit(4)")
    failed = service.post("/settings/language", {"lang": "de"})["result"]
    eventually(lambda: service.call("GET", f"/tasks/{failed}").status_code == 500)
    none = service.post("/settings/language", {"lang": "zh_CN"})["result"]
    eventually(lambda: service.call("GET", f"/tasks/{none}").status_code == 500)
    problem = service.call("GET", f"/tasks/{none}").json()
    assert problem["detail"] == "FreePBX offers no prompts for zh_CN"


# --- conference -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/settings/conferenceurl", "/conference/conferenceurl"])
def test_conference_url(service: Service, hook: Hook, path: str) -> None:
    assert service.get("/settings/conferenceurl") == ""
    notes = hook("hook_conference")
    for url in (
        "https://meet.example.org",
        "meet.example.org",
        "http://10.0.0.5:8443/rooms?x=1",
        "https://[2001:db8::7]/",
        "",
    ):
        answer = service.call("POST", path, json={"url": url})
        assert (answer.status_code, answer.content) == (200, b"")
        assert service.get("/settings/conferenceurl") == url
        assert notes.read_text() == f"['firewall', '{url}']"
        notes.unlink()
    assert service.call("POST", path, data={"url": "meet.example.org"}).status_code == 200
    for wrong in (
        "meet",
        "ftp://x.org",
        "https://",
        "javascript:alert(1)",
        "https://a b.org",
        "https://x.org/\ny",
        "https://user:pw@x.org",
        "x;y.org",
        "https://x_y.org",
    ):
        problem = service.refused("POST", path, 400, json={"url": wrong})
        assert problem["message"] == problem["detail"]
    service.refused("POST", path, 400, json={})
    service.refused("GET", "/conference/conferenceurl", 405)
    hook("hook_conference", "sys.exit(1)")
    service.refused("POST", path, 500, json={"url": "https://other.example.org"})


# --- migration and engine -------------------------------------------------------------------------


def test_migration(service: Service) -> None:
    assert service.get("/migration/ismigration") is False
    assert service.get("/migration/migrationstatus") == "ready"
    for method, path in (("POST", "migrationstatus"), ("POST", "importusers"), ("GET", "report")):
        status = 405 if path == "migrationstatus" else 404
        service.refused(method, f"/migration/{path}", status)


def test_engine(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service.get("/provisioning/engine") == "tancredi"
    monkeypatch.setattr(service.settings, "provisioning_engine", "freepbx")
    assert service.get("/provisioning/engine") == "freepbx"
