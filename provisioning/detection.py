"""Asking devices what they are: gateway or phone, and which model.

Every question has an end: a device gets some seconds in all, however slowly it answers, and only
the beginning of its answer is read. What one device does is no matter to the others.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import httpx

log = logging.getLogger(__name__)

Item = TypeVar("Item")

SECONDS_FOR_HOST = 5.0
_CONNECT = 2.0
_AT_ONCE = 256
_LONGEST = 256 * 1024

_FACTORY = ("admin", "admin")
"""User and password that phones leave the factory with."""

# Names as the devices send them to DHCP; people may have given others.
_SANGOMA_NAME = re.compile(r"(S\d{3})(?:-|$)")
_SNOM_NAME = re.compile(r"(?!.*IPDECT)snom([A-Za-z]?\d{3})(?:-|$)", re.IGNORECASE)
_YEALINK_NAME = re.compile(r"SIP-([A-Za-z0-9_]{2,16})(?:-|$)", re.IGNORECASE)
_NAMES = {"Sangoma": _SANGOMA_NAME, "Snom": _SNOM_NAME, "Yealink/Dreamwave": _YEALINK_NAME}

_GATEWAY_PAGE = re.compile(r"Gateway|Sangoma Vega ")
_CISCO = re.compile(r"<title>\s*(SPA\d{3})\s+Configuration Utility", re.IGNORECASE)
_SANGOMA = re.compile(r">\s*(S300|S500|S700)\s*<")
_SNOM_BASE = re.compile(r"<title>\s*(M300|M700)\s*</title>", re.IGNORECASE)
_SNOM = re.compile(r"Firmware-Version:.{0,200}?snom(\w{2,8})-SIP", re.DOTALL | re.IGNORECASE)
_YEALINK_TYPE = re.compile(r"devtype\W{1,8}([A-Za-z0-9]{2,16})[\"']")
_YEALINK_TITLE = re.compile(r"(?:Enterprise|Gigabit)[^<>]{0,60}?(?:SIP-| )([TW]\d+[PWG])")
_YEALINK_T38 = "38.70.0.125"


async def all_of(
    ask: Callable[[httpx.AsyncClient, Item], Awaitable[Item]],
    items: Sequence[Item],
    unanswered: Callable[[Item], Item],
) -> list[Item]:
    """Each item with what its device told, in the same order, all devices asked at once.

    `unanswered` makes what stands for a device that fails or takes too long.
    """
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(client: httpx.AsyncClient, item: Item) -> Item:
        async with turns:
            try:
                async with asyncio.timeout(SECONDS_FOR_HOST):
                    return await ask(client, item)
            except TimeoutError:
                return unanswered(item)
            except Exception:
                log.warning("a device answered oddly", exc_info=True)
                return unanswered(item)

    # No proxies, no redirects to elsewhere: only the device itself is asked.
    limits = httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=0)
    plain = {"Accept-Encoding": "identity"}
    timeout = httpx.Timeout(SECONDS_FOR_HOST, connect=_CONNECT)
    async with httpx.AsyncClient(
        timeout=timeout, limits=limits, trust_env=False, headers=plain
    ) as client:
        return list(await asyncio.gather(*(one(client, item) for item in items)))


async def is_gateway(client: httpx.AsyncClient, ipv4: str) -> bool:
    """Whether a Sangoma device is a Vega gateway: its start page says so."""
    page = await _page(client, ipv4, "/index.htm")
    return bool(_GATEWAY_PAGE.search(page))


async def model(client: httpx.AsyncClient, vendor: str, ipv4: str, name: str | None) -> str | None:
    """The model of a phone from its own host name or its web pages.

    None for makers whose models cannot be told, empty when nothing was recognised.
    """
    detect = _DETECTORS.get(vendor)
    if detect is None:
        return None
    return model_by_name(vendor, name) or await detect(client, ipv4, name or "")


def model_by_name(vendor: str, name: str | None) -> str | None:
    """The same by the host name alone, for a phone whose address is not known."""
    if vendor not in _DETECTORS:
        return None
    pattern = _NAMES.get(vendor)
    told = pattern.match(name or "") if pattern else None
    return told[1] if told else ""


async def _cisco(client: httpx.AsyncClient, ipv4: str, _name: str) -> str:
    return _first(_CISCO, await _page(client, ipv4, "/"))


async def _grandstream(_client: httpx.AsyncClient, _ipv4: str, _name: str) -> str:
    return ""


async def _sangoma(client: httpx.AsyncClient, ipv4: str, _name: str) -> str:
    return _first(_SANGOMA, await _page(client, ipv4, "/index.htm", _FACTORY))


async def _snom(client: httpx.AsyncClient, ipv4: str, name: str) -> str:
    if "IPDECT" in name:
        return _first(_SNOM_BASE, await _page(client, ipv4, "/main.html", _FACTORY))
    return _first(_SNOM, await _page(client, ipv4, "/info.htm", _FACTORY))


async def _yealink(client: httpx.AsyncClient, ipv4: str, _name: str) -> str:
    found = _first(
        _YEALINK_TYPE, await _page(client, ipv4, "/cgi-bin/ConfigManApp.com?Id=1", _FACTORY)
    )
    if found:
        return found.upper()
    found = _first(
        _YEALINK_TITLE, await _page(client, ipv4, "/servlet?p=login&q=loginForm&jumpto=status")
    )
    if found:
        return found
    status = await _page(client, ipv4, "/cgi-bin/cgiServer.exx?page=Status.htm", _FACTORY)
    return "T38" if _YEALINK_T38 in status else ""


_DETECTORS: Mapping[str, Callable[[httpx.AsyncClient, str, str], Awaitable[str]]] = {
    "Cisco/Linksys": _cisco,
    "Grandstream": _grandstream,
    "Sangoma": _sangoma,
    "Snom": _snom,
    "Yealink/Dreamwave": _yealink,
}


async def _page(
    client: httpx.AsyncClient, ipv4: str, path: str, login: tuple[str, str] | None = None
) -> str:
    """The beginning of a page of a device; empty when it gives none."""
    if not ipv4:
        return ""
    text = bytearray()
    try:
        auth = httpx.BasicAuth(*login) if login else None
        async with client.stream("GET", f"http://{ipv4}{path}", auth=auth) as answer:
            if answer.status_code == 200:
                async for chunk in answer.aiter_raw():
                    text += chunk
                    if len(text) >= _LONGEST:
                        break
    except (httpx.HTTPError, httpx.InvalidURL):
        return ""
    return text[:_LONGEST].decode("utf-8", "replace")


def _first(pattern: re.Pattern[str], page: str) -> str:
    match = pattern.search(page)
    return match[1] if match else ""
