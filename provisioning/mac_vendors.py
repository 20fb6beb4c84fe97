"""MAC addresses: how they are written, and which maker a range of them belongs to."""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

OVERLAY_NAME = "mac_vendors.yaml"
"""File of the data directory, in the form of the shipped table, whose ranges go before it."""

_SEPARATORS = re.compile(r"[:-]")
_NORMAL = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}")
_MAC = re.compile(r"[0-9A-Fa-f]{12}")
_OUI = re.compile(r"[0-9A-Fa-f]{6}")
_PREFIX = re.compile(r"[0-9A-F]{2,12}")
_BOUNDS = re.compile(r"([0-9A-F]{12})-([0-9A-F]{12})")


@dataclass(frozen=True)
class _Range:
    """Addresses from `start` to `end`, both included, as 48-bit numbers."""

    start: int
    end: int
    vendor: str
    engine: str | None


def normalise_mac(text: str) -> str | None:
    """`AA:BB:CC:DD:EE:FF` for an address in any case, with `:`, `-` or no separators; else None."""
    if _NORMAL.fullmatch(text):
        return text
    digits = _digits(text.strip())
    if not _MAC.fullmatch(digits):
        return None
    return _written(int(digits, 16), ":")


def vendor_of(mac: str, overlay: Path | None = None) -> str | None:
    """The maker's name as device lists show it, `Yealink/Dreamwave` for instance, else None.

    `mac` is a full address or a bare OUI (its first three octets), which is answered from the
    range that holds the second address of its block: the all-zero address belongs to nobody.
    """
    found = _find(mac, overlay)
    return found.vendor if found else None


def engine_vendor_of(mac: str, overlay: Path | None = None) -> str | None:
    """The maker whose phone models and file names apply, `yealink` for instance, else None.

    It differs from `vendor_of` for the Gigaset phones that Snom makes.
    """
    found = _find(mac, overlay)
    return found.engine if found else None


def address_map(overlay: Path | None = None) -> dict[str, list[dict[str, str]]]:
    """Vendor to its ranges, `start` and `end` written `AA-BB-CC-DD-EE-FF`, both included."""
    listed: dict[str, list[_Range]] = {}
    for item in sorted(_table(overlay), key=lambda r: (r.vendor.lower(), r.start, -r.end)):
        ranges = listed.setdefault(item.vendor, [])
        if not (ranges and item.end <= ranges[-1].end):
            ranges.append(item)
    return {
        vendor: [{"start": _written(r.start, "-"), "end": _written(r.end, "-")} for r in ranges]
        for vendor, ranges in listed.items()
    }


def _digits(text: str) -> str:
    """Hexadecimal digits of an address whose octets, if separated, are separated alike."""
    separator = text[2:3]
    if not _SEPARATORS.fullmatch(separator):
        return text
    octets = text.split(separator)
    return "".join(octets) if all(len(octet) == 2 for octet in octets) else ""


def _written(address: int, separator: str) -> str:
    return address.to_bytes(6).hex(separator).upper()


def _find(mac: str, overlay: Path | None) -> _Range | None:
    digits = _digits(mac.strip())
    if _MAC.fullmatch(digits):
        address = int(digits, 16)
    elif _OUI.fullmatch(digits):
        address = (int(digits, 16) << 24) + 1
    else:
        return None
    return next((item for item in _table(overlay) if item.start <= address <= item.end), None)


def _table(overlay: Path | None) -> tuple[_Range, ...]:
    if overlay is None:
        return _shipped()
    try:
        version = overlay.stat()
    except FileNotFoundError:
        return _shipped()
    return _overlaid(overlay, version.st_mtime_ns, version.st_size)


@functools.cache
def _shipped() -> tuple[_Range, ...]:
    text = (files("provisioning") / "data" / "mac_vendors.yaml").read_text("utf-8")
    return tuple(_narrow_first(_parse(text)))


@functools.lru_cache(maxsize=1)
def _overlaid(overlay: Path, _changed: int, _size: int) -> tuple[_Range, ...]:
    try:
        own = _narrow_first(_parse(overlay.read_text("utf-8")))
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{overlay.name}: {error}") from error
    # A shipped range that the overlay gives to another maker must not be listed beside it.
    others = [r for r in _shipped() if not any(o.start <= r.start and r.end <= o.end for o in own)]
    return (*own, *others)


def _narrow_first(ranges: Iterable[_Range]) -> list[_Range]:
    return sorted(ranges, key=lambda item: item.end - item.start)


def _parse(text: str) -> list[_Range]:
    entries: Any = yaml.safe_load(text)
    if not isinstance(entries, list):
        raise ValueError("a list of vendors is expected")
    ranges = []
    for entry in entries:
        match entry:
            case {"vendor": str(vendor), "ranges": [*texts], **rest}:
                engine = rest.pop("engine", None)
            case _:
                raise ValueError(f"not a vendor with ranges: {entry!r}")
        if rest or not (engine is None or isinstance(engine, str)):
            raise ValueError(f"vendor {vendor} has members that mean nothing here")
        ranges += [_Range(*_bounds(written), vendor, engine) for written in texts]
    return ranges


def _bounds(written: object) -> tuple[int, int]:
    # Unquoted digits are a number to YAML, and zeros at the front are lost.
    if not isinstance(written, str):
        raise ValueError(f"range {written!r} must be written in quotes")
    text = written.upper()
    if _PREFIX.fullmatch(text):
        return int(text.ljust(12, "0"), 16), int(text.ljust(12, "F"), 16)
    bounds = _BOUNDS.fullmatch(text)
    if not bounds or bounds[1] > bounds[2]:
        raise ValueError(f"{written!r} is neither a prefix nor a range of addresses")
    return int(bounds[1], 16), int(bounds[2], 16)
