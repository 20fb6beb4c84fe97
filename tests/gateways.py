"""Simulated gateways: real telnet and real SSH on loopback, a command line for each family, and
every way to misbehave. They fetch their files themselves, by TFTP."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncssh
import telnetlib3

from tests.tftp_client import TftpError, fetch

LOGINS = {
    "smartware": (".", ""),
    "trinity": (".", ""),
    "vega": ("admin", "admin"),
    "mediatrix": ("admin", "administrator"),
}


@dataclass
class Behaviour:
    """What is not as it should be. Places are `connect`, `password`, or the start of a command."""

    silent_at: str = ""
    drop_at: str = ""
    says: dict[str, str] = field(default_factory=dict)
    asks_at: str = ""
    question: str = ""
    garbage_at: str = ""
    endless_at: str = ""
    negotiates: bool = True
    echoes: bool = True
    in_pieces: bool = False
    coloured: bool = False
    pages: bool = False
    prompt_twice: bool = False
    asks_to_save: bool = True
    asks_to_restart: bool = True
    restart_question: str = "Press 'yes' to restart, 'no' to cancel : "
    farewell: str = ""
    prompt_before_done: float = 0.0
    refuses_connections: int = 0
    vanishes: bool = False
    never_restarts: bool = False
    banner: str = ""
    privileged_login: bool = False
    keyboard_interactive: bool = False


class _Hangs(Exception):
    """The gateway says nothing any more, but keeps the connection."""


class Terminal:
    """One session, whatever carries it."""

    def __init__(
        self, read: Callable[[], Awaitable[str]], write: Callable[[str], None], how: Behaviour
    ) -> None:
        self._read = read
        self._write = write
        self._how = how
        self._after_return = False

    async def say(self, text: str) -> None:
        if self._how.in_pieces:
            for letter in text:
                self._write(letter)
                await asyncio.sleep(0)
        else:
            self._write(text)

    async def line(self, *, echo: bool = True) -> str:
        """A typed line, echoed but for passwords; CR, CR LF and CR NUL end it."""
        typed = ""
        while True:
            key = await self._read()
            if not key:
                raise ConnectionError
            after_return, self._after_return = self._after_return, key == "\r"
            if after_return and key in "\n\0":
                continue
            if key in "\r\n":
                if self._how.echoes:
                    await self.say("\r\n")
                return typed
            typed += key
            if echo and self._how.echoes:
                await self.say(key)


class Gateway:
    """A simulated gateway; a context manager. What it was told and what it holds is laid open."""

    def __init__(
        self,
        family: str,
        tftp_port: int,
        how: Behaviour | None = None,
        *,
        login: tuple[str, str] | None = None,
        name: str = "SN4120",
    ) -> None:
        self.family = family
        self.how = how or Behaviour()
        self.login = login or LOGINS[family]
        self.lines: list[str] = []
        self.fetched: dict[str, bytes] = {}
        self.startup: bytes | None = None
        self.settings: dict[str, str] = {}
        self.restarts = 0
        self.opened = self.closed = 0
        self.port = 0
        self._files: dict[str, bytes] = {}
        self._name = {"vega": self.login[0], "mediatrix": "Global"}.get(family, name)
        self._tftp_port = tftp_port
        self._ready = threading.Event()
        self._sessions: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> "Gateway":
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._server: Any
        if self.family == "mediatrix":
            self._server = await asyncssh.create_server(
                lambda: _SshLogin(self),
                "127.0.0.1",
                0,
                server_host_keys=[_host_key()],
                process_factory=self._ssh_session,
                line_editor=False,
                encoding="latin-1",
                login_timeout=60,
            )
            self.port = self._server.sockets[0].getsockname()[1]
        elif self.how.negotiates:
            self._server = await telnetlib3.create_server(
                "127.0.0.1",
                0,
                shell=self._telnet_session,
                encoding=False,
                connect_maxwait=0.3,
                protocol_factory=_Telnet,
            )
            self.port = self._server.sockets[0].getsockname()[1]
        else:
            self._server = await asyncio.start_server(self._plain_session, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        self._server.close()
        for task in list(self._sessions):
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    # --- carriers -----------------------------------------------------------------------------

    async def _telnet_session(self, reader: Any, writer: Any) -> None:
        async def read() -> str:
            return (await reader.read(1)).decode("latin-1")

        def write(text: str) -> None:
            if not writer.is_closing():
                writer.write(text.encode("latin-1"))

        await self._session(read, write, writer.close)

    async def _plain_session(self, reader: Any, writer: Any) -> None:
        await self._telnet_session(reader, writer)

    async def _ssh_session(self, process: Any) -> None:
        async def read() -> str:
            try:
                return str(await process.stdin.read(1))
            except (asyncssh.Error, OSError):
                return ""

        def write(text: str) -> None:
            with contextlib.suppress(OSError, asyncssh.Error):
                process.stdout.write(text)

        await self._session(read, write, lambda: process.exit(0))

    async def _session(
        self,
        read: Callable[[], Awaitable[str]],
        write: Callable[[str], None],
        close: Callable[[], None],
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        self.opened += 1
        try:
            if self.how.refuses_connections >= self.opened:
                return
            await self._cli(Terminal(read, write, self.how))
        except (ConnectionError, BrokenPipeError):
            pass
        except _Hangs:
            while await read():
                pass
        finally:
            self.closed += 1
            self._sessions.discard(task)
            close()

    # --- the command line ---------------------------------------------------------------------

    async def _cli(self, terminal: Terminal) -> None:
        await self._misbehave(terminal, "connect")
        await terminal.say(self.how.banner)
        if self.family != "mediatrix":
            await self._ask_login(terminal)
        mark = "#" if self.how.privileged_login else ">"
        while True:
            if self.how.prompt_twice:
                await self._prompt(terminal, mark)
            await self._prompt(terminal, mark)
            line = await terminal.line()
            if not line.strip():
                continue
            self.lines.append(line)
            if line == "exit":
                return
            answer = await self._misbehave(terminal, line)
            if answer is None and line == "enable":
                mark = "#"
                continue
            if answer is None:
                answer = await self._obey(terminal, line)
            if self.how.pages:
                await terminal.say("--More--")
                await terminal.line(echo=False)
            if answer:
                await terminal.say(answer + "\r\n")

    async def _prompt(self, terminal: Terminal, mark: str) -> None:
        before, after = ("\x1b[1m", "\x1b[0m") if self.how.coloured else ("", "")
        blank = "  " if self.family == "vega" else ""
        await terminal.say(f"\r\n{before}{self._name}{blank}{mark}{after}")

    async def _ask_login(self, terminal: Terminal) -> None:
        for _ in range(3):
            await terminal.say("Username:" if self.family == "vega" else "login: ")
            user = await terminal.line()
            await self._misbehave(terminal, "password")
            await terminal.say("Password:" if self.family == "vega" else "password: ")
            password = await terminal.line(echo=False)
            if (user, password) == self.login:
                await terminal.say("\r\n")
                return
            await terminal.say("\r\nLogin incorrect\r\n")
        raise ConnectionError

    async def _misbehave(self, terminal: Terminal, place: str) -> str | None:
        """Do what `Behaviour` has for this place; returns an answer that takes the place of the
        command's own."""
        how = self.how
        if how.silent_at and place.startswith(how.silent_at):
            raise _Hangs
        if how.drop_at and place.startswith(how.drop_at):
            raise ConnectionError
        if how.asks_at and place.startswith(how.asks_at):
            await terminal.say(how.question)
            raise _Hangs
        if how.garbage_at and place.startswith(how.garbage_at):
            await terminal.say("".join(chr(n % 256) for n in range(7, 4000, 3)))
            raise _Hangs
        if how.endless_at and place.startswith(how.endless_at):
            while True:
                await terminal.say("all work and no play makes Jack a dull boy\r\n" * 50)
                await asyncio.sleep(0.001)
        return next((text for key, text in how.says.items() if place.startswith(key)), None)

    async def _obey(self, terminal: Terminal, line: str) -> str:
        if found := re.fullmatch(r"(copy|GET) tftp://([^/]+)/(\S+)(?: (\S+))?", line):
            return await self._copy(terminal, found[2], found[3], found[4] or "running")
        if line == "copy config:tmp-config startup-config":
            if "config:tmp-config" not in self._files:
                return "% config:tmp-config: no such file"
            self.startup = self._files["config:tmp-config"]
            return ""
        if line == "SAVE" and self.family == "vega":
            self.startup = self._files["running"]
            return "Saving... done"
        if found := re.fullmatch(r'(Conf\.\w+) ="?(.*?)"?', line):
            self.settings[found[1]] = found[2]
            return ""
        if line in ("reload", "REBOOT SYSTEM BLOCK", "reboot"):
            await self._restart(terminal)
        return "% unknown command"

    async def _copy(self, terminal: Terminal, host: str, file: str, target: str) -> str:
        if self.how.prompt_before_done:
            task = asyncio.create_task(self._fetch_late(host, file, target))
            self._sessions.add(task)
            return ""
        try:
            content = await asyncio.to_thread(
                fetch, self._tftp_port, file, host=host, timeout=1, attempts=2
            )
        except TftpError as error:
            return f"% TFTP error {error.code}"
        except TimeoutError:
            return "% TFTP timed out"
        self._keep(file, target, content)
        return f"Transfer of {len(content)} bytes: done"

    async def _fetch_late(self, host: str, file: str, target: str) -> None:
        await asyncio.sleep(self.how.prompt_before_done)
        content = await asyncio.to_thread(fetch, self._tftp_port, file, host=host, timeout=2)
        self._keep(file, target, content)

    def _keep(self, file: str, target: str, content: bytes) -> None:
        self.fetched[file] = self._files[target] = content
        if target == "startup-config":
            self.startup = content

    async def _restart(self, terminal: Terminal) -> None:
        """Ends the session one way or the other, unless the restart is called off."""
        if self.family in ("smartware", "trinity"):
            if self.how.asks_to_save and self.family == "smartware":
                await terminal.say(
                    "Running configuration has been changed.\r\n"
                    "Press 'yes' to store, 'no' to drop changes: "
                )
                await self._misbehave(terminal, "save?")
                self.lines.append(await terminal.line())
                if self.lines[-1] == "yes":
                    self.startup = b"the old one"
            if self.how.asks_to_restart:
                await terminal.say(self.how.restart_question)
            await self._misbehave(terminal, "restart?")
            self.lines.append(await terminal.line())
            if self.lines[-1] != "yes":
                return
        await terminal.say(self.how.farewell)
        if self.how.never_restarts:
            raise _Hangs
        self.restarts += 1
        if self.family == "mediatrix":
            file = self.settings["Conf.ScriptSpecificFileName"]
            host = self.settings["Conf.ScriptsTransferSrvHostname"]
            self.startup = await asyncio.to_thread(fetch, self._tftp_port, file, host=host)
            self.fetched[file] = self.startup
        if self.how.vanishes:
            self._server.close()
            raise _Hangs
        raise ConnectionError


class _Telnet(telnetlib3.TelnetServer):
    """Asks for all that a server may ask for, at once."""

    def begin_negotiation(self) -> None:
        from telnetlib3.telopt import DO, ECHO, NAWS, SGA, TTYPE, WILL

        super().begin_negotiation()
        for command, option in ((WILL, ECHO), (WILL, SGA), (DO, NAWS), (DO, TTYPE)):
            self.writer.iac(command, option)


class _SshLogin(asyncssh.SSHServer):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def password_auth_supported(self) -> bool:
        return not self._gateway.how.keyboard_interactive

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == self._gateway.login

    def kbdint_auth_supported(self) -> bool:
        return self._gateway.how.keyboard_interactive

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [("password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return (username, responses[0]) == self._gateway.login


_keys: list[asyncssh.SSHKey] = []


def _host_key() -> asyncssh.SSHKey:
    if not _keys:
        _keys.append(asyncssh.generate_private_key("ssh-rsa", key_size=2048))
    return _keys[0]


@contextlib.contextmanager
def mute_listener() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
