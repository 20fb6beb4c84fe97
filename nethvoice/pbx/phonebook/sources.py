"""The sources of the phonebook: JSON files in `sources.d`, which other programs read too.

A file holds one source under its id, `{"custom_1": {...}}`; files written by hand may hold
several. They are replaced whole, by a rename, and are readable by the group only (0640): they hold
passwords.
"""

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from nethvoice.pbx.phonebook.fields import FIELDS
from nethvoice.pbx.phonebook.readers import REQUIRED, SERVERS, upload_path
from nethvoice.problems import Problem, bad_request, not_found, unprocessable
from nethvoice.store.files import write_private
from nethvoice.system import System
from nethvoice.uploads import UploadedFile

log = logging.getLogger(__name__)

Config = dict[str, Any]

DAILY = 1440
_FILE_BYTES = 256 * 1024
_MODE = 0o640
_UNUSED_UPLOAD = 86400.0

RESERVED = frozenset({"nethcti", "speeddial"})
"""Ids of the built-in sources as they stand in the phonebook's rows."""


@dataclass(frozen=True)
class Source:
    """A source with the file that holds it."""

    id: str
    config: Config
    path: Path

    @property
    def enabled(self) -> bool:
        """True when it is to be synchronised."""
        return bool(self.config["enabled"])

    @property
    def interval(self) -> float:
        """Seconds between two synchronisations."""
        minutes = _minutes(self.config.get("interval"))
        return 60.0 * min(DAILY, minutes if minutes and minutes > 0 else DAILY)

    @property
    def label(self) -> str:
        """What the contacts' column `type` holds."""
        return str(self.config.get("type") or self.id)


def list_sources(system: System) -> dict[str, Config]:
    """All sources by id, as they are stored, passwords included."""
    return {source.id: source.config for source in all_sources(system)}


def all_sources(system: System) -> list[Source]:
    """All sources in the order of their files; what cannot be read is logged and left out."""
    found: dict[str, Source] = {}
    for path, document in _files(system.settings.phonebook_sources):
        for name, stored in (document or {}).items():
            if not isinstance(stored, dict):
                log.warning("%s: %s is no source", path.name, name[:80])
                continue
            config = {**stored, "enabled": _switch(stored.get("enabled"))}
            found.setdefault(name, Source(name, config, path))
    return list(found.values())


def find_source(system: System, source_id: str) -> Source:
    """One source. Raises Problem 404."""
    for source in all_sources(system):
        if source.id == source_id:
            return source
    raise not_found(f"there is no phonebook source {source_id}")


def _files(folder: Path) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """The files with what they hold, None for one that cannot be read."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        return
    for path in paths:
        try:
            yield path, _document(path)
        except (OSError, ValueError) as error:
            log.warning("phonebook source %s cannot be read: %s", path.name, error)
            yield path, None


def _document(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _FILE_BYTES:
        raise ValueError("too large")
    document = orjson.loads(path.read_bytes())
    if not isinstance(document, dict):
        raise ValueError("no object")
    return document


def _switch(value: object) -> bool:
    return value in (True, 1) or str(value).lower() in ("true", "1", "on", "yes", "enabled")


# --- what clients send ----------------------------------------------------------------------------


def check_config(body: Mapping[str, Any], *, trial: bool = False) -> Config:
    """A source as it is stored, of what a client sent; for a `trial` the mapping may be missing.

    Raises Problem 400 with the contract's texts, 422 for a mapping to columns that the phonebook
    has not, and for what is too long. The `type` is empty when none is sent.
    """
    if not body.get("dbtype"):
        raise bad_request("Missing value: dbtype")
    required = REQUIRED.get(str(body["dbtype"]))
    if required is None:
        raise bad_request("Bad dbtype value")
    needed = required if trial else (*required, "mapping")
    config: Config = {}
    for name in needed:
        value = body.get(name)
        if not value or value == "0":  # empty as PHP has it
            raise bad_request(f"Missing value: {name}")
        config[name] = value if name == "mapping" else str(value)
    config["dbtype"] = str(body["dbtype"])
    interval = body.get("interval")
    minutes = DAILY if interval in (None, "") else _minutes(interval)
    if minutes is None:
        raise bad_request("interval is not a number of minutes")
    config["interval"] = str(minutes)
    for name, value in body.items():
        config.setdefault(name, value)
    for name in ("type", "enabled"):
        config.pop(name, None)
    config["type"] = str(body.get("type") or "")
    config["enabled"] = _switch(body.get("enabled"))
    _check_values(config)
    if len(orjson.dumps(config)) > _FILE_BYTES // 2:
        raise unprocessable(f"a source of more than {_FILE_BYTES // 2} bytes is not stored")
    return config


def _minutes(value: object) -> int | None:
    text = str(value).strip()
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _check_values(config: Config) -> None:
    for name in (*SERVERS, "url", "type"):
        value = config.get(name)
        if isinstance(value, str) and name != "query" and re.search(r"[\0\r\n]", value):
            raise unprocessable(f"{name} must be one line")
    mapping = config.get("mapping", {})
    if not isinstance(mapping, dict):
        raise bad_request("mapping is not an object")
    for source, target in mapping.items():
        if target not in FIELDS:
            raise unprocessable(f"mapping: {str(target)[:80]!r} is no column of the phonebook")
        if not source:
            raise unprocessable("mapping: a source column without a name")


# --- changing files -------------------------------------------------------------------------------


def new_source_id(system: System) -> str:
    """The smallest `custom_<n>` that is free. Raises Problem 409 when there is none."""
    taken = {source.id for source in all_sources(system)}
    folder = system.settings.phonebook_sources
    for number in range(1, 10_000):
        name = f"custom_{number}"
        if name not in taken and not (folder / f"{name}.json").exists():
            return name
    raise Problem(409, "Conflict", "there are too many phonebook sources")


def refuse_reserved(source_id: str) -> None:
    """Raise Problem 422 for an id under which a built-in source keeps its contacts."""
    if source_id.lower() in RESERVED:
        raise unprocessable(f"{source_id} is the name of a built-in source")


def write_source(system: System, source_id: str, config: Config) -> None:
    """Create a source, or replace the one with this id where it is.

    A source without a `type` is called by its id.
    """
    path = system.settings.phonebook_sources / f"{source_id}.json"
    with contextlib.suppress(Problem):
        path = find_source(system, source_id).path
    document: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError, ValueError):  # what is no source is replaced
        document = _document(path)
    document[source_id] = {**config, "type": config.get("type") or source_id}
    _write(path, document)


def remove_source(system: System, source: Source) -> None:
    """Remove a source and the file that was uploaded for it."""
    upload = upload_path(str(source.config.get("url", "")), system.settings.phonebook_uploads)
    document = _document(source.path)
    document.pop(source.id, None)
    if document:
        _write(source.path, document)
    else:
        source.path.unlink(missing_ok=True)
    used = _uploads_in_use(system)
    if upload is not None and used is not None and upload not in used:
        upload.unlink(missing_ok=True)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_private(path, orjson.dumps(document), _MODE)


# --- uploads --------------------------------------------------------------------------------------


def store_upload(system: System, name: str, raw: bytes) -> str:
    """Keep an uploaded file under `name`; returns the URL by which a source refers to it."""
    folder = system.settings.phonebook_uploads
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_private(folder / name, raw, _MODE)
    return f"file://{folder / name}"


def last_file(body: Mapping[str, str | UploadedFile]) -> UploadedFile:
    """The file that counts: the last, whatever its field is called. Raises Problem 400."""
    files = [value for value in body.values() if isinstance(value, UploadedFile)]
    if not files:
        raise bad_request("Missing file")
    return files[-1]


def _uploads_in_use(system: System) -> set[Path | None] | None:
    """The uploads that sources refer to; None while a file that may name any cannot be read."""
    used: set[Path | None] = set()
    for _, document in _files(system.settings.phonebook_sources):
        if document is None:
            return None
        for stored in document.values():
            if isinstance(stored, dict):
                url = str(stored.get("url", ""))
                used.add(upload_path(url, system.settings.phonebook_uploads))
    return used


def drop_unused_uploads(system: System) -> None:
    """Remove uploads of more than a day ago that no source refers to."""
    oldest = time.time() - _UNUSED_UPLOAD
    old: list[Path] = []
    for path in system.settings.phonebook_uploads.glob("*.csv"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                old.append(path)
    used = _uploads_in_use(system) if old else None
    if used is None:
        return
    for path in old:
        if Path(os.path.realpath(path)) not in used:
            with contextlib.suppress(OSError):
                path.unlink()
