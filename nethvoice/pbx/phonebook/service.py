"""What clients do with the phonebook: its sources, its switches, and the LDAP service."""

import logging
import secrets
from collections.abc import Mapping
from typing import Any

from nethvoice.pbx.phonebook import sources, sync
from nethvoice.pbx.phonebook.csv_text import CsvError, decode, read_csv
from nethvoice.pbx.phonebook.readers import TRIAL, WHOLE, read_source
from nethvoice.pbx.phonebook.rows import SourceError
from nethvoice.pbx.switches import carry_out
from nethvoice.store.state import get_state, set_state
from nethvoice.system import System
from nethvoice.uploads import UploadedFile

log = logging.getLogger(__name__)

BASE = "dc=phonebook,dc=nh"
"""The suffix of the LDAP phonebook, which phones and their templates know."""

_PASSWORD = "phonebook_ldap_password"  # noqa: S105 - the name of a stored value
_DIRECTORY = {
    "base": BASE,
    "name_display": "%cn %o",
    "mainphone_number_attr": "telephoneNumber",
    "mobilephone_number_attr": "mobile",
    "otherphone_number_attr": "homePhone",
    "name_attr": "cn o",
    "number_filter": "(|(telephoneNumber=%)(mobile=%)(homePhone=%))",
    "name_filter": "(|(cn=%)(o=%))",
}


# --- sources --------------------------------------------------------------------------------------


def create_source(system: System, body: Mapping[str, Any]) -> str:
    """Store a new source and begin to synchronise it; returns its id. Raises Problem 400, 422."""
    config = sources.check_config(body)
    with sync.locked(system, ""):
        source_id = sources.new_source_id(system)
        _store(system, source_id, config)
    sync.run_soon(system)
    return source_id


def replace_source(system: System, source_id: str, body: Mapping[str, Any]) -> None:
    """Create or replace a source by id and begin to synchronise it. Raises Problem 400, 422."""
    config = sources.check_config(body)
    _store(system, source_id, config)
    sync.run_soon(system)


def _store(system: System, source_id: str, config: sources.Config) -> None:
    with sync.locked(system, source_id):
        sources.refuse_reserved(source_id)
        # Noted first: should the service die now, the next tick brings the contacts into line.
        sync.want(system, source_id)
        sources.write_source(system, source_id, config)
        # And again: a run that began in between has read the former source.
        sync.want(system, source_id)
        if not config["enabled"]:
            sync.remove_contacts(system, (source_id,))


def delete_source(system: System, source_id: str) -> None:
    """Delete a source with its contacts, without asking the other system. Raises Problem 404."""
    sources.find_source(system, source_id)
    with sync.locked(system, source_id):
        source = sources.find_source(system, source_id)
        sync.remove_contacts(system, (source_id,))
        sync.forget(system, source_id)
        sources.remove_source(system, source)


def try_source(system: System, body: Mapping[str, Any]) -> list[dict[str, str]] | dict[str, bool]:
    """Up to three rows of a source that is not stored; `{"status": False}` when it fails.

    Raises Problem 400 for a body that is not complete.
    """
    config = sources.check_config(body, trial=True)
    try:
        rows = read_source(config, system.settings.phonebook_uploads, TRIAL)
    except SourceError as error:
        log.warning("a phonebook source does not work: %s", error)
        return {"status": False}
    found = rows.rows
    if not found and config["dbtype"] != "csv" and rows.columns:
        # Without a row the client could not learn the names of the columns.
        found = [[""] * len(rows.columns)]
    return [dict(zip(rows.columns, row, strict=True)) for row in found]


def sync_source(system: System, source_id: str) -> None:
    """Synchronise a source now.

    Raises Problem 404 for an unknown one, 422, 502 or 504 when it cannot be read.
    """
    sources.find_source(system, source_id)
    try:
        sync.sync(system, source_id)
    except SourceError as error:
        raise error.problem() from None


def take_upload(system: System, body: Mapping[str, str | UploadedFile]) -> str:
    """Check an uploaded CSV file and keep it, as UTF-8; returns the URL for a source.

    Raises Problem 400 without a file, 422 with the line number for one that is no CSV.
    """
    file = sources.last_file(body)
    try:
        text = decode(file.path.read_bytes())
        read_csv(text, WHOLE.rows)
    except CsvError as error:
        raise error.problem() from None
    return sources.store_upload(system, f"{secrets.token_hex(16)}.csv", text.encode())


# --- switches of the built-in sources -------------------------------------------------------------


def set_switch(system: System, source: str, status: str) -> None:
    """Switch a built-in source; its contacts come or go in the background."""
    with system.change() as unit:
        set_state(unit.conn, f"phonebook_source_{source}", status)
    sync.want(system, sync.built_in_key(source))
    sync.run_soon(system)


# --- the LDAP phonebook ---------------------------------------------------------------------------


def ldap_enabled(system: System) -> dict[str, bool]:
    """Which of the two services `ldap` and `ldaps` is switched on."""
    with system.read() as connection:
        return {
            kind: get_state(connection, f"phonebook_{kind}_status") == "enabled"
            for kind in ("ldap", "ldaps")
        }


def bind_dn(system: System) -> str:
    """The name that phones bind with."""
    return f"cn={system.settings.phonebook_ldap_user},{BASE}"


def bind_password(system: System) -> str:
    """The password that phones bind with; without a setting one is made, once for all processes."""
    configured = system.settings.phonebook_ldap_password
    if configured is not None and configured.get_secret_value():
        return configured.get_secret_value()
    with system.read() as connection:
        stored = get_state(connection, _PASSWORD)
    if stored:
        return stored
    with system.change("nethvoice.phonebook") as unit:
        stored = get_state(unit.conn, _PASSWORD)
        if not stored:
            stored = secrets.token_hex(12)
            set_state(unit.conn, _PASSWORD, stored)
    return stored


def ldap_settings(system: System) -> dict[str, dict[str, Any]]:
    """What phones need to know of both services, in the form of the provisioning defaults."""
    enabled = ldap_enabled(system)
    settings = system.settings
    return {
        "ldap": {
            "enabled": enabled["ldap"],
            "port": str(settings.phonebook_ldap_port),
            "user": "",
            "password": "",
            "tls": "none",
            **_DIRECTORY,
        },
        "ldaps": {
            "enabled": enabled["ldaps"],
            "port": str(settings.phonebook_ldaps_port),
            "user": bind_dn(system),
            "password": bind_password(system),
            "tls": "ldaps",
            **_DIRECTORY,
        },
    }


def set_ldap_status(system: System, kind: str, status: str) -> None:
    """Have the hook switch `ldap` or `ldaps`, then store; the LDAP server follows within seconds.

    Raises Problem 500 when the hook fails; the status is then what it was.
    """
    hook = system.settings.hook_phonebook_ldap
    carry_out(system, f"phonebook_{kind}_status", status, "HOOK_PHONEBOOK_LDAP", hook, kind)
