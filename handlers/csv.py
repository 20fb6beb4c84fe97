"""Importing and exporting people as CSV."""

from nethvoice import bodies
from nethvoice.pbx import csv_format, csv_import
from nethvoice.system import System


def export_users_csv(*, system: System) -> str:
    """Base64 of the CSV of all people."""
    return csv_format.export(system)


def get_csv_import(*, system: System) -> bodies.CsvImportProgress:
    """How far the import is."""
    return {"result": csv_import.import_state(system)}


def start_csv_import(*, body: bodies.CsvFile, system: System) -> None:
    """Check the file and begin importing it."""
    csv_import.start_import(system, body["file"])
