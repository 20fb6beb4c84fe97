"""What the telephone network of a country expects of a gateway: tones, prefixes, line types."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

DEFAULT_COUNTRY = "IT"


@dataclass(frozen=True, kw_only=True)
class Country:
    """A row of `data/gateway_countries.yaml`, which says what each member means.

    Cadences are milliseconds on, off, on, off ...
    """

    name: str
    national: str
    international: str
    frequency: int
    tones: Mapping[str, tuple[int, ...]]
    ring: tuple[int, ...]
    patton: str
    vega: str
    vega_impedance: str
    vega_caller_id: str
    mediatrix: str
    grandstream_impedance: Mapping[str, int]
    grandstream_caller_id: int


def find_country(code: str) -> Country | None:
    """The country with that ISO 3166 code in any case, if its network is known; else None."""
    return _countries().get(code.upper())


def known_countries() -> list[str]:
    """The codes of the countries whose networks are known."""
    return sorted(_countries())


@functools.cache
def _countries() -> dict[str, Country]:
    text = (files("provisioning") / "data" / "gateway_countries.yaml").read_text("utf-8")
    rows: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {
        code: Country(
            **row
            | {
                "tones": {tone: tuple(cadence) for tone, cadence in row["tones"].items()},
                "ring": tuple(row["ring"]),
            }
        )
        for code, row in rows.items()
    }
