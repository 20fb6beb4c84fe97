"""Files per second of `nethvoice tftp` beside Debian's tftpd-hpa, with the same client and the same
files in the same run.

tftpd-hpa has a process for each transfer: on a machine that is busy otherwise it gets a larger part
of the processors, and the ratios are lower than on an idle one.
"""

import contextlib
import os
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from bench import table
from tests.tftp_client import request

ROUNDS = 3
SECONDS = 2.0
BLOCK = 1428
RESEND = 1.0
CASES = [(4_000, 1), (4_000, 50), (4_000, 200), (100_000, 1), (100_000, 50)]
"""Size of the files and clients at once."""


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        root = Path(folder)
        root.chmod(0o755)
        for size in {size for size, _ in CASES}:
            (root / f"{size}.cfg").write_bytes(os.urandom(size))
        servers = {"nethvoice": stack.enter_context(_nethvoice(root))}
        debian = shutil.which("in.tftpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if debian and os.geteuid() == 0:
            servers["tftpd-hpa"] = stack.enter_context(_tftpd(debian, root))
        else:
            click.echo("tftpd-hpa is measured as root only, where it is installed")
        rows = [_measure(servers, size, clients) for size, clients in CASES]
    table.show(
        f"TFTP, files per second (blksize {BLOCK}, best of {ROUNDS} rounds of {SECONDS:g} s)",
        ["files, clients at once", *servers, *(["ratio"] if len(servers) > 1 else []), "resends"],
        rows,
    )


def _measure(servers: dict[str, int], size: int, clients: int) -> list[str]:
    best = dict.fromkeys(servers, 0.0)
    resent = dict.fromkeys(servers, 0)
    for _ in range(ROUNDS):
        for name, port in servers.items():
            rate, again = _Load(port, f"{size}.cfg", size).run(clients)
            best[name] = max(best[name], rate)
            resent[name] += again
    rates = list(best.values())
    ratio = [f"{rates[0] / rates[1]:.2f}"] if len(rates) > 1 else []
    again = " / ".join(str(number) for number in resent.values())
    return [f"{size // 1000} kB, {clients}", *(f"{rate:,.0f}" for rate in rates), *ratio, again]


class _Load:
    """Many clients in one loop; each fetches the file again and again from a new port."""

    def __init__(self, port: int, name: str, size: int) -> None:
        self._server = ("127.0.0.1", port)
        self._request = request(name, blksize=BLOCK)
        self._blocks = size // BLOCK + 1
        self._selector = selectors.DefaultSelector()
        self._done = self._again = 0

    def run(self, clients: int) -> tuple[float, int]:
        """Files per second, and how often a packet had to be sent again."""
        open_: dict[socket.socket, _Fetch] = {}
        began = time.perf_counter()
        end = began + SECONDS
        for _ in range(clients):
            self._open(open_)
        while (now := time.perf_counter()) < end:
            for key, _ in self._selector.select(0.1):
                sock: socket.socket = key.data
                if open_[sock].receive(sock, self._blocks):
                    self._done += 1
                    self._close(open_, sock)
                    self._open(open_)
            for sock, fetch in open_.items():
                if now - fetch.sent_at > RESEND:
                    fetch.send(sock)
                    self._again += 1
        took = time.perf_counter() - began
        for sock in list(open_):
            self._close(open_, sock)
        return self._done / took, self._again

    def _open(self, open_: "dict[socket.socket, _Fetch]") -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        open_[sock] = _Fetch(self._request, self._server)
        self._selector.register(sock, selectors.EVENT_READ, sock)
        open_[sock].send(sock)

    def _close(self, open_: "dict[socket.socket, _Fetch]", sock: socket.socket) -> None:
        del open_[sock]
        self._selector.unregister(sock)
        sock.close()


class _Fetch:
    """One file under way."""

    def __init__(self, packet: bytes, peer: tuple[str, int]) -> None:
        self._packet = packet
        self._peer = peer
        self._block = 0
        self.sent_at = 0.0

    def send(self, sock: socket.socket) -> None:
        self.sent_at = time.perf_counter()
        sock.sendto(self._packet, self._peer)

    def receive(self, sock: socket.socket, blocks: int) -> bool:
        """Take a packet and acknowledge it; True when it was the last one."""
        answer, self._peer = sock.recvfrom(2048)
        opcode, number = struct.unpack("!HH", answer[:4])
        if opcode == 3 and number == self._block + 1:
            self._block = number
        elif opcode == 5:
            raise click.ClickException(f"refused: {answer[4:-1].decode()}")
        elif opcode != 6:
            return False  # sent twice, or meant for the port's last owner
        self._packet = struct.pack("!HH", 4, self._block)
        self.send(sock)
        return self._block == blocks


@contextlib.contextmanager
def _nethvoice(root: Path) -> Iterator[int]:
    port = _free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("NETHVOICE_")},
        "NETHVOICE_TFTP_HOST": "127.0.0.1",
        "NETHVOICE_TFTP_PORT": str(port),
        "NETHVOICE_TFTP_ROOT": str(root),
        "NETHVOICE_DATA_DIR": str(root),
    }
    with _running([sys.executable, "-m", "nethvoice.cli", "tftp"], environment, port):
        yield port


@contextlib.contextmanager
def _tftpd(program: str, root: Path) -> Iterator[int]:
    port = _free_port()
    command = [program, "-L", "--address", f"127.0.0.1:{port}", "-s", str(root), "-u", "nobody"]
    with _running(command, dict(os.environ), port):
        yield port


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str], port: int) -> Iterator[None]:
    # The log goes where a service's log goes: to a reader that does not hold it up.
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise click.ClickException(f"{command[0]} does not serve")
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.sendto(request("missing.cfg"), ("127.0.0.1", port))
        try:
            return bool(sock.recv(100))
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
