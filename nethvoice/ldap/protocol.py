"""LDAP messages as bytes: the part of RFC 4511 that a read-only directory needs.

BER is read and written here, by hand, because it is what most of the time of a search goes into.
Every element is a tag, a length and a content; the tags are those of the RFC's appendix B.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

MESSAGE_LIMIT = 16 * 1024
"""Bytes of a request. What phones send has a few hundred."""

_DEPTH = 64
"""Of a filter, before anybody looks at what it asks for."""

_BOOLEAN, _INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
_CONTROLS = 0xA0
_SIMPLE, _SASL = 0x80, 0xA3
_ENTRY, _RESPONSE_NAME = 0x64, 0x8A
_DISCONNECTION = b"1.3.6.1.4.1.1466.20036"

_REQUESTS = {
    0x60: "bindRequest",
    0x42: "unbindRequest",
    0x63: "searchRequest",
    0x66: "modifyRequest",
    0x68: "addRequest",
    0x4A: "delRequest",
    0x6C: "modDNRequest",
    0x6E: "compareRequest",
    0x50: "abandonRequest",
    0x77: "extendedRequest",
}
_RESPONSES = {
    "bindRequest": 0x61,
    "searchRequest": 0x65,
    "modifyRequest": 0x67,
    "addRequest": 0x69,
    "delRequest": 0x6B,
    "modDNRequest": 0x6D,
    "compareRequest": 0x6F,
    "extendedRequest": 0x78,
}
_CODES = {
    "success": 0,
    "protocolError": 2,
    "sizeLimitExceeded": 4,
    "authMethodNotSupported": 7,
    "strongerAuthRequired": 8,
    "adminLimitExceeded": 11,
    "unavailableCriticalExtension": 12,
    "noSuchObject": 32,
    "invalidCredentials": 49,
    "unwillingToPerform": 53,
}
_SCOPES = ("baseObject", "singleLevel", "wholeSubtree")
_ASSERTIONS = {0xA3: "equalityMatch", 0xA5: "greaterOrEqual", 0xA6: "lessOrEqual",
               0xA8: "approxMatch"}  # fmt: skip
_PIECES = {0x80: "initial", 0x81: "any", 0x82: "final"}


class ProtocolFault(Exception):
    """What came is no LDAP request; the connection cannot go on."""


class Bind(NamedTuple):
    """Who somebody says to be. `method` is simple, sasl, or empty for what nobody knows."""

    version: int
    name: bytes
    method: str
    password: bytes


class Search(NamedTuple):
    """What is searched: `filter` is a pair of the RFC's name for its kind, and what is below."""

    base: bytes
    scope: str
    size_limit: int
    types_only: bool
    filter: tuple[str | None, Any]
    attributes: tuple[bytes, ...]


@dataclass(frozen=True)
class Message:
    """A request. `value` is a Bind, a Search, or None for what is answered without a look."""

    id: int
    kind: str
    value: Any
    critical: bool
    """True when the client insists on a control; none is supported."""


# --- reading --------------------------------------------------------------------------------------


def message_length(data: bytes | bytearray) -> int | None:
    """Bytes of the message that begins here, None when that is not told yet.

    Raises ProtocolFault for what cannot begin a message or would be too long.
    """
    if data and data[0] != _SEQUENCE:
        raise ProtocolFault("no LDAP message")
    if len(data) < 2:
        return None
    length, head = data[1], 2
    if length & 0x80:
        head += length & 0x7F
        if not 2 < head <= 6:  # of no length that is told, or of more than four bytes
            raise ProtocolFault("no LDAP message")
        if len(data) < head:
            return None
        length = int.from_bytes(data[2:head], "big")
    if head + length > MESSAGE_LIMIT:
        raise ProtocolFault("the message is too long")
    return head + length


def decode(data: bytes) -> Message:
    """One message. Raises ProtocolFault for whatever is wrong with it."""
    try:
        ((tag, content),) = _elements(data)
        (number_tag, number), (operation, body), *more = _elements(content)
        if (tag, number_tag) != (_SEQUENCE, _INTEGER):
            raise ProtocolFault("the message cannot be read")
        message_id = _integer(number)
        kind = _REQUESTS.get(operation)
        if kind is None or not 0 <= message_id < 2**31:
            raise ProtocolFault("the message is no request")
        value: Any = None
        if kind == "searchRequest":
            value = _search(body)
        elif kind == "bindRequest":
            value = _bind(body)
        critical = any(_is_critical(found) for tag, found in more if tag == _CONTROLS)
    except (ValueError, IndexError) as error:
        raise ProtocolFault("the message cannot be read") from error
    return Message(message_id, kind, value, critical)


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of the elements that stand one after the other.

    Raises ProtocolFault, and IndexError for an element that is cut short.
    """
    found = []
    place, size = 0, len(data)
    while place < size:
        tag, length = data[place], data[place + 1]
        place += 2
        if length & 0x80:
            digits = length & 0x7F
            if not 0 < digits <= 4:
                raise ProtocolFault("the message cannot be read")
            length = int.from_bytes(data[place : place + digits], "big")
            place += digits
        end = place + length
        if end > size:
            raise IndexError
        found.append((tag, data[place:end]))
        place = end
    return found


def _fields(data: bytes, tags: Sequence[int]) -> list[tuple[int, bytes]]:
    """Elements of which the first must have these tags."""
    found = _elements(data)
    if len(found) < len(tags) or any(
        element[0] != tag for element, tag in zip(found, tags, strict=False)
    ):
        raise ProtocolFault("the message cannot be read")
    return found


def _integer(content: bytes) -> int:
    if not 0 < len(content) <= 8:
        raise ProtocolFault("the message cannot be read")
    return int.from_bytes(content, "big", signed=True)


def _is_critical(controls: bytes) -> bool:
    for _, control in _elements(controls):
        _, *more = _elements(control)
        if any(tag == _BOOLEAN and content != b"\0" for tag, content in more):
            return True
    return False


def _bind(body: bytes) -> Bind:
    (_, version), (_, name), (tag, content), *_ = _fields(body, (_INTEGER, _OCTETS))
    method = {_SIMPLE: "simple", _SASL: "sasl"}.get(tag, "")
    return Bind(_integer(version), name, method, content)


_SEARCH = (_OCTETS, _ENUMERATED, _ENUMERATED, _INTEGER, _INTEGER, _BOOLEAN)


def _search(body: bytes) -> Search:
    (_, base), (_, scope), _, (_, limit), _, (_, types), tree, (_, asked) = _fields(body, _SEARCH)
    number = _integer(scope)
    if not 0 <= number < len(_SCOPES):
        raise ProtocolFault("the message cannot be read")
    return Search(
        base,
        _SCOPES[number],
        _integer(limit),
        types != b"\0",
        _filter(*tree, 1),
        tuple(name for _, name in _elements(asked)),
    )


def _filter(tag: int, content: bytes, depth: int) -> tuple[str | None, Any]:
    if depth > _DEPTH:
        raise ProtocolFault("the filter is nested too deeply")
    if tag in _ASSERTIONS:
        (_, attribute), (_, value) = _elements(content)
        return _ASSERTIONS[tag], {"attribute": attribute, "value": value}
    if tag == 0xA4:
        (_, attribute), (_, parts) = _elements(content)
        pieces = [(_PIECES.get(piece), text) for piece, text in _elements(parts)]
        return "substrings", {"attribute": attribute, "parts": pieces}
    if tag in (0xA0, 0xA1):
        parts_below = [_filter(*part, depth + 1) for part in _elements(content)]
        return "and" if tag == 0xA0 else "or", parts_below
    if tag == 0xA2:
        (part,) = _elements(content)
        return "not", _filter(*part, depth + 1)
    if tag == 0x87:
        return "present", content
    return ("extensibleMatch", None) if tag == 0xA9 else (None, None)


# --- writing --------------------------------------------------------------------------------------


def result(number: int, kind: str, code: str, text: str = "") -> bytes:
    """The response that ends a request of this kind; `code` is the RFC's name of it."""
    return envelope(number, _element(_RESPONSES[kind], _result(code, text)))


@functools.lru_cache(maxsize=64)
def _result(code: str, text: str) -> bytes:
    return (
        _element(_ENUMERATED, bytes((_CODES[code],)))
        + _element(_OCTETS, b"")
        + _element(_OCTETS, text.encode())
    )


def disconnection(text: str) -> bytes:
    """The notice of disconnection (RFC 4511, 4.4.1)."""
    said = _result("protocolError", text) + _element(_RESPONSE_NAME, _DISCONNECTION)
    return envelope(0, _element(_RESPONSES["extendedRequest"], said))


def entry(dn: bytes, attributes: list[tuple[bytes, list[bytes]]]) -> bytes:
    """An entry of a result, without the message around it: the same for every request."""
    listed = [
        _element(_SEQUENCE, _element(_OCTETS, name) + _element(_SET, _all(values)))
        for name, values in attributes
    ]
    return _element(_ENTRY, _element(_OCTETS, dn) + _element(_SEQUENCE, b"".join(listed)))


def _all(values: list[bytes]) -> bytes:
    return b"".join(_element(_OCTETS, value) for value in values)


def envelope(number: int, operation: bytes) -> bytes:
    """The message around an operation."""
    digits = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return _element(_SEQUENCE, _element(_INTEGER, digits) + operation)


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
