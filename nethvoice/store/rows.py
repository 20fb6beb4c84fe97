"""Writing rows so that a change that alters nothing touches nothing, and reading them as JSON."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    RowMapping,
    String,
    Table,
    cast,
    collate,
    column,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import mysql

from nethvoice.problems import Problem
from nethvoice.store.database import Database


def text_value(value: object) -> str | None:
    """A column value as clients get it: text or null, whatever the driver returned."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def text_row(row: Mapping[str, object] | RowMapping) -> dict[str, str | None]:
    """A whole row with every value as text or null."""
    return {str(name): text_value(value) for name, value in row.items()}


def json_row(columns: Iterable[tuple[str, ColumnElement[Any]]]) -> ColumnElement[str]:
    """An expression by which the database itself builds the JSON object of a row.

    Values come out as strings or null. Decoding thousands of rows in Python costs more than twice
    as much.
    """
    parts: list[ColumnElement[Any]] = []
    for name, element in columns:
        parts += [literal(name), cast(element, String(8192))]
    return func.json_object(*parts)


def live_columns(database: Database, table: Table) -> list[tuple[str, ColumnElement[Any]]]:
    """The columns that the table really has, in their order, unknown extra ones included."""
    live = database.live(table)
    names = live.columns if live else ()
    return [
        (name, table.c[name] if name in table.c else column(name, _selectable=table))
        for name in names
    ]


def present(database: Database, table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without the columns that this version of the table lacks."""
    live = database.live(table)
    names = live.columns if live else ()
    return {name: value for name, value in values.items() if name in names}


def require_width(database: Database, table: Table, name: str, value: str, label: str) -> None:
    """Raise Problem 422 when `value` does not fit the column; `label` names it for the caller."""
    live = database.live(table)
    width = live.widths.get(name) if live else None
    if width is not None and len(value) > width:
        raise Problem(422, "Refused", f"{label} is longer than {width} characters")


def differs(connection: Connection, item: Column[Any], value: object) -> ColumnElement[bool]:
    """True in SQL where the column does not hold exactly `value`, letter case included."""
    if not isinstance(item.type, String):
        return item.is_distinct_from(value)
    if connection.dialect.name == "sqlite":
        return collate(item, "BINARY").is_distinct_from(value)
    # Columns of older databases may have another character set or a padding collation.
    exact = collate(func.convert(item.op("USING")(mysql_charset)), "utf8mb4_nopad_bin")
    return exact.is_distinct_from(value)


mysql_charset: ColumnElement[Any] = column("utf8mb4")


def change_rows(
    connection: Connection, table: Table, where: ColumnElement[bool], values: Mapping[str, Any]
) -> int:
    """Update the rows that differ from `values`; returns how many were changed."""
    different = or_(*(differs(connection, table.c[name], v) for name, v in values.items()))
    statement = update(table).where(where, different).values(dict(values))
    return int(connection.execute(statement).rowcount)


def put_row(
    connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> bool:
    """Make the row with `key` hold `values`, other columns keeping theirs; True when changed."""
    where = [table.c[name] == value for name, value in key.items()]
    found = connection.execute(select(literal(1)).select_from(table).where(*where)).first()
    if found is None:
        connection.execute(insert(table).values({**key, **values}))
        return True
    return change_rows(connection, table, _all(where), values) > 0


def _all(conditions: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    result = conditions[0]
    for condition in conditions[1:]:
        result = result & condition
    return result


def insert_ignore(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows whose unique key is not there yet; returns how many were inserted."""
    if not rows:
        return 0
    if connection.dialect.name == "sqlite":
        statement = insert(table).prefix_with("OR IGNORE")
    else:
        statement = mysql.insert(table).prefix_with("IGNORE")
    return int(connection.execute(statement, rows).rowcount)
