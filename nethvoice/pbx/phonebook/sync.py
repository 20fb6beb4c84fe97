"""Bringing sources into the central phonebook, when somebody asks and when their interval is over.

A source is read first and written in one transaction afterwards: one that cannot be read leaves
the contacts that are there. Several processes may serve one PBX, so a run is claimed in
`rest_phonebook_sources`; the claim of a process that died is free again after ten minutes.
"""

import contextlib
import functools
import hashlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, or_, select, update

from nethvoice.pbx.phonebook.builtin import BUILT_IN
from nethvoice.pbx.phonebook.contacts import Mapped, map_rows, replace_contacts
from nethvoice.pbx.phonebook.readers import WHOLE, read_source
from nethvoice.pbx.phonebook.rows import SourceError
from nethvoice.pbx.phonebook.sources import (
    Source,
    all_sources,
    drop_unused_uploads,
    find_source,
)
from nethvoice.problems import Problem, conflict, unavailable
from nethvoice.store import tables as t
from nethvoice.store.database import LockBusy
from nethvoice.store.rows import insert_ignore, put_row
from nethvoice.store.state import get_state
from nethvoice.store.tasks import Report
from nethvoice.system import System

log = logging.getLogger(__name__)

TASK = "phonebook"
TICK = 10.0
CLEANING = 3600.0
CLAIM_DIES = 600.0
BUILT_IN_INTERVAL = 3600.0
_PREFIX = "builtin:"
_STATES = "nethvoice.phonebook.states"
"""Lock of the table of states: rows that come and go would deadlock in MariaDB."""


@dataclass(frozen=True)
class State:
    """What is known of a source: moments in seconds since 1970, None for never."""

    source: str
    wanted: float | None = None
    claimed: float | None = None
    tried: float | None = None
    synced: float | None = None
    contacts: int = 0
    skipped: int = 0
    last_error: str | None = None

    @property
    def failed(self) -> bool:
        """True when the last run gave no contacts; rows that were left out are no failure."""
        tried = self.tried or 0.0
        return self.last_error is not None and (self.synced is None or self.synced < tried)


@dataclass(frozen=True)
class Outcome:
    """Contacts that a source has in the phonebook now, and rows of it that could not be used."""

    contacts: int
    skipped: int
    reason: str


def built_in_key(switch: str) -> str:
    """Under which name a built-in source is noted; file ids have no colon."""
    return _PREFIX + switch


def name_of(key: str) -> str:
    """How people call a source."""
    return key.removeprefix(_PREFIX)


def switches(system: System) -> dict[str, bool]:
    """The built-in sources that are switched on; all are until somebody switches one off."""
    with system.read() as connection:
        return {
            name: get_state(connection, f"phonebook_source_{name}") != "disabled"
            for name in BUILT_IN
        }


def states(system: System) -> dict[str, State]:
    """What is known of every source that was ever tried."""
    columns = [t.rest_phonebook_sources.c[name] for name in State.__dataclass_fields__]
    with system.read() as connection:
        return {row.source: State(*row) for row in connection.execute(select(*columns))}


# --- one source -----------------------------------------------------------------------------------


def sync(system: System, key: str) -> Outcome:
    """Synchronise a source by id, or a built-in one by its key, and note what became of it.

    Raises SourceError when it cannot be read, Problem 404 for an unknown one, 409 when it was
    changed or deleted meanwhile. Contacts that are there stay then.
    """
    started = time.time()
    try:
        outcome = _built_in(system, key) if key.startswith(_PREFIX) else _file(system, key)
    except SourceError as error:
        _note(system, key, started, last_error=str(error))
        raise
    skipped = f"{outcome.skipped} rows left out: {outcome.reason}" if outcome.skipped else None
    _note(
        system,
        key,
        started,
        synced=time.time(),
        contacts=outcome.contacts,
        skipped=outcome.skipped,
        last_error=skipped,
    )
    return outcome


def _built_in(system: System, key: str) -> Outcome:
    switch = key.removeprefix(_PREFIX)
    source = BUILT_IN[switch]
    with locked(system, key):
        enabled = switches(system)[switch]
        wanted = Mapped(source.contacts(system) if enabled else [])
        return _write(system, source.sids, wanted)


def _file(system: System, source_id: str) -> Outcome:
    source = find_source(system, source_id)
    if not _fits(source):
        raise SourceError("the source has the name of a built-in one")
    mapped = read_contacts(system, source) if source.enabled else Mapped([])
    with locked(system, source_id):
        try:
            now = find_source(system, source_id)
        except Problem:
            now = None
        if now is None or now.config != source.config:
            raise conflict(f"the phonebook source {source_id} was changed meanwhile")
        return _write(system, (source_id,), mapped)


def read_contacts(system: System, source: Source) -> Mapped:
    """The contacts that a source has now. Raises SourceError."""
    mapping = source.config.get("mapping")
    if not isinstance(mapping, dict) or not mapping:
        raise SourceError("the source has no mapping")
    if not all(isinstance(target, str) for target in mapping.values()):
        raise SourceError("mapping: the name of a column is not text")
    rows = read_source(source.config, system.settings.phonebook_uploads, WHOLE)
    live = system.phonebook_database.live(t.phonebook)
    return map_rows(rows, mapping, source.label, live.widths if live else {})


def _write(system: System, sids: tuple[str, ...], wanted: Mapped) -> Outcome:
    database = system.phonebook_database
    with database.write() as connection:
        count = replace_contacts(connection, sids[0], wanted)
        for sid in sids[1:]:
            replace_contacts(connection, sid, Mapped([]))
    return Outcome(count, wanted.skipped, wanted.reason)


def remove_contacts(system: System, sids: tuple[str, ...]) -> None:
    """Remove the contacts of sources."""
    _write(system, sids, Mapped([]))


@contextlib.contextmanager
def locked(system: System, key: str) -> Iterator[None]:
    """Nobody else writes this source's file or contacts. Raises Problem 503 when busy too long."""
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    try:
        with system.database.lock(f"nethvoice.phonebook.{name}"):
            yield
    except LockBusy:
        raise unavailable("another change of this phonebook source is running") from None


def _note(system: System, key: str, started: float, **values: Any) -> None:
    with system.database.write(_STATES) as connection:
        put_row(
            connection,
            t.rest_phonebook_sources,
            {"source": key},
            {"tried": started, "claimed": None, "claimed_by": None, **values},
        )
        # What was asked for while this run was under way is still to be done.
        connection.execute(
            update(t.rest_phonebook_sources)
            .where(
                t.rest_phonebook_sources.c.source == key,
                t.rest_phonebook_sources.c.wanted <= started,
            )
            .values(wanted=None)
        )


def forget(system: System, key: str) -> None:
    """Drop what is known of a source."""
    with system.database.write(_STATES) as connection:
        connection.execute(
            delete(t.rest_phonebook_sources).where(t.rest_phonebook_sources.c.source == key)
        )


# --- runs -----------------------------------------------------------------------------------------


def want(system: System, key: str) -> None:
    """Ask for a run of a source as soon as possible, by whichever process."""
    with system.database.write(_STATES) as connection:
        put_row(connection, t.rest_phonebook_sources, {"source": key}, {"wanted": time.time()})


def run_soon(system: System) -> None:
    """Do in the background what was asked for."""

    def work(_report: Report) -> None:
        run_due(system, only_wanted=True)

    # Not joined to a running one, which may have looked for the last time already.
    system.tasks.start(TASK, work)


def all_keys(system: System) -> list[str]:
    """Keys of the built-in sources and of the enabled others."""
    found = [source.id for source in all_sources(system) if source.enabled and _fits(source)]
    return [built_in_key(switch) for switch in BUILT_IN] + found


def report(system: System) -> Iterator[str]:
    """Lines for people: every source, its contacts, when it was synchronised, its last error."""
    known = states(system)
    sources = {built_in_key(name): on for name, on in switches(system).items()}
    sources |= {source.id: source.enabled for source in all_sources(system)}
    for key, enabled in sources.items():
        state = known.get(key, State(key))
        when = "never synchronised"
        if state.synced is not None:
            when = "synchronised " + time.strftime("%Y-%m-%d %H:%M", time.localtime(state.synced))
        error = f"; last error: {state.last_error}" if state.last_error else ""
        on = "on" if enabled else "off"
        yield f"{name_of(key)}: {on}, {state.contacts} contacts, {when}{error}"


def due(
    sources: Mapping[str, tuple[bool, float]],
    known: Mapping[str, State],
    now: float,
    *,
    only_wanted: bool = False,
) -> list[str]:
    """Keys of what is to be run now; `sources` tells of each if it is enabled, and its interval."""
    found = []
    for key, (enabled, interval) in sources.items():
        state = known.get(key, State(key))
        if state.claimed is not None and now - state.claimed < CLAIM_DIES:
            continue
        over = state.tried is None or not 0 <= now - state.tried < interval
        wanted = state.wanted is not None and state.wanted <= now
        if wanted or (enabled and over and not only_wanted):
            found.append(key)
    return found


def run_due(system: System, *, only_wanted: bool = False) -> None:
    """Synchronise what is due and not claimed by another process, one source after the other.

    With `only_wanted`, intervals do not count.
    """
    begun: dict[str, float] = {}

    def again(key: str) -> bool:
        """Not twice in one run, unless somebody has asked for it meanwhile."""
        wanted = known.get(key, State(key)).wanted
        return key not in begun or (wanted is not None and wanted > begun[key])

    while True:
        sources = {s.id: (s.enabled, s.interval) for s in all_sources(system) if _fits(s)}
        for switch, enabled in switches(system).items():
            sources[built_in_key(switch)] = (enabled, BUILT_IN_INTERVAL)
        known = states(system)
        found = due(sources, known, time.time(), only_wanted=only_wanted)
        waiting = [key for key in found if again(key)]
        if not waiting:
            return
        for key in waiting:
            begun[key] = time.time()
            if _claim(system, known.get(key, State(key))):
                _attempt(system, key)


def _fits(source: Source) -> bool:
    """False for names in files written by hand that would be taken for another source's."""
    taken = {sid.lower() for built_in in BUILT_IN.values() for sid in built_in.sids}
    return len(source.id) <= 80 and ":" not in source.id and source.id.lower() not in taken


def _claim(system: System, seen: State) -> bool:
    """Claim a source, unless another process has it, or has had it since `seen` was read."""
    now = time.time()
    table = t.rest_phonebook_sources
    with system.database.write(_STATES) as connection:
        insert_ignore(connection, table, [{"source": seen.source}])
        free = or_(table.c.claimed.is_(None), table.c.claimed < now - CLAIM_DIES)
        same = table.c.tried.is_not_distinct_from(seen.tried)
        result = connection.execute(
            update(table)
            .where(table.c.source == seen.source, free, same)
            .values(claimed=now, claimed_by=system.tasks.owner[:128])
        )
    return result.rowcount == 1


def _attempt(system: System, key: str) -> None:
    try:
        outcome = sync(system, key)
        log.info("phonebook source %s: %d contacts", key, outcome.contacts)
    except SourceError as error:
        log.warning("phonebook source %s cannot be synchronised: %s", key, error)
    except Problem as problem:
        log.warning("phonebook source %s: %s", key, problem.detail)
        _release(system, key)
    except Exception:
        log.exception("phonebook source %s broke down", key)
        _note(system, key, time.time(), last_error="internal error, see the log")


def _release(system: System, key: str) -> None:
    with contextlib.suppress(Problem), system.database.write(_STATES) as connection:
        connection.execute(
            update(t.rest_phonebook_sources)
            .where(t.rest_phonebook_sources.c.source == key)
            .values(claimed=None, claimed_by=None)
        )


def attach(system: System) -> None:
    """Have sources synchronised by interval, and uploads that nobody uses removed."""
    system.every(TICK, "the phonebook", functools.partial(run_due, system))
    system.every(
        CLEANING, "the phonebook's uploads", functools.partial(drop_unused_uploads, system)
    )
