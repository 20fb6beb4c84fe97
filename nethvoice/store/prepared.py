"""Statements that are compiled once and then only sent.

What SQLAlchemy does for every execution takes longer than PyMySQL needs for the statement itself.
Hot paths therefore keep their statements as constants of this kind; the transaction, the pool and
the errors stay SQLAlchemy's.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

Values = Mapping[str, Any]
NONE: Values = {}

_PLACE = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class _Compiled:
    """The text for one dialect, its constants, the conversions of values that the driver does not
    make, and the order in which values are sent if they are not sent by name."""

    text: str
    constants: dict[str, Any]
    conversions: dict[str, Callable[[Any], Any]]
    order: tuple[str, ...] | None
    row: Callable[[Iterable[Any]], Any]

    def parameters(self, values: Values) -> Any:
        """What the driver gets."""
        named = {**self.constants, **values} if self.constants else values
        if self.conversions:
            named = {**named, **{name: to(named[name]) for name, to in self.conversions.items()}}
        return named if self.order is None else tuple([named[name] for name in self.order])


class Prepared:
    """A statement with `bindparam`s in place of what differs from use to use.

    Its columns must be such that the driver's values are what is wanted: texts and numbers, no
    Boolean. Lists for IN are written out. `columns` are those that an INSERT gives values for.
    """

    def __init__(self, statement: Executable, columns: Iterable[str] = ()) -> None:
        self._statement: Any = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, values: Values = NONE) -> list[Any]:
        """All rows, as named tuples."""
        cursor, compiled = self._send(connection, values)
        return [*map(compiled.row, self._read(connection, cursor, cursor.fetchall))]

    def first(self, connection: Connection, values: Values = NONE) -> Any:
        """The first row, None when there is none."""
        cursor, compiled = self._send(connection, values)
        row = self._read(connection, cursor, cursor.fetchone)
        return None if row is None else compiled.row(row)

    def scalar(self, connection: Connection, values: Values = NONE) -> Any:
        """The first value of the first row, None when there is none."""
        cursor, _ = self._send(connection, values)
        row = self._read(connection, cursor, cursor.fetchone)
        return None if row is None else row[0]

    def run(self, connection: Connection, values: Values = NONE) -> int:
        """Send a change; returns how many rows it touched."""
        cursor, _ = self._send(connection, values)
        return int(self._read(connection, cursor, lambda: cursor.rowcount))

    def run_many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Send a change once for each of the rows; PyMySQL makes one statement of INSERTs."""
        cursor, _ = self._send(connection, NONE, rows)
        self._read(connection, cursor, lambda: None)

    def insert(self, connection: Connection, values: Values) -> int:
        """Send an INSERT of one row; returns the number that the database gave it, else 0."""
        cursor, _ = self._send(connection, values)
        return int(self._read(connection, cursor, lambda: cursor.lastrowid) or 0)

    def _send(
        self, connection: Connection, values: Values, many: Sequence[Values] | None = None
    ) -> tuple[Any, _Compiled]:
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._compile(dialect)
        parameters: Any
        if many is None:
            parameters = compiled.parameters(values)
        else:
            parameters = [compiled.parameters(row) for row in many]
        cursor = connection.connection.cursor()
        # Whoever listens to the engine sees these statements too.
        for listener in connection.dispatch.before_cursor_execute:
            listener(connection, cursor, compiled.text, parameters, None, many is not None)
        try:
            (cursor.execute if many is None else cursor.executemany)(compiled.text, parameters)
        except Exception as error:
            _raise(connection, error, compiled.text)
        return cursor, compiled

    def _read(self, connection: Connection, cursor: Any, read: Callable[[], Any]) -> Any:
        try:
            found = read()
            cursor.close()
        except Exception as error:
            _raise(connection, error, None)
        return found

    def _compile(self, dialect: Dialect) -> _Compiled:
        made: SQLCompiler = self._statement.compile(dialect=dialect, column_keys=self._columns)
        if made.post_compile_params:
            raise TypeError("the text depends on its parameters")
        conversions: dict[str, Callable[[Any], Any]] = {
            made.bind_names[bind]: convert
            for bind in made.binds.values()
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        }
        names = [column.keyname for column in made._result_columns]
        for column in made._result_columns:
            if column.type.dialect_impl(dialect).result_processor(dialect, None) is not None:
                raise TypeError(f"values of {column.keyname} need a conversion")
        record: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        constants = {
            made.bind_names[bind]: bind
            for bind in made.binds.values()
            if not bind.required and bind.value is not None
        }
        if made.positional:
            order = tuple(made.positiontup or ())
            fixed = {name: bind.value for name, bind in constants.items()}
            return _Compiled(made.string, fixed, conversions, order, record._make)
        # PyMySQL would quote constants anew each time.
        literals = {
            name: made.render_literal_value(bind.value, bind.type)
            for name, bind in constants.items()
        }
        text = _PLACE.sub(lambda place: literals.get(place[1], place[0]), made.string)
        return _Compiled(text, {}, conversions, None, record._make)


def _raise(connection: Connection, error: Exception, statement: str | None) -> None:
    """Raise the driver's error as SQLAlchemy does, a lost connection given up. No parameters are
    in its text."""
    driver = connection.dialect.loaded_dbapi
    if not isinstance(error, driver.Error):
        raise error
    lost = connection.dialect.is_disconnect(error, connection.connection, None)
    if lost:
        connection.invalidate(error)
    raise DBAPIError.instance(
        statement,
        None,
        error,
        driver.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=connection.dialect,
    ) from error
