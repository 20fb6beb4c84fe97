"""What handlers may return besides plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RawJson:
    """A body that is JSON already; it is sent as it is."""

    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer with everything said: body data, status (None: the operation's own), headers."""

    data: Any = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
