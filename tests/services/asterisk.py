"""Private Asterisk instances, run in a chroot of another Debian release.

All instances of a release share one chroot; each has its own folder and configuration in it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import uuid
from pathlib import Path
from typing import Self

from tests.services.base import CACHE, Daemon, cannot, free_port

SUITES = {22: "sid", 16: "bullseye"}

_MODULES = """pbx_config chan_pjsip res_pjproject res_pjsip res_pjsip_session res_pjsip_sdp_rtp
res_pjsip_registrar res_pjsip_authenticator_digest res_pjsip_outbound_authenticator_digest
res_pjsip_endpoint_identifier_user res_pjsip_endpoint_identifier_ip res_pjsip_notify
res_pjsip_caller_id res_pjsip_nat res_pjsip_path res_pjsip_pubsub res_pjsip_logger
res_pjsip_outbound_registration res_sorcery_config res_sorcery_memory res_sorcery_astdb
res_rtp_asterisk res_timing_timerfd bridge_simple bridge_native_rtp codec_ulaw codec_alaw app_dial
app_echo app_playback app_stack app_verbose app_db app_userevent func_callerid func_db
func_devstate func_channel func_strings func_logic""".split()


def chroot(version: int) -> Path:
    """Where the chroot of an Asterisk version is kept."""
    return CACHE / f"asterisk-{SUITES[version]}"


class Asterisk(Daemon):
    """`ami_port` with two users: `provisioning` (least rights) and `tester` (all)."""

    def __init__(self, version: int) -> None:
        self.root = chroot(version)
        if os.geteuid() != 0:
            cannot(f"Asterisk {version} needs root for its chroot")
        if not (self.root / "usr/sbin/asterisk").exists():
            cannot(f"there is no Asterisk {version} (Debian {SUITES[version]}) in the cache folder")
        super().__init__(f"asterisk{version}")
        self.version = version
        self.ami_port = free_port()
        self.sip_port = free_port()
        self.provisioning_secret = uuid.uuid4().hex
        self.tester_secret = uuid.uuid4().hex
        self.inside = Path("/srv") / f"nethvoice-{uuid.uuid4().hex[:12]}"
        self.home = self.root / self.inside.relative_to("/")
        self._write()

    def _write(self) -> None:
        for name in ("etc", "db", "run", "log", "spool", "keys", "cache"):
            (self.home / name).mkdir(parents=True)
        modules = next(
            path
            for path in ("usr/lib/x86_64-linux-gnu/asterisk/modules", "usr/lib/asterisk/modules")
            if (self.root / path).is_dir()
        )
        inside = self.inside
        self._conf(
            "asterisk",
            f"""[directories]
astetcdir => {inside}/etc
astmoddir => /{modules}
astvarlibdir => /var/lib/asterisk
astdbdir => {inside}/db
astkeydir => {inside}/keys
astdatadir => /usr/share/asterisk
astagidir => /usr/share/asterisk/agi-bin
astspooldir => {inside}/spool
astrundir => {inside}/run
astlogdir => {inside}/log
astcachedir => {inside}/cache
""",
        )
        loads = "".join(f"load => {name}.so\n" for name in _MODULES)
        self._conf("modules", f"[modules]\nautoload=no\n{loads}")
        self._conf(
            "manager",
            f"""[general]
enabled=yes
port={self.ami_port}
bindaddr=127.0.0.1
webenabled=no

[provisioning]
secret={self.provisioning_secret}
deny=0.0.0.0/0.0.0.0
permit=127.0.0.1/255.255.255.255
read=none
write=system,reporting
writetimeout=5000

[tester]
secret={self.tester_secret}
read=all
write=all
""",
        )
        self._conf(
            "pjsip",
            f"[udp]\ntype=transport\nprotocol=udp\nbind=127.0.0.1:{self.sip_port}\n",
        )
        self._conf("extensions", "[lab]\nexten => _X.,1,Dial(PJSIP/${EXTEN},20)\n")
        self._conf("indications", "[general]\ncountry=us\n[us]\ndescription=US\ndial=440\n")
        self._conf("http", "[general]\nenabled=no\n")
        for name in ("cdr", "cel"):
            self._conf(name, "[general]\nenable=no\n")
        for name in ("udptl", "acl", "ccss", "codecs", "dsp", "stasis", "sorcery", "pjproject",
                     "dnsmgr", "cli", "pjsip_notify", "features", "rtp", "logger"):  # fmt: skip
            self._conf(name, "")
        self._run("chown", "-R", "asterisk:asterisk", str(inside))

    def _conf(self, name: str, text: str) -> None:
        (self.home / "etc" / f"{name}.conf").write_text(text)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            ["chroot", str(self.root), *command],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LC_ALL": "C.UTF-8"},
        )
        return done.stdout

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        self.launch(
            ["chroot", str(self.root), "/usr/sbin/asterisk", "-fn", "-U", "asterisk", "-C",
             f"{self.inside}/etc/asterisk.conf"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        self.wait_ready(self._booted)

    def _booted(self) -> bool:
        """Fully booted: the event is sent again to each login that may read `system`."""
        try:
            with socket.create_connection(("127.0.0.1", self.ami_port), 2) as link:
                link.settimeout(2)
                login = f"Action: Login\r\nUsername: tester\r\nSecret: {self.tester_secret}\r\n\r\n"
                link.sendall(login.encode())
                seen = b""
                while b"FullyBooted" not in seen:
                    chunk = link.recv(4096)
                    if not chunk:
                        return False
                    seen += chunk
                return True
        except OSError:
            return False

    def restart(self) -> None:
        self.stop()
        self.start()

    def cli(self, command: str) -> str:
        """What Asterisk's own command line answers."""
        return self._run(
            "/usr/sbin/asterisk", "-C", f"{self.inside}/etc/asterisk.conf", "-rx", command
        )

    def database_show(self, family: str) -> dict[str, str]:
        """The keys of a family below its name, read through Asterisk's command line."""
        start = f"/{family}/"
        found = {}
        for line in self.cli(f"database show {family}").splitlines():
            key, colon, value = line.partition(":")
            if colon and key.startswith(start):
                # The CLI pads the value with blanks and puts one before it.
                found[key.rstrip().removeprefix(start)] = re.sub(r" +$", "", value[1:])
        return found

    def __exit__(self, *_: object) -> None:
        self.send(signal.SIGCONT)
        self.close()
        shutil.rmtree(self.home, ignore_errors=True)
