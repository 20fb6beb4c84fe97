"""What FreePBX itself writes for a PJSIP extension, row by row and key by key.

The facts are those of FreePBX core 16 (`processQuickCreate`, `addDevice`, `addUser`, `delUser`,
`delDevice`) and its PJSIP driver. FreePBX's generator reads these rows at the next reload.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, literal, or_, select

from nethvoice.pbx.numbers import main_part
from nethvoice.problems import Problem
from nethvoice.store import tables as t
from nethvoice.store.mailboxes import CONTEXT
from nethvoice.store.prepared import Prepared
from nethvoice.store.rows import change_row, delete_rows, insert_row, insert_rows, present
from nethvoice.store.unit import Unit
from nethvoice.store.voicemail_conf import Mailbox
from nethvoice.system import System

CODECS = "ulaw,alaw,gsm,g726,vp8"
"""What every extension made by this service allows."""

NAME_WIDTH = 50
"""`users.name` and `devices.description`; longer names are cut there, AstDB keeps them whole."""

FROM_INTERNAL = "from-internal"

NO_VOICEMAIL = "novm"
"""`users.voicemail` of an extension without a mailbox; else it names the mailbox's context."""


@dataclass(frozen=True)
class Defaults:
    """Values of FreePBX's advanced settings that a new extension starts with."""

    values: Mapping[str, str]

    def get(self, keyword: str, shipped: str) -> str:
        """The setting, or the value that FreePBX ships with."""
        return self.values.get(keyword, shipped)


_KEYWORDS = (
    "DEVICE_SIP_DTMF",
    "DEVICE_SIP_TRUSTRPID",
    "DEVICE_SIP_SENDRPID",
    "DEVICE_SIP_QUALIFYFREQ",
    "DEVICE_CALLGROUP",
    "DEVICE_PICKUPGROUP",
    "DEVICE_DISALLOW",
    "SIPSECRETSIZE",
    "CFRINGTIMERDEFAULT",
    "CONCURRENCYLIMITDEFAULT",
    "FOLLOWME_AUTO_CREATE",
    "FOLLOWME_RG_STRATEGY",
    "FOLLOWME_TIME",
    "FOLLOWME_PRERING",
    "FOLLOWME_DISABLED",
)


_SETTINGS = Prepared(
    select(t.freepbx_settings.c.keyword, t.freepbx_settings.c.value).where(
        t.freepbx_settings.c.keyword.in_([literal(keyword) for keyword in _KEYWORDS])
    )
)


def read_defaults(connection: Connection) -> Defaults:
    """FreePBX's advanced settings that matter here, in one statement."""
    return Defaults({keyword: value or "" for keyword, value in _SETTINGS.rows(connection)})


def new_secret(defaults: Defaults) -> str:
    """A SIP secret: 32 hex digits from the system's generator, cut to FreePBX's own limit."""
    size = defaults.get("SIPSECRETSIZE", "32")
    return secrets.token_hex(16)[: int(size) if size.isdigit() and int(size) >= 8 else 32]


def sip_rows(extension: str, defaults: Defaults) -> dict[str, tuple[str, int]]:
    """The 54 `sip` rows of a new PJSIP device: keyword -> (data, flags)."""
    dtmf = defaults.get("DEVICE_SIP_DTMF", "rfc2833")
    return {
        "sipdriver": ("chan_pjsip", 2),
        "secret": (new_secret(defaults), 52),
        "md5_cred": ("", 4),
        "dtmfmode": ("rfc4733" if dtmf == "rfc2833" else dtmf, 5),
        "trustrpid": (defaults.get("DEVICE_SIP_TRUSTRPID", "yes"), 6),
        "sendrpid": (defaults.get("DEVICE_SIP_SENDRPID", "pai"), 7),
        "qualifyfreq": (defaults.get("DEVICE_SIP_QUALIFYFREQ", "60"), 8),
        "transport": ("", 9),
        "avpf": ("no", 10),
        "timers": ("yes", 11),
        "icesupport": ("no", 12),
        "send_connected_line": ("yes", 13),
        "user_eq_phone": ("no", 14),
        "namedcallgroup": (defaults.get("DEVICE_CALLGROUP", ""), 15),
        "namedpickupgroup": (defaults.get("DEVICE_PICKUPGROUP", ""), 16),
        "disallow": (defaults.get("DEVICE_DISALLOW", ""), 17),
        "allow": (CODECS, 18),
        "accountcode": ("", 19),
        "mailbox": (f"{extension}@device", 54),
        "max_contacts": ("1", 21),
        "remove_existing": ("yes", 22),
        "media_use_received_transport": ("no", 23),
        "media_address": ("", 24),
        "rtp_symmetric": ("yes", 25),
        "force_rport": ("yes", 26),
        "rewrite_contact": ("yes", 27),
        "mwi_subscription": ("auto", 28),
        "aggregate_mwi": ("no", 29),
        "media_encryption": ("no", 30),
        "media_encryption_optimistic": ("no", 31),
        "device_state_busy_at": ("0", 32),
        "rtcp_mux": ("no", 33),
        "bundle": ("no", 34),
        "minimum_expiration": ("60", 35),
        "maximum_expiration": ("7200", 36),
        "match": ("", 37),
        "rtp_timeout": ("0", 38),
        "rtp_timeout_hold": ("0", 39),
        "timers_min_se": ("90", 40),
        "direct_media": ("yes", 41),
        "force_callerid": ("no", 42),
        "max_audio_streams": ("1", 43),
        "max_video_streams": ("1", 44),
        "webrtc": ("no", 45),
        "defaultuser": ("", 46),
        "message_context": ("", 47),
        "refer_blind_progress": ("yes", 48),
        "vmexten": ("", 49),
        "outbound_auth": ("no", 50),
        "dial": (f"PJSIP/{extension}", 51),
        "context": (FROM_INTERNAL, 53),
        "account": (extension, 55),
        "callerid": ("", 56),
        "outbound_proxy": ("", 58),
    }


def create_extension(
    system: System,
    unit: Unit,
    extension: str,
    name: str,
    outboundcid: str = "",
    *,
    sip: Mapping[str, str] | None = None,
    destinations: Mapping[str, str] | None = None,
) -> None:
    """Write a new PJSIP extension as FreePBX's quick create does.

    `sip` overrides values of the device's rows; `destinations` are columns of `users` that differ
    from an empty one. The caller has made sure that the number is free, and asks for the reload.
    """
    defaults = read_defaults(unit.conn)
    name = name.strip()
    _insert_device(unit, extension, name, defaults, sip or {})
    mailbox = find_mailbox(system, unit, extension)
    voicemail = mailbox[0] if mailbox else NO_VOICEMAIL
    shown = name.replace("<", "(").replace(">", ")")
    user = {
        "extension": extension,
        "password": "",
        "name": shown[:NAME_WIDTH],
        "voicemail": voicemail,
        "ringtimer": 0,
        "noanswer": "",
        "recording": "",
        "outboundcid": outboundcid,
        "sipname": "",
        "noanswer_cid": "",
        "busy_cid": "",
        "chanunavail_cid": "",
        "noanswer_dest": "",
        "busy_dest": "",
        "chanunavail_dest": "",
        **(destinations or {}),
    }
    insert_row(unit.conn, t.users, present(unit.database, t.users, user))
    _put_user_keys(unit, user, name, defaults)
    if defaults.get("FOLLOWME_AUTO_CREATE", "0") == "1" and unit.database.live(t.findmefollow):
        _create_follow_me(unit, extension, defaults)


def _insert_device(
    unit: Unit, extension: str, name: str, defaults: Defaults, overrides: Mapping[str, str]
) -> None:
    device = {
        "id": extension,
        "tech": "pjsip",
        "dial": f"PJSIP/{extension}",
        "devicetype": "fixed",
        "user": extension,
        "description": name[:NAME_WIDTH],
        "emergency_cid": "",
        "hint_override": None,
    }
    insert_row(unit.conn, t.devices, present(unit.database, t.devices, device))
    rows = [
        {"id": extension, "keyword": key, "data": overrides.get(key, data), "flags": flags}
        for key, (data, flags) in sip_rows(extension, defaults).items()
    ]
    insert_rows(unit.conn, t.sip, rows)
    for key, value in {
        "user": extension,
        "tech": "pjsip",
        "dial": f"PJSIP/{extension}",
        "type": "fixed",
        "default_user": extension,
    }.items():
        unit.astdb.put("DEVICE", f"{extension}/{key}", value)
    unit.astdb.delete("DEVICE", f"{extension}/emergency_cid")


def _put_user_keys(unit: Unit, user: Mapping[str, Any], name: str, defaults: Defaults) -> None:
    extension = str(user["extension"])
    values = {
        "accountcode": "",
        "rvolume": "",
        "password": "",
        "ringtimer": "0",
        "cfringtimer": defaults.get("CFRINGTIMERDEFAULT", "0"),
        "concurrency_limit": defaults.get("CONCURRENCYLIMITDEFAULT", "3"),
        "noanswer": "",
        "recording": "",
        "outboundcid": user["outboundcid"],
        "cidname": name,
        "cidnum": extension,
        "voicemail": user["voicemail"],
        "answermode": "disabled",
        "intercom": "enabled",
        "cwtone": "disabled",
        "recording/in/external": "dontcare",
        "recording/out/external": "dontcare",
        "recording/in/internal": "dontcare",
        "recording/out/internal": "dontcare",
        "recording/ondemand": "disabled",
        "recording/priority": "10",
        "device": extension,
    }
    for key, value in values.items():
        unit.astdb.put("AMPUSER", f"{extension}/{key}", value)
    for key in ("dialopts", "screen", "pinless"):
        unit.astdb.delete("AMPUSER", f"{extension}/{key}")
    unit.astdb.put("CW", extension, "ENABLED")


def _create_follow_me(unit: Unit, extension: str, defaults: Defaults) -> None:
    """The follow-me row that FreePBX makes when its setting asks for one."""
    seconds = defaults.get("FOLLOWME_TIME", "30")
    prering = defaults.get("FOLLOWME_PRERING", "7")
    row = {
        "grpnum": extension,
        "strategy": defaults.get("FOLLOWME_RG_STRATEGY", "ringall"),
        "grptime": int(seconds) if seconds.isdigit() else 30,
        "grppre": "",
        "grplist": extension,
        "postdest": f"ext-local,{extension},dest",
        "dring": "",
        "needsconf": "",
        "pre_ring": int(prering) if prering.isdigit() else 7,
        "ringing": "Ring",
        "calendar_enable": 0,
        "calendar_id": "",
        "calendar_group_id": "",
        "calendar_match": "yes",
        "rvolume": "",
    }
    insert_row(unit.conn, t.findmefollow, present(unit.database, t.findmefollow, row))
    off = defaults.get("FOLLOWME_DISABLED", "1") == "1"
    for key, value in {
        "prering": prering,
        "grptime": seconds,
        "grplist": extension,
        "grppre": "",
        "rvolume": "",
        "grpconf": "DISABLED",
        "ddial": "EXTENSION" if off else "DIRECT",
        "changecid": "default",
        "fixedcid": "",
    }.items():
        unit.astdb.put("AMPUSER", f"{extension}/followme/{key}", value)


def set_sip(
    unit: Unit, extension: str, values: Mapping[str, str], *, only_existing: bool = False
) -> bool:
    """Make `sip` rows of an extension hold `values`, their flags kept; True when one changed."""
    if not values:
        return False
    stored = read_sip(unit.conn, extension)
    changed = False
    for keyword, data in values.items():
        if keyword not in stored:
            if not only_existing:
                row = {"id": extension, "keyword": keyword, "data": data, "flags": 0}
                insert_row(unit.conn, t.sip, row)
                changed = True
        elif stored[keyword] != data:
            key = {"id": extension, "keyword": keyword}
            change_row(unit.conn, t.sip, key, {"data": data})
            changed = True
    return changed


def read_sip(connection: Connection, extension: str) -> dict[str, str]:
    """The `sip` rows of an extension: keyword -> data."""
    return dict(_SIP.rows(connection, {"extension": extension}))


_SIP = Prepared(select(t.sip.c.keyword, t.sip.c.data).where(t.sip.c.id == bindparam("extension")))


def wipe_extension(unit: Unit, extension: str) -> None:
    """Remove an extension with everything that hangs on it, as FreePBX and its modules do.

    Also made for left-overs, so nothing has to be there.
    """
    _require_digits(extension)
    for table, column in (
        (t.users, t.users.c.extension),
        (t.devices, t.devices.c.id),
        (t.sip, t.sip.c.id),
        (t.findmefollow, t.findmefollow.c.grpnum),
        (t.paging_groups, t.paging_groups.c.ext),
        (t.fax_users, t.fax_users.c.user),
    ):
        if unit.database.live(table):
            delete_rows(unit.conn, table, {column.name: extension})
    forget_mailbox_alias(unit, extension)
    unit.astdb.delete("AMPUSER", f"{extension}/screen")
    unit.astdb.delete_tree("AMPUSER", extension)
    unit.astdb.delete("CustomDevstate", f"FOLLOWME{extension}")
    unit.astdb.delete_tree("DEVICE", extension)
    unit.astdb.delete_tree("ZULU", extension)
    unit.astdb.delete("CW", extension)
    unit.astdb.delete("CustomPresence", extension)
    main = main_part(extension)
    if main is not None:
        unit.astdb.remove_member("AMPUSER", f"{main}/device", extension)
    unit.mailboxes.append(["wipe", extension])
    _forget_device(unit, extension)


def release_extension(system: System, unit: Unit, extension: str) -> bool:
    """End the device role of a main extension: it stays, and its next device finds it clean.

    True when there was something to release.
    """
    _require_digits(extension)
    values = {
        "media_encryption": "no",
        "transport": "",
        "qualifyfreq": "60",
        "rewrite_contact": "yes",
        "maximum_expiration": "7200",
    }
    if system.settings.on_proxy:
        values |= {"outbound_proxy": "", "force_rport": "yes", "rtp_symmetric": "yes"}
    # A virtual extension has no device, and gets no rows of one.
    changed = bool(read_sip(unit.conn, extension)) and set_sip(unit, extension, values)
    return _forget_device(unit, extension) or changed


def _forget_device(unit: Unit, extension: str) -> bool:
    """Unlink the phones of an extension; those without hardware go altogether, like any row that
    is neither a phone nor anybody's."""
    devices = t.rest_devices_phones
    gone = or_(devices.c.extension == extension, devices.c.user_id.is_(None))
    changed = unit.conn.execute(delete(devices).where(gone, devices.c.mac.is_(None))).rowcount
    changed += unlink_phones(unit, extension)
    if unit.database.live(t.pin):
        changed += delete_rows(unit.conn, t.pin, {"extension": int(extension)})
    return bool(changed)


def unlink_phones(unit: Unit, extension: str) -> int:
    """The phones of an extension stay in the inventory, linked to nobody; how many were linked."""
    devices = t.rest_devices_phones
    return change_row(
        unit.conn,
        devices,
        {"extension": extension},
        {
            "user_id": None,
            "extension": None,
            "secret": None,
            "srtp": None,
            "type": "physical",
        },
    )


def find_mailbox(system: System, unit: Unit, extension: str) -> tuple[str, Mailbox] | None:
    """The mailbox with its context; not one that goes with what this unit has wiped."""
    if ["wipe", extension] in unit.mailboxes:
        return None
    return system.mailboxes.find(extension)


def remember_mailbox_alias(unit: Unit, extension: str) -> None:
    """Store the alias from which FreePBX refills `[pbxaliases]` whenever it saves the file."""
    if not unit.database.live(t.kvstore_voicemail):
        return
    forget_mailbox_alias(unit, extension)
    row = {
        "id": "vmmapping",
        "key": extension,
        "type": "json-arr",
        "val": f'["{extension}@device","{extension}@{CONTEXT}"]',
    }
    insert_row(unit.conn, t.kvstore_voicemail, row)


def forget_mailbox_alias(unit: Unit, extension: str) -> None:
    """Remove that alias."""
    if unit.database.live(t.kvstore_voicemail):
        delete_rows(unit.conn, t.kvstore_voicemail, {"id": "vmmapping", "key": extension})


def _require_digits(extension: str) -> None:
    """An empty number here would empty whole AstDB families."""
    if not (extension.isascii() and extension.isdigit()):
        raise Problem(500, "Internal error", "an extension is named by digits")
