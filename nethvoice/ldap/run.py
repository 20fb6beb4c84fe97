"""`nethvoice ldap`: keeps ports, contacts and certificate as the database and the settings say."""

import asyncio
import logging
import signal
import ssl
import time
from dataclasses import dataclass
from typing import Any

from nethvoice.ldap import certificate, directory
from nethvoice.ldap.server import Access, Server, closed
from nethvoice.pbx.phonebook import service
from nethvoice.problems import Problem
from nethvoice.system import System

log = logging.getLogger(__name__)

TICK = 5.0
FULL_RELOAD = 3600.0
"""Seconds after which the phonebook is read anew although no contact came or went: other programs
may have changed one in place."""


@dataclass(frozen=True)
class _Seen:
    enabled: dict[str, bool]
    access: Access
    directory: directory.Directory | None


class LdapService:
    """Follows the database every `tick` seconds."""

    def __init__(self, system: System, tick: float = TICK) -> None:
        self._system = system
        self._settings = system.settings
        self._tick = tick
        self._server = Server(directory.Directory([]), Access("", ""))
        self._ports: dict[str, asyncio.Server] = {}
        self._fingerprint: directory.Fingerprint | None = None
        self._loaded = 0.0
        self._tls: ssl.SSLContext | None = None
        self._tls_age: Any = None
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            while not self._stop.is_set():
                await self._follow()
                try:
                    await asyncio.wait_for(self._stop.wait(), self._tick)
                except TimeoutError:
                    continue
        finally:
            for port in self._ports.values():
                await closed(port)
            self._server.close()

    async def _follow(self) -> None:
        try:
            seen = await asyncio.to_thread(self._look)
        except Problem as problem:
            # What is known is served on; phones do not notice that the database is away.
            log.warning("the phonebook cannot be read now: %s", problem.detail)
            return
        except Exception:
            log.exception("the phonebook cannot be read, trying again")
            return
        self._server.access = seen.access
        if seen.directory is not None:
            self._server.directory = seen.directory
            log.info("the LDAP phonebook has %d contacts", len(seen.directory))
        for kind, enabled in seen.enabled.items():
            await self._port(kind, enabled)

    def _look(self) -> _Seen:
        """What the database says now; the contacts only when they have changed. Blocks."""
        system = self._system
        access = Access(
            service.bind_dn(system),
            service.bind_password(system),
            self._settings.phonebook_ldap_limit,
        )
        enabled = service.ldap_enabled(system)
        loaded = None
        if any(enabled.values()):
            now = directory.fingerprint(system.phonebook_database)
            if now != self._fingerprint or time.monotonic() - self._loaded > FULL_RELOAD:
                loaded = directory.load(system.phonebook_database)
                self._fingerprint, self._loaded = now, time.monotonic()
        return _Seen(enabled, access, loaded)

    async def _port(self, kind: str, enabled: bool) -> None:
        open_port = self._ports.get(kind)
        if not enabled:
            if open_port is not None:
                await closed(self._ports.pop(kind))
                log.info("%s is closed", kind)
            return
        try:
            if kind == "ldaps":
                self._certificate()
            if open_port is not None:
                return
            number = getattr(self._settings, f"phonebook_{kind}_port")
            tls = self._tls if kind == "ldaps" else None
            host = self._settings.phonebook_ldap_host
            self._ports[kind] = await self._server.listen(host, number, tls)
            log.info("%s listens on port %d", kind, number)
        except (OSError, ssl.SSLError) as error:
            log.error("%s cannot be served: %s", kind, error)

    def _certificate(self) -> None:
        """Load the certificate, again when its file has changed; open ports use it at once."""
        paths = [path for path in certificate.files(self._settings) if path is not None]
        age = [path.stat().st_mtime_ns for path in paths]
        if self._tls is None:
            self._tls = certificate.context(self._settings)
        elif age != self._tls_age:
            self._tls.load_cert_chain(*certificate.files(self._settings))
            log.info("the LDAP certificate was renewed")
        self._tls_age = age
