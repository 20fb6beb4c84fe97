"""A SIP phone: SIPp, registered to an Asterisk of ours."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

from tests.services.base import cannot, free_port, wait_for

REGISTER = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="register">
  <send retrans="500"><![CDATA[
REGISTER sip:[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:[service]@[local_ip]:[local_port]>
Expires: 300
Content-Length: 0

]]></send>
  <recv response="401" auth="true"/>
  <send retrans="500"><![CDATA[
REGISTER sip:[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 2 REGISTER
Contact: <sip:[service]@[local_ip]:[local_port]>
Expires: 300
[authentication]
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""

NOTIFIED = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="notified">
  <recv request="NOTIFY"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"""


def endpoint(number: str, password: str) -> str:
    """What pjsip.conf needs for the phone."""
    return f"""
[{number}]
type=endpoint
transport=udp
context=lab
disallow=all
allow=ulaw
auth={number}-auth
aors={number}
[{number}-auth]
type=auth
auth_type=userpass
username={number}
password={password}
[{number}]
type=aor
max_contacts=1
remove_existing=yes
"""


class Phone:
    """One phone on a loopback port of its own."""

    def __init__(self, folder: Path, number: str, password: str, server_port: int) -> None:
        sipp = shutil.which("sipp")
        if sipp is None:
            cannot("SIPp is not installed (Debian package sip-tester)")
        self._sipp = sipp
        self._folder = folder
        self._number = number
        self._password = password
        self._server = f"127.0.0.1:{server_port}"
        self.port = free_port()

    def _command(self, scenario: str, *more: str) -> list[str]:
        file = self._folder / f"{self.port}-{len(list(self._folder.iterdir()))}.xml"
        file.write_text(scenario)
        return [
            self._sipp, "-sf", str(file), "-s", self._number, "-i", "127.0.0.1",
            "-p", str(self.port), "-m", "1", "-timeout", "30", "-nostdin", *more, self._server,
        ]  # fmt: skip

    def register(self) -> None:
        """Register with the server; its password is asked for."""
        subprocess.run(
            self._command(REGISTER, "-au", self._number, "-ap", self._password),
            check=True,
            capture_output=True,
            timeout=40,
            cwd=self._folder,
        )

    def listen(self) -> "Listening":
        """Wait for one NOTIFY from here on."""
        messages = self._folder / f"messages-{self.port}-{len(list(self._folder.iterdir()))}"
        command = self._command(NOTIFIED, "-trace_msg", "-message_file", str(messages))
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        wait_for(self._bound, "the phone")
        return Listening(process, messages)

    def _bound(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                return True
        return False


class Listening:
    """A phone that waits for a NOTIFY."""

    def __init__(self, process: "subprocess.Popen[bytes]", messages: Path) -> None:
        self._process = process
        self._messages = messages

    def notify(self) -> dict[str, str]:
        """The headers of the NOTIFY that came, names in lower case; the phone has answered it."""
        try:
            assert self._process.wait(35) == 0, "no NOTIFY came"
        finally:
            self.close()
        text = self._messages.read_text(encoding="utf-8", errors="replace")
        start = text.index("NOTIFY sip:")
        lines = re.split(r"\r?\n\r?\n", text[start:], maxsplit=1)[0].splitlines()[1:]
        return {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }

    def close(self) -> None:
        """End the phone if it still waits."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(10)
