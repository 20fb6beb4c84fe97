"""One file on its way to one client."""

import socket
import struct
import time
from collections.abc import Mapping
from typing import BinaryIO, cast

from tftpy.TftpContexts import TftpContextServer
from tftpy.TftpPacketTypes import TftpPacketDAT, TftpPacketERR, TftpPacketRRQ
from tftpy.TftpShared import TftpException, TftpTimeoutExpectACK
from tftpy.TftpStates import TftpState, TftpStateExpectACK

from provisioning.tftp.files import ILLEGAL_OPERATION, Refused, ServedFolder, as_netascii

Client = tuple[str, int]

MIN_BLOCK, MAX_BLOCK = 8, 65464
"""Limits of the option blksize, RFC 2348."""

_RESENDS = 4
_RESENDS_BEFORE_FIRST_ACK = 2
_LONGEST = 900.0
_MAX_PACKET = 2048
_HEADER = struct.Struct("!HH")


class Ended(Exception):
    """The transfer cannot go on; the text says why."""


class _Socket:
    """The transfer's own port, connected: the kernel drops what anybody else sends to it.

    A datagram that cannot leave is as good as lost on the way, and is sent again in time.
    """

    def __init__(self, local: str, client: Client) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind((local, 0))
            self._socket.connect(client)
        except OSError:
            self._socket.close()
            raise
        self.fileno = self._socket.fileno
        self.close = self._socket.close

    def sendto(self, data: bytes, _address: object) -> None:
        try:
            self._socket.send(data)
        except ConnectionRefusedError:
            raise Ended("the client has gone") from None
        except OSError:
            pass

    def recv(self) -> bytes | None:
        try:
            return self._socket.recv(_MAX_PACKET)
        except ConnectionRefusedError:
            raise Ended("the client has gone") from None
        except OSError:
            return None


class Transfer(TftpContextServer):
    """A transfer and its port. `begin`, then `receive` whenever a datagram waits, and
    `check_time` now and then, until `done` or one of them raises Ended or Refused."""

    def __init__(self, client: Client, local: str, folder: ServedFolder, timeout: float) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            *client, timeout, root="", retries=_RESENDS, flock=False
        )
        self.sock.close()
        self._port = _Socket(local, client)
        self.sock = cast(socket.socket, self._port)
        self.client = client
        self.folder = folder
        self.block_size = 512
        self.acknowledged = False
        self._began = self._progress_at = time.monotonic()

    def begin(self, request: TftpPacketRRQ) -> None:
        """Open the file and send its first block, or the options that were agreed on."""
        self.metrics.start_time = time.time()  # type: ignore[assignment]
        first = _ReadRequest(self)  # type: ignore[no-untyped-call]
        self.state = first.handle(request, *self.client)

    def receive(self) -> None:
        """Handle one datagram of the client."""
        data = self._port.recv()
        if data is None or self.state is None:
            return
        expected = _HEADER.pack(4, self.next_block)
        if data == expected and not self.pending_complete and self.fileobj is not None:
            self._send_next(self.fileobj)
            return
        try:
            packet = self.factory.parse(data)
        except (TftpException, struct.error, UnicodeError, ValueError) as error:
            raise Refused(ILLEGAL_OPERATION, "malformed packet") from error
        if isinstance(packet, TftpPacketERR):
            raise Ended(f"the client ended it with error {packet.errorcode}")
        block = self.next_block
        try:
            self.state = self.state.handle(packet, *self.client)
        except TftpTimeoutExpectACK:
            return
        # Only progress counts: a client that repeats itself for ever is a silent one.
        if self.state is None or self.next_block != block:
            self._progressed()

    def _send_next(self, file: BinaryIO) -> None:
        """What tftpy's state does with the acknowledgement that it waits for. Nearly all packets
        are such ones, and half of the time they took went into log texts that nobody sees."""
        self.next_block += 1
        packet = TftpPacketDAT()
        packet.blocknumber = self.next_block
        packet.data = file.read(self.block_size)
        packet.buffer = _HEADER.pack(3, packet.blocknumber) + packet.data
        self._port.sendto(packet.buffer, self.client)
        self.last_pkt = packet
        self.metrics.bytes += len(packet.data)
        self.pending_complete = len(packet.data) < self.block_size
        self._progressed()

    def _progressed(self) -> None:
        self.acknowledged = True
        self._progress_at = time.monotonic()
        self.retry_count = 0

    def check_time(self, now: float) -> None:
        """Send the last packet again when its acknowledgement is due. Raises Ended."""
        if now - self._began > _LONGEST:
            raise Ended("the client is too slow")
        if self.state is None or now - self._progress_at <= self.timeout:
            return
        resends = _RESENDS if self.acknowledged else _RESENDS_BEFORE_FIRST_ACK
        if self.retry_count >= resends:
            raise Ended("the client is silent")
        self.retry_count += 1
        self._progress_at = now
        self.state.resendLast()

    def refuse(self, refusal: Refused) -> None:
        """Tell the client the error that ends this."""
        text = refusal.text.encode("ascii", "replace")
        self._port.sendto(struct.pack("!HH", 5, refusal.code) + text + b"\0", self.client)

    @property
    def done(self) -> bool:
        """True when the client has acknowledged the last block."""
        return self.state is None


class _ReadRequest(TftpState):
    """The state of a transfer that was asked for: in place of tftpy's, which opens whatever path
    the client names, acknowledges options that nobody asked for, and takes any value of them."""

    def handle(self, pkt: TftpPacketRRQ, raddress: str, rport: int) -> TftpState:
        if pkt.mode not in ("octet", "netascii"):
            raise Refused(ILLEGAL_OPERATION, "the mode must be octet or netascii")
        context = cast(Transfer, self.context)
        context.tidport = rport
        file = context.folder.open(str(pkt.filename))
        context.fileobj = as_netascii(file) if pkt.mode == "netascii" else file
        context.options = agreed_options(pkt.options, _size(context.fileobj))
        context.block_size = context.getBlocksize()  # type: ignore[no-untyped-call]
        if context.options:
            self.sendOACK()  # type: ignore[no-untyped-call]
            context.next_block = 0
        else:
            context.next_block = 1
            context.pending_complete = self.sendDAT()  # type: ignore[no-untyped-call]
        return TftpStateExpectACK(context)


def agreed_options(asked: Mapping[str, str], size: int) -> dict[str, str]:
    """The options of a request that are acknowledged, with the values in force. What is unknown
    or has no sense is left out, as RFC 2347 wants it."""
    agreed = {}
    for name, value in asked.items():
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            continue
        match name.lower():
            case "blksize" if int(value) >= MIN_BLOCK:
                agreed["blksize"] = str(min(int(value), MAX_BLOCK))
            case "tsize":
                agreed["tsize"] = str(size)
    return agreed


def _size(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size
