"""What really reaches a phone and Asterisk: NOTIFYs and restarts, with Asterisk 22 and SIPp."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from nethvoice import first_start
from nethvoice.doctor import examine
from nethvoice.pbx import nat, phone_reboots, phones
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.store.restarts import KEYWORD
from nethvoice.store.state import get_state
from nethvoice.system import System
from tests.services.asterisk import Asterisk
from tests.services.phone import Phone, endpoint
from tests.support import PASSWORD, SECRET, eventually

MAC = "00-15-65-11-22-33"


@pytest.fixture(scope="module")
def asterisk() -> Iterator[Asterisk]:
    server = Asterisk(22)
    conf = server.home / "etc" / "pjsip.conf"
    conf.write_text(conf.read_text() + endpoint("91200", "a-phone-password"))
    with server:
        yield server


def make_system(folder: Path, asterisk: Asterisk, user: str) -> System:
    settings = Settings(
        data_dir=folder,
        secret=SECRET,
        admin_password=PASSWORD,
        ami_host="127.0.0.1",
        ami_port=asterisk.ami_port,
        ami_username=user,
        ami_password=getattr(asterisk, f"{user}_secret"),
    )
    first_start.initialise(settings)
    return System(settings)


@pytest.fixture
def system(tmp_path: Path, asterisk: Asterisk) -> Iterator[System]:
    made = make_system(tmp_path / "data", asterisk, "provisioning")
    with made.database.write() as connection:
        connection.execute(
            insert(t.rest_devices_phones).values(
                mac=MAC.replace("-", ":"), vendor="Yealink/Dreamwave", extension="91200", line=1
            )
        )
        connection.execute(insert(t.devices).values(id="91200", tech="pjsip"))
    yield made
    made.stop()


@pytest.fixture
def phone(tmp_path: Path, asterisk: Asterisk) -> Phone:
    folder = tmp_path / "phone"
    folder.mkdir()
    made = Phone(folder, "91200", "a-phone-password", asterisk.sip_port)
    made.register()
    assert "91200" in asterisk.cli("pjsip show contacts")
    return made


def test_a_planned_reboot_reaches_the_phone(system: System, phone: Phone) -> None:
    now = datetime(2026, 3, 10, 21, 0).timestamp()
    wish = {MAC: {"hours": "22", "minutes": "05"}}
    assert phone_reboots.reboot_phones(system, wish, lambda: now) == {MAC: {"code": 204}}
    listening = phone.listen()
    due = datetime(2026, 3, 10, 22, 5, 2).timestamp()
    phone_reboots.run_due(system, lambda: due)
    headers = listening.notify()
    assert headers["event"] == "check-sync;reboot=true"
    assert headers["subscription-state"].startswith("terminated")
    assert phone_reboots.list_reboots(system) == {}


def test_a_reboot_now_and_a_new_configuration(system: System, phone: Phone) -> None:
    listening = phone.listen()
    assert phone_reboots.reboot_phones(system, {MAC: {}}) == {MAC: {"code": 204}}
    assert listening.notify()["event"] == "check-sync;reboot=true"
    listening = phone.listen()
    phones.reconfigure(system, "91200")
    assert listening.notify()["event"] == "check-sync;reboot=false"


# --- restarts -------------------------------------------------------------------------------------


def stored(system: System) -> str:
    with system.read() as connection:
        return get_state(connection, KEYWORD) or ""


def startup(system: System) -> str:
    assert system.ami is not None
    status = system.ami.action("CoreStatus", {}).headers
    return f"{status['CoreStartupDate']} {status['CoreStartupTime']}"


def test_new_networks_restart_asterisk(tmp_path: Path, asterisk: Asterisk) -> None:
    """A reload leaves the transports as they are, so the graceful restart follows it, once."""
    system = make_system(tmp_path / "data", asterisk, "tester")
    system.start()
    try:
        before = startup(system)
        nat.set_external_ip(system, "203.0.113.7")
        nat.set_local_networks(system, [{"net": "10.0.0.0", "mask": "8"}])

        def restarted() -> bool:
            try:
                return startup(system) != before
            except Exception:
                return False

        eventually(restarted, 60)
        eventually(lambda: not system.restarts.wanted())
        with system.read() as connection:
            jobs = connection.execute(select(t.rest_tasks)).all()
        assert {job.state for job in jobs} == {"succeeded"}
        assert any("to restart when no call is up" in (job.output or "") for job in jobs)
        once = startup(system)
        system.restarts.carry_out()
        assert startup(system) == once
    finally:
        system.stop()


def test_a_restart_that_asterisk_refuses(tmp_path: Path, asterisk: Asterisk) -> None:
    """The manager user of the manual may not restart: the change holds, the need is shown."""
    system = make_system(tmp_path / "data", asterisk, "provisioning")
    system.start()
    try:
        nat.set_local_networks(system, [{"net": "10.0.0.0", "mask": "8"}])

        def done() -> bool:
            with system.read() as connection:
                return list(connection.scalars(select(t.rest_tasks.c.state))) == ["succeeded"]

        eventually(done, 30)
        eventually(lambda: '"refused":true' in stored(system), 30)
        assert system.restarts.wanted()
        findings = {finding.name: finding for finding in examine(system.settings)}
        assert findings["restart"].state == "note"
        assert "core restart when convenient" in findings["restart"].mend
    finally:
        system.stop()
    asterisk.restart()
    again = System(system.settings)
    eventually(lambda: not again.restarts.wanted())  # somebody restarted it by hand
    again.stop()
