"""LDAP messages as bytes. The grammar is `data/ldap.asn1`; asn1tools does BER."""

import functools
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import asn1tools

MESSAGE_LIMIT = 16 * 1024
"""Bytes of a request. What phones send has a few hundred."""

_SEQUENCE = 0x30
_DISCONNECTION = b"1.3.6.1.4.1.1466.20036"

ANSWERS = {
    "bindRequest": "bindResponse",
    "searchRequest": "searchResDone",
    "modifyRequest": "modifyResponse",
    "addRequest": "addResponse",
    "delRequest": "delResponse",
    "modDNRequest": "modDNResponse",
    "compareRequest": "compareResponse",
    "extendedRequest": "extendedResponse",
}
"""Which response belongs to a request."""


class ProtocolFault(Exception):
    """What came is no LDAP request; the connection cannot go on."""


@dataclass(frozen=True)
class Message:
    """A request: `kind` and `value` are those of the grammar's `protocolOp`."""

    id: int
    kind: str
    value: Any
    critical: bool
    """True when the client insists on a control; none is supported."""


@functools.cache
def _grammar() -> Any:
    path = files("nethvoice") / "data" / "ldap.asn1"
    return asn1tools.compile_string(path.read_text(encoding="utf-8"), "ber")


def message_length(data: bytes | bytearray) -> int | None:
    """Bytes of the message that begins here, None when that is not told yet.

    Raises ProtocolFault for what cannot begin a message or would be too long.
    """
    if data[0] != _SEQUENCE:
        raise ProtocolFault("no LDAP message")
    try:
        length = _grammar().decode_length(bytes(data[:8]))
    except Exception as error:
        raise ProtocolFault("no LDAP message") from error
    if length is None:
        return None
    if length > MESSAGE_LIMIT:
        raise ProtocolFault("the message is too long")
    return int(length)


def decode(data: bytes) -> Message:
    """One message. Raises ProtocolFault for whatever is wrong with it."""
    try:
        message = _grammar().decode("LDAPMessage", data)
        kind, value = message["protocolOp"]
        controls = message.get("controls", ())
        critical = any(control["criticality"] for control in controls)
        number = message["messageID"]
    except Exception as error:  # whatever bytes can do to a decoder, deep nesting included
        raise ProtocolFault("the message cannot be read") from error
    if kind is None or not 0 <= number < 2**31:
        raise ProtocolFault("the message is no request")
    return Message(number, kind, value, critical)


def result(number: int, kind: str, code: str, text: str = "") -> bytes:
    """The response that ends an operation; `code` is a name of the grammar's ResultCode."""
    value = {"resultCode": code, "matchedDN": b"", "message": text.encode()}
    return _encode("LDAPMessage", {"messageID": number, "protocolOp": (ANSWERS[kind], value)})


def disconnection(text: str) -> bytes:
    """The notice of disconnection (RFC 4511, 4.4.1)."""
    value = {
        "resultCode": "protocolError",
        "matchedDN": b"",
        "message": text.encode(),
        "responseName": _DISCONNECTION,
    }
    return _encode("LDAPMessage", {"messageID": 0, "protocolOp": ("extendedResponse", value)})


def entry(dn: bytes, attributes: list[tuple[bytes, list[bytes]]]) -> bytes:
    """An entry of a result, without the message around it: the same for every request."""
    listed = [{"type": name, "vals": values} for name, values in attributes]
    return _encode("SearchResultEntry", {"objectName": dn, "attributes": listed})


def envelope(number: int, operation: bytes) -> bytes:
    """The message around an encoded operation."""
    return _encode("Envelope", {"messageID": number, "protocolOp": operation})


def _encode(kind: str, value: Any) -> bytes:
    return bytes(_grammar().encode(kind, value))
