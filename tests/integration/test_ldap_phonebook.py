"""`nethvoice ldap` as a process, searched by OpenLDAP's own `ldapsearch` as phones would."""

import base64
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from bench.ldap import CONTACTS, SEARCHES, request, rows
from nethvoice import first_start
from nethvoice.ldap.directory import contact
from nethvoice.pbx.phonebook import service
from nethvoice.settings import Settings
from nethvoice.store import tables as t
from nethvoice.system import System
from tests.services.base import answers, cannot, free_port
from tests.support import eventually

BASE = service.BASE
USER = f"cn=ldapuser,{BASE}"
PASSWORD = "phones' password"
PEOPLE = [
    {"name": "Ada Rossi", "company": "Acme S.p.A.", "workphone": "0721 40-55-16"},
    {"name": "Bruno Bianchi", "company": "Rossi & figli", "cellphone": "3331234567"},
    {"name": "Çelik Özgür", "company": "Überall", "homephone": "+39 06 123"},
    {"name": "", "company": "Pronto Soccorso", "workphone": "118"},
    {"name": "Nobody", "company": "No number"},
]


class Ldap:
    """The process with its system laid open."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("ldapsearch") is None:
            cannot("ldapsearch is not installed (Debian package ldap-utils)")
        self.ports = {"ldap": free_port(), "ldaps": free_port()}
        self.settings = Settings(
            data_dir=folder / "data",
            secret="x",
            admin_password="x",
            phonebook_ldap_host="127.0.0.1",
            phonebook_ldap_port=self.ports["ldap"],
            phonebook_ldaps_port=self.ports["ldaps"],
            phonebook_ldap_password=PASSWORD,
        )
        first_start.initialise(self.settings)
        self.system = System(self.settings)
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NETHVOICE_")}
        for name in ("data_dir", "phonebook_ldap_host", "phonebook_ldap_port",
                     "phonebook_ldaps_port"):  # fmt: skip
            environment[f"NETHVOICE_{name.upper()}"] = str(getattr(self.settings, name))
        environment |= {"NETHVOICE_SECRET": "x", "NETHVOICE_PHONEBOOK_LDAP_PASS": PASSWORD}
        environment["NETHVOICE_LOG_FORMAT"] = "text"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nethvoice.cli", "ldap"],
                env=environment | {"PHONEBOOK_LDAP_PASS": PASSWORD},
                stdout=log,
                stderr=log,
            )

    def put(self, people: list[dict[str, Any]]) -> None:
        with self.system.phonebook_database.write() as connection:
            connection.execute(delete(t.phonebook))
            for person in people:
                connection.execute(insert(t.phonebook).values(sid_imported="test", **person))

    def switch(self, kind: str, status: str) -> None:
        service.set_ldap_status(self.system, kind, status)
        eventually(lambda: answers(self.ports[kind]) == (status == "enabled"), 60)

    def search(self, text: str, *more: str, kind: str = "ldap", expect: int = 0) -> str:
        """What ldapsearch prints."""
        command = ["ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-H",
                   f"{kind}://127.0.0.1:{self.ports[kind]}", *more]  # fmt: skip
        if "-x" not in more:
            command += ["-x"]
        if "-b" not in more:
            command += ["-b", BASE]
        done = subprocess.run(
            [*command, text],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "LDAPTLS_REQCERT": "never"},
        )
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def names(self, text: str, *more: str, **options: Any) -> list[str]:
        """The cn of what is found, in the order of the answer."""
        return [
            value for name, value in _pairs(self.search(text, *more, **options)) if name == "cn"
        ]

    def close(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(20) == 0, self.log.read_text()
        self.system.stop()


def _pairs(ldif: str) -> Iterator[tuple[str, str]]:
    for line in ldif.splitlines():
        name, colon, value = line.partition(":")
        if colon and value.startswith(":"):
            yield name, base64.b64decode(value[1:].strip()).decode()
        elif colon:
            yield name, value.strip()


@pytest.fixture(scope="module")
def ldap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ldap]:
    found = Ldap(tmp_path_factory.mktemp("ldap"))
    found.put(PEOPLE)
    found.start()
    try:
        for kind in ("ldap", "ldaps"):
            found.switch(kind, "enabled")
        yield found
    finally:
        found.close()


def _filters(ldap: Ldap) -> dict[str, str]:
    settings = service.ldap_settings(ldap.system)["ldap"]
    return {"name": settings["name_filter"], "number": settings["number_filter"]}


# How phones put what is typed into the filters: most in the place of `%`, some with `%*` or `#`
# in their configuration, which ends the same.
@pytest.mark.parametrize(
    ("kind", "typed", "found"),
    [
        ("name", "ros*", ["bruno bianchi"]),
        ("name", "ada*", ["ada rossi"]),
        ("name", "ADA ROSSI", ["ada rossi"]),
        ("name", "*ross*", ["ada rossi", "bruno bianchi"]),
        ("name", "*", ["ada rossi", "bruno bianchi", "pronto soccorso", "çelik özgür"]),
        ("name", "çEL*", ["çelik özgür"]),
        ("name", "über*", ["çelik özgür"]),
        ("name", "pronto*", ["pronto soccorso"]),
        ("name", "a*a*i", ["ada rossi"]),
        ("name", "nobody", []),
        ("number", "0721*", ["ada rossi"]),
        ("number", "0721405516", ["ada rossi"]),
        ("number", "*1234567", ["bruno bianchi"]),
        ("number", "333 123*", ["bruno bianchi"]),
        ("number", "+3906*", ["çelik özgür"]),
        ("number", "118", ["pronto soccorso"]),
        ("number", "999*", []),
    ],
)
def test_the_filters_of_phones(ldap: Ldap, kind: str, typed: str, found: list[str]) -> None:
    text = _filters(ldap)[kind].replace("%", typed)
    assert ldap.names(text) == found
    assert ldap.names(text, "-D", USER, "-w", PASSWORD, kind="ldaps") == found


def test_an_entry(ldap: Ldap) -> None:
    assert list(_pairs(ldap.search("(cn=ada rossi)"))) == [
        ("dn", f"cn=ada rossi,{BASE}"),
        ("objectClass", "top"),
        ("objectClass", "person"),
        ("objectClass", "organizationalPerson"),
        ("objectClass", "inetOrgPerson"),
        ("cn", "ada rossi"),
        ("sn", "ada rossi"),
        ("givenName", "ada rossi"),
        ("o", "Acme S.p.A."),
        ("telephoneNumber", "0721 40-55-16"),
    ]
    done = ldap.search("(cn=ada rossi)", "-A")
    assert "telephoneNumber:\n" in done
    assert "0721" not in done


def test_attributes_that_are_asked_for(ldap: Ldap) -> None:
    command = ["ldapsearch", "-LLL", "-x", "-H", f"ldap://127.0.0.1:{ldap.ports['ldap']}", "-b",
               BASE, "(cn=ada rossi)", "TELEPHONENUMBER", "mail"]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    assert list(_pairs(done.stdout)) == [
        ("dn", f"cn=ada rossi,{BASE}"),
        ("telephoneNumber", "0721 40-55-16"),
    ]


def test_bases_and_scopes(ldap: Ldap) -> None:
    # A Gigaset reads one contact with a search of the name itself.
    one = f"cn=Ada Rossi,{BASE}"
    assert ldap.names("(objectclass=*)", "-b", one, "-s", "base") == ["ada rossi"]
    assert ldap.names("(objectclass=*)", "-s", "base") == []
    assert "dc: phonebook" in ldap.search("(objectclass=*)", "-s", "base")
    assert len(ldap.names("(objectclass=*)", "-s", "one")) == 4
    ldap.search("(objectclass=*)", "-b", "dc=example,dc=org", expect=32)
    ldap.search("(objectclass=*)", "-b", f"cn=nobody,{BASE}", expect=32)
    root = ldap.search("(objectclass=*)", "-b", "", "-s", "base")
    assert f"namingContexts: {BASE}" in root


def test_limits(ldap: Ldap) -> None:
    limited = ldap.search("(cn=*)", "-z", "2", expect=4)
    assert [value for name, value in _pairs(limited) if name == "cn"] == [
        "ada rossi",
        "bruno bianchi",
    ]
    ldap.search("(cn=*)", "-z", "4")
    ldap.search("(|" + "(cn=a)" * 30 + ")", expect=11)
    ldap.search("(cn=*)", "-E", "!pr=10/noprompt", expect=12)
    assert len(ldap.names("(cn=*)", "-E", "pr=10/noprompt")) == 4


def test_who_may_search(ldap: Ldap) -> None:
    ldap.search("(cn=*)", kind="ldaps", expect=8)
    started = time.monotonic()
    for kind in ("ldap", "ldaps"):
        ldap.search("(cn=*)", "-D", USER, "-w", "wrong", kind=kind, expect=49)
        ldap.search("(cn=*)", "-D", f"cn=other,{BASE}", "-w", PASSWORD, kind=kind, expect=49)
        ldap.search("(cn=*)", "-D", USER, "-w", "", kind=kind, expect=53)
    assert time.monotonic() - started > 4, "a wrong password costs a second"
    assert len(ldap.names("(cn=*)", "-D", USER.upper(), "-w", PASSWORD, kind="ldaps")) == 4
    ldap.search("(cn=*)", "-P", "2", expect=2)
    assert PASSWORD not in ldap.log.read_text()


@pytest.mark.parametrize("kind", ["ldap", "ldaps"])
def test_writes_are_refused(ldap: Ldap, kind: str, tmp_path: Path) -> None:
    entry = f"dn: cn=ada rossi,{BASE}\n"
    files = {
        "ldapadd": f"dn: cn=eve,{BASE}\nobjectClass: person\ncn: eve\nsn: eve\n",
        "ldapmodify": entry + "changetype: modify\nreplace: o\no: Evil\n",
        "ldapdelete": f"cn=ada rossi,{BASE}\n",
        "ldapmodrdn": f"cn=ada rossi,{BASE}\ncn=eve\n",
    }
    for program, text in files.items():
        (tmp_path / program).write_text(text)
        done = subprocess.run(
            [program, "-x", "-H", f"{kind}://127.0.0.1:{ldap.ports[kind]}", "-D", USER, "-w",
             PASSWORD, "-f", str(tmp_path / program)],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "LDAPTLS_REQCERT": "never"},
        )  # fmt: skip
        assert done.returncode == 53, (program, done.stderr)
        assert "read-only" in done.stdout + done.stderr
    assert ldap.names("(o=acme s.p.a.)") == ["ada rossi"]


def test_what_is_no_ldap_ends_its_own_connection(ldap: Ldap) -> None:
    deep = b"\xa2\x80" * 4000
    for rubbish in (
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x80",
        b"\x30\x05\x02\x01\x01\x7f\x00",
        b"\x30\x82\x20\x00" + deep,
        os.urandom(64),
        b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
    ):
        with socket.create_connection(("127.0.0.1", ldap.ports["ldap"]), 5) as link:
            link.sendall(rubbish)
            link.shutdown(socket.SHUT_WR)
            link.settimeout(10)
            while link.recv(4096):
                pass
    assert ldap.process is not None
    assert ldap.process.poll() is None
    assert ldap.names("(cn=ada*)") == ["ada rossi"]
    assert "Traceback" not in ldap.log.read_text()


def test_several_requests_in_one_packet_and_one_in_many(ldap: Ldap) -> None:
    raw = request("(cn=ada*)")
    with socket.create_connection(("127.0.0.1", ldap.ports["ldap"]), 5) as link:
        link.settimeout(10)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(raw + raw)
        for byte in raw:
            link.sendall(bytes([byte]))
        seen = b""
        while seen.count(b"\x65\x07\x0a\x01\x00") < 3:
            chunk = link.recv(65536)
            assert chunk
            seen += chunk
    assert seen.count(b"cn=ada rossi,") == 3


def test_a_client_that_reads_late_gets_everything_and_stops_nobody(ldap: Ldap) -> None:
    asked = 20_000
    raw = request("(cn=ada*)")
    with socket.create_connection(("127.0.0.1", ldap.ports["ldap"]), 5) as link:
        link.settimeout(30)

        def ask() -> None:
            link.sendall(raw * asked)
            link.shutdown(socket.SHUT_WR)

        asking = threading.Thread(target=ask)
        asking.start()
        assert ldap.names("(cn=ada*)") == ["ada rossi"], "others are served meanwhile"
        seen = bytearray()
        while chunk := link.recv(65536):
            seen += chunk
        asking.join(10)
    assert seen.count(b"\x65\x07\x0a\x01\x00") == asked


def test_only_tls_on_the_tls_port(ldap: Ldap) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", ldap.ports["ldaps"]), 5) as link:
        link.sendall(request("(cn=*)"))
        link.settimeout(20)
        assert b"cn=ada" not in link.recv(4096)
    with (
        socket.create_connection(("127.0.0.1", ldap.ports["ldaps"]), 5) as link,
        context.wrap_socket(link) as secure,
    ):
        assert secure.version() in ("TLSv1.2", "TLSv1.3")
    assert (ldap.settings.phonebook_folder / "ldap.pem").stat().st_mode & 0o777 == 0o600


def test_contacts_and_status_are_followed(ldap: Ldap) -> None:
    ldap.put([*PEOPLE, {"name": "Zoe New", "workphone": "5"}])
    try:
        eventually(lambda: ldap.names("(cn=zoe*)") == ["zoe new"], 30)
    finally:
        ldap.put(PEOPLE)
    eventually(lambda: ldap.names("(cn=zoe*)") == [], 30)
    ldap.switch("ldap", "disabled")
    assert answers(ldap.ports["ldaps"])
    ldap.switch("ldap", "enabled")


def test_fifty_phones_and_fifty_thousand_contacts(ldap: Ldap) -> None:
    people = list(rows())
    with ldap.system.phonebook_database.write() as connection:
        connection.execute(delete(t.phonebook))
        connection.execute(insert(t.phonebook), people)
    try:
        eventually(lambda: ldap.names("(cn=ada rossi 4*)"), 60)
        assert len(ldap.names("(cn=*)", expect=4)) == 500
        entries = [
            contact([p["name"], p["company"], p["workphone"], p["cellphone"], p["homephone"]])
            for p in people
        ]
        assert len(entries) == CONTACTS
        expected = sorted(e.cn for e in entries if e and e.cn.startswith("ada rossi 4"))
        assert ldap.names("(|(cn=ada rossi 4*)(o=ada rossi 4*))") == expected
        assert expected
        slow: list[float] = []

        def phone(number: int) -> None:
            for text in SEARCHES.values():
                begun = time.monotonic()
                with socket.create_connection(("127.0.0.1", ldap.ports["ldap"]), 20) as link:
                    link.settimeout(20)
                    link.sendall(request(text))
                    seen = b""
                    # The last message ends with its result code and two empty texts.
                    while seen[-7:-4] not in (b"\x0a\x01\x00", b"\x0a\x01\x04"):
                        chunk = link.recv(65536)
                        assert chunk
                        seen += chunk
                slow.append(time.monotonic() - begun)

        threads = [threading.Thread(target=phone, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(slow) == 50 * len(SEARCHES)
        slow.sort()
        print(f"50 phones: half within {slow[len(slow) // 2]:.3f} s, all within {slow[-1]:.3f} s")
        assert slow[len(slow) // 2] < 1.0
        assert slow[-1] < 5.0
    finally:
        ldap.put(PEOPLE)
    # A search that has more than 500 answers until then would fail.
    eventually(lambda: ldap.names("(cn=pronto*)") == ["pronto soccorso"], 60)


def test_a_contact_changed_in_place_by_others_is_not_lost(ldap: Ldap) -> None:
    """The fingerprint does not see it; the hourly reading does. Here: the reading itself."""
    from nethvoice.ldap import directory

    before = directory.fingerprint(ldap.system.phonebook_database)
    with ldap.system.phonebook_database.write() as connection:
        connection.execute(
            update(t.phonebook).where(t.phonebook.c.name == "Ada Rossi").values(company="Other")
        )
    assert directory.fingerprint(ldap.system.phonebook_database) == before
    loaded = directory.load(ldap.system.phonebook_database)
    tree = ("equalityMatch", {"attribute": b"o", "value": b"other"})
    assert len(loaded.search(BASE, "singleLevel", tree, 0).entries) == 1
    ldap.put(PEOPLE)
