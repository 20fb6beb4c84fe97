"""Small values of the service itself, in the table `rest_state`."""

from sqlalchemy import Connection, select

from nethvoice.store.rows import put_row
from nethvoice.store.tables import rest_state


def get_state(connection: Connection, keyword: str) -> str | None:
    """The stored value, None when it was never set."""
    return connection.scalar(select(rest_state.c.value).where(rest_state.c.keyword == keyword))


def set_state(connection: Connection, keyword: str, value: str) -> bool:
    """Store a value; True when it was another one before."""
    return put_row(connection, rest_state, {"keyword": keyword}, {"value": value})
