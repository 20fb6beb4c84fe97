"""CSV files of contacts, as spreadsheets really write them.

The encoding is told by a byte order mark, else it is UTF-16 when every other byte is NUL, UTF-8
when that fits, and Windows-1252 otherwise. The delimiter is the one that the header line has most
of. The first line names the columns.
"""

import csv
import io
import re

from nethvoice.pbx.phonebook.rows import Rows, SourceError, unique_names

DELIMITERS = ",;\t|"
_HEADER = 65536
_COLUMNS = 500
_SEP = re.compile(r"\Asep=(.)\r?\n", re.IGNORECASE)


# Archives, spreadsheets and documents: Zip (and xlsx), gzip, bzip2, xz, the older Office, PDF.
_NO_TEXT = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\xd0\xcf\x11\xe0", b"%PDF")


class CsvError(SourceError):
    """The file is no CSV that can be used; the text names the line."""


def decode(raw: bytes) -> str:
    """The text of a file. Raises CsvError with the line of what cannot be text."""
    if raw.startswith(_NO_TEXT):
        raise CsvError("line 1: the file is an archive or a document, not CSV")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decoded(raw, "utf-16")
    if raw.startswith(b"\xef\xbb\xbf"):
        return _decoded(raw, "utf-8-sig")
    sample = raw[:2000]
    half = len(sample) // 2
    if half and sample[1::2].count(0) > half * 0.7:
        return _decoded(raw, "utf-16-le")
    if half and sample[0::2].count(0) > half * 0.7:
        return _decoded(raw, "utf-16-be")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return _decoded(raw, "cp1252")
    _refuse_binary(text)
    return text


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise CsvError(f"line {line}: byte {raw[error.start]:#04x} is no {encoding} text") from None
    _refuse_binary(text)
    return text


_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")


def _refuse_binary(text: str) -> None:
    found = _BINARY.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise CsvError(f"line {line}: the file is not text")


def read_csv(text: str, limit: int) -> Rows:
    """Header and up to `limit` rows; short ones are padded, what is beyond the header is dropped.

    Raises CsvError with the line at which the record that is wrong begins.
    """
    text, delimiter, skipped = _delimiter(text)
    # A row that is quoted wrongly could swallow the rest of the file: strict refuses it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = skipped + 1
    columns: list[str] | None = None
    rows: list[list[str]] = []
    try:
        for fields in reader:
            line, begin = begin, skipped + reader.line_num + 1
            if not any(field.strip() for field in fields):
                continue
            if columns is None:
                columns = _header(fields, line)
                continue
            width = len(columns)
            rows.append((fields + [""] * width)[:width])
            if len(rows) >= limit:
                break
    except csv.Error as error:
        raise CsvError(f"line {begin}: {error}") from None
    if columns is None:
        raise CsvError("line 1: the file is empty, its first line must name the columns")
    return Rows(columns, rows)


def _header(fields: list[str], line: int) -> list[str]:
    if len(fields) > _COLUMNS:
        raise CsvError(f"line {line}: more than {_COLUMNS} columns")
    return unique_names([field.strip() for field in fields])


def _delimiter(text: str) -> tuple[str, str, int]:
    """The text without Excel's `sep=` line, the delimiter, and how many lines were dropped."""
    told = _SEP.match(text)
    if told and told[1] in DELIMITERS:
        return text[told.end() :], told[1], 1
    counts = dict.fromkeys(DELIMITERS, 0)
    quoted = False
    for char in text[:_HEADER].lstrip("\r\n"):
        if char == '"':
            quoted = not quoted
        elif char in counts and not quoted:
            counts[char] += 1
        elif char == "\n" and not quoted:
            break
    return text, max(counts, key=lambda char: counts[char]), 0
