"""The server: one loop over its port and the ports of its transfers."""

import contextlib
import logging
import resource
import selectors
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import TftpPacketInitial, TftpPacketRRQ, TftpPacketWRQ
from tftpy.TftpShared import TftpException

from provisioning.tftp.files import (
    ACCESS_VIOLATION,
    FILE_NOT_FOUND,
    ILLEGAL_OPERATION,
    Refused,
    ServedFolder,
    mac_in,
)
from provisioning.tftp.limits import ClientLimits
from provisioning.tftp.transfer import Client, Ended, Transfer

log = logging.getLogger(__name__)
# It writes sixty lines a transfer, none of which has client, file and size together.
logging.getLogger("tftpy").setLevel(logging.CRITICAL)

UNKNOWN_TRANSFER = 5

_IP_PKTINFO = 8
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER = 4 << 20
_MAX_REQUEST = 512
_BATCH = 256
_SWEEP = 0.25
_SPARE_FILES = 32


def open_port(host: str, port: int) -> socket.socket:
    """The UDP port that requests come to; port 0 takes a free one. Raises OSError.

    Its buffer is raised: the usual one holds some 250 requests, and when the power comes back a
    whole building asks at once.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        # Tells which of our addresses was asked, so that the answer comes from the same one.
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


class TftpServer:
    """Serves the files of a folder. `run` works until `stop` is called from any thread.

    `transfers` is how many are open at once, `client_transfers` how many of them for one address;
    a request above that is left unanswered, and the client repeats it. `client_failures` is how
    often in a minute an address may fail before it gets no answer for the rest of it. `timeout`
    is how many seconds a packet waits for its acknowledgement before it is sent again. `on_end` is
    told the file of each request and whether it was sent; it must not block.
    """

    def __init__(
        self,
        sock: socket.socket,
        root: Path,
        *,
        transfers: int = 1000,
        client_transfers: int = 250,
        client_failures: int = 300,
        timeout: float = 2.0,
        on_end: Callable[[str, bool], None] = lambda _file, _served: None,
    ) -> None:
        self.port = int(sock.getsockname()[1])
        self._sock = sock
        self._folder = ServedFolder(root)
        self._timeout = timeout
        self._on_end = on_end
        self._most = min(transfers, _affordable())
        self._limits = ClientLimits(client_transfers, client_failures)
        self._factory = TftpPacketFactory()
        self._transfers: dict[Client, tuple[Transfer, bytes]] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._stopping = False
        self._turned_away = 0
        self._warn_at = 0.0

    def run(self, parent: int | None = None) -> None:
        """Serve until `stop`, or until the file descriptor `parent` becomes readable."""
        register = self._selector.register
        register(self._sock, selectors.EVENT_READ, self._read_requests)
        register(self._woken, selectors.EVENT_READ, self._end_loop)
        if parent is not None:
            register(parent, selectors.EVENT_READ, self._end_loop)
        sweep_at = time.monotonic() + _SWEEP
        try:
            while not self._stopping:
                for key, _ in self._selector.select(_SWEEP):
                    handle: Callable[[], None] = key.data
                    handle()
                if time.monotonic() >= sweep_at:
                    self._sweep()
                    sweep_at = time.monotonic() + _SWEEP
        finally:
            for transfer, _ in list(self._transfers.values()):
                self._end(transfer, "the server stops")
            self._selector.close()
            for sock in (self._sock, self._wake, self._woken):
                sock.close()

    def stop(self) -> None:
        """End `run` now; transfers under way are dropped."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def _end_loop(self) -> None:
        self._stopping = True

    # --- requests -----------------------------------------------------------------------------

    def _read_requests(self) -> None:
        for _ in range(_BATCH):
            try:
                data, ancillary, _, client = self._sock.recvmsg(_MAX_REQUEST + 1, 64)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("TFTP: cannot receive: %s", error.strerror)
                return
            asked, local = _addresses(ancillary)
            # Requests to a broadcast address stay unanswered (RFC 1123, 4.2.3.5).
            if client[1] == 0 or asked != local:
                continue
            try:
                self._request(data, client, local)
            except Exception:
                log.exception("TFTP: request of %s failed", client[0])

    def _request(self, data: bytes, client: Client, local: str) -> None:
        if self._limits.blocked(client[0], time.monotonic()):
            return
        known = self._transfers.get(client)
        if known is not None:
            transfer, request = known
            if request == data and not transfer.acknowledged:
                return  # asked again before our first packet came
            self._end(transfer, "replaced by another request")
        # Never an error for an error: two servers would go on for ever.
        if len(data) < 2 or data[:2] == b"\0\5":
            self._failed(client[0])
            return
        if len(self._transfers) >= self._most or self._limits.busy(client[0]):
            self._turn_away()
            return
        try:
            transfer = Transfer(client, local, self._folder, self._timeout)
        except OSError as error:
            log.warning("TFTP: no port for %s: %s", client[0], error.strerror)
            return
        self._transfers[client] = (transfer, data)
        self._limits.opened(client[0])
        self._guarded(transfer, partial(self._begin, transfer, data))
        if client in self._transfers and self._transfers[client][0] is transfer:
            handle = self._handler(transfer)
            self._selector.register(transfer.sock, selectors.EVENT_READ, handle)

    def _begin(self, transfer: Transfer, data: bytes) -> None:
        if len(data) > _MAX_REQUEST:
            raise Refused(ILLEGAL_OPERATION, "the request is too long")
        try:
            packet = self._factory.parse(data)
        except (TftpException, struct.error, UnicodeError, ValueError) as error:
            raise Refused(ILLEGAL_OPERATION, "malformed request") from error
        if isinstance(packet, TftpPacketInitial):
            transfer.file_to_transfer = packet.filename
        if isinstance(packet, TftpPacketWRQ):
            raise Refused(ACCESS_VIOLATION, "this server is read-only")
        if not isinstance(packet, TftpPacketRRQ):
            raise Refused(UNKNOWN_TRANSFER, "not a transfer of this server")
        transfer.begin(packet)

    def _turn_away(self) -> None:
        self._turned_away += 1
        now = time.monotonic()
        if now >= self._warn_at:
            self._warn_at = now + 60
            log.warning(
                "TFTP: too many transfers at once, requests wait",
                extra={"open": len(self._transfers), "turned_away": self._turned_away},
            )

    # --- transfers ----------------------------------------------------------------------------

    def _handler(self, transfer: Transfer) -> Callable[[], None]:
        def handle() -> None:
            self._guarded(transfer, transfer.receive)
            if transfer.done:
                self._end(transfer, None)

        return handle

    def _guarded(self, transfer: Transfer, work: Callable[[], None]) -> None:
        """Do something with a transfer; whatever goes wrong ends this transfer and no other."""
        try:
            work()
        except Refused as refusal:
            self._refuse(transfer, refusal)
        except Ended as ended:
            self._end(transfer, str(ended))
        except Exception as error:
            log.exception("TFTP: transfer to %s failed", transfer.client[0])
            self._refuse(transfer, Refused(0, f"internal error ({type(error).__name__})"))

    def _refuse(self, transfer: Transfer, refusal: Refused) -> None:
        with contextlib.suppress(Ended):
            transfer.refuse(refusal)
        missing = refusal.code == FILE_NOT_FOUND
        self._end(transfer, "no such file" if missing else f"refused: {refusal.text}")

    def _end(self, transfer: Transfer, failure: str | None) -> None:
        """Close a transfer and log it: the one line that each request leaves."""
        known = self._transfers.get(transfer.client)
        if known is None or known[0] is not transfer:
            return
        del self._transfers[transfer.client]
        host = transfer.client[0]
        self._limits.closed(host)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(transfer.sock)
        transfer.end()  # type: ignore[no-untyped-call]
        name = transfer.file_to_transfer or ""
        details = {
            "client": host,
            "file": _shown(name),
            "mac": mac_in(name),
            "bytes": transfer.metrics.bytes,
            "seconds": round(transfer.metrics.duration, 3) if transfer.fileobj else 0,
            "resent_bytes": transfer.metrics.resent_bytes,
        }
        log.info("TFTP: %s", failure or "sent", extra=details)
        self._on_end(name, failure is None)
        if failure is not None and not transfer.acknowledged:
            self._failed(host)

    def _failed(self, host: str) -> None:
        if self._limits.failed(host, time.monotonic()):
            log.warning("TFTP: client fails too often, ignored for a while", extra={"client": host})

    def _sweep(self) -> None:
        now = time.monotonic()
        for transfer, _ in list(self._transfers.values()):
            self._guarded(transfer, partial(transfer.check_time, now))


def _addresses(ancillary: list[tuple[int, int, bytes]]) -> tuple[str, str]:
    """The address that a datagram was sent to, and the one of ours that answers it."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            _, local, asked = struct.unpack("=I4s4s", data[:12])
            return socket.inet_ntoa(asked), socket.inet_ntoa(local)
    return "", ""


def _shown(name: str) -> str:
    """A client's file name, without what could end a line of the log."""
    return "".join(c if c.isprintable() else "?" for c in name[:100])


def _affordable() -> int:
    """How many transfers the process has file descriptors for: a port and a file each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    used = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return 4096 if soft == resource.RLIM_INFINITY else max((soft - used - _SPARE_FILES) // 2, 1)
