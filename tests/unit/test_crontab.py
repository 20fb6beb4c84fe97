"""Planned reboots in a crontab, over a command that behaves as crontab(1) does."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import insert, select

from nethvoice.cli import main
from nethvoice.pbx import phone_reboots
from nethvoice.store import tables as t
from nethvoice.system import System
from tests.support import eventually

PHONE = "00-15-65-11-22-33"
OTHER = "00-15-65-11-22-44"
FORMER = "/var/www/html/freepbx/rest/lib/phonesRebootHelper.php"
MINE = """# my own lines
MAILTO=root
*/5 * * * * /usr/local/bin/backup --all
05 22 * * * /usr/local/bin/reboot-phone 00-15-65-11-22-33
"""

# Lists the file or says that there is none, as Debian's and CentOS's crontab do; `-` replaces it.
SCRIPT = """
import pathlib, sys
file = pathlib.Path(sys.argv[1])
if sys.argv[2] == "-l":
    if not file.exists():
        print("no crontab for asterisk", file=sys.stderr)
        sys.exit(1)
    sys.stdout.write(file.read_text())
else:
    assert sys.argv[2] == "-", sys.argv
    text = sys.stdin.read()
    if text and not text.endswith("\\n"):
        sys.exit("new crontab file is missing newline before EOF")
    file.write_text(text)
"""


@pytest.fixture
def crontab(tmp_path: Path) -> Path:
    return tmp_path / "asterisk.crontab"


@pytest.fixture
def command(tmp_path: Path, crontab: Path) -> list[str]:
    script = tmp_path / "crontab.py"
    script.write_text(SCRIPT)
    return [sys.executable, str(script), str(crontab)]


@pytest.fixture
def system(make_system: Callable[..., System], command: list[str]) -> System:
    return make_system(reboot_crontab=command)


def plan(system: System, *macs: str, hours: int = 22, minutes: int = 5) -> None:
    wish = {mac: {"hours": hours, "minutes": minutes} for mac in macs}
    assert phone_reboots.reboot_phones(system, wish) == {mac: {"code": 204} for mac in macs}


def test_lines_follow_the_plan(system: System, crontab: Path) -> None:
    """A user without any crontab is one with an empty one; in the original all broke then."""
    assert phone_reboots.list_reboots(system) == {}
    assert phone_reboots.cancel_reboots(system, [PHONE]) == {PHONE: {"code": 202}}
    assert not crontab.exists()
    plan(system, PHONE, OTHER)
    assert crontab.read_text() == (
        f"05 22 * * * nethvoice reboot-phone {PHONE}\n05 22 * * * nethvoice reboot-phone {OTHER}\n"
    )
    plan(system, PHONE, hours=3, minutes=0)
    assert crontab.read_text().splitlines() == [
        f"00 03 * * * nethvoice reboot-phone {PHONE}",
        f"05 22 * * * nethvoice reboot-phone {OTHER}",
    ]
    phone_reboots.cancel_reboot(system, PHONE)
    assert crontab.read_text() == f"05 22 * * * nethvoice reboot-phone {OTHER}\n"


def test_other_lines_stay(system: System, crontab: Path) -> None:
    crontab.write_text(MINE)
    plan(system, PHONE)
    assert crontab.read_text() == MINE + f"05 22 * * * nethvoice reboot-phone {PHONE}\n"
    phone_reboots.cancel_reboot(system, PHONE)
    assert crontab.read_text() == MINE


def test_a_plan_that_stays_writes_nothing(system: System, crontab: Path) -> None:
    plan(system, PHONE)
    before = crontab.stat().st_mtime_ns
    plan(system, PHONE)
    phone_reboots.cancel_reboot(system, OTHER)
    assert crontab.stat().st_mtime_ns == before


def test_a_removed_phone_leaves_the_crontab(system: System, crontab: Path) -> None:
    from nethvoice.pbx import devices

    plan(system, PHONE)
    devices.delete_by_mac(system, PHONE.replace("-", ":"))
    assert crontab.read_text() == ""


def test_lines_of_the_former_service_are_taken_over(system: System, crontab: Path) -> None:
    plan(system, OTHER)
    crontab.write_text(
        MINE + f"5 6 * * * {FORMER} {PHONE}\n59 23 * * * {FORMER} {OTHER}\n"
        f"99 99 * * * {FORMER} 00-15-65-00-00-01\n"
    )
    phone_reboots.adopt_crontab(system)
    assert phone_reboots.list_reboots(system) == {
        PHONE: {"hours": "06", "minutes": "05"},
        OTHER: {"hours": "22", "minutes": "05"},
    }
    assert crontab.read_text() == (
        MINE + f"05 06 * * * nethvoice reboot-phone {PHONE}\n"
        f"05 22 * * * nethvoice reboot-phone {OTHER}\n"
    )


def test_a_running_service_takes_them_over(
    make_system: Callable[..., System], command: list[str], crontab: Path
) -> None:
    crontab.write_text(f"05 06 * * * {FORMER} {PHONE}\n")
    running = make_system(reboot_crontab=command)
    phone_reboots.attach(running)
    running.start()
    eventually(lambda: "nethvoice reboot-phone" in crontab.read_text())


def test_a_command_that_fails_is_tried_again(
    make_system: Callable[..., System], command: list[str], crontab: Path, tmp_path: Path
) -> None:
    script = tmp_path / "crontab.py"
    script.write_text("raise SystemExit(7)")
    system = make_system(reboot_crontab=command)
    plan(system, PHONE)
    assert list(phone_reboots.list_reboots(system)) == [PHONE]
    assert system.outbox.pending().waiting == 1
    script.write_text(SCRIPT)
    system.outbox.drain()
    assert crontab.read_text() == f"05 22 * * * nethvoice reboot-phone {PHONE}\n"


def test_what_cron_runs(
    system: System, crontab: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    with system.database.write() as connection:
        connection.execute(
            insert(t.rest_devices_phones).values(
                mac=PHONE.replace("-", ":"), vendor="Snom", extension="91200", type="physical"
            )
        )
    plan(system, PHONE, OTHER)
    monkeypatch.setenv("NETHVOICE_DATA_DIR", str(system.settings.data_dir))
    monkeypatch.setenv("NETHVOICE_REBOOT_CRONTAB", json.dumps(command))
    result = CliRunner().invoke(main, ["reboot-phone", PHONE])
    assert (result.exit_code, result.output) == (0, "")
    with system.read() as connection:
        assert connection.scalars(select(t.rest_notifies.c.extension)).all() == ["91200"]
    assert crontab.read_text() == f"05 22 * * * nethvoice reboot-phone {OTHER}\n"
    again: Any = CliRunner().invoke(main, ["reboot-phone", PHONE])
    assert (again.exit_code, again.output) == (0, "nothing is planned for this phone\n")
    assert CliRunner().invoke(main, ["reboot-phone", "; reboot"]).exit_code == 1
