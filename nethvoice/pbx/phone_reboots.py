"""Restarting phones, now or at a planned time.

A planned reboot is one row of `rest_phone_reboots`, done once, at the next time that this host's
clock shows the hour and minute. Every process looks for what is due and claims it in the database,
so several may serve one PBX. With `REBOOT_CRONTAB` cron does the looking instead.
"""

import functools
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from nethvoice.pbx import notify
from nethvoice.pbx.values import number_text
from nethvoice.problems import Problem, bad_request
from nethvoice.store import tables as t
from nethvoice.store.crontab import WRITE
from nethvoice.store.unit import Unit
from nethvoice.system import System
from provisioning.mac_vendors import normalise_mac

log = logging.getLogger(__name__)

LOCK = "nethvoice.reboots"

LOOK_EVERY = 5.0
"""Seconds between two looks for what is due."""

LATE = 600.0
"""Seconds after which a missed reboot is put off to the next day: it was planned for a quiet hour,
and the service was not there."""

CLAIM_ENDS = 60.0
"""Seconds after which another process takes over from one that died while it was at it."""

_CRONTAB_READ_EVERY = 3600.0
_TIME = re.compile(r"[0-9]{1,2}")
_MALFORMED_MAC = "Malformed MAC address"
_MALFORMED_TIME = "Malformed time"
_SHOWN = 40

_table = t.rest_phone_reboots

Clock = Callable[[], float]
Outcome = dict[str, str | int]


@dataclass(frozen=True)
class _Time:
    hour: int
    minute: int


def attach(system: System) -> None:
    """Have the planned reboots of a system done while it runs."""
    if system.crontab is None:
        system.every(LOOK_EVERY, "phone reboots", functools.partial(run_due, system))
    else:
        adopt = functools.partial(adopt_crontab, system)
        system.every(_CRONTAB_READ_EVERY, "reboots in the crontab", adopt)


# --- what clients ask for -------------------------------------------------------------------------


def reboot_phones(
    system: System, wishes: Mapping[str, Any], clock: Clock = time.time
) -> dict[str, Outcome]:
    """Restart or plan the restart of phones by MAC address: `{}` is now, else `hours`, `minutes`.

    Each phone has its own outcome under the key that the client sent: code 204, or 400 or 500 with
    title and detail. Keys that write one address differently are one phone.
    """
    outcomes: dict[str, Outcome] = {}
    keys: dict[str, list[str]] = {}
    now: set[str] = set()
    planned: dict[str, _Time] = {}
    for key, wish in wishes.items():
        mac = normalise_mac(key)
        if mac is None:
            outcomes[key] = _malformed_mac(key)
            continue
        try:
            moment = _wanted_time(wish or {})
        except ValueError as error:
            outcomes[key] = {"title": _MALFORMED_TIME, "detail": str(error), "code": 400}
            continue
        keys.setdefault(mac, []).append(key)
        now.discard(mac)
        planned.pop(mac, None)
        if moment is None:
            now.add(mac)
        else:
            planned[mac] = moment
    done = _reboot_now(system, sorted(now))
    if planned:
        plan(system, planned, clock)
        done |= {mac: {"code": 204} for mac in planned}
    outcomes |= {key: done[mac] for mac, same in keys.items() for key in same}
    return {key: outcomes[key] for key in wishes}


def schedule_reboot(
    system: System, mac: str, hours: str, minutes: str, clock: Clock = time.time
) -> None:
    """Plan one phone's restart. Raises Problem 400."""
    try:
        moment = _wanted_time({"hours": hours, "minutes": minutes})
    except ValueError as error:
        raise bad_request(str(error)) from None
    if moment is not None:
        plan(system, {required_mac(mac): moment}, clock)


def list_reboots(system: System, mac: str | None = None) -> dict[str, dict[str, str]]:
    """The planned restarts, of all phones or of one, by MAC address `AA-BB-CC-DD-EE-FF`."""
    query = select(_table.c.mac, _table.c.hour, _table.c.minute).order_by(_table.c.mac)
    if mac is not None:
        query = query.where(_table.c.mac == required_mac(mac))
    with system.read() as connection:
        return {
            row.mac.replace(":", "-"): {"hours": f"{row.hour:02d}", "minutes": f"{row.minute:02d}"}
            for row in connection.execute(query)
        }


def cancel_reboots(system: System, macs: Iterable[str]) -> dict[str, Outcome]:
    """Forget planned restarts; code 202 for each address, whether one was planned or not."""
    wanted = {key: normalise_mac(key) for key in macs}
    known = {mac for mac in wanted.values() if mac is not None}
    if known:
        with system.change(LOCK) as unit:
            forget(system, unit, known)
    return {
        key: _malformed_mac(key) if mac is None else {"code": 202} for key, mac in wanted.items()
    }


def cancel_reboot(system: System, mac: str) -> None:
    """Forget the planned restart of one phone, if there is one. Raises Problem 400."""
    with system.change(LOCK) as unit:
        forget(system, unit, {required_mac(mac)})


def required_mac(text: str) -> str:
    """The address as it is stored. Raises Problem 400."""
    mac = normalise_mac(text)
    if mac is None:
        raise bad_request(f"{_MALFORMED_MAC}: {text[:_SHOWN]}")
    return mac


def _malformed_mac(key: str) -> Outcome:
    return {
        "title": _MALFORMED_MAC,
        "detail": f"{_MALFORMED_MAC}: {key[:_SHOWN]}",
        "code": 400,
    }


def _wanted_time(wish: Mapping[str, Any]) -> _Time | None:
    """The time of a wish, None for now. Raises ValueError with a text for the client."""
    hours, minutes = number_text(wish.get("hours")), number_text(wish.get("minutes"))
    if not hours and not minutes:
        return None
    if _TIME.fullmatch(hours) and _TIME.fullmatch(minutes):
        moment = _Time(int(hours), int(minutes))
        if moment.hour < 24 and moment.minute < 60:
            return moment
    raise ValueError(f"{_MALFORMED_TIME}: {hours[:8]}:{minutes[:8]}")


def _reboot_now(system: System, macs: list[str]) -> dict[str, Outcome]:
    if not macs:
        return {}
    with system.read() as connection:
        phones = find_phones(connection, macs)
    outcomes: dict[str, Outcome] = {}
    for mac in macs:
        phone = phones.get(mac)
        try:
            if phone is None:
                raise Problem(404, "Not found", "phone not found")
            notify.reboot(system, phone)
        except Problem as problem:
            outcomes[mac] = {"title": "Unknown error", "detail": problem.detail, "code": 500}
        else:
            outcomes[mac] = {"code": 204}
    return outcomes


def find_phones(connection: Connection, macs: Iterable[str]) -> dict[str, notify.PhoneLine]:
    """Phones by MAC address, as `notify.find_phone` finds one, with one statement."""
    phones = t.rest_devices_phones
    found: dict[str, notify.PhoneLine] = {}
    rows = connection.execute(
        select(phones.c.mac, phones.c.vendor, phones.c.extension)
        .where(phones.c.mac.in_(list(macs)))
        .order_by(phones.c.line, phones.c.id)
    )
    for row in rows:
        mac = row.mac.upper()
        if mac not in found or (row.extension and not found[mac].extension):
            found[mac] = notify.PhoneLine(row.vendor or None, row.extension or None)
    return found


# --- the plan -------------------------------------------------------------------------------------


def plan(system: System, times: Mapping[str, _Time], clock: Clock = time.time) -> None:
    """Plan restarts by MAC address; a second one for a phone replaces the first."""
    now = clock()
    with system.change(LOCK) as unit:
        rows = unit.conn.execute(select(_table).where(_table.c.mac.in_(list(times))))
        # One that is being done just now is done; the client asks for another one.
        kept = {row.mac: _Time(row.hour, row.minute) for row in rows if row.claimed is None}
        changed = {mac: moment for mac, moment in times.items() if kept.get(mac) != moment}
        if not changed:
            return
        unit.conn.execute(delete(_table).where(_table.c.mac.in_(list(changed))))
        unit.conn.execute(
            insert(_table),
            [
                {
                    "mac": mac,
                    "hour": moment.hour,
                    "minute": moment.minute,
                    "due": next_occurrence(moment.hour, moment.minute, now),
                    "claimed": None,
                }
                for mac, moment in changed.items()
            ],
        )
        _write_crontab(system, unit)


def forget(system: System, unit: Unit, macs: Iterable[str]) -> None:
    """Forget what is planned for these phones, inside a unit."""
    _forget(system, unit, _table.c.mac.in_(list(macs)))


def next_occurrence(hour: int, minute: int, now: float) -> float:
    """The next moment after `now` at which the local clock shows this time, in Unix seconds.

    A time that summer time leaves out comes an hour later, one that comes twice is the first.
    """
    day = datetime.fromtimestamp(now).replace(hour=hour, minute=minute, second=0, microsecond=0)
    for days in range(3):
        moment = (day + timedelta(days=days)).replace(fold=0).timestamp()
        if moment > now:
            return moment
    raise AssertionError("a day has every time of day")


def _forget(system: System, unit: Unit, where: ColumnElement[bool]) -> None:
    if unit.conn.execute(delete(_table).where(where)).rowcount:
        _write_crontab(system, unit)


def _write_crontab(system: System, unit: Unit) -> None:
    if system.crontab is not None:
        unit.crontab.append(WRITE)


# --- doing what is due ----------------------------------------------------------------------------


def run_due(system: System, clock: Clock = time.time) -> None:
    """Restart the phones whose time has come; what was missed by far is put off to the next day."""
    now = clock()
    with system.read() as connection:
        rows = connection.execute(
            select(_table)
            .where(_table.c.due <= now, _unclaimed(now))
            .order_by(_table.c.due, _table.c.mac)
        ).all()
    for row in rows:
        if now - row.due > LATE:
            _put_off(system, row, now)
        else:
            _run(system, row.mac, clock)


def run_planned(system: System, mac: str, clock: Clock = time.time) -> bool:
    """Restart one phone because cron says that it is time; False when nothing is planned for it.

    Raises Problem 400.
    """
    return _run(system, required_mac(mac), clock)


def adopt_crontab(system: System, clock: Clock = time.time) -> None:
    """Take over the lines that the former service left in the crontab."""
    if system.crontab is None:
        return
    found = {
        line.mac.replace("-", ":"): _Time(line.hour, line.minute)
        for line in system.crontab.lines()
        if line.former and line.hour < 24 and line.minute < 60
    }
    if found:
        with system.read() as connection:
            known = set(connection.scalars(select(_table.c.mac)))
        plan(system, {mac: moment for mac, moment in found.items() if mac not in known}, clock)
        with system.change(LOCK) as unit:
            _write_crontab(system, unit)


def _unclaimed(now: float) -> ColumnElement[bool]:
    return or_(_table.c.claimed.is_(None), _table.c.claimed < now - CLAIM_ENDS)


def _run(system: System, mac: str, clock: Clock) -> bool:
    """Do one planned restart, unless another process has claimed it; it is forgotten afterwards,
    whether the phone could be told or not."""
    now = clock()
    mine = and_(_table.c.mac == mac, _unclaimed(now))
    with system.database.write() as connection:
        row = connection.execute(select(_table.c.due).where(_table.c.mac == mac)).first()
        claim = update(_table).where(mine).values(claimed=now)
        if row is None or not connection.execute(claim).rowcount:
            return False
    outcome = _reboot_now(system, [mac])[mac]
    if outcome["code"] == 204:
        log.info("planned reboot done", extra={"mac": mac})
    else:
        log.warning("planned reboot failed", extra={"mac": mac, "reason": outcome["detail"]})
    with system.change(LOCK) as unit:
        # A client that planned anew meanwhile has made another row.
        done = and_(_table.c.mac == mac, _table.c.due == row.due, _table.c.claimed.is_not(None))
        _forget(system, unit, done)
    return True


def _put_off(system: System, row: Any, now: float) -> None:
    due = next_occurrence(row.hour, row.minute, now)
    log.warning("a planned reboot was missed", extra={"mac": row.mac, "next": due})
    with system.database.write() as connection:
        connection.execute(
            update(_table)
            .where(_table.c.mac == row.mac, _table.c.due == row.due)
            .values(due=due, claimed=None)
        )
