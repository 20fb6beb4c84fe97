"""The contacts of the central phonebook as entries of a directory.

An entry is `cn=<name>,dc=phonebook,dc=nh` of the class inetOrgPerson, with cn, sn and givenName
(the name in lower case, the company's where there is none), o, telephoneNumber, mobile and
homePhone. Contacts without any number are left out: a phone could not call them.
"""

import functools
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from nethvoice.ldap import protocol
from nethvoice.ldap.index import Common, Index, Values, fold, fold_number, numbers
from nethvoice.pbx.phonebook.service import BASE
from nethvoice.store import tables as t
from nethvoice.store.database import Database

NAME_LENGTH = 63

_UNSAFE = str.maketrans(dict.fromkeys(',+"\\><;\r\n=/\x00', " "))
_CLASSES = ["top", "person", "organizationalPerson", "inetOrgPerson"]
_BASE_CLASSES = ["top", "domain"]
_SELECTIONS = 8

ATTRIBUTES = ("objectClass", "cn", "sn", "givenName", "o", "telephoneNumber", "mobile", "homePhone")
_NAMES = {
    **{name.lower(): name for name in ATTRIBUTES},
    "commonname": "cn",
    "surname": "sn",
    "gn": "givenName",
    "organizationname": "o",
    "mobiletelephonenumber": "mobile",
    "hometelephonenumber": "homePhone",
}

Row = Sequence[str | None]
"""name, company, workphone, cellphone, homephone"""


class NoSuchObject(Exception):
    """There is no entry with the name at which a search was to begin."""


@dataclass(frozen=True)
class Contact:
    """One entry; empty texts are attributes that it has not."""

    cn: str
    o: str
    work: str
    mobile: str
    home: str

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute by its name in ATTRIBUTES."""
        if attribute == "objectClass":
            return _CLASSES
        found = {
            "o": self.o,
            "telephoneNumber": self.work,
            "mobile": self.mobile,
            "homePhone": self.home,
        }.get(attribute, self.cn)
        return [found] if found else []

    @property
    def dn(self) -> str:
        """The entry's name."""
        escape = "\\" if self.cn.startswith("#") else ""
        return f"cn={escape}{self.cn},{BASE}"


def clean_name(text: str) -> str:
    """A name as it stands in cn and in the entry's name (RFC 4514 needs no escapes then)."""
    words = " ".join(text.lower().translate(_UNSAFE).split())
    return words[:NAME_LENGTH].strip()


def contact(row: Row) -> Contact | None:
    """The entry of a row of the phonebook, None without any number."""
    name, company = ((value or "").strip() for value in row[:2])
    work, mobile, home = (
        value.strip() if value and fold_number(value) else "" for value in row[2:]
    )
    if not (work or mobile or home):
        return None
    cn = clean_name(name) or clean_name(company) or clean_name(work or mobile or home)
    return Contact(cn or "-", company, work, mobile, home)


@dataclass(frozen=True)
class Found:
    """Entries of a search by number, the base entry's place taken by -1; `more` were left out."""

    entries: list[int]
    more: bool


_BASE_ENTRY = -1


class Directory:
    """All entries, ready to be searched."""

    def __init__(self, rows: Iterable[Row]) -> None:
        contacts = [found for row in rows if (found := contact(row)) is not None]
        contacts.sort(key=lambda found: (fold(found.cn), found.o))
        self._contacts = contacts
        size = len(contacts)
        names = Values([found.cn for found in contacts], fold)
        self._names = names
        self._index = Index(
            {
                "objectclass": Common(_CLASSES, size),
                **dict.fromkeys(("cn", "commonname", "sn", "surname", "givenname", "gn"), names),
                **_both("o", "organizationname", Values([c.o for c in contacts], fold)),
                "telephonenumber": Values([c.work for c in contacts], fold_number),
                **_both(
                    "mobile",
                    "mobiletelephonenumber",
                    Values([c.mobile for c in contacts], fold_number),
                ),
                **_both(
                    "homephone",
                    "hometelephonenumber",
                    Values([c.home for c in contacts], fold_number),
                ),
            },
            size,
        )
        self._base = Index(
            {"objectclass": Common(_BASE_CLASSES, 1), "dc": Common(["phonebook"], 1)}, 1
        )
        self._encoded: OrderedDict[Any, dict[int, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._contacts)

    def search(self, base: str, scope: str, tree: Any, limit: int) -> Found:
        """Entries below `base` for which the filter is true, at most `limit` (0: all).

        Raises NoSuchObject, and FilterTooLarge.
        """
        most = limit if limit > 0 else len(self._contacts) + 1
        name = _below_base(base)
        if name is not None:
            # Gigaset phones read a contact by its name in this way.
            chosen = self._names.equal(name)
            if not chosen:
                raise NoSuchObject
            chosen = 0 if scope == "singleLevel" else chosen & self._index.search(tree)
            return self._found([], chosen, most)
        first = []
        if scope != "singleLevel" and self._base.search(tree):
            first = [_BASE_ENTRY]
        chosen = 0 if scope == "baseObject" else self._index.search(tree)
        return self._found(first, chosen, most)

    @staticmethod
    def _found(first: list[int], chosen: int, most: int) -> Found:
        entries = [*first, *numbers(chosen, most - len(first))]
        return Found(entries, len(first) + chosen.bit_count() > most)

    def encoded(self, entry: int, wanted: tuple[str, ...], types_only: bool) -> bytes:
        """An entry as it is sent, with the attributes of `selection`."""
        key = (wanted, types_only)
        known = self._encoded.get(key)
        if known is None:
            # Phones of one make ask for the same attributes, so most answers are made already.
            known = self._encoded[key] = {}
            if len(self._encoded) > _SELECTIONS:
                self._encoded.popitem(last=False)
        found = known.get(entry)
        if found is None:
            found = known[entry] = self._encode(entry, wanted, types_only)
        return found

    def _encode(self, entry: int, wanted: tuple[str, ...], types_only: bool) -> bytes:
        if entry == _BASE_ENTRY:
            dn, values = BASE, {"objectClass": _BASE_CLASSES, "dc": ["phonebook"]}
        else:
            item = self._contacts[entry]
            dn = item.dn
            values = {name: item.values(name) for name in ATTRIBUTES}
        attributes = [
            (name.encode(), [] if types_only else [value.encode() for value in values[name]])
            for name in wanted
            if values.get(name)
        ]
        return protocol.entry(dn.encode(), attributes)


def _both(name: str, other: str, values: Values) -> dict[str, Values]:
    return {name: values, other: values}


@functools.lru_cache(maxsize=64)
def selection(asked: tuple[bytes, ...]) -> tuple[str, ...]:
    """Attributes to be sent for those that a search asks for: none named means all (RFC 4511)."""
    names = [name.decode("utf-8", "replace").lower() for name in asked]
    everything = (*ATTRIBUTES, "dc")
    if not names or "*" in names:
        return everything
    wanted = {_NAMES.get(name, name) for name in names}
    return tuple(name for name in everything if name in wanted)


_AROUND = re.compile(r"\s*([,=])\s*")
_ESCAPED = re.compile(r"\\([0-9a-f]{2}|.)")


def _below_base(base: str) -> str | None:
    """The cn of a name directly below the base, None for the base. Raises NoSuchObject."""
    if base == BASE:
        return None
    name = _AROUND.sub(r"\1", base.strip()).lower()
    if name == BASE:
        return None
    if not name.startswith("cn=") or not name.endswith("," + BASE):
        raise NoSuchObject
    value = name[3 : -len(BASE) - 1]
    return clean_name(_ESCAPED.sub(_unescape, value)) or "-"


def _unescape(match: "re.Match[str]") -> str:
    text = match[1]
    return bytes.fromhex(text).decode("latin-1") if len(text) == 2 else text


# --- reading the phonebook ------------------------------------------------------------------------

Fingerprint = tuple[int, int, int]


def fingerprint(database: Database) -> Fingerprint:
    """What changes when contacts come or go; those that stay keep their ids."""
    ids = t.phonebook.c.id
    with database.read() as connection:
        row = connection.execute(
            select(func.count(), func.coalesce(func.max(ids), 0), func.coalesce(func.sum(ids), 0))
        ).one()
    return int(row[0]), int(row[1]), int(row[2])


def load(database: Database) -> Directory:
    """The phonebook as it is now."""
    c = t.phonebook.c
    query = select(c.name, c.company, c.workphone, c.cellphone, c.homephone)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return Directory([tuple(row) for row in rows])
