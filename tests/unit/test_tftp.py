"""The TFTP server on its port: real clients, every way to misuse it, and that it outlives them.

tftpy as it comes is ended by a dozen of the datagrams here, one is enough, and by some five
hundred requests that are never acknowledged.
"""

import contextlib
import logging
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioning.tftp import transfer as transfer_module
from provisioning.tftp.files import ServedFolder, mac_in
from provisioning.tftp.limits import ClientLimits
from provisioning.tftp.probe import answers
from provisioning.tftp.server import TftpServer, open_port
from provisioning.tftp.transfer import agreed_options
from tests.support import eventually
from tests.tftp_client import DATA, ERROR, WRQ, TftpError, error_in, fetch, request

NAME = "00A0BA123456.cfg"
CONTENT = b"cli version 3.20\r\nclock local offset\n\r" * 40
SECRET = "not to be had"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text(SECRET)
    folder = tmp_path / "tftpboot"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    return folder


class Running:
    def __init__(self, root: Path, **options: Any) -> None:
        self.sock = open_port("127.0.0.1", 0)
        self.server = TftpServer(self.sock, root, **options)
        self.port = self.server.port
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def lives(self) -> bool:
        """It still serves, to a client at an address of its own."""
        return self.thread.is_alive() and fetch(self.port, NAME, source="127.0.0.99") == CONTENT

    def stop(self) -> None:
        began = time.monotonic()
        self.server.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert time.monotonic() - began < 5


@contextlib.contextmanager
def serving(root: Path, **options: Any) -> Iterator[Running]:
    running = Running(root, **options)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def server(root: Path) -> Iterator[Running]:
    with serving(root) as running:
        yield running


@contextlib.contextmanager
def client(port: int, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.settimeout(5)
        yield sock


def ask(port: int, packet: bytes, source: str = "127.0.0.1") -> bytes:
    with client(port, source) as sock:
        sock.sendto(packet, ("127.0.0.1", port))
        return sock.recv(65536)


# --- real clients ---------------------------------------------------------------------------------

needs_tftp = pytest.mark.skipif(not shutil.which("tftp"), reason="no tftp client here")
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")


def tftp_hpa(port: int, *command: str, mode: str = "binary") -> str:
    done = subprocess.run(
        ["tftp", "-m", mode, "127.0.0.1", str(port), "-c", *command],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    return done.stdout + done.stderr


def curl(port: int, name: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["curl", "-sS", "--path-as-is", *options, f"tftp://127.0.0.1:{port}/{name}"],
        capture_output=True,
        check=False,
        timeout=30,
    )


@needs_tftp
@pytest.mark.parametrize("mode", ["binary", "netascii"])
def test_debian_client(server: Running, root: Path, tmp_path: Path, mode: str) -> None:
    (root / "big.bin").write_bytes(os.urandom(200_000))
    for name in (NAME, NAME.lower(), "big.bin"):
        target = tmp_path / "got"
        assert tftp_hpa(server.port, "get", name, str(target), mode=mode) == ""
        actual = NAME if name.lower() == NAME.lower() else name
        assert target.read_bytes() == (root / actual).read_bytes()


@needs_tftp
def test_debian_client_is_refused(server: Running, root: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "got")
    assert "Error code 2" in tftp_hpa(server.port, "get", "../outside/secret", target)
    assert "Error code 2" in tftp_hpa(server.port, "get", f"{root}/{NAME}", target)
    assert "Error code 1" in tftp_hpa(server.port, "get", "missing.cfg", target)
    (tmp_path / "upload").write_text("x")
    for name in ("new.cfg", NAME):
        assert "Error code 2" in tftp_hpa(server.port, "put", str(tmp_path / "upload"), name)
    assert [path.name for path in root.iterdir()] == [NAME]
    assert (root / NAME).read_bytes() == CONTENT


@needs_curl
@pytest.mark.parametrize(
    "options",
    [(), ("--tftp-no-options",), ("--tftp-blksize", "1428"), ("--tftp-blksize", "65464")],
    ids=["plain", "no options", "1428", "65464"],
)
@pytest.mark.parametrize("size", [1, 511, 512, 513, 1428, 65464, 200_000])
def test_curl(server: Running, root: Path, size: int, options: tuple[str, ...]) -> None:
    content = os.urandom(size)
    (root / "file.bin").write_bytes(content)
    assert curl(server.port, "file.bin", *options).stdout == content


@needs_curl
def test_curl_is_refused(server: Running, root: Path, tmp_path: Path) -> None:
    assert curl(server.port, "missing.cfg").returncode == 68  # not found
    assert curl(server.port, "../outside/secret").returncode == 69  # access violation
    assert curl(server.port, f"/{root}/{NAME}").returncode == 69
    upload = tmp_path / "upload"
    upload.write_text("x")
    assert curl(server.port, "new.cfg", "-T", str(upload)).returncode == 69
    assert [path.name for path in root.iterdir()] == [NAME]


@needs_curl
def test_two_hundred_clients_at_once(server: Running, root: Path) -> None:
    names = [f"00A0BA{number:06X}.cfg" for number in range(200)]
    for name in names:
        (root / name).write_bytes(name.encode() * 500)
    url = f"tftp://127.0.0.1:{server.port}/"
    running = [
        subprocess.Popen(["curl", "-sS", url + name], stdout=subprocess.PIPE) for name in names
    ]
    got = [process.communicate(timeout=120)[0] for process in running]
    assert got == [name.encode() * 500 for name in names]


def test_five_hundred_small_clients_lose_no_request(server: Running) -> None:
    """All send at the same instant; the raised buffer holds them, so nobody has to ask again."""
    sockets = []
    with contextlib.ExitStack() as stack:
        for number in range(500):
            sockets.append(stack.enter_context(client(server.port, f"127.0.1.{number % 250 + 1}")))
        wanted = request(NAME, blksize=4096)
        for sock in sockets:
            sock.sendto(wanted, ("127.0.0.1", server.port))
        for sock in sockets:
            answer, peer = sock.recvfrom(4096)
            assert answer == b"\0\6blksize\x004096\0"
            sock.sendto(b"\0\4\0\0", peer)
        for sock in sockets:
            assert sock.recv(8192) == b"\0\3\0\1" + CONTENT
    assert server.lives()


# --- the protocol ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ({}, {}),
        ({"blksize": "1428"}, {"blksize": "1428"}),
        ({"BlkSize": "1428", "TSIZE": "0"}, {"blksize": "1428", "tsize": "7"}),
        ({"blksize": "65535"}, {"blksize": "65464"}),
        ({"blksize": "8"}, {"blksize": "8"}),
        ({"blksize": "7"}, {}),
        ({"blksize": "abc"}, {}),
        ({"blksize": "-512"}, {}),
        ({"blksize": "9" * 11}, {}),
        ({"tsize": "x"}, {}),
        ({"windowsize": "16", "timeout": "3", "multicast": ""}, {}),
    ],
)
def test_options(asked: dict[str, str], agreed: dict[str, str]) -> None:
    assert agreed_options(asked, 7) == agreed


def test_options_that_nobody_asked_for_are_not_acknowledged(server: Running) -> None:
    assert ask(server.port, request(NAME, windowsize=4))[:4] == b"\0\3\0\1"
    assert ask(server.port, request(NAME, tsize=0)) == b"\0\6tsize\0%d\0" % len(CONTENT)


def test_block_numbers_begin_again(server: Running, root: Path) -> None:
    content = os.urandom(8 * 66_000 + 3)
    (root / "long.bin").write_bytes(content)
    assert fetch(server.port, "long.bin", blksize=8) == content


def test_empty_file(server: Running, root: Path) -> None:
    (root / "empty.cfg").touch()
    assert fetch(server.port, "empty.cfg", tsize=0) == b""


def test_netascii_keeps_every_byte(server: Running) -> None:
    carried = fetch(server.port, NAME, mode="netascii")
    assert carried.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r") == CONTENT


def test_netascii_has_a_limit(server: Running, root: Path) -> None:
    (root / "firmware.bin").write_bytes(bytes(300_000))
    assert error_in(ask(server.port, request("firmware.bin", mode="netascii"))) == 4
    assert len(fetch(server.port, "firmware.bin", blksize=65464)) == 300_000


def test_answers_come_from_the_address_that_was_asked(root: Path) -> None:
    running = Running.__new__(Running)
    running.sock = open_port("0.0.0.0", 0)
    running.server = TftpServer(running.sock, root)
    running.thread = threading.Thread(target=running.server.run)
    running.thread.start()
    try:
        with client(running.server.port) as sock:
            sock.sendto(request(NAME), ("127.0.0.42", running.server.port))
            _, peer = sock.recvfrom(65536)
            assert peer[0] == "127.0.0.42"
    finally:
        running.stop()


def test_lost_packets_are_sent_again(root: Path) -> None:
    with serving(root, timeout=0.3) as server, client(server.port) as sock:
        sock.sendto(request(NAME), ("127.0.0.1", server.port))
        first, peer = sock.recvfrom(65536)
        assert sock.recvfrom(65536) == (first, peer)
        sock.sendto(b"\0\4\0\1", peer)
        assert sock.recv(65536)[:4] == b"\0\3\0\2"


def test_same_request_again_is_the_same_transfer(server: Running) -> None:
    """A client repeats its request when the first packet is slow."""
    with client(server.port) as sock:
        for _ in range(3):
            sock.sendto(request(NAME), ("127.0.0.1", server.port))
        _, peer = sock.recvfrom(65536)
        sock.sendto(b"\0\4\0\1", peer)
        assert sock.recvfrom(65536)[0][:4] == b"\0\3\0\2"


def test_another_request_from_the_same_port_replaces_the_transfer(
    server: Running, root: Path
) -> None:
    (root / "second.cfg").write_bytes(b"second")
    with client(server.port) as sock:
        sock.sendto(request(NAME), ("127.0.0.1", server.port))
        sock.recv(65536)
        sock.sendto(request("second.cfg"), ("127.0.0.1", server.port))
        assert sock.recv(65536) == b"\0\3\0\1second"


# --- which files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [NAME.lower(), "00a0ba123456.CFG", "00A0bA123456.cFg"], ids=["lower", "mixed", "odd"]
)
def test_names_match_whatever_their_case(server: Running, name: str) -> None:
    assert fetch(server.port, name) == CONTENT


def test_exact_name_goes_first(server: Running, root: Path) -> None:
    (root / NAME.lower()).write_bytes(b"lower")
    assert fetch(server.port, NAME) == CONTENT
    assert fetch(server.port, NAME.lower()) == b"lower"
    assert fetch(server.port, "00a0BA123456.cfg") == CONTENT


def test_new_and_removed_files_are_seen_at_once(root: Path) -> None:
    folder = ServedFolder(root)
    for number in range(50):
        path = root / f"CFG{number:012X}.XML"
        path.write_bytes(b"x")
        with folder.open(path.name.lower()) as file:
            assert file.read() == b"x"
        path.unlink()
        with pytest.raises(Exception, match="no such file"):
            folder.open(path.name.lower())


ESCAPES = [
    "../outside/secret",
    "sub/../../outside/secret",
    "..",
    ".",
    "/",
    "/etc/passwd",
    "//etc/passwd",
    "..\\outside\\secret",
    "folder",
    "folder/inner.cfg",
    "./" + NAME,
    "link.cfg",
    "LINK.CFG",
    "linked/secret",
    "hardly\n.cfg",
    "",
    "x" * 300,
    ".hidden.cfg",
    "pipe",
    "unreadable.cfg",
]


@pytest.mark.parametrize("name", ESCAPES, ids=[repr(name[:20]) for name in ESCAPES])
def test_no_way_out(server: Running, root: Path, name: str) -> None:
    outside = root.parent / "outside"
    (root / "folder").mkdir()
    (root / "folder" / "inner.cfg").write_text(SECRET)
    (root / "link.cfg").symlink_to(outside / "secret")
    (root / "linked").symlink_to(outside)
    (root / ".hidden.cfg").write_text(SECRET)
    os.mkfifo(root / "pipe")
    if os.geteuid():
        (root / "unreadable.cfg").touch(mode=0)
    code = error_in(ask(server.port, request(name)))
    assert code in (1, 2)
    assert server.lives()


@pytest.mark.parametrize("name", ["new.cfg", NAME, "../new.cfg", "folder/new.cfg", "folder"])
def test_nothing_is_written(server: Running, root: Path, name: str) -> None:
    (root / "folder").mkdir()
    before = sorted(root.parent.rglob("*"))
    assert error_in(ask(server.port, request(name, WRQ, tsize=3))) == 2
    assert sorted(root.parent.rglob("*")) == before
    assert (root / NAME).read_bytes() == CONTENT
    assert server.lives()


# --- odd datagrams --------------------------------------------------------------------------------

FINE = request(NAME)
ODD = {
    "nothing": (b"", None),
    "one byte": (b"\0", None),
    "opcode alone": (b"\0\1", 4),
    "unknown opcode": (b"\0\x09abc\0", 4),
    "request for a folder": (request("folder"), 2),
    "request for an unreadable file": (request("pipe"), 2),
    "write to a folder": (request("folder", WRQ), 2),
    "write through a file": (request(f"{NAME}/x", WRQ), 2),
    "name that is not ASCII": (b"\0\1caf\xc3\xa9\0octet\0", 4),
    "mode that is not ASCII": (b"\0\1a.cfg\0oct\xe9t\0", 4),
    "unknown mode": (request(NAME, mode="mail"), 4),
    "no mode": (b"\0\1a.cfg\0", 4),
    "junk after the mode": (FINE + b"junk", 4),
    "option without value": (FINE + b"blksize\0", 4),
    "empty option": (FINE + b"\0\0", 4),
    "option that is not ASCII": (FINE + b"blks\xefze\x008\0", 4),
    "long name": (request("x" * 5000), 4),
    "many options": (FINE + b"".join(b"o%d\0001\0" % n for n in range(400)), 4),
    "huge datagram": (b"\0\1" + b"x" * 60000, 4),
    "3-byte ACK": (b"\0\4\0", 4),
    "3-byte DATA": (b"\0\3\0", 4),
    "stray ACK": (b"\0\4\0\1", 5),
    "stray DATA": (b"\0\3\0\1abc", 5),
    "stray OACK": (b"\0\6blksize\x008\0", 5),
    "stray ERROR": (b"\0\5\0\1x\0", None),
    "2-byte ERROR": (b"\0\5", None),
}


@pytest.mark.parametrize(("datagram", "code"), ODD.values(), ids=ODD)
def test_odd_datagram(server: Running, root: Path, datagram: bytes, code: int | None) -> None:
    """It gets an error, or nothing where an error could go round in circles; nobody else feels
    it."""
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    if code is not None:
        assert error_in(ask(server.port, datagram)) == code
    else:
        with client(server.port) as sock:
            sock.sendto(datagram, ("127.0.0.1", server.port))
            assert server.lives()
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(10)
    assert server.lives()


@pytest.mark.parametrize("value", ["abc", "65536", "0", "-1", "99999999999999999999"])
def test_block_size_without_sense(server: Running, value: str) -> None:
    assert fetch(server.port, NAME, blksize=value) == CONTENT
    assert server.lives()


@pytest.mark.parametrize(
    "datagram",
    [b"", b"\0", b"\0\4\0", b"\0\3\0", b"\0\5\0\1x", b"\0\5\0\x63", b"\0\5", b"\xff" * 9, FINE],
    ids=repr,
)
def test_odd_datagram_in_a_transfer(server: Running, datagram: bytes) -> None:
    with client(server.port) as sock:
        sock.sendto(FINE, ("127.0.0.1", server.port))
        _, peer = sock.recvfrom(65536)
        sock.sendto(datagram, peer)
        sock.sendto(b"\0\4\0\1", peer)
    assert server.lives()


def test_acknowledgements_of_others_are_dropped(server: Running) -> None:
    """tftpy lets a foreign ACK advance a transfer and a foreign ERROR end it."""
    with client(server.port) as sock, client(server.port, "127.0.0.2") as foreign:
        sock.sendto(FINE, ("127.0.0.1", server.port))
        _, peer = sock.recvfrom(65536)
        foreign.sendto(b"\0\4\0\1", peer)
        foreign.sendto(struct.pack("!HH", ERROR, 0) + b"x\0", peer)
        assert server.lives()
        sock.sendto(b"\0\4\0\1", peer)
        assert sock.recv(65536)[:4] == struct.pack("!HH", DATA, 2)


def test_source_port_zero(server: Running) -> None:
    """A forged datagram; the kernel of a client never sends one, so it comes by a raw socket."""
    udp = struct.pack("!HHHH", 0, server.port, 8 + len(FINE), 0) + FINE
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("raw sockets need root")
    with raw:
        raw.sendto(udp, ("127.0.0.1", 0))
    assert server.lives()


def test_failing_storage_ends_one_transfer(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_file: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(transfer_module, "_size", fail)
        assert error_in(ask(server.port, FINE)) == 0
    assert "Input/output error" in caplog.text
    assert server.lives()


# --- clients that misbehave -----------------------------------------------------------------------


def test_nine_hundred_silent_requests(root: Path) -> None:
    """They are held, served nobody worse, and are gone after their resends."""
    with serving(root, timeout=0.5) as server, contextlib.ExitStack() as stack:
        for number in range(900):
            sock = stack.enter_context(client(server.port, f"127.0.2.{number % 9 + 1}"))
            sock.sendto(FINE, ("127.0.0.1", server.port))
        assert server.lives()
        eventually(lambda: not server.server._transfers, 30)
        assert server.lives()


def test_client_that_closes_is_gone_at_once(root: Path) -> None:
    with serving(root, timeout=60) as server:
        with client(server.port) as sock:
            sock.sendto(request(NAME, blksize=8), ("127.0.0.1", server.port))
            _, peer = sock.recvfrom(65536)
            sock.sendto(b"\0\4\0\0", peer)
        eventually(lambda: not server.server._transfers)


def test_forged_request_is_not_amplified(root: Path) -> None:
    with serving(root, timeout=0.1) as server, client(server.port) as victim:
        victim.sendto(FINE, ("127.0.0.1", server.port))
        got = 0
        victim.settimeout(2)
        with contextlib.suppress(TimeoutError):
            while victim.recv(65536):
                got += 1
        assert got == 3


def test_client_that_repeats_itself_does_not_hold_a_transfer(root: Path) -> None:
    with serving(root, timeout=0.2) as server, client(server.port) as sock:
        sock.sendto(request(NAME, blksize=8), ("127.0.0.1", server.port))
        _, peer = sock.recvfrom(65536)

        def repeat() -> bool:
            with contextlib.suppress(ConnectionRefusedError):
                sock.sendto(b"\0\4\0\7", peer)
            return not server.server._transfers

        eventually(repeat, 30)


def test_transfers_of_one_client_are_limited(root: Path) -> None:
    with serving(root, client_transfers=5) as server, contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(client(server.port)) for _ in range(6)]
        for sock in waiting[:5]:
            sock.sendto(FINE, ("127.0.0.1", server.port))
            sock.recv(65536)
        waiting[5].sendto(FINE, ("127.0.0.1", server.port))
        assert server.lives(), "other clients are served"
        waiting[5].setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting[5].recv(10)
        # Its place is free as soon as another ends, and then it is served.
        waiting[0].close()
        waiting[5].settimeout(0.3)

        def served() -> bool:
            waiting[5].sendto(FINE, ("127.0.0.1", server.port))
            with contextlib.suppress(TimeoutError):
                return bool(waiting[5].recv(65536))
            return False

        eventually(served, 30)


def test_guessing_is_slow(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(root, client_failures=10) as server:
        missed = 0
        with client(server.port) as sock:
            sock.settimeout(1)
            with contextlib.suppress(TimeoutError):
                for number in range(30):
                    packet = request(f"00A0BA{number:06X}.cfg")
                    sock.sendto(packet, ("127.0.0.1", server.port))
                    missed += error_in(sock.recv(65536)) == 1
        # Twenty when a new minute begins meanwhile.
        assert missed in (10, 20)
        assert server.lives(), "other clients are served"
    told = [record for record in caplog.records if "ignored for a while" in record.message]
    assert len(told) == missed // 10
    assert told[0].__dict__["client"] == "127.0.0.1"


def test_failures_are_forgotten_with_the_minute() -> None:
    limits = ClientLimits(1, 2)
    assert [limits.failed("a", 61.0), limits.failed("a", 62.0)] == [False, True]
    assert limits.blocked("a", 119.0)
    assert not limits.blocked("b", 119.0)
    assert not limits.blocked("a", 120.0)


def test_many_threads_and_an_attack_at_once(root: Path) -> None:
    stop = threading.Event()
    with serving(root) as server:

        def attack() -> None:
            with client(server.port, "127.0.3.1") as sock:
                while not stop.is_set():
                    for datagram, _ in ODD.values():
                        sock.sendto(datagram, ("127.0.0.1", server.port))

        attacker = threading.Thread(target=attack)
        attacker.start()
        try:
            with ThreadPoolExecutor(16) as pool:
                got = list(
                    pool.map(
                        lambda number: fetch(
                            server.port, NAME, source=f"127.0.4.{number % 50 + 1}", timeout=2
                        ),
                        range(200),
                    )
                )
        finally:
            stop.set()
            attacker.join()
    assert got == [CONTENT] * 200


def test_probe(root: Path) -> None:
    with serving(root) as server:
        assert answers("127.0.0.1", server.port)
    assert not answers("127.0.0.1", server.port)
    with client(server.port) as mute:
        assert not answers("127.0.0.1", mute.getsockname()[1], timeout=0.1)


# --- the log --------------------------------------------------------------------------------------


def test_one_line_a_request(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fetch(server.port, NAME.lower(), blksize=1428)
    with pytest.raises(TftpError):
        fetch(server.port, "cfg000b82000001.xml")
    ask(server.port, request("up\nload.cfg", WRQ))
    server.stop()
    lines = [record for record in caplog.records if record.name.startswith("provisioning.tftp")]
    assert [record.getMessage() for record in lines] == [
        "TFTP: sent",
        "TFTP: no such file",
        "TFTP: refused: this server is read-only",
    ]
    sent, missing, refused = [record.__dict__ for record in lines]
    assert sent["client"] == "127.0.0.1"
    assert sent["file"] == NAME.lower()
    assert sent["mac"] == "00:A0:BA:12:34:56"
    assert sent["bytes"] == len(CONTENT)
    assert missing["mac"] == "00:0B:82:00:00:01"
    assert refused["file"] == "up?load.cfg"


@pytest.mark.parametrize(
    ("name", "mac"),
    [
        (NAME, "00:A0:BA:12:34:56"),
        ("0050580A0B0Cconfig.txt", "00:50:58:0A:0B:0C"),
        ("0050580a0b0cscript.txt", "00:50:58:0A:0B:0C"),
        ("cfg000b82a1b2c3.xml", "00:0B:82:A1:B2:C3"),
        ("000B82A1B2C3", "00:0B:82:A1:B2:C3"),
        ("000B82A1B2C3D4.cfg", None),
        ("firmware.bin", None),
        ("", None),
    ],
)
def test_mac_in_a_name(name: str, mac: str | None) -> None:
    assert mac_in(name) == mac
