"""Trunks of VoIP providers: made from a provider's facts and an account, and changed later."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from nethvoice.pbx.providers import REGISTERS, Provider, find_provider, provider_of_trunk
from nethvoice.pbx.trunks import (
    TRUNKS,
    forget_trunk_id,
    free_trunk_id,
    insert_pjsip_trunk,
    require_free_name,
    set_header_flags,
)
from nethvoice.problems import Problem, bad_request, not_found, unprocessable
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows, put_row, require_width
from nethvoice.store.unit import Unit
from nethvoice.system import System

Codecs = Sequence[str] | str | None

NAME_WIDTH = 50

_NAME = re.compile(r"[^\x00-\x1f\x7f\[\];/@\"<>,&$|{}\\]+")
_CODEC = re.compile(r"[a-z0-9]+(:[0-9]+)?", re.ASCII)
_PLACEHOLDER = re.compile(r"\$(USERNAME|PHONE)")
_NO_PROXY = ("", "sip:127.0.0.1:5060")
"""Values of a provider's `outbound_proxy` that stand for the proxy of this installation."""

_FOLLOWERS = ("contact_user", "from_user")
_IN_URIS = ("username", "contact_user", "from_user", "client_uri")
_UNFIT_FOR_URIS = re.compile(r"[\s<>\"]")


@dataclass(frozen=True)
class NewTrunk:
    """A trunk to make. Without a name it gets the provider's key; without codecs the provider's,
    with `only_these_codecs` false those follow the given ones."""

    provider: str
    username: str
    password: str
    phone: str
    name: str = ""
    codecs: Sequence[str] = ()
    only_these_codecs: bool = False


@dataclass(frozen=True)
class TrunkChange:
    """What is to become different; None, an empty password and no codecs leave things alone."""

    username: str | None = None
    password: str | None = None
    phone: str | None = None
    codecs: Sequence[str] = ()
    only_these_codecs: bool = False


@dataclass(frozen=True)
class Account:
    """The user name and main number at the provider."""

    username: str
    phone: str

    def expand(self, template: str) -> str:
        """`$USERNAME` and `$PHONE` replaced."""
        values = {"USERNAME": self.username, "PHONE": self.phone}
        return _PLACEHOLDER.sub(lambda found: values[found[1]], template)


def codec_list(codecs: Codecs, codec: Codecs) -> list[str]:
    """Codecs given as a list or as a comma-separated text, under either name; each once.

    Raises Problem 400 for something that cannot be the name of a codec.
    """
    given = codecs if codecs else codec or []
    names = given.split(",") if isinstance(given, str) else given
    found = [name.strip() for name in names if name.strip()]
    for name in found:
        if not _CODEC.fullmatch(name):
            raise bad_request(f"{name[:40]!r} is not the name of a codec")
    return list(dict.fromkeys(found))


def merged_codecs(chosen: Sequence[str], provided: str, *, only_chosen: bool) -> str:
    """The value of the keyword `codecs`: the chosen ones, then the provider's others."""
    if not chosen:
        return provided
    others = [] if only_chosen else [name for name in provided.split(",") if name]
    return ",".join(dict.fromkeys([*chosen, *others]))


# --- creating -------------------------------------------------------------------------------------


def create_trunk(system: System, wanted: NewTrunk) -> int:
    """Make a PJSIP trunk as FreePBX's own form does; returns its id.

    Everything is checked before anything is written. Raises Problem 400 (unknown provider, name or
    value that Asterisk's files cannot hold), 409 (name taken), 422 (too long).
    """
    with system.change(TRUNKS) as unit:
        provider = find_provider(unit.conn, wanted.provider)
        if provider is None:
            text = f"there is no provider {wanted.provider[:100]}"
            raise bad_request(text, error=text)
        name = _name(wanted.name.strip(" ") or provider.key)
        trunk_id = free_trunk_id(unit.conn)
        require_free_name(unit.conn, name, trunk_id)
        rows = _rows(system, trunk_id, name, provider, wanted)
        _require_uris(rows)
        _require_registrable(rows)
        _require_widths(unit, rows)
        require_width(system.database, t.trunks, "outcid", wanted.phone, "phone")
        forget_trunk_id(unit, trunk_id)
        insert_pjsip_trunk(unit, trunk_id, name, rows, outcid=wanted.phone)
        set_header_flags(unit, trunk_id, provider.flags)
        unit.reload()
        return trunk_id


def _name(given: str) -> str:
    """The name as it is stored. Blanks would part it from its registration in PJSIP's files."""
    name = given.replace(" ", "_")
    if not _NAME.fullmatch(name):
        raise bad_request("name has characters that a trunk's name must not have")
    if len(name) > NAME_WIDTH:
        raise bad_request(f"name is longer than {NAME_WIDTH} characters")
    return name


def _rows(
    system: System, trunk_id: int, name: str, provider: Provider, wanted: NewTrunk
) -> dict[str, str]:
    """The `pjsip` rows of the new trunk by keyword."""
    rows = {
        **provider.options,
        "contact_user": wanted.username,
        "from_user": wanted.username,
        "username": wanted.username,
        "secret": wanted.password,
        "trunk_name": name,
        "sv_trunk_name": name,
        "sv_channelid": name,
        "extdisplay": f"OUT_{trunk_id}",
    }
    if rows.get("outbound_proxy", "") in _NO_PROXY:
        rows["outbound_proxy"] = system.settings.outbound_proxy
    rows["codecs"] = merged_codecs(
        wanted.codecs, rows.get("codecs", ""), only_chosen=wanted.only_these_codecs
    )
    account = Account(wanted.username, wanted.phone)
    return rows | {name: account.expand(data) for name, data in provider.account.items()}


def _require_uris(rows: Mapping[str, str]) -> None:
    """Refuse values that would break the SIP addresses they become part of."""
    for keyword in _IN_URIS:
        if _UNFIT_FOR_URIS.search(rows.get(keyword, "")):
            raise bad_request(f"{keyword} would have characters that a SIP address cannot hold")


def _require_registrable(rows: Mapping[str, str]) -> None:
    """Refuse a registration without user or server: Asterisk cannot load it."""
    if rows.get("registration") != REGISTERS:
        return
    if not rows.get("username"):
        raise bad_request("the provider needs a user name to register")
    if not (rows.get("sip_server") or rows.get("server_uri")):
        raise unprocessable("the provider's data has no server to register with")


def _require_widths(unit: Unit, rows: Mapping[str, str]) -> None:
    for keyword, data in rows.items():
        require_width(unit.database, t.pjsip, "data", data, keyword)


# --- changing -------------------------------------------------------------------------------------


def update_trunk(system: System, trunk_id: int, change: TrunkChange) -> None:
    """Change account, secret, number or codecs of a PJSIP trunk.

    What did not change is not written, but for a user name that the former service left out; what
    an administrator has set differently in FreePBX stays. Raises Problem 404 (unknown trunk), 400
    (not PJSIP, unusable value), 422 (too long).
    """
    with system.change(TRUNKS) as unit:
        phone = _pjsip_trunk(unit.conn, trunk_id)
        query = select(t.pjsip.c.keyword, t.pjsip.c.data).where(t.pjsip.c.id == str(trunk_id))
        rows = dict(unit.conn.execute(query).all())
        provider = provider_of_trunk(unit.conn, rows)
        if change.phone is not None:
            require_width(system.database, t.trunks, "outcid", change.phone, "phone")
        wanted = _changed_rows(rows, phone, change, provider)
        _require_widths(unit, wanted)
        changed = [
            put_row(unit.conn, t.pjsip, {"id": str(trunk_id), "keyword": keyword}, {"data": data})
            for keyword, data in wanted.items()
            if rows.get(keyword) != data
        ]
        if change.phone is not None:
            mine = (t.trunks.c.trunkid == trunk_id) & (t.trunks.c.tech == "pjsip")
            changed.append(change_rows(unit.conn, t.trunks, mine, {"outcid": change.phone}) > 0)
        if any(changed):
            unit.reload()


def _pjsip_trunk(connection: Connection, trunk_id: int) -> str:
    """The number of a trunk that can be changed here."""
    query = select(t.trunks.c.tech, t.trunks.c.outcid).where(t.trunks.c.trunkid == trunk_id)
    found = {row.tech.lower(): row.outcid for row in connection.execute(query)}
    text = f"Can't patch trunk {trunk_id}"
    if not found:
        raise not_found(text, error=text)
    if "pjsip" not in found:
        raise Problem(400, "Bad request", text, error=text)
    return str(found["pjsip"])


def _changed_rows(
    rows: Mapping[str, str], phone: str, change: TrunkChange, provider: Provider | None
) -> dict[str, str]:
    special = provider.account if provider else {}
    shown = rows.get("username", "")
    old = Account(_account_name(rows, phone, special), phone)
    new = Account(
        # Clients send back the user name that they were shown, which may not be the account's.
        old.username if change.username in (None, shown) else change.username or "",
        old.phone if change.phone is None else change.phone,
    )
    wanted: dict[str, str] = {}
    leader: str | None = None
    ours = {None, "", shown, old.username, old.phone}
    if new.username != old.username:
        wanted["username"] = leader = new.username
    elif new.phone != old.phone and change.username is None:
        # The number stands in for the user name where the client names no user name.
        leader = new.phone
    elif new.phone != old.phone and new.username:
        # It has done so, but the client names one now.
        leader, ours = new.username, {old.phone}
    if leader is not None:
        wanted |= {keyword: leader for keyword in _FOLLOWERS if rows.get(keyword) in ours}
    if change.password:
        wanted["secret"] = change.password
    if new != old or change.password:
        wanted |= _special_rows(rows, special, old, new)
    else:
        wanted |= {k: new.expand(special[k]) for k in special if _is_raw(special[k], rows.get(k))}
    _require_uris(wanted)
    if "username" in wanted:
        _require_registrable({**rows, **wanted})
    if change.codecs:
        wanted["codecs"] = merged_codecs(
            change.codecs,
            provider.options.get("codecs", "") if provider else "",
            only_chosen=change.only_these_codecs,
        )
    return wanted


def _special_rows(
    rows: Mapping[str, str], special: Mapping[str, str], old: Account, new: Account
) -> dict[str, str]:
    """The provider's special options for the new account, where they are still the old one's."""
    found = {}
    own = f"sip:{old.username}@"
    for keyword, template in special.items():
        current = rows.get(keyword)
        if current in (None, old.expand(template)) or _is_raw(template, current):
            found[keyword] = new.expand(template)
        elif current.startswith(own):
            # An administrator has put the real server into it.
            found[keyword] = f"sip:{new.username}@{current.removeprefix(own)}"
    return found


def _is_raw(template: str, current: str | None) -> bool:
    """Whether the user name was never filled in: so the former service stored enegan's."""
    return "$USERNAME" in template and current == template.replace("$USERNAME", "USERNAME")


def _account_name(rows: Mapping[str, str], phone: str, special: Mapping[str, str]) -> str:
    """The user name at the provider, looked for where a special option has displaced it."""
    if "username" not in special:
        return rows.get("username", "")
    for keyword, template in special.items():
        if "$USERNAME" in template:
            pattern = re.escape(template).replace(r"\$USERNAME", "(.+)")
            pattern = pattern.replace(r"\$PHONE", re.escape(phone))
            match = re.fullmatch(pattern, rows.get(keyword, ""))
            if match:
                return match[1]
    return rows.get("username" if "contact_user" in special else "contact_user", "")
