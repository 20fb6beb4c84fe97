"""The built-in sources: people's extensions, speed dial numbers, public contacts of the CTI."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import exists, select

from nethvoice.pbx.phonebook.contacts import Contact
from nethvoice.pbx.phonebook.fields import FIELDS
from nethvoice.store import tables as t
from nethvoice.system import System

_OWNER = "admin"


@dataclass(frozen=True)
class BuiltIn:
    """`sids` are the values of `sid_imported`; rows are written under the first of them."""

    sids: tuple[str, ...]
    contacts: Callable[[System], list[Contact]]


def _extensions(system: System) -> list[Contact]:
    """People with a main extension, hotel rooms left out."""
    hotel = exists().where(
        t.sip.c.id == t.userman_users.c.default_extension,
        t.sip.c.keyword == "context",
        t.sip.c.data == "hotel",
    )
    query = (
        select(
            t.userman_users.c.displayname,
            t.userman_users.c.default_extension,
            t.rest_users.c.mobile,
        )
        .join(t.rest_users, t.rest_users.c.user_id == t.userman_users.c.id)
        .where(
            t.userman_users.c.default_extension.not_in(("none", "")),
            ~hotel,
        )
        .order_by(t.userman_users.c.id)
    )
    with system.read() as connection:
        rows = connection.execute(query).all()
    return [
        _contact("extension", name=name, workphone=extension, cellphone=mobile)
        for name, extension, mobile in rows
    ]


def _speed_dials(system: System) -> list[Contact]:
    """Numbers of FreePBX's rapid codes, where that module is installed."""
    if system.database.live(t.rapidcode) is None:
        return []
    query = select(t.rapidcode.c.label, t.rapidcode.c.number).order_by(t.rapidcode.c.number)
    with system.read() as connection:
        rows = connection.execute(query).all()
    return [_contact("rapidcode", name=label, workphone=number) for label, number in rows]


def _cti_contacts(system: System) -> list[Contact]:
    """What people have shared with everybody in their CTI."""
    database = system.cti_database
    live = database.live(t.cti_phonebook)
    if live is None:
        return []
    names = [name for name in FIELDS if name in live.columns]
    columns = [t.cti_phonebook.c[name] for name in names]
    with database.read() as connection:
        rows = connection.execute(select(*columns).where(t.cti_phonebook.c.type == "public")).all()
    return [
        {**{n: str(v) for n, v in zip(names, row, strict=True) if v}, "type": "nethcti"}
        for row in rows
    ]


def _contact(kind: str, **values: str | None) -> Contact:
    return {
        "owner_id": _OWNER,
        "type": kind,
        **{name: value for name, value in values.items() if value},
    }


BUILT_IN = {
    "extensions": BuiltIn(("nethvoice extensions",), _extensions),
    "nethcti": BuiltIn(("nethcti",), _cti_contacts),
    "speeddial": BuiltIn(("NethVoice RapidCodes", "speeddial"), _speed_dials),
}
"""By the name of their switch."""
