"""AstDB, the key/value store of Asterisk, as the service reads and changes it.

Changes are recorded as plain lists of texts, kept in the outbox and applied later, perhaps more
than once; each of them is without harm when it is applied again:

    ["put", family, key, value]
    ["delete", family, key]                      nothing when there is no such key
    ["delete_tree", family, key]                 `key` and all below it; starts with digits
    ["append_member", family, key, member]       to a list joined by `&`, unless it is in
    ["remove_member", family, key, member]       the last one takes the key with it
    ["copy", family, from_key, to_key]           nothing without the source
    ["put_if_exists", family, test_key, key, value]
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson
from sqlalchemy import ColumnElement, Connection, Insert, bindparam, delete, func, or_, select
from sqlalchemy.dialects import mysql, sqlite

from nethvoice.store.ami import AmiClient, AmiRefused, AmiUnavailable, Fields
from nethvoice.store.database import Database
from nethvoice.store.outbox import TargetDown
from nethvoice.store.packed import json_objectagg
from nethvoice.store.prepared import Prepared
from nethvoice.store.tables import rest_astdb

AstdbOperation = list[Any]

_LONGEST_PATH = 255
_LONGEST_VALUE = 1000
"""Bytes; an AMI line holds little more."""

_BATCH = 500

_OPERANDS = {
    "put": ("key", "value"),
    "delete": ("key",),
    "delete_tree": ("branch",),
    "append_member": ("key", "member"),
    "remove_member": ("key", "member"),
    "copy": ("key", "key"),
    "put_if_exists": ("key", "key", "value"),
}
_BRANCH = re.compile(r"[0-9]+(/[0-9A-Za-z.-]+)*")
_TREE_FAMILY = re.compile(r"[0-9A-Za-z.-]+")
_MEMBER = re.compile(r"[^&\s]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class AstDB(Protocol):
    """Asterisk's own database or the embedded one. It is also the outbox's target `astdb`."""

    joins_transaction: bool

    def get(self, family: str, key: str) -> str | None:
        """The value, None when there is no such key. Letter case matters."""

    def tree(self, family: str, branch: str | None = None) -> Mapping[str, str]:
        """All values of exactly this family, by key relative to it (`200/cidname`).

        With a `branch` such as `200`, only those below it; the keys are the same.
        """

    def apply(
        self, operations: Sequence[AstdbOperation], connection: Connection | None = None
    ) -> None:
        """Apply in order. Raises ValueError for an operation that cannot be one, and TargetDown
        with any number of them applied."""


class AstdbChanges:
    """Collects `operations`, each checked when it is recorded. Raises ValueError for a family, key
    or value that AstDB or the manager interface cannot hold."""

    def __init__(self) -> None:
        self.operations: list[AstdbOperation] = []

    def put(self, family: str, key: str, value: str) -> None:
        """Set a value; blanks around it are dropped, as the manager interface does."""
        self._record("put", family, key, value.strip(" "))

    def delete(self, family: str, key: str) -> None:
        """Delete a key if it is there."""
        self._record("delete", family, key)

    def delete_tree(self, family: str, key: str) -> None:
        """Delete a branch, as `AMPUSER`, `200`: the key itself and everything below it."""
        self._record("delete_tree", family, key)

    def append_member(self, family: str, key: str, member: str) -> None:
        """Add to a list such as `AMPUSER/200/device`, `200&91200`."""
        self._record("append_member", family, key, member)

    def remove_member(self, family: str, key: str, member: str) -> None:
        """Take out of such a list."""
        self._record("remove_member", family, key, member)

    def copy(self, family: str, from_key: str, to_key: str) -> None:
        """Set `to_key` to what `from_key` holds when this is applied, if it is there then."""
        self._record("copy", family, from_key, to_key)

    def put_if_exists(self, family: str, test_key: str, key: str, value: str) -> None:
        """Set a value if `test_key` is there when this is applied."""
        self._record("put_if_exists", family, test_key, key, value.strip(" "))

    def _record(self, *operation: str) -> None:
        self.operations.append(_checked(list(operation)))


def _checked(operation: AstdbOperation) -> AstdbOperation:
    """The operation itself. Raises ValueError unless it is well formed and safe to apply."""
    name, *rest = operation or [None]
    kinds = _OPERANDS.get(str(name))
    if kinds is None or len(rest) != len(kinds) + 1 or not all(isinstance(o, str) for o in rest):
        raise ValueError(f"{name!r} with {len(rest)} operands is no AstDB operation")
    family, *operands = rest
    for kind, operand in zip(kinds, operands, strict=True):
        if kind == "value":
            if _CONTROLS.search(operand) or len(operand.encode()) > _LONGEST_VALUE:
                raise ValueError(f"the value for AstDB {family}/{operands[0]} cannot be stored")
        elif kind == "member":
            if not _MEMBER.fullmatch(operand) or _CONTROLS.search(operand):
                raise ValueError(f"{operand!r} cannot be a member of AstDB {family}/{operands[0]}")
        else:
            _path(family, operand)
        if kind == "branch" and not (_TREE_FAMILY.fullmatch(family) and _BRANCH.fullmatch(operand)):
            # An empty number would name the whole family, `%` and `_` match anything.
            raise ValueError(f"AstDB branch {family}/{operand} must not be deleted as a tree")
    return operation


def _path(family: str, key: str) -> str:
    """`/family/key`. Raises ValueError for names that cannot be stored, an empty part included:
    it comes from an empty number."""
    path = f"/{family}/{key}"
    parts = [family, *key.split("/")]
    if "/" in family or not all(part and part == part.strip() for part in parts):
        raise ValueError(f"AstDB key {path!r} has an empty part or blanks around one")
    if _CONTROLS.search(path) or len(path.encode()) > _LONGEST_PATH:
        raise ValueError(f"AstDB key {path!r} is too long or has control characters")
    return path


def _prefixes(family: str, branch: str | None) -> tuple[int, str]:
    """The length of `/family/`, and what the paths of the branch begin with."""
    start = len(_path(family, "x")) - 1
    below = _path(family, "x" if branch is None else f"{branch}/x")[:-1]
    return start, below


def _plain(
    operation: AstdbOperation, stored: Callable[[str, str], str | None]
) -> AstdbOperation | None:
    """The put or delete that the operation comes down to, given what is `stored`; None for none."""
    match operation:
        case ["append_member", family, key, member]:
            before = _members(stored(family, key))
            return None if member in before else ["put", family, key, "&".join([*before, member])]
        case ["remove_member", family, key, member]:
            before = _members(stored(family, key))
            after = [other for other in before if other != member]
            if not after:
                return ["delete", family, key]
            return None if after == before else ["put", family, key, "&".join(after)]
        case ["copy", family, from_key, to_key]:
            value = stored(family, from_key)
            return None if value is None else ["put", family, to_key, value]
        case ["put_if_exists", family, test_key, key, value]:
            return None if stored(family, test_key) is None else ["put", family, key, value]
    return operation


def _members(value: str | None) -> list[str]:
    return [member for member in (value or "").split("&") if member]


# --- Asterisk -------------------------------------------------------------------------------------


class AmiAstDB:
    """AstDB of a running Asterisk, through its manager interface.

    `get` and `tree` raise AmiUnavailable and AmiRefused.
    """

    joins_transaction = False

    def __init__(self, client: AmiClient) -> None:
        self._client = client
        self._applying = threading.Lock()

    def get(self, family: str, key: str) -> str | None:
        path = _path(family, key)
        try:
            rows = self._client.list_action("DBGet", {"Family": family, "Key": key}, timeout=2.0)
        except AmiRefused as error:
            if _means_absent(error.message):
                return None
            raise
        value = rows[0]["Val"]
        if len(value.encode("utf-8", "surrogateescape")) < 255:
            return value
        # Asterisk 16 cuts the answer of DBGet there, but not that of DBGetTree.
        return self._branch({"Family": family, "Key": key}).get(path)

    def tree(self, family: str, branch: str | None = None) -> Mapping[str, str]:
        start, below = _prefixes(family, branch)
        fields = {"Family": family} if branch is None else {"Family": family, "Key": branch}
        rows = self._branch(fields)
        # Asterisk matches without regard to case and takes `%` and `_` as wildcards.
        return {path[start:]: value for path, value in rows.items() if path.startswith(below)}

    def _branch(self, fields: Fields) -> dict[str, str]:
        return {row["Key"]: row["Val"] for row in self._client.list_action("DBGetTree", fields)}

    def apply(
        self,
        operations: Sequence[AstdbOperation],
        connection: Connection | None = None,
    ) -> None:
        checked = [_checked(operation) for operation in operations]
        try:
            # Two threads must not read the same list and write it back one after the other.
            with self._applying:
                self._apply(checked)
        except AmiUnavailable as error:
            raise TargetDown(str(error)) from error

    def _apply(self, operations: Sequence[AstdbOperation]) -> None:
        waiting: list[tuple[str, Fields]] = []

        def stored(family: str, key: str) -> str | None:
            self._send(waiting)
            return self.get(family, key)

        for operation in operations:
            match _plain(operation, stored):
                case ["put", family, key, value]:
                    waiting.append(("DBPut", {"Family": family, "Key": key, "Val": value}))
                case ["delete", family, key]:
                    waiting.append(("DBDel", {"Family": family, "Key": key}))
                case ["delete_tree", family, key]:
                    waiting.append(("DBDelTree", {"Family": family, "Key": key}))
        self._send(waiting)

    def _send(self, actions: list[tuple[str, Fields]]) -> None:
        replies = self._client.pipeline(actions, timeout=5.0 + 0.02 * len(actions))
        for (name, _), reply in zip(actions, replies, strict=True):
            if reply.refused and not (name != "DBPut" and _means_absent(reply.message)):
                raise AmiRefused(reply.message)
        actions.clear()


def _means_absent(message: str) -> bool:
    return "not found" in message or "could not be deleted" in message


# --- embedded -------------------------------------------------------------------------------------


class EmbeddedAstDB:
    """The table `rest_astdb`, with the keys that Asterisk's own file has."""

    joins_transaction = True

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: dict[str, tuple[str, Mapping[str, str]]] = {}
        """What was read of each family the last time, as text and taken apart."""

    def get(self, family: str, key: str) -> str | None:
        path = _path(family, key)
        with self._database.read() as connection:
            return _stored(connection, path)

    def tree(self, family: str, branch: str | None = None) -> Mapping[str, str]:
        start, below = _prefixes(family, branch)
        with self._database.read() as connection:
            text = _TREE.scalar(
                connection, {"start": start + 1, "first": below, "behind": _behind(below)}
            )
        before = self._read.get(below)
        if before is not None and before[0] == text:
            return before[1]
        found: dict[str, str] = orjson.loads(text or b"{}")
        if branch is None:
            self._read[below] = text, found
        return found

    def apply(
        self, operations: Sequence[AstdbOperation], connection: Connection | None = None
    ) -> None:
        """Apply in order, in the transaction of `connection` if there is one, else in its own."""
        checked = [_checked(operation) for operation in operations]
        if connection is not None:
            _apply_to_table(connection, checked)
        else:
            with self._database.write() as own:
                _apply_to_table(own, checked)


_key = rest_astdb.c.key
_TREE = Prepared(
    select(json_objectagg(func.substr(_key, bindparam("start")), rest_astdb.c.value)).where(
        _key >= bindparam("first"), _key < bindparam("behind")
    )
)
_value = select(rest_astdb.c.value).where(_key == bindparam("path"))
_VALUE = Prepared(_value)
_VALUE_TO_CHANGE = Prepared(_value.with_for_update())


def _apply_to_table(connection: Connection, operations: Sequence[AstdbOperation]) -> None:
    """Keys are collected first, None for those to delete, and written with two statements."""
    waiting: dict[str, str | None] = {}

    def stored(family: str, key: str) -> str | None:
        path = _path(family, key)
        return waiting[path] if path in waiting else _stored(connection, path, lock=True)

    for operation in operations:
        match _plain(operation, stored):
            case ["put", family, key, value]:
                waiting[_path(family, key)] = value
            case ["delete", family, key]:
                waiting[_path(family, key)] = None
            case ["delete_tree", family, key]:
                path = _path(family, key)
                _write(connection, waiting)
                branch = or_(_key == path, _below(f"{path}/"))
                connection.execute(delete(rest_astdb).where(branch))
    _write(connection, waiting)


def _write(connection: Connection, values: dict[str, str | None]) -> None:
    gone = [path for path, value in values.items() if value is None]
    for start in range(0, len(gone), _BATCH):
        some = gone[start : start + _BATCH]
        connection.execute(delete(rest_astdb).where(_key.in_(some)))
    rows = [{"key": path, "value": value} for path, value in values.items() if value is not None]
    if rows:
        _UPSERTS[connection.dialect.name].run_many(connection, rows)
    values.clear()


def _upserts() -> dict[str, Prepared]:
    """`Set a key` by dialect."""
    embedded, server = sqlite.insert(rest_astdb), mysql.insert(rest_astdb)
    statements: dict[str, Insert] = {
        "sqlite": embedded.on_conflict_do_update(
            index_elements=[_key], set_={"value": embedded.excluded.value}
        ),
        "mysql": server.on_duplicate_key_update(value=server.inserted.value),
    }
    return {name: Prepared(made, ("key", "value")) for name, made in statements.items()}


_UPSERTS = _upserts()


def _below(prefix: str) -> ColumnElement[bool]:
    """Keys that begin with `prefix`, which ends in a slash."""
    return (_key >= prefix) & (_key < _behind(prefix))


def _behind(prefix: str) -> str:
    """What follows all keys that begin with `prefix`: `0` is the character behind the slash."""
    return f"{prefix[:-1]}0"


def _stored(connection: Connection, path: str, *, lock: bool = False) -> str | None:
    query = _VALUE_TO_CHANGE if lock else _VALUE
    value: str | None = query.scalar(connection, {"path": path})
    return value
