"""Importing people from CSV: a task of two passes, one directory sync and one reload."""

import logging
import time
from collections.abc import Callable

import orjson
from sqlalchemy import Connection, select

from nethvoice.pbx import (
    apps,
    cti_profiles,
    directories,
    directory_rows,
    main_extensions,
    mobiles,
    voicemail,
)
from nethvoice.pbx.csv_format import Row, decode_upload, new_password, parse, switch
from nethvoice.pbx.devices import AppKind
from nethvoice.pbx.people import Person, find_person
from nethvoice.problems import Problem
from nethvoice.store.state import get_state, set_state
from nethvoice.store.tables import rest_users
from nethvoice.store.tasks import Report, TaskFailed
from nethvoice.store.unit import Unit
from nethvoice.system import NUMBERS, System

log = logging.getLogger(__name__)

KIND = "csv_import"
NONE_ACTIVE = "urn:nethvoice:problem:no-csv-import"
FAILED = "urn:nethvoice:problem:csv-import-failed"

_PATIENCE = 60.0
"""Seconds that all rows together wait for locked directories."""


def start_import(system: System, file: str) -> None:
    """Check the upload and begin importing it.

    Raises Problem 422 for a file that cannot be read, 409 while another import runs. What happens
    to single rows is reported by `import_state`.
    """
    rows = parse(decode_upload(file))
    system.tasks.start(
        KIND, lambda report: _Import(system, report).run(rows), busy="CSV import already active"
    )


def import_state(system: System) -> int:
    """How far the newest import is, 100 when it has ended well.

    Raises Problem 422 when there never was one, and when it ended with errors.
    """
    latest = system.tasks.latest(KIND)
    if latest is None:
        raise Problem(422, "No csv import active", type_=NONE_ACTIVE)
    task = latest[0]
    if task.state in ("queued", "running"):
        return min(task.progress, 99)
    if task.state == "succeeded":
        return 100
    with system.read() as connection:
        stored = get_state(connection, KIND)
    found = orjson.loads(stored) if stored else {}
    errors = found.get("errors") if found.get("task") == task.id else None
    errors = errors or task.output or ["the import failed"]
    raise Problem(422, "CSV import failed", "\n".join(errors), type_=FAILED, errors=errors)


class _Import:
    """One run. Row errors are collected; the other rows and steps go on."""

    def __init__(self, system: System, report: Report) -> None:
        self._system = system
        self._report = report
        self._errors: list[str] = []
        self._changed = False
        self._asked_directory = False
        self._patience = _PATIENCE

    def run(self, rows: list[Row]) -> None:
        """Both passes; raises TaskFailed when any row had an error."""
        try:
            known = self._create_people(rows)
            self._configure(known)
        finally:
            if self._changed:
                with self._system.change() as unit:
                    unit.reload()
        if self._errors:
            latest = self._system.tasks.latest(KIND)
            task = latest[0].id if latest else ""
            with self._system.change() as unit:
                text = orjson.dumps({"task": task, "errors": self._errors}).decode()
                set_state(unit.conn, KIND, text)
            raise TaskFailed(f"{len(self._errors)} errors")

    def _create_people(self, rows: list[Row]) -> list[tuple[Row, str | None]]:
        """Pass 1: make the people that the directory does not know.

        Returns the rows to go on with, and for those who exist the password to set.
        """
        known: list[tuple[Row, str | None]] = []
        created = False
        for position, row in enumerate(rows):
            self._report.progress(50 * position / len(rows), "creating users")
            if not row.username or not row.fullname:
                self._error(
                    row, "Error creating user: username and fullname can't be empty: " + _plain(row)
                )
                continue
            password = row.password or None
            try:
                if not self._is_known(row):
                    first = password or new_password()
                    directories.create_user(
                        self._system, row.username, row.fullname, first, tell=False
                    )
                    password = None
                    created = True
            except Problem as problem:
                self._error(row, f"Error creating user {row.username}: {problem.detail}")
                continue
            known.append((row, password))
        if created:
            self._synchronise()
        return known

    def _is_known(self, row: Row) -> bool:
        """Whether there is that person, also by the directory itself, which is asked once."""
        with self._system.read() as connection:
            known = find_person(connection, row.username) is not None
        if known or self._asked_directory or not directories.may_bring_people(self._system):
            return known
        self._asked_directory = True
        self._synchronise()
        return self._is_known(row)

    def _synchronise(self) -> None:
        try:
            directories.sync_now(self._system, self._report)
        except (Problem, TaskFailed) as failure:
            self._errors.append(f"synchronising the user directory failed: {failure}")

    def _configure(self, known: list[tuple[Row, str | None]]) -> None:
        """Pass 2: everything else, one unit of work for each row."""
        for position, (row, password) in enumerate(known):
            self._report.progress(50 + 50 * position / len(known), "configuring users")
            try:
                if password is not None:
                    self._set_password(row, password)
                self._wait_unlocked(row)
                self._configure_row(row)
            except Problem as problem:
                self._error(row, problem.detail)
            except Exception:
                log.exception("a row of a CSV import broke down", extra={"line": row.line})
                self._error(row, "internal error; see the service's log")

    def _set_password(self, row: Row, password: str) -> None:
        with self._system.read() as connection:
            person = _person(connection, row)
            _, writable = directory_rows.directory_of(connection, person)
            stored = connection.scalar(
                select(rest_users.c.password).where(rest_users.c.user_id == person.id)
            )
        if password == stored and not writable:
            return  # as it was exported, and nothing that could be set
        try:
            directories.set_password(self._system, person, password)
        except Problem as problem:
            self._error(row, f"Error setting the password: {problem.detail}")

    def _wait_unlocked(self, row: Row) -> None:
        if _number(row) is None or not directories.any_locked(self._system):
            return
        with self._system.read() as connection:
            person = _person(connection, row)
        started = time.monotonic()
        try:
            directories.wait_unlocked(self._system, person, self._patience)
        finally:
            self._patience -= time.monotonic() - started

    def _configure_row(self, row: Row) -> None:
        with self._system.change(NUMBERS, defer_reload=True) as unit:
            for column, step in (
                (row.extension, self._extension),
                (row.mobile, self._mobile),
                (row.voicemail, self._voicemail),
                (row.webrtc, self._webrtc),
                (row.groups, self._groups),
                (row.profile, self._profile),
                (row.nethlink, self._nethlink),
            ):
                if column is not None:
                    self._step(unit, row, step)
        self._changed = self._changed or unit.wants_reload

    def _step(self, unit: Unit, row: Row, step: Callable[[Unit, Row], None]) -> None:
        try:
            with unit.step():
                step(unit, row)
        except Problem as problem:
            self._error(row, problem.detail)

    def _error(self, row: Row, text: str) -> None:
        who = f" ({row.username})" if row.username else ""
        self._errors.append(f"line {row.line}{who}: {text}")

    # --- the columns --------------------------------------------------------------------------

    def _extension(self, unit: Unit, row: Row) -> None:
        extension = _number(row)
        if extension is not None:
            main_extensions.assign(self._system, unit, row.username, extension)

    def _mobile(self, unit: Unit, row: Row) -> None:
        person = _person(unit.conn, row)
        if mobiles.store_mobile(unit, person.id, mobiles.normalise_number(row.mobile)):
            unit.reload()

    def _voicemail(self, unit: Unit, row: Row) -> None:
        wanted = switch(row.voicemail)
        extension = _person(unit.conn, row).extension
        if wanted is None or (extension is None and not wanted):
            return
        if extension is None:
            raise Problem(422, "Refused", "voicemail needs a main extension")
        voicemail.switch_mailbox(self._system, unit, extension, enabled=wanted)

    def _webrtc(self, unit: Unit, row: Row) -> None:
        self._app(unit, row, "webrtc", switch(row.webrtc))

    def _nethlink(self, unit: Unit, row: Row) -> None:
        self._app(unit, row, "nethlink", switch(row.nethlink))

    def _app(self, unit: Unit, row: Row, kind: AppKind, wanted: bool | None) -> None:
        extension = _person(unit.conn, row).extension
        if wanted is None or (extension is None and not wanted):
            return
        if extension is None:
            raise Problem(422, "Refused", f"{kind} needs a main extension")
        if wanted:
            apps.add_app(self._system, unit, extension, kind)
        else:
            apps.remove_app(self._system, unit, extension, kind)

    def _groups(self, unit: Unit, row: Row) -> None:
        cti_profiles.set_groups(unit, _person(unit.conn, row), (row.groups or "").split("|"))

    def _profile(self, unit: Unit, row: Row) -> None:
        profile_id = cti_profiles.profile_id_by_name(unit, row.profile) if row.profile else None
        cti_profiles.set_profile(unit, _person(unit.conn, row), profile_id)


def _number(row: Row) -> str | None:
    """The main extension to assign; zero and any other text leave the person's as it is."""
    text = row.extension or ""
    return text if text.isascii() and text.isdigit() and text.strip("0") else None


def _person(connection: Connection, row: Row) -> Person:
    person = find_person(connection, row.username)
    if person is None:
        raise Problem(422, "Refused", f"{row.username} user doesn't exist")
    return person


def _plain(row: Row) -> str:
    """The row for an error text, without its password."""
    return ",".join([row.username, row.fullname, row.extension or ""])
