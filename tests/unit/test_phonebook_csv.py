"""CSV files as spreadsheets and people write them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nethvoice.pbx.phonebook.csv_text import CsvError, decode, read_csv
from nethvoice.pbx.phonebook.rows import Rows, unique_names

TEXT = 'Name;Tel;Notes\r\n"Müller; Söhne";0721 40;"two\r\nlines, ""quoted"""\r\nÅsa;1;\r\n'
READ = Rows(
    ["Name", "Tel", "Notes"],
    [["Müller; Söhne", "0721 40", 'two\r\nlines, "quoted"'], ["Åsa", "1", ""]],
)


@pytest.mark.parametrize(
    "raw",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("cp1252"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
    ],
    ids=["utf-8", "bom", "windows-1252", "utf-16", "utf-16-be", "le, no bom", "be, no bom"],
)
def test_encodings(raw: bytes) -> None:
    assert read_csv(decode(raw), 100) == READ


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    text = f'a{delimiter}"b;,"{delimiter}c\n1{delimiter}2{delimiter}3\n'
    assert read_csv(text, 100) == Rows(["a", "b;,", "c"], [["1", "2", "3"]])


def test_the_line_that_excel_begins_with() -> None:
    assert read_csv("sep=;\r\nName;Tel, home\r\nAda;1\r\n", 9) == Rows(
        ["Name", "Tel, home"], [["Ada", "1"]]
    )


def test_rows_that_are_shorter_or_longer_than_the_header() -> None:
    # ns8 a63311ce: more columns than the header has crashed the import.
    rows = read_csv("a,b\n1\n1,2,3,4\n\n , \n5,6\n", 100)
    assert rows == Rows(["a", "b"], [["1", ""], ["1", "2"], ["5", "6"]])


def test_header_only_and_limit() -> None:
    assert read_csv("a,b\n", 3) == Rows(["a", "b"], [])
    assert len(read_csv("a\n" + "1\n" * 10, 3).rows) == 3


def test_names_that_are_missing_or_repeated() -> None:
    assert read_csv("Tel,,Tel,Tel\n1,2,3,4\n", 3).columns == ["Tel", "column_2", "Tel_2", "Tel_3"]
    assert unique_names(["a_2", "a", "a"]) == ["a_2", "a", "a_3"]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b'a,b\n1,2\n3,"4\n5,6\n7,8\n', 3),
        (b'a,b\n1,2\n"x"y,4\n', 3),
        (b'sep=,\na,b\n"x"y,4\n', 3),
        (b'a,b\n"1\n\n2",2\n"x"y,4\n', 5),
        (b"a,b\n1,2\n3,\x004\n", 3),
        (b"a,b\n1,\xe9\x81\n", 2),
        (b"", 1),
        (b"\n \n", 1),
        (b"PK\x03\x04\x14\x00\x00\x00\x08\x00", 1),
        (b"a,b\n" + b"1," + b"x" * 200_000 + b"\n", 2),
    ],
    ids=["open quote", "text after quote", "after sep", "lines in fields", "NUL", "no character",
         "empty", "blank", "zip", "endless field"],
)  # fmt: skip
def test_wrong_ones_are_refused_with_the_line(raw: bytes, line: int) -> None:
    with pytest.raises(CsvError, match=rf"^line {line}: "):
        read_csv(decode(raw), 100)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        rows = read_csv(decode(raw), 50)
    except CsvError as refused:
        reason = str(refused)
    else:
        reason = "line 0"
        assert len(set(rows.columns)) == len(rows.columns)
        assert all(len(row) == len(rows.columns) for row in rows.rows)
    assert reason.startswith("line ")


_CELL = st.text(
    st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from(';,"\n'), max_size=9
)


@given(st.lists(st.tuples(_CELL, _CELL), max_size=5), st.sampled_from(",;\t|"))
def test_what_is_written_is_read(rows: list[tuple[str, str]], delimiter: str) -> None:
    output = io.StringIO(newline="")
    writer = csv.writer(output, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("name", "tel"), *rows])
    read = read_csv(decode(output.getvalue().encode("utf-8-sig")), 100)
    assert read.columns == ["name", "tel"]
    assert read.rows == [list(row) for row in rows if any(cell.strip() for cell in row)]
