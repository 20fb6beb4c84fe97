"""Connections to a gateway's command line: telnet and SSH, both as streams of text."""

import asyncio
import contextlib
import logging
import os
import socket
from typing import Protocol

import asyncssh
import telnetlib3
from telnetlib3.telopt import ECHO

from provisioning.push.failures import (
    ConnectionLost,
    DeviceSilent,
    DeviceUnreachable,
    LoginRefused,
    UnexpectedAnswer,
)
from provisioning.push.logins import Login

# Both write what passes over the connection, telnetlib3 keystroke by keystroke.
for _name in ("telnetlib3", "asyncssh"):
    logging.getLogger(_name).setLevel(logging.ERROR)

_COLUMNS, _ROWS = 250, 100
"""A terminal so wide that a command is echoed in one line."""

_CHUNK = 4096
_CLOSE_WAIT = 1.0

# Appended to the defaults: gateways of twenty years have nothing newer.
_OLD_KEX = "+diffie-hellman-group14-sha1,diffie-hellman-group1-sha1"
_OLD_ENCRYPTION = "+aes256-cbc,aes192-cbc,aes128-cbc,3des-cbc"
_OLD_MAC = "+hmac-sha1,hmac-md5"
_OLD_HOST_KEY = "+ssh-rsa,ssh-dss"


class Channel(Protocol):
    """An open connection."""

    async def read(self) -> str:
        """Some text, empty when the gateway has ended the connection."""

    def send_line(self, text: str) -> None:
        """Type a line."""

    async def close(self) -> None:
        """End the connection, in a second at most."""


class _Telnet:
    def __init__(self, reader: telnetlib3.TelnetReader, writer: telnetlib3.TelnetWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> str:
        try:
            return (await self._reader.read(_CHUNK)).decode("latin-1")
        except OSError:
            return ""

    def send_line(self, text: str) -> None:
        # As the telnet command does: the key Return is CR NUL to a peer that echoes keys, and a
        # finished line ends with CR LF. A CR LF for the key would be taken for two.
        end = b"\r\0" if self._writer.remote_option.enabled(ECHO) else b"\r\n"
        if not self._writer.is_closing():
            self._writer.write(text.encode("latin-1", "replace") + end)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_WAIT):
                await self._writer.wait_closed()


class _Ssh:
    def __init__(
        self, connection: asyncssh.SSHClientConnection, process: asyncssh.SSHClientProcess[str]
    ) -> None:
        self._connection = connection
        self._process = process

    async def read(self) -> str:
        try:
            return await self._process.stdout.read(_CHUNK)
        except (OSError, asyncssh.Error):
            return ""

    def send_line(self, text: str) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write(text + "\r")

    async def close(self) -> None:
        self._connection.abort()
        with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
            async with asyncio.timeout(_CLOSE_WAIT):
                await self._connection.wait_closed()


async def open_telnet(address: str, port: int, timeout: float) -> Channel:
    """Connect by telnet; the login is part of the dialogue. Raises PushFailed."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await telnetlib3.open_connection(
                address,
                port,
                client_factory=telnetlib3.TelnetClient,
                encoding=False,
                cols=_COLUMNS,
                rows=_ROWS,
                term="vt100",
                connect_minwait=0,
                connect_maxwait=0.5,
                compression=False,
            )
    except TimeoutError:
        raise DeviceSilent(f"{address} does not answer on port {port}") from None
    except OSError as error:
        raise _unreachable(address, port, error) from None
    return _Telnet(reader, writer)


async def open_ssh(address: str, port: int, timeout: float, login: Login) -> Channel:
    """Connect by SSH and log in. Raises PushFailed.

    Any host key is taken: a gateway makes a new one whenever it is reset, and there is nobody to
    compare it with. Whoever can pose as the gateway's address learns its login.
    """
    sock = await _connect(address, port, timeout)
    connection: asyncssh.SSHClientConnection | None = None
    try:
        async with asyncio.timeout(timeout):
            connection = await asyncssh.connect(
                sock=sock,
                username=login.username,
                password=login.password,
                known_hosts=None,
                config=None,
                client_keys=None,
                agent_path=None,
                preferred_auth="password,keyboard-interactive",
                kex_algs=_OLD_KEX,
                encryption_algs=_OLD_ENCRYPTION,
                mac_algs=_OLD_MAC,
                server_host_key_algs=_OLD_HOST_KEY,
            )
            process = await connection.create_process(
                term_type="vt100", term_size=(_COLUMNS, _ROWS), encoding="latin-1"
            )
    except BaseException as error:
        sock.close() if connection is None else connection.abort()
        match error:
            case TimeoutError():
                raise DeviceSilent(f"{address} does not answer the SSH login") from None
            case asyncssh.PermissionDenied():
                raise LoginRefused(f"{address} refuses the login of {login.username}") from None
            case asyncssh.KeyExchangeFailed() | asyncssh.ProtocolError():
                raise UnexpectedAnswer(f"{address} does not speak SSH as expected") from None
            case asyncssh.Error() | OSError():
                raise ConnectionLost(f"{address} ended the connection at the login") from None
        raise
    return _Ssh(connection, process)


async def answers(address: str, port: int, timeout: float) -> bool:
    """True when a new connection is accepted: the gateway is up."""
    try:
        (await _connect(address, port, timeout)).close()
    except (DeviceUnreachable, DeviceSilent):
        return False
    return True


async def _connect(address: str, port: int, timeout: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException as error:
        sock.close()
        match error:
            case TimeoutError():
                raise DeviceSilent(f"{address} does not answer on port {port}") from None
            case OSError():
                raise _unreachable(address, port, error) from None
        raise
    return sock


def _unreachable(address: str, port: int, error: OSError) -> DeviceUnreachable:
    reason = os.strerror(error.errno).lower() if error.errno else "no connection"
    return DeviceUnreachable(f"{address} cannot be reached on port {port}: {reason}")
