"""Writing rows so that a change that alters nothing touches nothing, and reading them as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    RowMapping,
    String,
    Table,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from nethvoice.problems import Problem
from nethvoice.store.database import Database
from nethvoice.store.prepared import Prepared


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
    as much, and so would a cast of what is text already.
    """
    parts: list[ColumnElement[Any]] = []
    for name, element in columns:
        is_text = isinstance(element.type, String)
        parts += [literal(name), element if is_text else cast(element, String(8192))]
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


def differs(item: Column[Any], value: object) -> ColumnElement[bool]:
    """True in SQL where the column does not hold exactly `value`, letter case included."""
    exact = _exactly(item) if isinstance(item.type, String) else item
    return exact.is_distinct_from(value)


class _exactly(GenericFunction[str]):  # noqa: N801 - a function of SQL
    """A text column, compared letter by letter."""

    type = String()
    inherit_cache = True


@compiles(_exactly, "sqlite")
def _exactly_on_sqlite(element: _exactly, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} COLLATE BINARY)"


@compiles(_exactly)
def _exactly_on_mariadb(element: _exactly, compiler: Any, **options: Any) -> str:
    # Columns of older databases may have another character set or a padding collation.
    item = compiler.process(element.clauses, **options)
    return f"(convert({item} USING utf8mb4) COLLATE utf8mb4_nopad_bin)"


def change_rows(
    connection: Connection, table: Table, where: ColumnElement[bool], values: Mapping[str, Any]
) -> int:
    """Update the rows that differ from `values`; returns how many were changed."""
    different = or_(*(differs(table.c[name], value) for name, value in values.items()))
    statement = update(table).where(where, different).values(dict(values))
    return int(connection.execute(statement).rowcount)


def put_row(
    connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> bool:
    """Make the row with `key` hold `values`, other columns keeping theirs; True when changed."""
    there = _exists(table, (*key,))
    if there.first(connection, key) is None:
        try:
            insert_row(connection, table, {**key, **values})
        except IntegrityError:
            # Another transaction was quicker; any other reason is an error.
            if there.first(connection, key) is None:
                raise
        else:
            return True
    return change_row(connection, table, key, values) > 0


def change_row(
    connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> int:
    """As `change_rows`, for the rows whose columns are as in `key`."""
    parameters = {f"new_{name}": value for name, value in values.items()}
    parameters |= {f"key_{name}": value for name, value in key.items()}
    return _change(table, (*key,), (*values,)).run(connection, parameters)


def insert_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> int:
    """Insert a row; returns the number that the database gave it, 0 for none."""
    return _insert(table, (*values,)).insert(connection, values)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, which all have the same columns, in one statement."""
    if rows:
        _insert(table, (*rows[0],)).run_many(connection, rows)


def delete_rows(connection: Connection, table: Table, key: Mapping[str, Any]) -> int:
    """Delete the rows whose columns are as in `key`; returns how many."""
    return _delete(table, (*key,)).run(connection, key)


@cache
def _exists(table: Table, key: tuple[str, ...]) -> Prepared:
    return Prepared(select(literal(1)).select_from(table).where(*_keyed(table, key)).limit(1))


@cache
def _insert(table: Table, columns: tuple[str, ...]) -> Prepared:
    return Prepared(insert(table), columns)


@cache
def _delete(table: Table, key: tuple[str, ...]) -> Prepared:
    return Prepared(delete(table).where(*_keyed(table, key)))


@cache
def _change(table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> Prepared:
    new = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in columns}
    different = or_(*(differs(table.c[name], value) for name, value in new.items()))
    return Prepared(update(table).where(*_keyed(table, key, "key_"), different).values(new))


def _keyed(table: Table, key: tuple[str, ...], prefix: str = "") -> list[ColumnElement[bool]]:
    return [table.c[name] == bindparam(f"{prefix}{name}") for name in key]


def insert_ignore(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows whose unique key is not there yet; returns how many were inserted."""
    if not rows:
        return 0
    if connection.dialect.name == "sqlite":
        statement = insert(table).prefix_with("OR IGNORE")
    else:
        statement = mysql.insert(table).prefix_with("IGNORE")
    return int(connection.execute(statement, rows).rowcount)
