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
from typing import cast

from nethvoice.ldap import protocol
from nethvoice.ldap.directory import Directory, NoSuchObject, selection
from nethvoice.ldap.index import FilterTooLarge
from nethvoice.ldap.protocol import Bind, Message, ProtocolFault, Search
from nethvoice.pbx.phonebook.service import BASE

log = logging.getLogger(__name__)

CONNECTIONS = 1000
CONNECTIONS_PER_ADDRESS = 200
_FIRST_MESSAGE = 30.0
_NEXT_MESSAGE = 300.0
_REST_OF_MESSAGE = 30.0
_SEND = 30.0
_LOOK_AT_CLOCK = 5.0
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
        self._connections: set[_Connection] = set()

    async def listen(
        self, host: str | None, port: int, tls: ssl.SSLContext | None
    ) -> asyncio.Server:
        """Open a port. Raises OSError when it cannot be had."""
        return await asyncio.get_running_loop().create_server(
            lambda: _Connection(self, secure=tls is not None),
            host or None,
            port,
            ssl=tls,
            ssl_handshake_timeout=15.0 if tls else None,
            backlog=512,
            reuse_address=True,
        )

    def close(self) -> None:
        """End all connections."""
        for connection in list(self._connections):
            connection.close()

    def admit(self, connection: "_Connection", address: str) -> bool:
        """Count a connection in, unless there are too many."""
        mine = self._addresses.get(address, 0)
        if len(self._connections) >= CONNECTIONS or mine >= CONNECTIONS_PER_ADDRESS:
            log.warning("too many LDAP connections, one from %s is refused", address)
            return False
        self._connections.add(connection)
        self._addresses[address] = mine + 1
        return True

    def dismiss(self, connection: "_Connection", address: str) -> None:
        """Count a connection out."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]


class _Connection(asyncio.Protocol):
    """One client: its messages are answered one after the other, other clients' in between."""

    def __init__(self, server: Server, *, secure: bool) -> None:
        self._server = server
        self._may_search = not secure
        self._secure = secure
        self._failures = 0
        self._data = bytearray()
        self._ended = False
        self._full = False
        self._waiting: asyncio.Handle | None = None  # the next step, when it is not for now
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + _FIRST_MESSAGE
        self._clock: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._address = ""

    # --- what the transport calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        if not self._server.admit(self, self._address):
            transport.close()
            return
        self._look_at_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.dismiss(self, self._address)
        for handle in (self._clock, self._waiting):
            if handle is not None:
                handle.cancel()

    def data_received(self, data: bytes) -> None:
        if not self._data:
            self._deadline = self._loop.time() + _REST_OF_MESSAGE
        self._data += data
        if self._waiting is None and not self._full:
            self._step()

    def eof_received(self) -> bool:
        self._ended = True
        # What was sent before the end is answered; TLS knows no such half of a connection.
        return not self._secure and (self._waiting is not None or self._full)

    def pause_writing(self) -> None:
        self._full = True
        self._deadline = self._loop.time() + _SEND
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        self._restart_clock()
        if self._waiting is None:
            self._step()

    # --- what it does ---

    def close(self) -> None:
        """End the connection when what was written is sent, or the time for it is over."""
        self._deadline = self._loop.time() + _SEND
        self._transport.close()

    def _look_at_clock(self) -> None:
        left = self._deadline - self._loop.time()
        if left <= 0:
            self._transport.abort()
            return
        self._clock = self._loop.call_later(min(left, _LOOK_AT_CLOCK), self._look_at_clock)

    def _restart_clock(self) -> None:
        self._deadline = self._loop.time() + (_REST_OF_MESSAGE if self._data else _NEXT_MESSAGE)

    def _step(self) -> None:
        """Answer the next message if it is here."""
        self._waiting = None
        if self._transport.is_closing():
            return
        try:
            message = self._next()
            if message is None:
                self._rest()
            elif message.kind == "unbindRequest":
                self.close()
            else:
                self._serve(message)
        except ProtocolFault as fault:
            log.info("LDAP: %s", fault)
            self._transport.write(protocol.disconnection(str(fault)))
            self.close()
        except Exception:
            log.exception("an LDAP connection from %s broke down", self._address)
            self._transport.abort()

    def _next(self) -> Message | None:
        length = protocol.message_length(self._data)
        if length is None or len(self._data) < length:
            return None
        raw = bytes(self._data[:length])
        del self._data[:length]
        return protocol.decode(raw)

    def _rest(self) -> None:
        if self._ended:
            self.close()
        else:
            self._transport.resume_reading()

    def _serve(self, message: Message) -> None:
        failures = self._failures
        answer = self._answer(message)
        if self._failures > failures:
            self._transport.pause_reading()
            self._waiting = self._loop.call_later(_WRONG_PASSWORD, self._send, answer)
        else:
            self._send(answer)

    def _send(self, answer: bytes) -> None:
        self._waiting = None
        self._restart_clock()
        if answer:
            self._transport.write(answer)
        if self._failures >= _WRONG_PASSWORDS:
            self.close()
        elif self._full:
            pass  # goes on when the client has read
        elif self._data:
            self._transport.pause_reading()
            self._waiting = self._loop.call_soon(self._step)
        else:
            self._rest()

    def _answer(self, message: Message) -> bytes:
        if message.kind == "searchRequest":
            if message.critical:
                code = "unavailableCriticalExtension"
                return self._refuse(message, code, "no control is known here")
            return self._search(message)
        if message.kind == "bindRequest":
            return self._bind(message)
        if message.kind == "abandonRequest":
            return b""
        if message.kind == "extendedRequest":
            return self._refuse(message, "protocolError", "no extended operation is known here")
        return self._refuse(message, "unwillingToPerform", "the phonebook is read-only")

    @staticmethod
    def _refuse(message: Message, code: str, text: str) -> bytes:
        return protocol.result(message.id, message.kind, code, text)

    def _bind(self, message: Message) -> bytes:
        request: Bind = message.value
        self._may_search = not self._secure
        if request.version != 3:
            return self._refuse(message, "protocolError", "only LDAPv3 is spoken here")
        if request.method != "simple":
            return self._refuse(message, "authMethodNotSupported", "only simple binds are taken")
        if not request.password:
            if request.name:
                # RFC 4513, 5.1.2: a name without a password proves nothing.
                return self._refuse(message, "unwillingToPerform", "the password is empty")
            return protocol.result(message.id, message.kind, "success")
        if self._is_right(request.name, request.password):
            self._may_search = True
            self._failures = 0
            return protocol.result(message.id, message.kind, "success")
        self._failures += 1
        return self._refuse(message, "invalidCredentials", "")

    def _is_right(self, name: bytes, password: bytes) -> bool:
        access = self._server.access
        right_name = hmac.compare_digest(_same(name.decode("utf-8", "replace")), _same(access.dn))
        return hmac.compare_digest(password, access.password.encode()) and right_name

    def _search(self, message: Message) -> bytes:
        request: Search = message.value
        base = request.base.decode("utf-8", "replace")
        if not base.strip() and request.scope == "baseObject":
            return self._root(message)
        if not self._may_search:
            return self._refuse(message, "strongerAuthRequired", "bind first")
        directory = self._server.directory
        limit = self._limit(request.size_limit)
        try:
            found = directory.search(base, request.scope, request.filter, limit)
        except NoSuchObject:
            return self._refuse(message, "noSuchObject", "")
        except FilterTooLarge:
            return self._refuse(message, "adminLimitExceeded", "the filter is too large")
        chosen = selection(request.attributes)
        parts = [
            protocol.envelope(message.id, directory.encoded(entry, chosen, request.types_only))
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


def _same(dn: str) -> bytes:
    """A name for comparison: letter case and blanks do not count."""
    return "".join(dn.lower().split()).encode()


async def closed(server: asyncio.Server) -> None:
    """Close a port; connections go on."""
    server.close()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(0.1):
            await server.wait_closed()
