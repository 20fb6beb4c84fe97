"""From the REST call to the device: the file is rendered, fetched from the real TFTP server by a
simulated gateway that speaks real telnet or SSH, and every failure has its code and leaves all as
it was."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from nethvoice.pbx import gateway_catalogue, gateway_push
from nethvoice.store import tables as t
from nethvoice.store.device_files import DeviceFiles
from nethvoice.store.outbox import TargetDown
from provisioning.push import Dialogue, Patience, conversation
from provisioning.tftp.server import TftpServer, open_port
from tests.gateways import Behaviour, Gateway
from tests.support import Service, eventually

PUSH = "/devices/gateways/push"
MAC = "00:A0:BA:0B:1C:DA"
DIGITS = "00A0BA0B1CDA"
HASTY = Patience(connect=2, login=2, command=2, fetch=5, settle=0.2, restart=1, pause=0.1, total=20)

MODELS = {"smartware": "2", "trinity": "17", "vega": "24", "mediatrix": "M4402"}
FILES = {
    "smartware": f"{DIGITS}.cfg",
    "trinity": f"{DIGITS}.cfg",
    "vega": f"{DIGITS}config.txt",
    "mediatrix": f"{DIGITS}.cfg",
}
BASE = {
    "name": "Gateway + 1",
    "mac": MAC,
    "ipv4": "127.0.0.1",
    "ipv4_new": "192.168.1.250",
    "gateway": "192.168.1.254",
    "ipv4_green": "127.0.0.1",
    "netmask_green": "255.255.255.0",
    "trunks_isdn": [{"type": "pp"}, {"type": "pmp"}],
}
BODY = {"name": BASE["name"], "ipv4_green": "", "netmask_green": "", "mac": MAC}


@pytest.fixture
def tftp(service: Service) -> Iterator[int]:
    """The TFTP server on the service's folder."""
    folder = service.settings.tftp_folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    server = TftpServer(open_port("127.0.0.1", 0), folder)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server.port
    server.stop()
    thread.join(10)


@pytest.fixture(autouse=True)
def prepared(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with service.database.write() as connection:
        gateway_catalogue.load(connection, service.settings.data_dir)
    monkeypatch.setattr(gateway_push, "PATIENCE", HASTY)
    monkeypatch.setattr(conversation, "_LONG_QUIET", 0.3)
    monkeypatch.setattr(conversation, "_FAREWELL", 0.2)


def saved(service: Service, family: str = "trinity", **more: Any) -> int:
    model = MODELS[family]
    if not model.isdigit():
        model = str(service.row(t.gateway_models, model=model)["id"])
    return int(service.post("/devices/gateways", {**BASE, "model": model, **more})["id"])


def at(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices listen on a port that needs no privilege."""
    monkeypatch.setattr(Dialogue, "port", property(lambda _: gateway.port))


def undated(content: bytes | None) -> str:
    assert content is not None
    return re.sub(r"generated [0-9 :-]+|CONFIGVERSION[^\n]*", "", content.decode("ascii"))


def failed(service: Service, status: int, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The push is refused with a problem, and nothing that was saved is lost."""
    before = service.everything()
    answer = service.call("POST", PUSH, json=body or BODY)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert service.everything() == before
    problem: dict[str, Any] = answer.json()
    if "task" in problem:
        assert answer.headers["X-Task"] == problem["task"]
    return problem


@pytest.mark.parametrize("family", MODELS)
def test_push(service: Service, tftp: int, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway_id = saved(service, family)
    folder: Path = service.settings.tftp_folder
    (folder / FILES[family]).unlink()
    service.settle()
    reloads = len(service.rows(t.rest_tasks, kind="apply"))
    with Gateway(family, tftp) as gateway:
        at(gateway, monkeypatch)
        answer = service.call("POST", PUSH, json=BODY)
    assert (answer.status_code, answer.json()) == (200, {"status": True}), answer.text
    assert gateway.restarts == 1
    content = (folder / FILES[family]).read_bytes()
    assert gateway.startup == content
    secrets = [row["secret"] for row in service.rows(t.gateway_config_isdn)]
    assert all(secret.encode() in content for secret in secrets)
    row = service.row(t.gateway_config)
    assert (row["ipv4"], row["ipv4_new"]) == ("192.168.1.250", "192.168.1.250")
    assert len(service.rows(t.rest_tasks, kind="apply")) == reloads, "a push needs no reload"

    task_id = answer.headers["X-Task"]
    [task] = service.get(f"/devices/gateways/{gateway_id}/tasks")
    assert (task["task"], task["state"], task["progress"]) == (task_id, "succeeded", 100)
    names = [phase["name"] for phase in task["phases"]]
    assert names[:3] == ["writing", "connecting", "logged in"]
    assert names[-2:] == ["restarting", "done"]
    assert {phase["state"] for phase in task["phases"]} == {"succeeded"}
    shown = service.get(f"/tasks/{task_id}")
    assert (shown["progress"], shown["state"]) == (100, "succeeded")


def test_the_task_is_seen_while_it_runs(
    service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the call keeps neither a database connection nor a thread of the requests."""
    gateway_id = saved(service)
    monkeypatch.setattr(gateway_push, "PATIENCE", replace(HASTY, settle=2.0))
    answers: list[httpx.Response] = []
    path = f"/devices/gateways/{gateway_id}/tasks"
    with Gateway("trinity", tftp) as gateway:
        at(gateway, monkeypatch)
        caller = threading.Thread(
            target=lambda: answers.append(service.call("POST", PUSH, json=BODY))
        )
        caller.start()
        running = eventually(lambda: [x for x in service.get(path) if x["action"] == "fetching"])
        assert running[0]["state"] == "running"
        assert 0 < running[0]["progress"] < 100
        assert service.get(f"/tasks/{running[0]['task']}")["action"] == "fetching"
        assert not answers
        text = failed(service, 409)["detail"]
        assert "running already" in text
        caller.join(30)
    assert answers[0].status_code == 200, answers[0].text
    assert answers[0].headers["X-Task"] == running[0]["task"]
    assert gateway.opened == 1


def test_many_pushes_keep_no_thread_of_requests(
    service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = service.settings.threads + 4
    monkeypatch.setattr(gateway_push, "PATIENCE", replace(HASTY, command=3.0))
    for number in range(count):
        saved(service, name=f"g{number}", mac=f"00:A0:BA:00:00:{number:02X}", trunks_isdn=[])
    codes: list[int] = []
    with Gateway("trinity", tftp, Behaviour(silent_at="enable")) as gateway:
        at(gateway, monkeypatch)

        def push(number: int) -> None:
            with httpx.Client(
                base_url=service.client.base_url, headers=service.client.headers, timeout=60
            ) as client:
                codes.append(client.post(PUSH, json={"name": f"g{number}"}).status_code)

        threads = [threading.Thread(target=push, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        eventually(lambda: gateway.opened >= count, 30)
        began = time.monotonic()
        service.get("/devices/gateways/manufacturers")
        waited = time.monotonic() - began
        still = count - len(codes)
        for thread in threads:
            thread.join(60)
    assert codes == [504] * count
    assert still, "other requests are served while devices are waited for"
    assert waited < 3.0


def test_new_address_when_the_present_one_is_not_known(
    service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(service, ipv4="", ipv4_new="127.0.0.1")
    with Gateway("trinity", tftp) as gateway:
        at(gateway, monkeypatch)
        assert service.post(PUSH, {"name": BASE["name"]}) == {"status": True}
    assert service.row(t.gateway_config)["ipv4"] == "127.0.0.1"


def test_push_renders_anew(service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed in FreePBX after the save is in the file that the device gets."""
    saved(service)
    with service.database.write() as connection:
        connection.execute(
            t.pjsip.update()
            .where(t.pjsip.c.id == "1", t.pjsip.c.keyword == "secret")
            .values(data="chosen-later")
        )
    with Gateway("trinity", tftp) as gateway:
        at(gateway, monkeypatch)
        service.post(PUSH, BODY)
    assert gateway.startup is not None
    assert b"chosen-later" in gateway.startup


def test_the_commit_waits_for_the_transfer(
    service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Trinity has its prompt back before the transfer is over; an empty one was once saved."""
    saved(service)
    monkeypatch.setattr(gateway_push, "PATIENCE", replace(HASTY, settle=3.0))
    with Gateway("trinity", tftp, Behaviour(prompt_before_done=0.5)) as gateway:
        at(gateway, monkeypatch)
        service.post(PUSH, BODY)
    assert gateway.startup == (service.settings.tftp_folder / FILES["trinity"]).read_bytes()
    assert gateway.lines.count("copy config:tmp-config startup-config") == 1


def test_forms(service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(service)
    with Gateway("trinity", tftp) as gateway:
        at(gateway, monkeypatch)
        answer = service.call("POST", PUSH, data={"name": BASE["name"], "mac": ""})
    assert answer.json() == {"status": True}


def test_configured_logins(service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(service, "smartware")
    with Gateway("smartware", tftp, login=("admin", "Set-by-push")) as gateway:
        at(gateway, monkeypatch)
        assert "login" in failed(service, 502)["detail"]
        monkeypatch.setattr(
            service.settings, "gateway_logins", {"patton": [SecretStr("admin:Set-by-push")]}
        )
        service.post(PUSH, BODY)
        monkeypatch.setattr(service.settings, "gateway_logins", {})
        service.call("POST", "/devices/gateways", json={**BASE, "model": MODELS["smartware"]})
        monkeypatch.setattr(service.settings, "gateway_admin_password", SecretStr("Set-by-push"))
        service.post(PUSH, BODY)
    assert gateway.restarts == 2


FAILURES = [
    (Behaviour(says={"copy tftp": "% TFTP error: file not found"}), 502, "file not found"),
    (Behaviour(says={"copy config": "% disk full"}), 502, "disk full"),
    (Behaviour(drop_at="enable"), 502, "ended the connection"),
    (Behaviour(asks_at="copy config", question="Overwrite? "), 502, "Overwrite?"),
    (Behaviour(silent_at="copy tftp"), 504, "no answer"),
    (Behaviour(silent_at="password"), 504, ""),
    (Behaviour(never_restarts=True), 504, "restart"),
]


@pytest.mark.parametrize("case", FAILURES, ids=[f"{case[1]} {case[2]}" for case in FAILURES])
def test_device_that_fails(
    service: Service,
    tftp: int,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[Behaviour, int, str],
) -> None:
    """Told with its code, seen in the task, and tried again with success."""
    how, status, text = case
    gateway_id = saved(service)
    path = service.settings.tftp_folder / FILES["trinity"]
    served = path.read_bytes()
    with Gateway("trinity", tftp, how) as gateway:
        at(gateway, monkeypatch)
        problem = failed(service, status)
    assert text in problem["detail"]
    assert gateway.restarts == 0
    assert undated(path.read_bytes()) == undated(served)
    [task] = service.get(f"/devices/gateways/{gateway_id}/tasks")
    assert (task["task"], task["state"]) == (problem["task"], "failed")
    assert task["phases"][-1]["state"] == "failed"
    assert problem["detail"] in task["output"]
    assert problem["detail"] in service.get(f"/tasks/{task['task']}", 500)["detail"]

    with Gateway("trinity", tftp) as gateway:
        at(gateway, monkeypatch)
        assert service.post(PUSH, BODY) == {"status": True}
    states = [task["state"] for task in service.get(f"/devices/gateways/{gateway_id}/tasks")]
    assert states == ["succeeded", "failed"]


def test_device_that_is_not_there(
    service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(service)
    with Gateway("trinity", tftp) as gateway:
        pass
    at(gateway, monkeypatch)
    assert "refused" in failed(service, 502)["detail"]


def test_unknown_gateway(service: Service, tftp: int) -> None:
    saved(service)
    assert failed(service, 404, {"name": "nobody"})["detail"] == "Configuration not found"
    failed(service, 404, {"name": BASE["name"], "mac": "00:A0:BA:00:00:00"})
    failed(service, 400, {"name": BASE["name"], "mac": "00:A0"})
    failed(service, 400, {"mac": MAC})
    assert service.rows(t.rest_tasks, kind="push 1") == []


def test_makers_without_dialogue(service: Service, tftp: int) -> None:
    model = str(service.row(t.gateway_models, model="ht801")["id"])
    service.post("/devices/gateways", {**BASE, "model": model, "trunks_isdn": []})
    failed(service, 422)


def test_file_that_cannot_be_written(
    service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is left alone: it would load an old file."""
    saved(service)
    (service.settings.tftp_folder / FILES["trinity"]).unlink()
    real = DeviceFiles.apply

    def full(*_: Any) -> None:
        raise TargetDown("no space left on device")

    monkeypatch.setattr(DeviceFiles, "apply", full)
    monkeypatch.setattr(gateway_push, "_FILE_WAIT", 0.3)
    with Gateway("trinity", tftp) as gateway:
        at(gateway, monkeypatch)
        answer = service.call("POST", PUSH, json=BODY)
        assert answer.status_code == 503, answer.text
        assert gateway.opened == 0
        monkeypatch.setattr(DeviceFiles, "apply", real)
        eventually(lambda: not service.rows(t.rest_outbox), 20)
        assert service.post(PUSH, BODY) == {"status": True}


def test_history_goes_with_the_gateway(
    service: Service, tftp: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids can come back; the next gateway has no past."""
    gateway_id = saved(service)
    with Gateway("trinity", tftp) as gateway:
        at(gateway, monkeypatch)
        service.post(PUSH, BODY)
    service.delete(f"/devices/gateways/{gateway_id}")
    assert service.rows(t.rest_tasks, kind=f"push {gateway_id}") == []
