"""The planned reboots as lines of a crontab, for hosts that want cron to run them.

    05 22 * * * nethvoice reboot-phone 00-11-22-33-44-91

The table `rest_phone_reboots` stays the truth; these lines follow it. All other lines of the
crontab are left as they are.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from nethvoice.store.database import Database
from nethvoice.store.outbox import Operation
from nethvoice.store.tables import rest_phone_reboots

WRITE: Operation = ["write"]
"""The one operation of this target: make the lines those of the table."""

FORMER_HELPER = "phonesRebootHelper.php"
"""What the lines of the former service run."""

_TIMEOUT = 10.0
_LOCK = "nethvoice.crontab"
_MAC = r"(?P<mac>[0-9A-F]{2}(?:-[0-9A-F]{2}){5})"


@dataclass(frozen=True)
class CrontabLine:
    """One of our lines; `mac` is written `AA-BB-CC-DD-EE-FF`."""

    mac: str
    hour: int
    minute: int
    former: bool = False


class RebootCrontab:
    """The outbox target `crontab`, over crontab(1): `command` is its argument vector."""

    joins_transaction = False

    def __init__(self, command: Sequence[str], helper: str, database: Database) -> None:
        self._command = list(command)
        self._helper = helper
        self._database = database
        self._ours = re.compile(
            r"(?P<minute>[0-9]{1,2}) (?P<hour>[0-9]{1,2}) \* \* \* "
            rf"(?:{re.escape(helper)}|(?P<former>\S*{re.escape(FORMER_HELPER)})) {_MAC}\s*"
        )

    def lines(self) -> list[CrontabLine]:
        """Our lines as they are now, those of the former service included. Raises OSError."""
        return [line for text in self._read() if (line := self._parse(text)) is not None]

    def apply(self, operations: Sequence[Operation], connection: Connection | None = None) -> None:
        """Make our lines those of the table. Raises OSError when the command fails."""
        with self._database.lock(_LOCK), self._database.read() as reader:
            rows = reader.execute(
                select(rest_phone_reboots).order_by(
                    rest_phone_reboots.c.hour, rest_phone_reboots.c.minute, rest_phone_reboots.c.mac
                )
            ).all()
            before = self._read()
            after = [text for text in before if self._parse(text) is None]
            after += [
                f"{row.minute:02d} {row.hour:02d} * * * {self._helper} {row.mac.replace(':', '-')}"
                for row in rows
            ]
            if after != before:
                self._run("-", "".join(f"{text}\n" for text in after))

    def _parse(self, text: str) -> CrontabLine | None:
        found = self._ours.fullmatch(text)
        if found is None:
            return None
        hour, minute = int(found["hour"]), int(found["minute"])
        return CrontabLine(found["mac"], hour, minute, former=found["former"] is not None)

    def _read(self) -> list[str]:
        done = self._call("-l")
        # A user who never had a crontab has an empty one.
        if done.returncode != 0 and "no crontab" not in done.stderr:
            raise OSError(f"{self._command[0]} -l ended with code {done.returncode}")
        return done.stdout.splitlines() if done.returncode == 0 else []

    def _run(self, option: str, text: str) -> None:
        done = self._call(option, text)
        if done.returncode != 0:
            raise OSError(f"{self._command[0]} {option} ended with code {done.returncode}")

    def _call(self, option: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                [*self._command, option],
                input=text,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT,
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired as error:
            raise OSError(f"{self._command[0]} did not end within {_TIMEOUT:g} s") from error
