"""Reading people from a real OpenLDAP: whole, or not at all."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from nethvoice.store.ldap_directory import DirectoryFailed, LdapDirectory
from tests.services.relay import Relay
from tests.services.slapd import BASE, LIMITED, PASSWORD, READER, Slapd

GUID = uuid.UUID("270db4d0-249d-46a7-9cc5-eb695d9af9ac")


@pytest.fixture
def server(slapd: Slapd) -> Iterator[Slapd]:
    slapd.clear()
    yield slapd
    slapd.thaw()


def directory(server: Slapd, **more: Any) -> LdapDirectory:
    values: dict[str, Any] = {
        "urls": [server.url],
        "kind": "ldap",
        "base_dn": BASE,
        "bind_dn": READER,
        "bind_password": PASSWORD,
        "timeout": 1,
    }
    return LdapDirectory(**values | more)


def failure(server: Slapd, **more: Any) -> str:
    with pytest.raises(DirectoryFailed) as caught:
        directory(server, **more).people()
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def test_columns(server: Slapd) -> None:
    server.person(
        "Ada",
        "Ada R.",
        displayName="Ada Rossi",
        givenName="Ada",
        mail=["ada@example.org", "ada@example.com"],
        title="Boss",
        o="ACME",
        departmentNumber="R&D",
        telephoneNumber="+39 02",
        mobile="+39 333",
        homePhone="+39 03",
        facsimileTelephoneNumber="+39 04",
        description="first\nsecond",
    )
    (ada,) = directory(server).people()
    assert ada.username == "ada"
    assert uuid.UUID(ada.key)
    assert ada.columns == {
        "displayname": "Ada Rossi",
        "fname": "Ada",
        "lname": "Rossi",
        "title": "Boss",
        "description": "first second",
        "company": "ACME",
        "department": "R&D",
        "email": "ada@example.org",
        "work": "+39 02",
        "cell": "+39 333",
        "home": "+39 03",
        "fax": "+39 04",
    }


def test_key_outlives_a_new_name(server: Slapd) -> None:
    dn = server.person("ada", "Ada Rossi")
    (before,) = directory(server).people()
    server.rename(dn, "Ada Bianchi", "abianchi")
    (after,) = directory(server).people()
    assert (after.key, after.username) == (before.key, "abianchi")


def test_active_directory(server: Slapd) -> None:
    server.ad_person("JDoe", "John Doe", guid=GUID, company="ACME", department="Sales")
    server.ad_person("PC17$", "PC17", guid=uuid.uuid4(), kind="computer")
    server.person("ada", "Ada Rossi")
    (john,) = directory(server, kind="ad").people()
    assert (john.key, john.username) == (str(GUID), "jdoe")
    assert (john.columns["displayname"], john.columns["company"]) == ("John Doe", "ACME")
    assert john.columns["department"] == "Sales"


@pytest.mark.parametrize("name", ["*", "o'neil", "a)(uid=*", "a,b=c+d", 'q"u\\o', "jü#rgen", "%_"])
def test_odd_names(server: Slapd, name: str) -> None:
    server.person(name, f"{name} Doe")
    (person,) = directory(server).people()
    assert person.username == name
    assert person.columns["displayname"] == f"{name} Doe"


def test_own_filter(server: Slapd) -> None:
    server.person("ada", "Ada Rossi", title="Boss")
    server.person("bob", "Bob Rossi")
    found = directory(server, user_filter="(&(uid=*)(title=boss))").people()
    assert [person.username for person in found] == ["ada"]


def test_two_thousand_in_pages(server: Slapd) -> None:
    for number in range(2000):
        server.person(f"user{number}", f"User {number}")
    found = directory(server).people()
    assert len({person.key for person in found}) == len(found) == 2000
    # The server stops after 700 in the middle of the pages: that is nobody, not 700 people.
    assert "not complete: sizeLimitExceeded" in failure(server, bind_dn=LIMITED)
    # The connection breaks in the third page.
    with Relay(server.port, limit=250_000) as relay:
        assert "no answer" in failure(server, urls=[relay.url])
        # Another server gives all of them.
        assert len(directory(server, urls=[relay.url, server.url]).people()) == 2000


def test_encryption(server: Slapd) -> None:
    server.person("ada", "Ada Rossi")
    authority = {"ca_file": server.authority.file}
    assert directory(server, start_tls=True, **authority).people()
    assert directory(server, urls=[server.tls_url], **authority).people()


@pytest.mark.parametrize("how", ["StartTLS", "ldaps"])
def test_certificates_are_verified(server: Slapd, how: str) -> None:
    way: dict[str, Any] = {"start_tls": True} if how == "StartTLS" else {"urls": [server.tls_url]}
    assert "CERTIFICATE_VERIFY_FAILED" in failure(server, **way)
    other = {"ca_file": server.other_authority.file}
    assert "CERTIFICATE_VERIFY_FAILED" in failure(server, **way, **other)
    missing = {"ca_file": server.folder / "missing.pem"}
    assert "cannot be used" in failure(server, **way, **missing)
    port = server.port if how == "StartTLS" else server.tls_port
    elsewhere = f"{'ldap' if how == 'StartTLS' else 'ldaps'}://localhost:{port}"
    text = failure(server, **way | {"urls": [elsewhere], "ca_file": server.authority.file})
    assert "Hostname mismatch" in text


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"bind_password": "wrong"}, "refused cn=reader,dc=example,dc=org: invalidCredentials"),
        ({"bind_password": ""}, "password is mandatory"),
        ({"bind_dn": "", "bind_password": ""}, "that the anonymous reader may read"),
        ({"base_dn": "ou=nowhere,dc=example,dc=org"}, "there is no ou=nowhere"),
        ({"base_dn": "nowhere"}, "LDAP_BASE_DN"),
        ({"base_dn": ""}, "LDAP_BASE_DN"),
        ({"urls": []}, "LDAP_URL"),
        ({"user_filter": "(uid="}, "LDAP_USER_FILTER"),
        ({"urls": ["http://127.0.0.1"]}, "must begin with ldap://"),
        ({"urls": ["ldap://[1"]}, "no URL"),
        ({"urls": ["ldap://127.0.0.1:1"]}, "Connection refused"),
    ],
)
def test_what_is_wrong_is_said(server: Slapd, more: dict[str, Any], text: str) -> None:
    assert text in failure(server, **more)


@pytest.mark.parametrize("how", [{}, {"start_tls": True}, {"ldaps": True}], ids=str)
def test_silent_server(server: Slapd, how: dict[str, Any]) -> None:
    """It accepts connections and says nothing; the next one is asked after the time-out."""
    server.freeze()
    way: dict[str, Any] = {"ca_file": server.authority.file, "start_tls": "start_tls" in how}
    if "ldaps" in how:
        way["urls"] = [server.tls_url]
    started = time.monotonic()
    assert "timed out" in failure(server, **way)
    assert time.monotonic() - started < 4


def test_trickling_server(server: Slapd) -> None:
    server.person("ada", "Ada Rossi")
    started = time.monotonic()
    with Relay(server.port, limit=40, trickle=0.3) as relay:
        failure(server, urls=[relay.url], total_timeout=2)
    assert time.monotonic() - started < 6


def test_next_server_is_asked(server: Slapd) -> None:
    server.person("ada", "Ada Rossi")
    assert len(directory(server, urls=["ldap://127.0.0.1:1", server.url]).people()) == 1
    text = failure(server, urls=["ldap://127.0.0.1:1", "ldap://127.0.0.1:2"])
    assert "127.0.0.1:1" in text
    assert "127.0.0.1:2" in text
