"""The Asterisk Manager Interface, shared by all threads of a process.

pyst2's `Manager` hands replies out in the order they come, waits without limit and takes some
texts inside values for protocol. Here it is the base of `_Session`, which has its own connecting,
framing and routing: every reply and every list row finds its caller by ActionID, every wait has an
end, and a value can hold any text. `AmiClient` adds reconnecting.
"""

import contextlib
import itertools
import logging
import os
import random
import re
import secrets
import socket
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from asterisk.manager import (
    Manager,
    ManagerAuthException,
    ManagerException,
    ManagerSocketException,
)

log = logging.getLogger(__name__)

Fields = Mapping[str, str | list[str]]
"""Headers of an action; a list repeats the header."""

MAX_LINE = 1020
"""Bytes of one header line; Asterisk drops an action with a line longer than 1022."""

_MAX_LINES = 120
_MAX_RECEIVED_LINE = 1 << 20
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_WINDOW = 32
_PROBE_TIMEOUT = 1.0
_SEND_TIMEOUT = 5
_IDLE_BEFORE_PROBE = 20.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_PAUSE_AFTER_BAD_LOGIN = 30.0
_SLOW = frozenset({"Command", "ModuleLoad", "Originate", "Reload"})


class AmiUnavailable(ManagerSocketException):
    """No answer: not connected, out of time, or the connection broke. The action may have been
    carried out all the same."""


class AmiRefused(ManagerException):
    """Asterisk answered `Response: Error`; `message` is its text."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class AmiReply:
    """`headers` of the response, the first one where a name repeats, and the lines of a command's
    `output`. Bytes that are not UTF-8 are surrogates, and become the same bytes when sent back."""

    headers: dict[str, str]
    output: list[str]

    @property
    def refused(self) -> bool:
        """True for `Response: Error`."""
        return self.headers.get("Response") == "Error"

    @property
    def message(self) -> str:
        """Asterisk's text about the outcome."""
        return self.headers.get("Message", "")


class AmiClient:
    """A reconnecting connection for all threads of a process, opened at the first use.

    Asterisk works on the actions of one connection one after the other. Those that may take
    seconds therefore have a second connection, so that nothing queues behind a reload.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        password: str,
        *,
        connect_timeout: float = 3.0,
    ) -> None:
        def connect() -> _Session:
            session = _Session()
            session.connect(host, port, connect_timeout)
            session.log_in(username, password, connect_timeout)
            log.info("connected to Asterisk at %s port %d", host, port)
            return session

        self._quick = _Connection(connect)
        self._slow = _Connection(connect)
        self._slow_turn = threading.Lock()

    def action(self, name: str, fields: Fields, timeout: float = 5.0) -> AmiReply:
        """Send an action and wait `timeout` seconds for its response.

        Raises AmiUnavailable, AmiRefused, and ValueError for a header that cannot be sent.
        """
        return _accepted(self._run(name, fields, timeout, collect=False).reply)

    def list_action(self, name: str, fields: Fields, timeout: float = 5.0) -> list[dict[str, str]]:
        """Send an action that answers with a list; returns the headers of each of its events.

        Raises as `action` does. Some actions refuse instead of giving an empty list.
        """
        call = self._run(name, fields, timeout, collect=True)
        _accepted(call.reply)
        return call.rows

    def pipeline(
        self, actions: Sequence[tuple[str, Fields]], timeout: float = 10.0
    ) -> list[AmiReply]:
        """Send quick actions without waiting for each; Asterisk carries them out in order.

        Returns the reply of each action, refusals included. Raises AmiUnavailable, with any number
        of them carried out, and ValueError before any is sent.
        """
        encoded = [_encode(name, fields) for name, fields in actions]
        if not encoded:
            return []
        session = self._quick.session()
        deadline = time.monotonic() + timeout
        replies: list[AmiReply] = []
        waiting: deque[_Call] = deque()
        try:
            for lines in encoded:
                if len(waiting) == _WINDOW:
                    replies.append(session.wait(waiting.popleft(), deadline))
                waiting.append(session.send(lines, deadline))
            while waiting:
                replies.append(session.wait(waiting.popleft(), deadline))
        finally:
            for call in waiting:
                session.forget(call)
        return replies

    def ping(self, timeout: float = _PROBE_TIMEOUT) -> None:
        """Raise AmiUnavailable unless Asterisk answers."""
        self.action("Ping", {}, timeout)

    @property
    def connected(self) -> bool:
        """True while a logged-in connection is open; no attempt is made."""
        return self._quick.is_open

    def close(self) -> None:
        """Close for good; calls under way and later ones raise AmiUnavailable."""
        self._quick.close()
        self._slow.close()

    def _run(self, name: str, fields: Fields, timeout: float, *, collect: bool) -> "_Call":
        lines = _encode(name, fields)
        with self._connection(name, timeout) as connection:
            session = connection.session()
            deadline = time.monotonic() + timeout
            call = session.send(lines, deadline, collect=collect)
            session.wait(call, deadline)
        return call

    @contextlib.contextmanager
    def _connection(self, name: str, timeout: float) -> "Iterator[_Connection]":
        if name not in _SLOW:
            yield self._quick
            return
        # One at a time: a second one would seem to be lost while the first is being worked on.
        if not self._slow_turn.acquire(timeout=timeout):
            raise AmiUnavailable("Asterisk is busy with another slow action")
        try:
            yield self._slow
        finally:
            self._slow_turn.release()


def _accepted(reply: AmiReply) -> AmiReply:
    if reply.refused:
        raise AmiRefused(reply.message)
    return reply


def _encode(name: str, fields: Fields) -> list[bytes]:
    """The header lines of an action. Raises ValueError for what would end a line or a message
    early, or be dropped by Asterisk; values are not told, they may be secret."""
    lines = []
    for header, value in {"Action": name, **fields}.items():
        if not _HEADER.fullmatch(header) or header.lower() == "actionid":
            raise ValueError(f"{header!r} cannot be a header of an AMI action")
        for item in [value] if isinstance(value, str) else value:
            line = f"{header}: {item}".encode("utf-8", "surrogateescape")
            if any(byte in line for byte in b"\r\n\0"):
                raise ValueError(f"AMI header {header} contains a line break or NUL")
            if len(line) > MAX_LINE:
                raise ValueError(f"AMI header {header} is longer than {MAX_LINE} bytes")
            lines.append(line)
    if len(lines) > _MAX_LINES:
        raise ValueError(f"an AMI action has at most {_MAX_LINES} headers")
    return lines


# --- reconnecting ---------------------------------------------------------------------------------


class _Connection:
    """Keeps one session open: opens it when it is needed, and again when it is lost."""

    def __init__(self, connect: "Callable[[], _Session]") -> None:
        self._connect = connect
        self._session: _Session | None = None
        self._guard = threading.Lock()
        self._failures = 0
        self._retry_at = 0.0
        self._closed = False
        _connections.add(self)

    @property
    def is_open(self) -> bool:
        session = self._session
        return session is not None and session.is_open

    def session(self) -> "_Session":
        """A session that is open and known to answer. Raises AmiUnavailable at once while a new
        attempt is not due yet."""
        session = self._session
        if session is not None and session.is_open and not session.doubtful:
            return session
        with self._guard:
            if self._closed:
                raise AmiUnavailable("the connection to Asterisk is closed")
            session = self._session
            if session is not None and session.is_open:
                if not session.doubtful or session.answers():
                    return session
                session.close()
            return self._open()

    def _open(self) -> "_Session":
        if time.monotonic() < self._retry_at:
            raise AmiUnavailable("Asterisk is not connected")
        try:
            self._session = self._connect()
        except AmiUnavailable as error:
            log.warning("no connection to Asterisk: %s", error)
            self._pause(min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE))
            raise
        except ManagerAuthException as error:
            # Each attempt costs Asterisk a second and a line in its security log.
            log.warning("Asterisk refuses the AMI user or password")
            self._pause(_PAUSE_AFTER_BAD_LOGIN)
            raise AmiUnavailable("Asterisk refuses the AMI user or password") from error
        self._failures = 0
        return self._session

    def _pause(self, seconds: float) -> None:
        self._failures = min(self._failures + 1, 10)
        # Jitter: several processes lose Asterisk at the same moment.
        self._retry_at = time.monotonic() + seconds * random.uniform(0.75, 1.25)  # noqa: S311

    def close(self) -> None:
        with self._guard:
            self._closed = True
            if self._session is not None:
                self._session.close()

    def forget_after_fork(self) -> None:
        """In a child process: the session goes on being the parent's alone."""
        self._guard = threading.Lock()
        session, self._session = self._session, None
        if session is not None:
            session.abandon()


_connections: "weakref.WeakSet[_Connection]" = weakref.WeakSet()


def _forget_all() -> None:
    for connection in _connections:
        connection.forget_after_fork()


os.register_at_fork(after_in_child=_forget_all)


# --- one session ----------------------------------------------------------------------------------


@dataclass(eq=False)
class _Call:
    """An action under way. With `collect` it ends with the list, else with the response."""

    id: str
    collect: bool
    done: "Future[None]" = field(default_factory=Future)
    reply: AmiReply = field(default_factory=lambda: AmiReply({}, []))
    rows: list[dict[str, str]] = field(default_factory=list)


class _Session(Manager):
    """A logged-in connection. Single-use: a lost one is replaced by a new object."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls: dict[str, _Call] = {}
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._ids = itertools.count(1)
        self._id_prefix = f"{os.getpid()}-{secrets.token_hex(4)}-"
        self._heard_at = 0.0
        self._timed_out_at = 0.0

    def __del__(self) -> None:
        """Nothing: the base class would log off and wait."""

    # --- opening and closing ------------------------------------------------------------------

    def connect(self, host: str, port: int = 5038, timeout: float = 3.0) -> None:
        """Connect and check the greeting within `timeout` seconds. Raises AmiUnavailable."""
        deadline = time.monotonic() + timeout
        try:
            sock = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise AmiUnavailable(f"cannot connect: {error.strerror or error}") from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_TIMEOUT, 0)
            )
            greeting = b""
            while not greeting.endswith(b"\n") and len(greeting) < 128:
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                greeting += sock.recv(1) or b"\n"
            if not greeting.startswith(b"Asterisk"):
                raise AmiUnavailable("the peer does not greet as Asterisk does")
            sock.settimeout(None)
        except OSError as error:
            sock.close()
            raise AmiUnavailable("no greeting from Asterisk") from error
        except AmiUnavailable:
            sock.close()
            raise
        self._socket = sock
        self._heard_at = time.monotonic()
        self._connected.set()
        self.message_thread.name = "ami"
        self.message_thread.start()

    def log_in(self, username: str, password: str, timeout: float) -> None:
        """Log in without events. Raises AmiUnavailable or ManagerAuthException, closed then."""
        fields = {"Username": username, "Secret": password, "Events": "off"}
        try:
            deadline = time.monotonic() + timeout
            reply = self.wait(self.send(_encode("Login", fields), deadline), deadline)
            if reply.refused:
                raise ManagerAuthException(reply.message)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; calls under way raise AmiUnavailable."""
        self._connected.clear()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.message_thread.join(_PROBE_TIMEOUT)

    def abandon(self) -> None:
        """Close the descriptor alone, without a word to the peer."""
        self._connected.clear()
        with contextlib.suppress(OSError):
            os.close(self._socket.detach())

    @property
    def is_open(self) -> bool:
        """True until the connection is lost or closed."""
        return bool(self._connected.is_set())

    @property
    def doubtful(self) -> bool:
        """True when a call got no answer, or nothing was heard for a while."""
        silent = time.monotonic() - self._heard_at > _IDLE_BEFORE_PROBE
        return silent or self._timed_out_at > self._heard_at

    def answers(self) -> bool:
        """Ask Asterisk for a sign of life; a list on its way to another call is one as well."""
        begun = time.monotonic()
        deadline = begun + _PROBE_TIMEOUT
        try:
            self.wait(self.send(_encode("Ping", {}), deadline), deadline)
        except AmiUnavailable:
            return self.is_open and self._heard_at > begun
        return True

    # --- calls --------------------------------------------------------------------------------

    def send(self, lines: list[bytes], deadline: float, *, collect: bool = False) -> _Call:
        """Send an action; the caller must `wait` for it or `forget` it."""
        call = _Call(f"{self._id_prefix}{next(self._ids)}", collect)
        with self._guard:
            if not self.is_open:
                raise AmiUnavailable("the connection to Asterisk was lost")
            self._calls[call.id] = call
        data = b"\r\n".join([*lines, b"ActionID: " + call.id.encode(), b"", b""])
        if not self._writing.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
            self.forget(call)
            self._timed_out_at = time.monotonic()
            raise AmiUnavailable("Asterisk does not take actions")
        try:
            self._socket.sendall(data)
        except OSError as error:
            # Part of the action may have been sent: nothing can follow it.
            self._connected.clear()
            self.forget(call)
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            raise AmiUnavailable("the connection to Asterisk was lost") from error
        finally:
            self._writing.release()
        return call

    def wait(self, call: _Call, deadline: float) -> AmiReply:
        """The response, once it and any list are complete. Raises AmiUnavailable."""
        try:
            call.done.result(max(deadline - time.monotonic(), 0.0))
        except TimeoutError:
            self._timed_out_at = time.monotonic()
            raise AmiUnavailable("Asterisk did not answer in time") from None
        finally:
            self.forget(call)
        return call.reply

    def forget(self, call: _Call) -> None:
        """Stop waiting; an answer that comes later is dropped."""
        with self._guard:
            self._calls.pop(call.id, None)

    # --- receiving, in a thread of its own ------------------------------------------------------

    def message_loop(self) -> None:
        """Cut what comes into messages, which a blank line ends; nothing else means anything."""
        lines: list[bytes] = []
        rest = b""
        try:
            while len(rest) < _MAX_RECEIVED_LINE and (chunk := self._socket.recv(65536)):
                self._heard_at = time.monotonic()
                *complete, rest = (rest + chunk).split(b"\n")
                for line in complete:
                    if line != b"\r":
                        lines.append(line)
                    elif lines:
                        self._route(lines)
                        lines = []
        except OSError:
            pass
        finally:
            self._lose()

    def _route(self, lines: list[bytes]) -> None:
        headers: dict[str, str] = {}
        output: list[str] = []
        for line in lines:
            text = line.decode("utf-8", "surrogateescape").removesuffix("\r")
            name, _, value = text.partition(":")
            if name == "Output":
                output.append(value.removeprefix(" "))
            else:
                headers.setdefault(name, value.removeprefix(" "))
        with self._guard:
            call = self._calls.get(headers.get("ActionID", ""))
            if call is None:
                return
            if next(iter(headers)) == "Response":
                call.reply = AmiReply(headers, output)
                complete = not call.collect or call.reply.refused
            else:
                complete = headers.get("EventList", "").lower() == "complete"
                if call.collect and not complete:
                    call.rows.append(headers)
            if not complete:
                return
            del self._calls[call.id]
        call.done.set_result(None)

    def _lose(self) -> None:
        with self._guard:
            self._connected.clear()
            calls = list(self._calls.values())
            self._calls.clear()
        self._socket.close()
        for call in calls:
            call.done.set_exception(AmiUnavailable("the connection to Asterisk was lost"))
