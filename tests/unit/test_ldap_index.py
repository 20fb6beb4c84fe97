"""The LDAP phonebook's index against a plain reading of RFC 4511, and bytes against its decoder."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nethvoice.ldap import protocol
from nethvoice.ldap.directory import (
    Contact,
    Directory,
    NoSuchObject,
    clean_name,
    contact,
    selection,
)
from nethvoice.ldap.index import FILTER_DEPTH, FILTER_TERMS, FilterTooLarge, fold, fold_number

BASE = "dc=phonebook,dc=nh"
_TEXT = st.text("aAb ßİ-1.", max_size=6)
_ATTRIBUTES = ["cn", "o", "telephoneNumber", "homePhone", "mail", "objectClass"]
_ROWS = st.lists(
    st.tuples(_TEXT, _TEXT, st.text("01 -+", max_size=5), st.just(""), _TEXT), max_size=8
)


def _assertion(kind: str) -> st.SearchStrategy[Any]:
    return st.tuples(
        st.just(kind),
        st.fixed_dictionaries(
            {
                "attribute": st.sampled_from(_ATTRIBUTES).map(str.encode),
                "value": _TEXT.map(str.encode),
            }
        ),
    )


@st.composite
def _substrings(draw: st.DrawFn) -> Any:
    parts = [("any", draw(_TEXT).encode()) for _ in range(draw(st.integers(0, 2)))]
    if draw(st.booleans()):
        parts.insert(0, ("initial", draw(_TEXT).encode()))
    if draw(st.booleans()):
        parts.append(("final", draw(_TEXT).encode()))
    attribute = draw(st.sampled_from(_ATTRIBUTES)).encode()
    return "substrings", {"attribute": attribute, "parts": parts}


_TERMS = st.one_of(
    _assertion("equalityMatch"),
    _assertion("approxMatch"),
    _assertion("greaterOrEqual"),
    _assertion("lessOrEqual"),
    _substrings(),
    st.tuples(st.just("present"), st.sampled_from(_ATTRIBUTES).map(str.encode)),
    st.just(("extensibleMatch", {})),
)
_FILTERS = st.recursive(
    _TERMS,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, max_size=3)),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=5,
)


def _plain(entry: Contact, tree: Any) -> bool | None:  # noqa: PLR0911 - one for each kind
    """A filter on one entry: true, false or undefined."""
    kind, value = tree
    if kind in ("and", "or"):
        results = [_plain(entry, part) for part in value]
        decisive = kind == "or"
        if decisive in results:
            return decisive
        return None if None in results else not decisive
    if kind == "not":
        result = _plain(entry, value)
        return None if result is None else not result
    if kind == "extensibleMatch":
        return None
    name = (value if kind == "present" else value["attribute"]).decode()
    if name == "mail":
        return False if kind == "present" else None
    values = entry.values(name)
    if kind == "present":
        return bool(values)
    normal = fold_number if name in ("telephoneNumber", "mobile", "homePhone") else fold
    texts = [normal(found) for found in values if normal(found)]
    if kind == "substrings":
        return any(_has_parts(text, value["parts"], normal) for text in texts)
    wanted = normal(value["value"].decode())
    if kind == "greaterOrEqual":
        return name != "objectClass" and any(text >= wanted for text in texts)
    if kind == "lessOrEqual":
        return name != "objectClass" and any(text <= wanted for text in texts)
    return wanted in texts


def _has_parts(text: str, parts: list[tuple[str, bytes]], normal: Any) -> bool:
    pattern = ""
    for kind, raw in parts:
        part = raw.decode()
        piece = normal(part)
        if piece and normal is fold:
            piece = " " * part[:1].isspace() + piece + " " * part[-1:].isspace()
        if kind == "initial":
            pattern = re.escape(piece.lstrip()) + ".*"
        elif kind == "any":
            pattern = (pattern or ".*") + re.escape(piece) + ".*"
        else:
            pattern = (pattern or ".*") + re.escape(piece.rstrip())
    return re.fullmatch(pattern or ".*", text, re.DOTALL) is not None


@given(_ROWS, _FILTERS)
def test_every_filter_finds_what_the_rfc_says(rows: list[Any], tree: Any) -> None:
    entries = [found for row in rows if (found := contact(row)) is not None]
    found = Directory(rows).search(BASE, "singleLevel", tree, 0)
    expected = sorted(entry.dn for entry in entries if _plain(entry, tree) is True)
    directory = Directory(rows)
    assert sorted(directory._contacts[number].dn for number in found.entries) == expected


@pytest.mark.parametrize(
    ("row", "dn", "attributes"),
    [
        (["Ada ROSSI", "Acme, S.p.A.", "0721", "", "9"], "cn=ada rossi," + BASE,
         {"cn": ["ada rossi"], "sn": ["ada rossi"], "givenName": ["ada rossi"],
          "o": ["Acme, S.p.A."], "telephoneNumber": ["0721"], "mobile": [], "homePhone": ["9"]}),
        (["", "Acme", None, "333", None], "cn=acme," + BASE, {"cn": ["acme"], "mobile": ["333"]}),
        (['A,+"\\><;\r\n=/B', None, "1", "", ""], "cn=a b," + BASE, {"o": []}),
        (["", "", "1-2", "", ""], "cn=1-2," + BASE, {"cn": ["1-2"]}),
        (["#1", "", "1", "", ""], "cn=\\#1," + BASE, {"cn": ["#1"]}),
    ],
)  # fmt: skip
def test_entries(row: list[Any], dn: str, attributes: dict[str, list[str]]) -> None:
    entry = contact(row)
    assert entry is not None
    assert entry.dn == dn
    for name, values in attributes.items():
        assert entry.values(name) == values


def test_entries_without_a_number_and_long_names() -> None:
    assert contact(["Ada", "Acme", "", None, " "]) is None
    assert len(clean_name("x" * 100)) == 63
    assert clean_name("x" * 62 + "  y") == "x" * 62


def _dns(directory: Directory, base: str, scope: str = "baseObject") -> list[str]:
    anything = ("present", b"objectClass")
    entries = directory.search(base, scope, anything, 0).entries
    return ["base" if n < 0 else directory._contacts[n].dn for n in entries]


def test_a_contact_by_its_name_as_gigaset_phones_ask() -> None:
    directory = Directory([["Ada Rossi", "", "1", "", ""], ["Bob", "", "2", "", ""]])
    ada = "cn=ada rossi," + BASE
    assert _dns(directory, "CN = Ada Rossi , dc=phonebook, DC=NH") == [ada]
    assert _dns(directory, ada, "wholeSubtree") == [ada]
    assert _dns(directory, ada, "singleLevel") == []
    assert _dns(directory, BASE) == ["base"]
    assert _dns(directory, BASE, "wholeSubtree") == ["base", ada, "cn=bob," + BASE]
    assert _dns(directory, BASE, "singleLevel") == [ada, "cn=bob," + BASE]
    for nowhere in ("", "dc=nh", "cn=carl," + BASE, "ou=x," + BASE, "cn=a,cn=b," + BASE):
        with pytest.raises(NoSuchObject):
            _dns(directory, nowhere, "wholeSubtree")


def test_attributes_asked_for() -> None:
    everything = selection(())
    assert selection((b"*", b"CN")) == everything
    assert selection((b"CN", b"Surname", b"mail")) == ("cn", "sn")
    assert selection((b"1.1",)) == ()
    assert selection((b"+",)) == ()


def test_limits_of_filters() -> None:
    directory = Directory([["Ada", "", "1", "", ""]])
    tree: Any = ("present", b"cn")
    for _ in range(FILTER_DEPTH - 1):
        tree = ("and", [tree])
    directory.search(BASE, "singleLevel", tree, 0)
    many = [("present", b"cn")] * (FILTER_TERMS - 1)
    directory.search(BASE, "singleLevel", ("or", many), 0)
    pieces = {"attribute": b"cn", "parts": [("any", b"a")] * (FILTER_TERMS + 1)}
    for wrong in (("not", tree), ("or", [*many, many[0]]), ("substrings", pieces)):
        with pytest.raises(FilterTooLarge):
            directory.search(BASE, "singleLevel", wrong, 0)


def _search() -> bytes:
    body = b"\x04\x12" + BASE.encode() + bytes.fromhex("0a01020a0100020132020100010100")
    body += bytes.fromhex("a2048702636e") + bytes.fromhex("30040402636e")
    operation = b"\x63" + bytes([len(body)]) + body
    return b"\x30" + bytes([len(operation) + 3]) + b"\x02\x01\x02" + operation


def test_a_request() -> None:
    raw = _search()
    assert protocol.message_length(raw) == len(raw)
    message = protocol.decode(raw)
    assert (message.id, message.kind, message.critical) == (2, "searchRequest", False)
    assert message.value.filter == ("not", ("present", b"cn"))
    assert message.value.attributes == (b"cn",)
    assert message.value.size_limit == 50


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=6))
def test_damaged_requests_are_refused_or_read(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(_search())
    for place, value in changes:
        raw[place % len(raw)] = value
    _try(bytes(raw))


@given(st.binary(min_size=1, max_size=80))
def test_any_bytes(raw: bytes) -> None:
    _try(raw)


def test_nesting_that_would_overflow_the_stack() -> None:
    inner = bytes.fromhex("8702636e")
    for _ in range(3000):
        inner = b"\xa2\x82" + len(inner).to_bytes(2, "big") + inner
    body = b"\x04\x00" + bytes.fromhex("0a01020a0100020100020100010100") + inner + b"\x30\x00"
    operation = b"\x63\x82" + len(body).to_bytes(2, "big") + body
    raw = b"\x30\x82" + (len(operation) + 3).to_bytes(2, "big") + b"\x02\x01\x02" + operation
    assert protocol.message_length(raw) == len(raw)
    with pytest.raises(protocol.ProtocolFault):
        protocol.decode(raw)


def _try(raw: bytes) -> None:
    try:
        length = protocol.message_length(raw)
        if length is None:
            return
        message = protocol.decode(raw[:length])
        if message.kind == "searchRequest":
            filters = Directory([["Ada", "", "1", "", ""]])
            filters.search(BASE, message.value.scope, message.value.filter, 9)
    except (protocol.ProtocolFault, FilterTooLarge):
        return
