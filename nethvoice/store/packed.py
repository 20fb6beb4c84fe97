"""Many rows as one value: MariaDB puts them together several times faster than Python reads them.

PyMySQL spends some microseconds on every row and column. SQLite's driver does not, so there the
rows are read as they are.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, overload

from sqlalchemy import ColumnElement, Connection, Select, String, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from nethvoice.store.prepared import NONE, Prepared, Values

_RECORD = "\x1e"
_FIELD = "\x1f"


class json_objectagg(GenericFunction[str]):  # noqa: N801 - written like `func.json_objectagg`
    """All rows of a group as one JSON object of keys and values; null without rows."""

    type = String()
    inherit_cache = True


@compiles(json_objectagg, "sqlite")
def _sqlite_objectagg(element: json_objectagg, compiler: Any, **options: Any) -> str:
    return f"json_group_object{compiler.process(element.clause_expr, **options)}"


class Packed:
    """A query of numbers and JSON texts, which hold no control characters, in a fixed `order`.

    The last column may hold any text. Made once, for it is put together slowly; what differs from
    use to use are bound parameters.
    """

    def __init__(self, query: Select[*tuple[Any, ...]], *order: ColumnElement[Any]) -> None:
        first, *others = (func.coalesce(item, "") for item in query.selected_columns)
        record = func.concat(first, *(part for item in others for part in (_FIELD, item)), _RECORD)
        texts: Any = func.group_concat(record)
        if order:
            texts = texts.aggregate_order_by(*order)
        packed = query.with_only_columns(func.count(), texts, maintain_column_froms=True)
        self._splits = len(others)
        self._rows = Prepared(query.order_by(*order))
        self._packed = Prepared(packed)
        self._last: Rows | None = None

    def rows(self, connection: Connection, values: Values = NONE) -> "Rows":
        """The rows, every column as text, null as an empty one.

        The same object as last time when the database sent the same: what was made of it is still
        good.
        """
        if connection.dialect.name == "sqlite":
            return Rows(self._rows.rows(connection, values), self._splits)
        count, text = self._packed.first(connection, values)
        last = self._last
        if last is not None and last.sent == text:
            return last
        if not count:
            return Rows("", self._splits)
        # The database cuts what is longer than it may send; a separator may be in a text, too.
        if text is None or not text.endswith(_RECORD) or text.count(_RECORD) != count:
            return Rows(self._rows.rows(connection, values), self._splits)
        self._last = made = Rows(text, self._splits)
        return made

    def joined(self, connection: Connection, values: Values = NONE) -> str:
        """The rows of a query with one column, never null, with commas between them."""
        return self.rows(connection, values).joined


class Rows(Sequence[Sequence[str]]):
    """What was read, taken apart when it is looked at.

    Two are equal when the database sent the same, which is found out much faster.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, sent: str | Sequence[Sequence[Any]], splits: int) -> None:
        self.sent = sent
        self._splits = splits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and self.sent == other.sent

    @overload
    def __getitem__(self, place: int) -> Sequence[str]: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Sequence[str]]: ...

    def __getitem__(self, place: int | slice) -> Any:
        return self._apart[place]

    def __bool__(self) -> bool:
        return bool(self.sent)

    def __len__(self) -> int:
        return len(self._apart)

    def __iter__(self) -> Iterator[Sequence[str]]:
        return iter(self._apart)

    @cached_property
    def joined(self) -> str:
        """The rows of one column with commas between them."""
        if isinstance(self.sent, str):
            return self.sent.replace(_RECORD, "")
        return ",".join([str(row[0]) for row in self.sent])

    @cached_property
    def _apart(self) -> Sequence[Sequence[str]]:
        sent = self.sent
        if isinstance(sent, str):
            records = sent.removesuffix(_RECORD).split(f"{_RECORD},") if sent else ()
            return [record.split(_FIELD, self._splits) for record in records]
        return [["" if value is None else str(value) for value in row] for row in sent]
