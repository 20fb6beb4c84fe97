"""Reading people from an LDAP server or from Active Directory.

Nothing is ever written there. RFC 4511 (the protocol), RFC 4513 (StartTLS), RFC 2696 (pages),
RFC 4530 (entryUUID), MS-ADTS 3.1.1.1.4 (objectGUID).
"""

import contextlib
import math
import re
import socket
import ssl
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ldap3 import ANONYMOUS, NONE, SIMPLE, SUBTREE, SYNC, Connection, Server, Tls
from ldap3.core.exceptions import (
    LDAPCommunicationError,
    LDAPException,
    LDAPInvalidDnError,
    LDAPInvalidFilterError,
    LDAPOperationResult,
    LDAPStartTLSError,
)

_PAGE = 500
_PAGED_RESULTS = "1.2.840.113556.1.4.319"
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]+")
_NO_SUCH_OBJECT = 32
_TRY_ANOTHER = (51, 52)  # busy, unavailable
_PORTS = {"ldap": 389, "ldaps": 636}


class DirectoryFailed(Exception):
    """The directory could not be read as a whole. The text is for the operator, without secrets."""


class _NextServer(DirectoryFailed):
    """This server is out of reach; another one may answer."""


@dataclass(frozen=True)
class LdapPerson:
    """One entry. `key` stays the same when the person is renamed or moved.

    `columns` are the columns of `userman_users` that the directory decides on, empty where the
    entry has nothing.
    """

    key: str
    username: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class _Schema:
    """Where a kind of directory keeps what."""

    user_filter: str
    username: str
    keys: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]


_COMMON = {
    "displayname": ("displayName", "cn"),
    "fname": ("givenName",),
    "lname": ("sn",),
    "title": ("title",),
    "description": ("description",),
    "email": ("mail",),
    "work": ("telephoneNumber",),
    "cell": ("mobile",),
    "home": ("homePhone",),
    "fax": ("facsimileTelephoneNumber",),
}

_SCHEMAS = {
    # RFC 2307 and RFC 2798; other servers have their own name for the lasting id.
    "ldap": _Schema(
        "(&(|(objectClass=inetOrgPerson)(objectClass=posixAccount))(uid=*))",
        "uid",
        ("entryUUID", "nsUniqueId", "ipaUniqueID"),
        {**_COMMON, "company": ("o",), "department": ("departmentNumber",)},
    ),
    # Computers and managed service accounts are users too, by inheritance.
    "ad": _Schema(
        "(&(objectClass=user)(!(objectClass=computer))(sAMAccountName=*))",
        "sAMAccountName",
        ("objectGUID",),
        {**_COMMON, "company": ("company",), "department": ("department",)},
    ),
}


class _VerifyingTls(Tls):  # type: ignore[misc]
    """TLS by Python's own rules: the chain, the validity, and the name or address of the server.

    ldap3 compares names itself, and not at all with addresses.
    """

    def __init__(self, ca_file: Path | None) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        try:
            self._context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise DirectoryFailed(f"the CA file {ca_file} cannot be used: {error}") from error

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=connection.server.host
        )


@dataclass(frozen=True)
class LdapDirectory:
    """How to reach the directory and whom to take from it.

    `urls` are tried in order until a server answers. `timeout` bounds connecting and every single
    answer, `total_timeout` the whole reading, both in seconds.
    """

    urls: Sequence[str]
    kind: Literal["ldap", "ad"]
    base_dn: str
    bind_dn: str = ""
    bind_password: str = field(default="", repr=False)
    user_filter: str = ""
    start_tls: bool = False
    ca_file: Path | None = None
    timeout: float = 10
    total_timeout: float = 600

    def people(self) -> list[LdapPerson]:
        """Everybody, or nobody: raises DirectoryFailed when the answer is not whole."""
        if not self.urls or not self.base_dn:
            raise DirectoryFailed("LDAP_URL and LDAP_BASE_DN must be set")
        failures = []
        for url in self.urls:
            try:
                return self._people(url)
            except _NextServer as failure:
                failures.append(f"{url}: {failure}")
            except DirectoryFailed as failure:
                raise DirectoryFailed(f"{url}: {failure}") from failure
        raise DirectoryFailed("; ".join(failures))

    def _people(self, url: str) -> list[LdapPerson]:
        schema = _SCHEMAS[self.kind]
        found = []
        with self._connection(url) as connection:
            for entry in self._entries(connection, schema):
                person = _person(schema, entry)
                if person is not None:
                    found.append(person)
        return found

    @contextlib.contextmanager
    def _connection(self, url: str) -> Iterator[Connection]:
        """A bound connection; what ldap3 raises meanwhile comes out as DirectoryFailed."""
        connection = self._prepare(url)
        # A server that sends a byte now and then never runs into the time-out of an answer.
        watchdog = threading.Timer(self.total_timeout, _cut, [connection])
        watchdog.daemon = True
        watchdog.start()
        try:
            connection.open(read_server_info=False)
            if self.start_tls and not connection.server.ssl:
                connection.start_tls(read_server_info=False)
            connection.bind(read_server_info=False)
            yield connection
        except LDAPInvalidFilterError as error:
            raise DirectoryFailed("LDAP_USER_FILTER is no valid filter") from error
        except LDAPInvalidDnError as error:
            raise DirectoryFailed("LDAP_BASE_DN is no valid name") from error
        except LDAPOperationResult as error:
            raise self._refusal(error) from error
        except (LDAPCommunicationError, LDAPStartTLSError, OSError) as error:
            reason = connection.last_error or _reason(error)
            raise _NextServer(f"no answer: {reason}") from error
        except LDAPException as error:
            raise DirectoryFailed(_reason(error)) from error
        finally:
            watchdog.cancel()
            _close(connection)

    def _refusal(self, error: LDAPOperationResult) -> DirectoryFailed:
        """What a result code means here (RFC 4511 A.1)."""
        who = self.bind_dn or "the anonymous reader"
        if error.result == _NO_SUCH_OBJECT:
            return DirectoryFailed(f"there is no {self.base_dn} that {who} may read")
        text = f"the server refused {who}: {error.description}"
        return _NextServer(text) if error.result in _TRY_ANOTHER else DirectoryFailed(text)

    def _prepare(self, url: str) -> Connection:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise DirectoryFailed("this is no URL") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise DirectoryFailed("the URL must begin with ldap:// or ldaps:// and name a host")
        encrypted = parts.scheme == "ldaps"
        tls = _VerifyingTls(self.ca_file) if encrypted or self.start_tls else None
        try:
            server = Server(
                parts.hostname,
                port=port or _PORTS[parts.scheme],
                use_ssl=encrypted,
                tls=tls,
                get_info=NONE,
                connect_timeout=self.timeout,
            )
            return Connection(
                server,
                user=self.bind_dn or None,
                password=self.bind_password or None,
                authentication=SIMPLE if self.bind_dn else ANONYMOUS,
                client_strategy=SYNC,
                read_only=True,
                raise_exceptions=True,
                auto_referrals=False,
                receive_timeout=max(1, math.ceil(self.timeout)),
            )
        except LDAPException as error:
            raise DirectoryFailed(_reason(error)) from error

    def _entries(self, connection: Connection, schema: _Schema) -> Iterator[dict[str, Any]]:
        wanted = {schema.username, *schema.keys}
        wanted.update(name for names in schema.columns.values() for name in names)
        cookie: bytes | None = None
        while True:
            connection.search(
                self.base_dn,
                self.user_filter or schema.user_filter,
                SUBTREE,
                attributes=sorted(wanted),
                paged_size=_PAGE,
                paged_cookie=cookie,
            )
            # ldap3 raises for most results, but not for those that come with a part of the answer.
            if connection.result["result"] != 0:
                raise DirectoryFailed(
                    f"the answer is not complete: {connection.result['description']}"
                )
            yield from (e for e in connection.response if e["type"] == "searchResEntry")
            cookie = _cookie(connection.result)
            if not cookie:
                return


def _cookie(result: Mapping[str, Any]) -> bytes:
    control = (result.get("controls") or {}).get(_PAGED_RESULTS)
    return bytes(control["value"]["cookie"] or b"") if control else b""


def _person(schema: _Schema, entry: Mapping[str, Any]) -> LdapPerson | None:
    values: Mapping[str, list[bytes]] = entry["raw_attributes"]
    username = _text(values, (schema.username,)).lower()
    if not username:
        return None
    columns = {column: _text(values, names) for column, names in schema.columns.items()}
    return LdapPerson(_key(schema, values) or str(entry["dn"]).lower(), username, columns)


def _key(schema: _Schema, values: Mapping[str, list[bytes]]) -> str:
    for name in schema.keys:
        found = values.get(name) or []
        if found and name == "objectGUID" and len(found[0]) == 16:
            return str(uuid.UUID(bytes_le=bytes(found[0])))
        if found:
            return _text(values, (name,))
    return ""


def _text(values: Mapping[str, list[bytes]], names: Sequence[str]) -> str:
    """The first value of the first of these attributes that has one, on one line."""
    for name in names:
        for value in values.get(name) or ():
            text = _CONTROL_CHARACTERS.sub(" ", value.decode("utf-8", "replace")).strip()
            if text:
                return text
    return ""


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:300]


def _cut(connection: Connection) -> None:
    with contextlib.suppress(OSError, AttributeError):
        connection.socket.shutdown(socket.SHUT_RDWR)


def _close(connection: Connection) -> None:
    """Say good-bye where that is possible; ldap3 leaves a socket open that did not connect."""
    with contextlib.suppress(LDAPException, OSError):
        connection.unbind()
    if connection.socket is not None:
        with contextlib.suppress(OSError):
            connection.socket.close()
