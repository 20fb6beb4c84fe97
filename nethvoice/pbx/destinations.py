"""Destinations: everything that a call can be sent to, as FreePBX and its modules name it.

A destination is written `context,extension,priority` of the dialplan. The facts, contexts and texts
are those of FreePBX core 16 and of the modules' `*_destinations` functions.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    String,
    Table,
    case,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql import Select

from nethvoice.pbx.freepbx import FROM_INTERNAL
from nethvoice.pbx.trunk_names import shown_name
from nethvoice.problems import unprocessable
from nethvoice.store import tables as t
from nethvoice.store.database import Database
from nethvoice.store.packed import Packed
from nethvoice.store.prepared import Prepared
from nethvoice.store.remembered import remember_last
from nethvoice.system import System

HANG_UP = "app-blackhole,hangup,1"
ADD_NEW = "popover"
"""What the wizard's menus have for "add a new one"; it is no destination."""

_FORM = re.compile(r"[^,;\s\x00-\x1f\x7f]+(?:,[^,;\x00-\x1f\x7f]+){2}")


class Destination(NamedTuple):
    """One place for a call. `category` and `id` group it; a module without groups has None."""

    destination: str
    description: str
    module: str
    heading: str
    category: str | None = None
    id: str | None = None
    edit_url: str = ""


_TERMINATE: Sequence[tuple[str, str]] = (
    ("hangup", "Hangup"),
    ("congestion", "Congestion"),
    ("busy", "Busy"),
    ("zapateller", "Play SIT Tone (Zapateller)"),
    ("musiconhold", "Put caller on hold forever"),
    ("ring", "Play ringtones to caller until they hangup"),
    ("no-service", "Play no service message"),
)
_MAILBOX: Sequence[tuple[str, str]] = (
    ("vmb", "Busy Message"),
    ("vmu", "Unavailable Message"),
    ("vms", "No Message"),
    ("vmi", "Instructions Only"),
)


@dataclass(frozen=True, eq=False)
class _Module:
    """Destinations that are one row each of a module's table.

    `destination`, `description` and `edit` are made with the row's `key` and `label`; `unnamed` is
    the description of a row without a label.
    """

    name: str
    heading: str
    key: Column[Any]
    label: Column[Any]
    destination: str
    description: str = "{label}"
    unnamed: str | None = None
    edit: str = ""
    category: str | None = None
    numbered: bool = False
    groups_by_id: bool = False

    @property
    def table(self) -> Table:
        assert isinstance(self.key.table, Table)  # noqa: S101 - all of them are columns of tables
        return self.key.table

    @cached_property
    def form(self) -> re.Pattern[str]:
        """Matches destinations of this module, also of rows that do not exist."""
        return re.compile(re.escape(self.destination).replace(r"\{key\}", "[0-9]+"))

    def is_installed(self, database: Database) -> bool:
        live = database.live(self.table)
        return live is not None and {self.key.name, self.label.name}.issubset(live.columns)

    def query(self) -> "Select[*tuple[Any, ...]]":
        return select(self.key, self.label)

    def make(self, key: str, label: str) -> Destination:
        text = self.description if label or self.unnamed is None else self.unnamed
        return Destination(
            self.destination.format(key=key),
            text.format(key=key, label=label),
            self.name,
            self.category or self.heading,
            self.category,
            key if self.groups_by_id else None,
            self.edit.format(key=_quoted(key)),
        )


_DAYNIGHT_NAME = func.max(case((t.daynight.c.dmode == "fc_description", t.daynight.c.dest)))


class _CallFlow(_Module):
    """Call flow toggles: several rows each, complete with a day and a night destination."""

    def query(self) -> "Select[*tuple[Any, ...]]":
        mode = t.daynight.c.dmode
        complete = func.count(func.distinct(case((or_(mode == "day", mode == "night"), mode)))) == 2
        return select(self.key, _DAYNIGHT_NAME).group_by(self.key).having(complete)


class _FaxRecipient(_Module):
    """People who receive faxes: the key is their id in the user manager, the label a switch."""

    def query(self) -> "Select[*tuple[Any, ...]]":
        person = t.userman_users.c
        full = func.coalesce(person.fname, "").concat(" ").concat(func.coalesce(person.lname, ""))
        names = [func.nullif(func.trim(name), "") for name in (person.displayname, full)]
        username = func.coalesce(person.username, "")
        name = func.coalesce(*names, username).concat(" (").concat(username).concat(")")
        same = person.id == cast(self.key, Integer)
        return (
            select(self.key, name.label("name"))
            .join_from(self.table, t.userman_users, same)
            .where(self.label == "true")
        )


_MODULES: Sequence[_Module] = (
    _Module(
        "queues",
        "Queues",
        t.queues_config.c.extension,
        t.queues_config.c.descr,
        "ext-queues,{key},1",
        "{key} {label}",
        edit="config.php?display=queues&view=form&extdisplay={key}",
        numbered=True,
    ),
    _Module(
        "ringgroups",
        "Ring Groups",
        t.ringgroups.c.grpnum,
        t.ringgroups.c.description,
        "ext-group,{key},1",
        "{label} <{key}>",
        edit="config.php?display=ringgroups&view=form&extdisplay={key}",
        numbered=True,
    ),
    _Module(
        "timeconditions",
        "Time Conditions",
        t.timeconditions.c.timeconditions_id,
        t.timeconditions.c.displayname,
        "timeconditions,{key},1",
        edit="config.php?display=timeconditions&view=form&itemid={key}",
    ),
    _CallFlow(
        "daynight",
        "Call Flow Control",
        t.daynight.c.ext,
        t.daynight.c.dest,
        "app-daynight,{key},1",
        "({key}) {label}",
        unnamed="({key}) Call Flow Toggle",
        edit="config.php?display=daynight&view=form&itemid={key}&extdisplay={key}",
        numbered=True,
    ),
    _Module(
        "announcement",
        "Announcements",
        t.announcement.c.announcement_id,
        t.announcement.c.description,
        "app-announcement-{key},s,1",
        edit="config.php?display=announcement&view=form&extdisplay={key}",
    ),
    _Module(
        "ivr",
        "IVR",
        t.ivr_details.c.id,
        t.ivr_details.c.name,
        "ivr-{key},s,1",
        edit="config.php?display=ivr&action=edit&id={key}",
    ),
    _Module(
        "conferences",
        "Conferences",
        t.meetme.c.exten,
        t.meetme.c.description,
        "ext-meetme,{key},1",
        "{key} {label}",
        edit="config.php?display=conferences&view=form&extdisplay={key}",
        numbered=True,
    ),
    _Module(
        "miscdests",
        "Misc Destinations",
        t.miscdests.c.id,
        t.miscdests.c.description,
        "ext-miscdests,{key},1",
    ),
    _Module(
        "directory",
        "Directory",
        t.directory_details.c.id,
        t.directory_details.c.dirname,
        "directory,{key},1",
        unnamed="Directory {key}",
        category="Directory",
    ),
    _Module("disa", "DISA", t.disa.c.disa_id, t.disa.c.displayname, "disa,{key},1"),
    _Module(
        "callback",
        "Callback",
        t.callback.c.callback_id,
        t.callback.c.description,
        "callback,{key},1",
    ),
    _Module(
        "setcid", "Set CallerID", t.setcid.c.cid_id, t.setcid.c.description, "app-setcid,{key},1"
    ),
    _Module(
        "languages",
        "Languages",
        t.languages.c.language_id,
        t.languages.c.description,
        "app-languages,{key},1",
    ),
    _Module(
        "queueprio",
        "Queue Priorities",
        t.queueprio.c.queueprio_id,
        t.queueprio.c.description,
        "app-queueprio,{key},1",
    ),
    _Module(
        "paging",
        "Paging and Intercom",
        t.paging_config.c.page_group,
        t.paging_config.c.description,
        "app-pagegroups,{key},1",
        unnamed="Page Group {key}",
        numbered=True,
    ),
    _Module(
        "vmblast",
        "VoiceMail Blasting",
        t.vmblast.c.grpnum,
        t.vmblast.c.description,
        "vmblast-grp,{key},1",
        "{label} <{key}>",
        numbered=True,
    ),
    _Module(
        "nethcqr",
        "CQR",
        t.nethcqr_details.c.id_cqr,
        t.nethcqr_details.c.name,
        "nethcqr,{key},1",
        unnamed="CQR ID: {key}",
    ),
    _Module(
        "queueoptions",
        "QueueOptions",
        t.queueoptions.c.id,
        t.queueoptions.c.name,
        "queueoptions-{key},s,1",
        edit="config.php?display=queueoptions&view=form&id={key}",
        category="QueueOptions",
        groups_by_id=True,
    ),
    _FaxRecipient(
        "fax",
        "Fax Recipient",
        t.fax_users.c.user,
        t.fax_users.c.faxenabled,
        "ext-fax,{key},1",
        edit="config.php?display=userman&action=showuser&user={key}",
        category="Fax Recipient",
    ),
)

_USERS, _TRUNKS, _ROUTES, _CONTEXTS, _MODE = range(1000, 1005)
"""Marks of the rows that are not a module's own, in the one statement that reads everything."""


_CORE_FORMS = tuple(
    re.compile(text)
    for text in (
        "app-blackhole,.*",
        "from-did-direct,[0-9]+,1",
        "ext-local,vm[busi][0-9]+,1",
        "ext-trunk,[0-9]+,1",
    )
)


@dataclass(frozen=True)
class Destinations:
    """All destinations in the order of menus. `forms` match what one of them would have to be;
    `unlisted` are there too, but in no menu."""

    items: tuple[Destination, ...]
    forms: tuple[re.Pattern[str], ...]
    unlisted: frozenset[str]

    @cached_property
    def by_heading(self) -> bytes:
        """JSON of their lists, by category or module."""
        return orjson.dumps(_by_heading(self.items))

    @cached_property
    def by_destination(self) -> bytes:
        """JSON of all by their own text, as the list of inbound routes has them."""
        return orjson.dumps(_by_destination(self.items))

    def require(self, destination: str, name: str) -> None:
        """Raise Problem 422 when `destination`, sent as `name`, is malformed or leads nowhere.

        Destinations of modules that are not known here pass.
        """
        error = self.error_of(destination)
        if error:
            raise unprocessable(f"{name} {error}")

    def error_of(self, destination: str) -> str | None:
        """Why it is refused, None when it is not."""
        if destination == ADD_NEW or not _FORM.fullmatch(destination):
            return "is no destination of the form context,extension,priority"
        if destination in self.unlisted or any(to == destination for to, *_ in self.items):
            return None
        if any(form.fullmatch(destination) for form in self.forms):
            return f"leads to {destination}, which does not exist"
        return None


_Row = tuple[str, str, str, str]
_CUSTOM_CONTEXTS = "customcontexts"


def read_destinations(system: System, connection: Connection) -> Destinations:
    """Every destination of the installed modules. One SQL statement, however many there are."""
    installed = frozenset(
        module.name for module in _MODULES if module.is_installed(system.database)
    )
    if system.database.live(t.customcontexts_contexts):
        installed |= {_CUSTOM_CONTEXTS}
    live = system.database.live(t.trunks)
    some_hidden = live is not None and "routedisplay" in live.columns
    mailboxes = frozenset(
        number for boxes in system.mailboxes.read().contexts.values() for number in boxes
    )
    return _made(_statement(installed, some_hidden).joined(connection), installed, mailboxes)


@remember_last
def _made(found: str, installed: frozenset[str], mailboxes: frozenset[str]) -> Destinations:
    """What the rows mean; the last ones are kept, for they change rarely."""
    rows: dict[int, list[_Row]] = {}
    for source, key, label, extra, more in orjson.loads(f"[{found}]"):
        rows.setdefault(source, []).append((key or "", label or "", extra or "", more or ""))
    items = [*_core(rows, mailboxes)]
    forms = [*_CORE_FORMS]
    for place, module in enumerate(_MODULES):
        if module.name not in installed:
            continue
        forms.append(module.form)
        made = [module.make(key, label) for key, label, _, _ in rows.get(place, ())]
        items += made if module.numbered else sorted(made, key=lambda d: d.description.casefold())
    items += [
        Destination(f"{key},${{EXTEN}},1", label, _CUSTOM_CONTEXTS, "Custom Contexts")
        for key, label, _, _ in rows.get(_CONTEXTS, ())
    ]
    unlisted = (_to_trunk(number) for number, _, _, hidden in rows.get(_TRUNKS, ()) if hidden)
    return Destinations(tuple(items), tuple(forms), frozenset(unlisted))


def _core(rows: Mapping[int, Sequence[_Row]], mailboxes: Collection[str]) -> Iterator[Destination]:
    """The destinations of FreePBX itself."""

    def grouped(to: str, text: str, group: str, place: str, url: str = "") -> Destination:
        return Destination(to, text, "core", group, group, place, url)

    for name, text in _TERMINATE:
        yield grouped(f"app-blackhole,{name},1", text, "Terminate Call", "blackhole")
    separate = any(mode == "deviceanduser" for _, mode, _, _ in rows.get(_MODE, ()))
    group, place = ("Users", "users") if separate else ("Extensions", "extensions")
    users = [
        (number, name, f"config.php?display={place}&extdisplay={_quoted(number)}")
        for number, name, _, _ in rows.get(_USERS, ())
    ]
    for number, name, url in users:
        yield grouped(f"from-did-direct,{number},1", f" {number} {name}", group, place, url)
    for number, name, url in users:
        for prefix, text in _MAILBOX if number in mailboxes else ():
            described = f"{number} {name} ({text})"
            yield grouped(f"ext-local,{prefix}{number},1", described, "Voicemail", "voicemail", url)
    for number, name, tech, hidden in rows.get(_TRUNKS, ()):
        if hidden:
            continue
        url = f"config.php?display=trunks&tech={_quoted(tech)}&extdisplay=OUT_{number}"
        described = f"{name} ({tech})"
        yield grouped(_to_trunk(number), described, "Trunks", "trunks", url)
    for did, description, cid, _ in rows.get(_ROUTES, ()):
        url = f"config.php?display=did&view=form&extdisplay={_quoted(did)}%2F{_quoted(cid)}"
        yield grouped(f"from-trunk,{did},1", f"{description}({did})", "Inbound Routes", "did", url)


def _to_trunk(number: str) -> str:
    return f"ext-trunk,{number},1"


def _quoted(text: str) -> str:
    return text if text.isascii() and text.isalnum() else quote(text, safe="")


@lru_cache(maxsize=8)
def _statement(installed: frozenset[str], some_hidden: bool) -> Packed:
    """One JSON array for each thing: its source, its key, its label, and two more columns.

    `installed` are the modules whose tables are there; with `some_hidden` trunks may be left out of
    the menus.
    """
    parts = [
        _part(place, *module.query().subquery().c)
        for place, module in enumerate(_MODULES)
        if module.name in installed
    ]
    parts.append(_part(_USERS, t.users.c.extension, t.users.c.name))
    trunk = t.trunks.c
    hidden = trunk.tech == "enum"
    if some_hidden:
        shown = column("routedisplay", String, _selectable=t.trunks)
        hidden = or_(hidden, func.coalesce(shown, "on") != "on")
    mark = case((hidden, "hidden"), else_="")
    parts.append(_part(_TRUNKS, trunk.trunkid, shown_name(), trunk.tech, mark))
    route = t.incoming.c
    parts.append(_part(_ROUTES, route.extension, route.description, route.cidnum))
    if _CUSTOM_CONTEXTS in installed:
        context = t.customcontexts_contexts.c
        parts.append(_part(_CONTEXTS, context.context, context.description))
    setting = t.freepbx_settings.c
    parts.append(
        _part(_MODE, setting.keyword, setting.value).where(setting.keyword == "AMPEXTENSIONS")
    )
    everything = union_all(*parts).subquery()
    columns = everything.c
    # Numbers of one length in their order: extensions, rooms and ids read naturally so.
    return Packed(
        select(func.json_array(*columns)).select_from(everything),
        *(columns.source, func.length(columns.key), columns.key, columns.label, columns.extra),
    )


def _part(source: int, *columns: ColumnElement[Any]) -> "Select[*tuple[Any, ...]]":
    # Tables have various character sets and collations; the cast gives all of them one.
    texts = [cast(column, String(255)) for column in columns]
    texts += [cast(literal(""), String(255))] * (4 - len(texts))
    names = ("key", "label", "extra", "more")
    marked = [text.label(name) for text, name in zip(texts, names, strict=True)]
    return select(literal(source).label("source"), *marked)


# --- answers -------------------------------------------------------------------------------------


def list_destinations(system: System) -> bytes:
    """The JSON object of all destinations by category, or by module where it has none."""
    with system.read() as connection:
        return read_destinations(system, connection).by_heading


def _by_heading(items: Iterable[Destination]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        found.setdefault(item.heading, []).append(
            {
                "destination": item.destination,
                "description": item.description,
                "category": item.category,
                "id": item.id,
                "selected": item.destination == HANG_UP,
            }
        )
    return found


def _by_destination(items: Iterable[Destination]) -> dict[str, dict[str, str]]:
    found = {}
    for to, description, module, heading, category, group, url in items:
        entry = {"destination": to, "description": description}
        if category is not None:
            entry["category"] = category
        if group is not None:
            entry["id"] = group
        entry |= {"module": module, "name": heading, "edit_url": url}
        found[to] = entry
    return found


_CUSTOM = Prepared(
    select(t.customcontexts_contexts.c.context, t.customcontexts_contexts.c.description).order_by(
        t.customcontexts_contexts.c.context
    )
)


def list_contexts(system: System) -> dict[str, str]:
    """Dialplan contexts that extensions can be in, with their descriptions; the standard first."""
    contexts = {FROM_INTERNAL: "Standard"}
    if system.database.live(t.customcontexts_contexts):
        with system.read() as connection:
            contexts |= dict(_CUSTOM.rows(connection))
    return contexts
