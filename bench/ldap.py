"""Searches of the LDAP phonebook per second, beside OpenLDAP's slapd serving the same contacts.

50,000 contacts, 50 connections that each send the next search at once. Needs Debian's `slapd`;
without it only our own server is measured.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ldap3 import SUBTREE
from ldap3.operation.search import search_operation
from ldap3.protocol.rfc4511 import LDAPMessage, MessageID, ProtocolOp
from ldap3.utils.asn1 import encode
from sqlalchemy import insert

from bench.table import show
from nethvoice import first_start
from nethvoice.ldap.directory import Contact, contact
from nethvoice.pbx.phonebook.service import BASE, set_ldap_status
from nethvoice.settings import load_settings
from nethvoice.store import tables as t
from nethvoice.system import System

_SECRET = "bench"  # noqa: S105 - of a service that lives for seconds

CONTACTS = 50_000
CONNECTIONS = 50
SECONDS = 4.0
_ATTRIBUTES = ["cn", "o", "telephoneNumber", "mobile", "homePhone"]
_NAMES = ("anna", "marco", "giulia", "luca", "sofia", "matteo", "elena", "paolo", "ada", "bruno")
_FAMILIES = ("rossi", "bianchi", "ferrari", "esposito", "romano", "colombo", "ricci", "marino")

# What phones make of the filters in the provisioning defaults when somebody types.
SEARCHES = {
    "name, 3 letters": "(|(cn=ros*)(o=ros*))",
    "name, inside": "(|(cn=*bianchi 12*)(o=*bianchi 12*))",
    "number, 5 digits": "(|(telephoneNumber=07211*)(mobile=07211*)(homePhone=07211*))",
    "caller, exact": "(|(telephoneNumber=0721123456)(mobile=0721123456)(homePhone=0721123456))",
    "nobody": "(|(cn=zzz*)(o=zzz*))",
}


def rows() -> Iterator[dict[str, str | None]]:
    """The same contacts at every run, every name once."""
    random = Random(1)  # noqa: S311 - nothing secret
    for number in range(CONTACTS):
        first, family = random.choice(_NAMES), random.choice(_FAMILIES)
        yield {
            "owner_id": "",
            "type": "bench",
            "name": f"{first} {family} {number}",
            "company": f"{random.choice(_FAMILIES)} {number % 997} srl",
            "workphone": f"0721{random.randrange(10**6):06}",
            "cellphone": f"3{random.randrange(10**9):09}" if number % 2 else None,
            "homephone": f"06{random.randrange(10**7):07}" if number % 3 == 0 else None,
            "sid_imported": "bench",
        }


def request(text: str, size: int = 50) -> bytes:
    """A search as a phone sends it."""
    message = LDAPMessage()
    message["messageID"] = MessageID(2)
    search = search_operation(BASE, text, SUBTREE, "NEVER", _ATTRIBUTES, size, 0, False, None, None)
    message["protocolOp"] = ProtocolOp().setComponentByName("searchRequest", search)
    return bytes(encode(message))


@dataclass(frozen=True)
class Result:
    """Searches per second, latencies in milliseconds, bytes of one answer."""

    rate: float
    p50: float
    p99: float
    size: int


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read up to the message that ends the search; returns the bytes read."""
    size = 0
    while True:
        head = await reader.readexactly(2)
        length = head[1]
        if length & 0x80:
            more = await reader.readexactly(length & 0x7F)
            size += len(more)
            length = int.from_bytes(more, "big")
        body = await reader.readexactly(length)
        size += 2 + length
        # The operation's tag stands behind the message's number.
        if body[2 + body[1]] == 0x65:
            return size


async def measure(port: int, data: bytes, connections: int, seconds: float) -> Result:
    """Load a server for some seconds."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    size = 0
    started = loop.time()

    async def client() -> None:
        nonlocal size
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while loop.time() - started < seconds:
            begun = time.perf_counter()
            writer.write(data)
            size = await _answer(reader)
            latencies.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    passed = loop.time() - started
    latencies.sort()
    count = len(latencies)
    return Result(
        count / passed,
        latencies[count // 2] * 1000,
        latencies[min(count - 1, int(count * 0.99))] * 1000,
        size,
    )


# --- the two servers ------------------------------------------------------------------------------


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or ""


def free_port() -> int:
    """A TCP port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the server does not start")


@contextmanager
def _running(
    command: list[str], port: int, environment: dict[str, str] | None = None
) -> Iterator[int]:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextmanager
def ours(folder: Path) -> Iterator[int]:
    """`nethvoice ldap` on its embedded database."""
    port = free_port()
    settings = load_settings(data_dir=folder / "data", secret=_SECRET, admin_password=_SECRET)
    first_start.initialise(settings)
    system = System(settings)
    with system.phonebook_database.write() as connection:
        connection.execute(insert(t.phonebook), list(rows()))
    set_ldap_status(system, "ldap", "enabled")
    system.stop()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("NETHVOICE_")},
        "NETHVOICE_DATA_DIR": str(folder / "data"),
        "NETHVOICE_SECRET": _SECRET,
        "NETHVOICE_PHONEBOOK_LDAP_PORT": str(port),
        "NETHVOICE_PHONEBOOK_LDAP_HOST": "127.0.0.1",
    }
    with _running([sys.executable, "-m", "nethvoice.cli", "ldap"], port, environment) as found:
        yield found


def _ldif() -> Iterator[str]:
    yield f"dn: {BASE}\nobjectClass: top\nobjectClass: domain\ndc: phonebook\n\n"
    for row in rows():
        entry = contact(
            [row["name"], row["company"], row["workphone"], row["cellphone"], row["homephone"]]
        )
        assert isinstance(entry, Contact)  # noqa: S101 - each row has a number
        lines = [f"dn: {entry.dn}"]
        for name in ("objectClass", "cn", "sn", "givenName", *_ATTRIBUTES[1:]):
            lines += [f"{name}: {value}" for value in entry.values(name)]
        yield "\n".join(lines) + "\n\n"


@contextmanager
def slapd(folder: Path) -> Iterator[int]:
    """OpenLDAP over the same contacts, with an index for each kind of search."""
    port = free_port()
    data = folder / "slapd"
    data.mkdir()
    schemas = "\n".join(
        f"include /etc/ldap/schema/{name}.schema" for name in ("core", "cosine", "inetorgperson")
    )
    conf = folder / "slapd.conf"
    conf.write_text(f"""{schemas}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
threads 16
sizelimit 500
access to * by * read
database mdb
suffix {BASE}
directory {data}
maxsize 1073741824
dbnosync
index objectClass eq
index cn,o,telephoneNumber,mobile,homePhone pres,eq,sub
""")
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".ldif") as file:
        file.writelines(_ldif())
        file.flush()
        subprocess.run(
            [_program("slapadd"), "-q", "-f", str(conf), "-l", file.name],
            check=True,
            capture_output=True,
        )
    command = [_program("slapd"), "-f", str(conf), "-h", f"ldap://127.0.0.1:{port}", "-d", "0"]
    with _running(command, port) as found:
        yield found


def main() -> None:
    """Measure both and print them side by side."""
    servers = {"nethvoice ldap": ours}
    if _program("slapd"):
        servers["slapd"] = slapd
    lines = [[title] for title in SEARCHES]
    found: dict[str, dict[str, Result]] = {}
    with tempfile.TemporaryDirectory(prefix="nethvoice-bench-") as name:
        for server, start in servers.items():
            with start(Path(name)) as port:
                found[server] = {
                    title: asyncio.run(measure(port, request(text), CONNECTIONS, SECONDS))
                    for title, text in SEARCHES.items()
                }
    headings = ["search"]
    for server in servers:
        headings += [f"{server} /s", "p50 ms", "p99 ms"]
    if len(servers) == 2:
        headings.append("ratio")
    for line in lines:
        results = [found[server][line[0]] for server in servers]
        for result in results:
            line += [f"{result.rate:,.0f}", f"{result.p50:.1f}", f"{result.p99:.1f}"]
        if len(results) == 2:
            line.append(f"{results[0].rate / results[1].rate:.2f}")
    show(f"LDAP phonebook, {CONTACTS:,} contacts, {CONNECTIONS} connections", headings, lines)


if __name__ == "__main__":
    main()
