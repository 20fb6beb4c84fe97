"""The catalogue of VoIP providers: the file `providers.yaml` and the tables it fills."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, tuple_, update

from nethvoice.pbx.trunks import HEADER_FLAGS
from nethvoice.store import tables as t
from nethvoice.store.catalogue import Catalogue


@dataclass(frozen=True)
class ChanSip:
    """How the older SIP driver is told about a provider; lines separated by LF."""

    peer: str
    user: str
    registration: str


@dataclass(frozen=True)
class Facts:
    """A provider as the files have it."""

    key: str
    description: str
    options: Mapping[str, str]
    account: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, int] = field(default_factory=dict)
    chan_sip: ChanSip | None = None


_FILE = {"common", "common_headers", "common_chan_sip", "providers"}
_ENTRY = {"provider", "description", "options", "account", "headers", "chan_sip"}


def parse(shipped: Any, overlay: Any) -> dict[str, Facts]:
    """Facts by lower-case key. Raises ValueError for a file that is not of the shipped form."""
    common: dict[str, Any] = {}
    found: dict[str, Facts] = {}
    for document in (shipped, overlay):
        if document is None:
            continue
        if not isinstance(document, dict) or not isinstance(document.get("providers"), list):
            raise ValueError("a mapping with a list of providers is expected")
        _only(document, _FILE, "the file")
        for name in _FILE - {"providers"}:
            common[name] = {**common.get(name, {}), **_mapping(document, name, "the file")}
        for entry in document["providers"]:
            facts = _facts(entry, common)
            found[facts.key.lower()] = facts
    return found


def _facts(entry: Any, common: Mapping[str, Any]) -> Facts:
    match entry:
        case {"provider": str(key), "description": str(description)} if key and description:
            where = f"provider {key}"
        case _:
            raise ValueError(f"a provider needs a key and a description: {entry!r:.80}")
    _only(entry, _ENTRY, where)
    _width(key, 100, where)
    _width(description, 100, where)
    options = {**common["common"], **_mapping(entry, "options", where)}
    facts = Facts(
        key,
        description,
        _texts({name: data for name, data in options.items() if data is not None}, where),
        _texts(_mapping(entry, "account", where), where),
        _flags({**common["common_headers"], **_mapping(entry, "headers", where)}, where),
        _chan_sip(entry, common["common_chan_sip"], where),
    )
    if not facts.options.get("sip_server"):
        # A registration without a server makes every later reload fail.
        raise ValueError(f"{where} has no sip_server")
    return facts


def _chan_sip(entry: Mapping[str, Any], common: Mapping[str, Any], where: str) -> ChanSip | None:
    if "chan_sip" not in entry:
        return None
    own = _mapping(entry, "chan_sip", where)
    _only(own, {"host", "peer", "user", "registration"}, where)
    host = str(own.get("host", ""))
    registration = own.get("registration", common.get("registration", ""))
    return ChanSip(
        _lines(common.get("peer", []), own.get("peer", {}), host, where),
        _lines(common.get("user", []), own.get("user", {}), host, where),
        str(registration).replace("HOST", host),
    )


def _lines(common: Sequence[str], own: Any, host: str, where: str) -> str:
    """`common` with the deviations of `own`, or `own` itself if it is a list."""
    if isinstance(own, list):
        lines = [str(line) for line in own]
    elif isinstance(own, dict):
        options = dict(line.split("=", 1) for line in common) | own
        lines = [f"{name}={value}" for name, value in options.items() if value is not None]
    else:
        raise ValueError(f"{where}: peer and user are mappings or lists of lines")
    return "\n".join(lines).replace("HOST", host)


def _mapping(holder: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    found = holder.get(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{where}: {name} must be a mapping")
    return found


def _only(holder: Mapping[str, Any], known: Collection[str], where: str) -> None:
    unknown = sorted(str(name) for name in set(holder) - set(known))
    if unknown:
        raise ValueError(f"{where} has members that mean nothing here: {', '.join(unknown)}")


def _texts(values: Mapping[str, Any], where: str) -> dict[str, str]:
    for name, value in values.items():
        # Unquoted yes, no, on, off and digits are no texts to YAML.
        if not (isinstance(name, str) and isinstance(value, str)):
            raise ValueError(f"{where}: the value of {name} must be a text, in quotes if need be")
        if not value.isprintable():
            raise ValueError(f"{where}: the value of {name} has control characters")
        _width(name, 30, where)
        _width(value, 255, where)
    return dict(values)


def _flags(values: Mapping[str, Any], where: str) -> dict[str, int]:
    for name, value in values.items():
        if name not in HEADER_FLAGS or value not in (0, 1):
            raise ValueError(f"{where}: headers are {' and '.join(HEADER_FLAGS)}, 0 or 1")
    return {name: int(value) for name, value in values.items()}


def _width(text: str, width: int, where: str) -> None:
    if len(text) > width:
        raise ValueError(f"{where}: {text[:20]}... is longer than {width} characters")


def _store(connection: Connection, found: Mapping[str, Facts], gone: Collection[str]) -> None:
    table = t.rest_pjsip_providers
    known: dict[str, list[int]] = {}
    descriptions: dict[int, tuple[str, str]] = {}
    for row in connection.execute(select(table).order_by(table.c.id)):
        known.setdefault(row.provider.lower(), []).append(row.id)
        descriptions[row.id] = (row.provider, row.description)
    following = max(descriptions, default=0) + 1
    ids: dict[str, int] = {}
    superfluous = [provider for key in gone for provider in known.get(key, [])]
    for key, facts in found.items():
        mine, *twins = known.get(key, []) or [following]
        superfluous += twins
        ids[key] = mine
        if mine == following:
            following += 1
            connection.execute(
                insert(table).values(id=mine, provider=facts.key, description=facts.description)
            )
        elif descriptions[mine] != (facts.key, facts.description):
            connection.execute(
                update(table)
                .where(table.c.id == mine)
                .values(provider=facts.key, description=facts.description)
            )
    connection.execute(delete(table).where(table.c.id.in_(superfluous)))
    managed = [*ids.values(), *superfluous]
    for child, column, values in (
        (t.rest_pjsip_trunks_defaults, "data", {k: f.options for k, f in found.items()}),
        (t.rest_pjsip_trunks_specialopts, "data", {k: f.account for k, f in found.items()}),
        (t.rest_pjsip_trunks_custom_flags, "value", {k: f.headers for k, f in found.items()}),
    ):
        wanted = {
            (ids[key], name): value for key, own in values.items() for name, value in own.items()
        }
        _sync(connection, child, column, wanted, managed)
    _store_chan_sip(connection, found, gone)


def _sync(
    connection: Connection,
    table: Table,
    column: str,
    wanted: Mapping[tuple[int, str], str | int],
    managed: Sequence[int],
) -> None:
    """Make the rows of the `managed` providers those that are wanted."""
    query = select(table.c.provider_id, table.c.keyword, table.c[column])
    present = {
        (int(provider), keyword): value
        for provider, keyword, value in connection.execute(
            query.where(table.c.provider_id.in_(managed))
        )
    }
    stale = [pair for pair, value in present.items() if wanted.get(pair) != value]
    key = tuple_(table.c.provider_id, table.c.keyword)
    for start in range(0, len(stale), 500):
        connection.execute(delete(table).where(key.in_(stale[start : start + 500])))
    rows = [
        {"provider_id": pair[0], "keyword": pair[1], column: value}
        for pair, value in wanted.items()
        if present.get(pair) != value
    ]
    if rows:
        connection.execute(insert(table), rows)


def _store_chan_sip(
    connection: Connection, found: Mapping[str, Facts], gone: Collection[str]
) -> None:
    connection.execute(
        delete(t.providers).where(func.lower(t.providers.c.provider).in_([*found, *gone]))
    )
    rows = [
        {
            "provider": facts.key,
            "description": facts.description,
            "dettpeer": facts.chan_sip.peer,
            "dettuser": facts.chan_sip.user,
            "registration": facts.chan_sip.registration,
        }
        for facts in found.values()
        if facts.chan_sip is not None
    ]
    if rows:
        connection.execute(insert(t.providers), rows)


CATALOGUE = Catalogue("providers", t.rest_pjsip_providers, parse, _store)
