"""Real Asterisks, the newest and the oldest that are supported, through the manager interface."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nethvoice.problems import Problem
from nethvoice.store.ami import AmiClient, AmiRefused, AmiUnavailable
from nethvoice.store.astdb import AmiAstDB
from tests.astdb_scenarios import SCENARIOS, Scenario
from tests.processes import Process
from tests.services.asterisk import Asterisk
from tests.services.mariadb import MariaDB
from tests.support import eventually


@pytest.fixture(params=["asterisk22", "asterisk16"])
def asterisk(request: pytest.FixtureRequest) -> Asterisk:
    found: Asterisk = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def client(asterisk: Asterisk) -> Iterator[AmiClient]:
    made = AmiClient("127.0.0.1", asterisk.ami_port, "provisioning", asterisk.provisioning_secret)
    yield made
    made.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_astdb(asterisk: Asterisk, client: AmiClient, scenario: Scenario) -> None:
    families = {line.split("/")[1] for line in asterisk.cli("database show").splitlines()
                if line.startswith("/")}  # fmt: skip
    for family in families:
        asterisk.cli(f"database deltree {family}")
    scenario(AmiAstDB(client))


def test_many_threads_one_connection(client: AmiClient) -> None:
    """Replies find their callers, whatever order they come in."""
    astdb = AmiAstDB(client)
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(40):
            value = f"{number}-{turn}"
            astdb.apply([["put", "CW", str(number), value]])
            if astdb.get("CW", str(number)) != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_reconnects_after_a_restart(asterisk: Asterisk, client: AmiClient) -> None:
    astdb = AmiAstDB(client)
    astdb.apply([["put", "AMPUSER", "200/cidname", "Ada"]])
    asterisk.stop()
    with pytest.raises(AmiUnavailable):
        astdb.get("AMPUSER", "200/cidname")
    asterisk.start()

    def back() -> bool:
        try:
            return astdb.get("AMPUSER", "200/cidname") == "Ada"
        except AmiUnavailable:
            return False

    eventually(back)


def test_wrong_password_and_missing_rights(asterisk: Asterisk, client: AmiClient) -> None:
    stranger = AmiClient("127.0.0.1", asterisk.ami_port, "provisioning", "guess")
    with pytest.raises(AmiUnavailable) as refused:
        stranger.ping()
    assert "guess" not in str(refused.value)
    stranger.close()
    with pytest.raises(AmiRefused):
        client.action("Command", {"Command": "core show uptime"})


def test_a_frozen_asterisk_holds_nobody_up(asterisk: Asterisk, client: AmiClient) -> None:
    client.ping()
    asterisk.freeze()
    try:
        with pytest.raises(AmiUnavailable):
            AmiAstDB(client).get("AMPUSER", "200/cidname")
    finally:
        asterisk.thaw()
    eventually(lambda: _answers(client))


def _answers(client: AmiClient) -> bool:
    try:
        client.ping()
    except (AmiUnavailable, AmiRefused, Problem):
        return False
    return True


def test_a_person_on_this_asterisk(asterisk: Asterisk, mariadb: MariaDB, tmp_path: Path) -> None:
    """Made by REST on MariaDB, read back through Asterisk's own command line."""
    for family in ("AMPUSER", "DEVICE", "CW"):
        asterisk.cli(f"database deltree {family}")
    settings = {
        "DATA_DIR": tmp_path / "data",
        "DATABASE_URL": mariadb.create_database("oldest"),
        "AMI_HOST": "127.0.0.1",
        "AMI_PORT": asterisk.ami_port,
        "AMI_USERNAME": "provisioning",
        "AMI_PASSWORD": asterisk.provisioning_secret,
    }
    with Process(tmp_path / "log", **settings) as server, server.client() as http:
        person = {"username": "ada", "fullname": "Ada Rossi"}
        assert http.post("/users", json=person).status_code == 201
        extension = {"username": "ada", "extension": "200"}
        made = http.post("/mainextensions", json=extension)
        assert made.status_code == 201
        phone = {"mainextension": "200", "mac": "001565AABBCC"}
        assert http.post("/physicalextensions", json=phone).json() == {"extension": "200"}
        assert http.post("/webrtc", json={"extension": "200"}).json()["extension"] == "91200"
        keys = asterisk.database_show("AMPUSER")
        assert keys["200/cidname"] == "Ada Rossi"
        assert keys["200/device"] == "200&91200"
        assert asterisk.database_show("DEVICE")["91200/dial"] == "PJSIP/91200"
        task = made.headers["x-apply-task"]
        eventually(lambda: http.get(f"/tasks/{task}").json().get("state") == "succeeded")
        assert http.post("/mainextensions", json={"username": "ada"}).status_code == 200
        assert asterisk.database_show("AMPUSER") == {}
        assert asterisk.database_show("DEVICE") == {}
        assert http.get("/physicalextensions").json() == []
