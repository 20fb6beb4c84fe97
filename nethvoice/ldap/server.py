"""The LDAP server: bind, search and unbind, for phones.

Plain connections may search without a name; TLS connections only after they have bound. Whatever
would write is refused, and what cannot be understood ends its own connection and nothing else.
"""

import asyncio
import contextlib
import hmac
import logging
import ssl
from dataclasses import dataclass
from typing import Any

from nethvoice.ldap import protocol
from nethvoice.ldap.directory import Directory, NoSuchObject, selection
from nethvoice.ldap.index import FilterTooLarge
from nethvoice.ldap.protocol import Message, ProtocolFault
from nethvoice.pbx.phonebook.service import BASE

log = logging.getLogger(__name__)

CONNECTIONS = 1000
CONNECTIONS_PER_ADDRESS = 200
_FIRST_MESSAGE = 30.0
_NEXT_MESSAGE = 300.0
_REST_OF_MESSAGE = 30.0
_SEND = 30.0
_WRONG_PASSWORD = 1.0
_WRONG_PASSWORDS = 3

_ROOT = [
    (b"objectClass", [b"top"]),
    (b"namingContexts", [BASE.encode()]),
    (b"supportedLDAPVersion", [b"3"]),
]


@dataclass
class Access:
    """Who may search, and how many entries one answer has (0: all)."""

    dn: str
    password: str
    limit: int = 500


class Server:
    """Serves one directory on any number of ports. `directory` and `access` may be replaced."""

    def __init__(self, directory: Directory, access: Access) -> None:
        self.directory = directory
        self.access = access
        self._addresses: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(
        self, host: str | None, port: int, tls: ssl.SSLContext | None
    ) -> asyncio.Server:
        """Open a port. Raises OSError when it cannot be had."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connected(reader, writer, secure=tls is not None)

        return await asyncio.start_server(
            connected,
            host or None,
            port,
            ssl=tls,
            ssl_handshake_timeout=15.0 if tls else None,
            backlog=512,
            reuse_address=True,
        )

    async def close(self) -> None:
        """End all connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, secure: bool
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - streams call this in a task
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        mine = self._addresses.get(address, 0)
        if len(self._tasks) >= CONNECTIONS or mine >= CONNECTIONS_PER_ADDRESS:
            log.warning("too many LDAP connections, one from %s is refused", address)
            writer.close()
            return
        self._tasks.add(task)
        self._addresses[address] = mine + 1
        try:
            await _Connection(self, reader, writer, secure=secure).run()
        except (OSError, TimeoutError, ssl.SSLError, asyncio.CancelledError):
            pass  # the phone went away or says nothing, or the server ends
        except Exception:
            log.exception("an LDAP connection from %s broke down", address)
        finally:
            self._tasks.discard(task)
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
            writer.close()


class _Connection:
    def __init__(
        self,
        server: Server,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        secure: bool,
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._may_search = not secure
        self._secure = secure
        self._failures = 0
        self._data = bytearray()

    async def run(self) -> None:
        """Answer until the client has done."""
        wait = _FIRST_MESSAGE
        try:
            while True:
                raw = await self._message(wait)
                if raw is None:
                    return
                message = protocol.decode(raw)
                if message.kind == "unbindRequest":
                    return
                answer = await self._answer(message)
                if answer:
                    await self._send(answer)
                if self._failures >= _WRONG_PASSWORDS:
                    return
                wait = _NEXT_MESSAGE
        except ProtocolFault as fault:
            log.info("LDAP: %s", fault)
            await self._send(protocol.disconnection(str(fault)))

    async def _message(self, wait: float) -> bytes | None:
        """The bytes of the next message, None when the client closes. Raises TimeoutError."""
        async with asyncio.timeout(wait) as limit:
            while True:
                length = protocol.message_length(self._data) if self._data else None
                if length is not None and len(self._data) >= length:
                    raw = bytes(self._data[:length])
                    del self._data[:length]
                    return raw
                chunk = await self._reader.read(65536)
                if not chunk:
                    return None
                if not self._data:
                    limit.reschedule(asyncio.get_running_loop().time() + _REST_OF_MESSAGE)
                self._data += chunk

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(_SEND):
            await self._writer.drain()

    async def _answer(self, message: Message) -> bytes:
        if message.kind == "bindRequest":
            return await self._bind(message)
        if message.kind == "abandonRequest":
            return b""
        if message.kind not in protocol.ANSWERS:
            raise ProtocolFault("the message is no request")
        if message.kind == "extendedRequest":
            return self._refuse(message, "protocolError", "no extended operation is known here")
        if message.kind != "searchRequest":
            return self._refuse(message, "unwillingToPerform", "the phonebook is read-only")
        if message.critical:
            return self._refuse(message, "unavailableCriticalExtension", "no control is known here")
        return self._search(message)

    @staticmethod
    def _refuse(message: Message, code: str, text: str) -> bytes:
        return protocol.result(message.id, message.kind, code, text)

    async def _bind(self, message: Message) -> bytes:
        request = message.value
        self._may_search = not self._secure
        if request["version"] != 3:
            return self._refuse(message, "protocolError", "only LDAPv3 is spoken here")
        kind, password = request["authentication"]
        if kind != "simple":
            return self._refuse(message, "authMethodNotSupported", "only simple binds are taken")
        name = request["name"]
        if not password:
            if name:
                # RFC 4513, 5.1.2: a name without a password proves nothing.
                return self._refuse(message, "unwillingToPerform", "the password is empty")
            return protocol.result(message.id, message.kind, "success")
        if self._is_right(name, password):
            self._may_search = True
            self._failures = 0
            return protocol.result(message.id, message.kind, "success")
        self._failures += 1
        await asyncio.sleep(_WRONG_PASSWORD)
        return self._refuse(message, "invalidCredentials", "")

    def _is_right(self, name: bytes, password: bytes) -> bool:
        access = self._server.access
        given = "".join(name.decode("utf-8", "replace").lower().split())
        right_name = hmac.compare_digest(given.encode(), access.dn.lower().encode())
        return hmac.compare_digest(password, access.password.encode()) and right_name

    def _search(self, message: Message) -> bytes:
        request: dict[str, Any] = message.value
        base = request["baseObject"].decode("utf-8", "replace")
        wanted = request["attributes"]
        types_only = bool(request["typesOnly"])
        if not base.strip() and request["scope"] == "baseObject":
            return self._root(message)
        if not self._may_search:
            return self._refuse(message, "strongerAuthRequired", "bind first")
        directory = self._server.directory
        limit = self._limit(request["sizeLimit"])
        try:
            found = directory.search(base, request["scope"], request["filter"], limit)
        except NoSuchObject:
            return self._refuse(message, "noSuchObject", "")
        except FilterTooLarge:
            return self._refuse(message, "adminLimitExceeded", "the filter is too large")
        chosen = selection(wanted)
        parts = [
            protocol.envelope(message.id, directory.encoded(entry, chosen, types_only))
            for entry in found.entries
        ]
        code = "sizeLimitExceeded" if found.more else "success"
        parts.append(protocol.result(message.id, message.kind, code))
        return b"".join(parts)

    def _limit(self, asked: int) -> int:
        limits = [limit for limit in (asked, self._server.access.limit) if limit > 0]
        return min(limits, default=0)

    def _root(self, message: Message) -> bytes:
        """The server's own entry (RFC 4512, 5.1), which everybody may read."""
        entry = protocol.envelope(message.id, protocol.entry(b"", _ROOT))
        return entry + protocol.result(message.id, message.kind, "success")


async def closed(server: asyncio.Server) -> None:
    """Close a port; connections go on."""
    server.close()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(0.1):
            await server.wait_closed()
