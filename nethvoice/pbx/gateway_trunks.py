"""The trunks of a gateway's ports: their numbers, and their rows in both deployment profiles.

In the direct profile the PBX calls the gateway's address, which is known by it; behind a SIP proxy
the gateway registers each port under the name of its trunk.
"""

import re
import secrets
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, delete, select

from nethvoice.pbx.gateway_rows import LINE_TABLES
from nethvoice.pbx.trunks import (
    forget_trunk_id,
    free_trunk_id,
    insert_pjsip_trunk,
    require_free_name,
)
from nethvoice.problems import conflict
from nethvoice.store import tables as t
from nethvoice.store.rows import change_rows, put_row
from nethvoice.store.unit import Unit
from nethvoice.system import System

FROM_PSTN = "from-pstn"
FROM_IDENTITY = "from-pstn-identity"
"""Context of the CTI module that takes the caller's number from an identity header."""

SHIPPED_CODECS = "ulaw,alaw,gsm,g726,g722"
_SECRET_LENGTH = 16
_ALPHABET = string.ascii_letters + string.digits
_START = "20"
_LARGEST = 2**31 - 1
_OWN_PROXY = re.compile(r"sip:[^;\s]+:[0-9]+;lr")

_EMPTY = (
    "aor_contact",
    "client_uri",
    "contact_user",
    "dialopts",
    "from_domain",
    "from_user",
    "language",
    "match",
    "maxchans",
    "npanxx",
    "server_uri",
    "sv_usercontext",
)

_COMMON = {
    **dict.fromkeys(_EMPTY, ""),
    "dialoutopts_cb": "sys",
    "disabletrunk": "off",
    "dtmfmode": "rfc4733",
    "expiration": "3600",
    "fax_detect": "no",
    "forbidden_retry_interval": "10",
    "hcid": "on",
    "max_retries": "10",
    "qualify_frequency": "60",
    "retry_interval": "60",
    "sendrpid": "no",
    "sip_server_port": "5060",
    "t38_udptl": "no",
    "t38_udptl_ec": "none",
    "t38_udptl_nat": "no",
    "transport": "0.0.0.0-udp",
}

_DIRECT = {
    "auth_rejection_permanent": "on",
    "authentication": "outbound",
    "outbound_proxy": "",
    "registration": "none",
}

_REGISTERED = {
    "auth_rejection_permanent": "off",
    "authentication": "inbound",
    "direct_media": "no",
    "force_rport": "no",
    "identify_by": "default",
    "inband_progress": "no",
    "media_encryption": "no",
    "pjsip_line": "true",
    "registration": "receive",
    "rewrite_contact": "no",
    "rtp_symmetric": "no",
    "send_connected_line": "false",
    "support_path": "no",
    "trust_id_outbound": "no",
    "trust_rpid": "no",
    "user_eq_phone": "no",
}


@dataclass(frozen=True)
class Profile:
    """How the trunks of a gateway work: `registered` through `outbound_proxy`, or directly."""

    registered: bool
    outbound_proxy: str
    context: str


@dataclass(frozen=True)
class GatewayTrunk:
    """What the rows of one trunk are made of."""

    id: int
    kind: str
    name: str
    number: int
    secret: str = field(repr=False)


def profile_of(system: System, connection: Connection, proxy: str | None) -> Profile:
    """The profile that a gateway's column `proxy` stands for."""
    if not proxy:
        return Profile(registered=False, outbound_proxy="", context=FROM_PSTN)
    known = system.settings.cti_module or _is_context(system, connection, FROM_IDENTITY)
    context = FROM_IDENTITY if known else FROM_PSTN
    return Profile(True, system.settings.outbound_proxy, context)


def _is_context(system: System, connection: Connection, name: str) -> bool:
    contexts = t.customcontexts_contexts
    if system.database.live(contexts) is None:
        return False
    query = select(contexts.c.context).where(contexts.c.context == name)
    return connection.execute(query).first() is not None


def voice_codecs(system: System, connection: Connection) -> str:
    """The codecs that FreePBX's SIP settings allow, in their order, for the rows of new trunks."""
    store = t.kvstore_sipsettings
    if system.database.live(store) is None:
        return SHIPPED_CODECS
    value = connection.scalar(select(store.c.val).where(store.c.key == "voicecodecs"))
    try:
        ranks = orjson.loads(value or "")
    except orjson.JSONDecodeError:
        return SHIPPED_CODECS
    if not isinstance(ranks, dict):
        return SHIPPED_CODECS
    allowed = {name: int(rank) for name, rank in ranks.items() if str(rank).isdigit() and int(rank)}
    return ",".join(sorted(allowed, key=lambda name: allowed[name])) or SHIPPED_CODECS


def pjsip_rows(profile: Profile, trunk: GatewayTrunk, address: str, codecs: str) -> dict[str, str]:
    """The `pjsip` rows of a trunk by keyword; `address` is the one that its gateway is to have."""
    rows = {
        **_COMMON,
        **(_REGISTERED if profile.registered else _DIRECT),
        "codecs": codecs,
        "context": profile.context,
        "extdisplay": f"OUT_{trunk.id}",
        "outbound_proxy": profile.outbound_proxy,
        "secret": trunk.secret,
        "sip_server": address,
        "username": trunk.name if profile.registered else str(trunk.number),
        **dict.fromkeys(("sv_channelid", "sv_trunk_name", "trunk_name"), trunk.name),
    }
    if profile.registered or trunk.kind == "fxo":
        rows["aors"] = trunk.name
    return rows


def new_port_secret(unit: Unit) -> str:
    """A secret that fits the narrowest column it has to go into."""
    widths = [_SECRET_LENGTH]
    for table in LINE_TABLES.values():
        live = unit.database.live(table)
        if live is not None and "secret" in live.widths:
            widths.append(live.widths["secret"])
    return "".join(secrets.choice(_ALPHABET) for _ in range(min(widths)))


class TrunkNumbers:
    """Gives out trunk numbers. A gateway tells its ports apart by the number at the beginning of
    what is dialled, so none may begin with another one."""

    def __init__(self, connection: Connection) -> None:
        used = {text or "" for text in connection.scalars(select(t.trunks.c.dialoutprefix))}
        for table in LINE_TABLES.values():
            used |= {str(number) for number in connection.scalars(select(table.c.trunknumber))}
        # What every number of ours begins with would leave none; such prefixes are of trunks that
        # lead elsewhere.
        self._used = {text for text in used if not _START.startswith(text)}
        self._beginnings = {part for text in self._used for part in _beginnings(text)}

    def take(self, trunk_id: int) -> int:
        """`20` and the trunk's id in three digits or more, or the next one that is free."""
        for number in self._candidates(trunk_id):
            text = str(number)
            if text not in self._beginnings and not self._used.intersection(_beginnings(text)):
                self._used.add(text)
                self._beginnings.update(_beginnings(text))
                return number
        raise conflict("no trunk number is left")

    @staticmethod
    def _candidates(start: int) -> Iterator[int]:
        count = start
        while (number := int(f"{_START}{count:03d}")) <= _LARGEST:
            yield number
            count += 1


def _beginnings(text: str) -> Iterator[str]:
    return (text[:length] for length in range(1, len(text) + 1))


# --- writing --------------------------------------------------------------------------------------


def create_trunk(
    unit: Unit,
    profile: Profile,
    kind: str,
    name: str,
    *,
    number: int | None,
    secret: str,
    numbers: TrunkNumbers,
    address: str,
    codecs: str,
) -> GatewayTrunk:
    """Make the trunk of a port. Without `number` it gets one of its own. Raises Problem 409 when
    the name is taken. The caller's unit holds the lock `TRUNKS`."""
    trunk_id = free_trunk_id(unit.conn)
    require_free_name(unit.conn, name, trunk_id)
    if number is None:
        number = numbers.take(trunk_id)
    trunk = GatewayTrunk(trunk_id, kind, name, number, secret)
    forget_trunk_id(unit, trunk_id)
    insert_pjsip_trunk(
        unit,
        trunk_id,
        name,
        pjsip_rows(profile, trunk, address, codecs),
        dialoutprefix=str(number),
        usercontext=profile.context,
    )
    unit.reload()
    return trunk


def refresh_trunk(
    unit: Unit, trunk: GatewayTrunk, old: tuple[Profile, str], new: tuple[Profile, str]
) -> None:
    """Bring the rows of a trunk from one profile and address to another.

    Values that are not those which this service wrote for the old ones are somebody's own and stay.
    """
    if old == new:
        return
    before = pjsip_rows(old[0], trunk, old[1], "")
    after = pjsip_rows(new[0], trunk, new[1], "")
    query = select(t.pjsip.c.keyword, t.pjsip.c.data).where(t.pjsip.c.id == str(trunk.id))
    rows = dict(unit.conn.execute(query).all())
    if old[0].registered != new[0].registered and _OWN_PROXY.fullmatch(
        rows.get("outbound_proxy", "")
    ):
        # The address of the proxy may have changed since.
        before["outbound_proxy"] = rows["outbound_proxy"]
    change_settings(unit, trunk.id, rows, before, after)
    if old[0].context != new[0].context:
        mine = (t.trunks.c.trunkid == trunk.id) & (t.trunks.c.usercontext == old[0].context)
        if change_rows(unit.conn, t.trunks, mine, {"usercontext": new[0].context}):
            unit.reload()


def change_settings(
    unit: Unit,
    trunk_id: int,
    rows: Mapping[str, str],
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> None:
    """Change what differs between `before` and `after` where `rows` still hold the former."""
    for keyword in sorted(before.keys() | after.keys()):
        wanted = after.get(keyword)
        if before.get(keyword) == wanted or rows.get(keyword) != before.get(keyword):
            continue
        key = {"id": str(trunk_id), "keyword": keyword}
        if wanted is not None:
            put_row(unit.conn, t.pjsip, key, {"data": wanted})
        else:
            unit.conn.execute(
                delete(t.pjsip).where(t.pjsip.c.id == key["id"], t.pjsip.c.keyword == keyword)
            )
        unit.reload()
