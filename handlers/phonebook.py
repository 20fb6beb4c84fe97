"""The central phonebook and its LDAP service."""

from collections.abc import Mapping
from typing import Any

from nethvoice import bodies
from nethvoice.pbx.phonebook import service, sources, sync
from nethvoice.pbx.phonebook.fields import FIELDS
from nethvoice.system import System


def list_phonebook_fields() -> list[str]:
    """The columns of a contact."""
    return list(FIELDS)


def list_phonebook_sources(*, system: System) -> dict[str, dict[str, Any]]:
    """All sources by id."""
    return sources.list_sources(system)


def create_phonebook_source(
    *, body: Mapping[str, Any], system: System
) -> bodies.PhonebookSourceStored:
    """Add a source."""
    return {"status": True, "id": service.create_source(system, body)}


def replace_phonebook_source(
    *, source_id: str, body: Mapping[str, Any], system: System
) -> bodies.PhonebookSourceStored:
    """Create or replace a source."""
    service.replace_source(system, source_id, body)
    return {"status": True, "id": source_id}


def delete_phonebook_source(*, source_id: str, system: System) -> None:
    """Delete a source with its contacts."""
    service.delete_source(system, source_id)


def test_phonebook_source(
    *, body: Mapping[str, Any], system: System
) -> list[dict[str, str]] | dict[str, bool]:
    """Some rows of a source that is not stored."""
    return service.try_source(system, body)


def sync_phonebook_source(*, source_id: str, system: System) -> bodies.Done:
    """Synchronise a source now."""
    service.sync_source(system, source_id)
    return {"status": True}


def upload_phonebook_file(
    *, body: bodies.PhonebookUploadForm, system: System
) -> bodies.PhonebookUpload:
    """Keep a CSV file for a source."""
    return {"status": True, "uri": service.take_upload(system, body)}


def get_ldap_phonebook(*, system: System) -> dict[str, dict[str, Any]]:
    """What phones need to know of the LDAP phonebook."""
    return service.ldap_settings(system)


def set_ldap_phonebook_status(*, status: str, system: System) -> None:
    """Switch the LDAP service without encryption."""
    service.set_ldap_status(system, "ldap", status)


def set_ldaps_phonebook_status(*, status: str, system: System) -> None:
    """Switch the LDAP service with TLS."""
    service.set_ldap_status(system, "ldaps", status)


def get_phonebook_source_switches(*, system: System) -> dict[str, bool]:
    """Which built-in sources are on."""
    return sync.switches(system)


def set_phonebook_source_switch(*, source: str, status: str, system: System) -> None:
    """Switch a built-in source."""
    service.set_switch(system, source, status)
