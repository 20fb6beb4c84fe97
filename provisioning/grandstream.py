"""Where a Grandstream gateway keeps the account of each of its telephones.

HT801 and HT802 have a whole SIP profile for each port; the larger ones have one profile and a table
of accounts, whose parameter numbers were given out in several runs as the models grew.
Numbers: the makers' public configuration templates for HT80x, HT81x and GXW42xx.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioning.gateway_config import GatewayConfig, Port
from provisioning.gateway_models import GatewayModel


@dataclass(frozen=True)
class _Run:
    """Parameters of the ports `first` to `last` (from 1), numbered from `number` without gaps."""

    first: int
    last: int
    number: int


_ACCOUNT_TABLE: Mapping[str, tuple[_Run, ...]] = {
    "user": (_Run(1, 30, 4060), _Run(31, 32, 4240), _Run(33, 48, 21000)),
    "login": (_Run(1, 30, 4090), _Run(31, 32, 4242), _Run(33, 48, 21064)),
    "password": (_Run(1, 30, 4120), _Run(31, 32, 4244), _Run(33, 48, 21128)),
    "name": (_Run(1, 20, 4180), _Run(21, 32, 4252), _Run(33, 48, 21192)),
    "profile": (_Run(1, 30, 4150), _Run(31, 32, 4246), _Run(33, 48, 21256)),
    "hunting": (_Run(1, 30, 4300), _Run(31, 32, 4250), _Run(33, 48, 21320)),
    "enabled": (_Run(1, 32, 4595), _Run(33, 48, 21384)),
    "autodial": (_Run(1, 24, 4210), _Run(25, 32, 4800), _Run(33, 48, 21448)),
}

_OWN_PROFILE: Mapping[str, tuple[int, int]] = {
    "user": (35, 735),
    "login": (36, 736),
    "password": (34, 734),
    "name": (3, 703),
    "enabled": (271, 401),
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The parameter numbers of a SIP profile."""

    server: int
    proxy: int
    register: int
    expiry: int
    unregister: int
    unregistered_calls: int
    sip_port: int
    rtp_port: int
    transport: int
    srtp: int
    sips_uri: int
    check_certificate_name: int
    check_certificate_chain: int
    nat: int
    check_user: int
    codecs: tuple[int, ...]
    dtmf: tuple[int, int, int]
    dtmf_payload: int
    fax: int
    fax_reinvite: int
    dial_plan: int
    dial_hash: int
    dial_pause: int
    star_codes: int
    no_call_waiting: int
    no_call_waiting_id: int
    no_call_waiting_tone: int
    ring_seconds: int
    impedance: int
    caller_id: int


_FIRST = Profile(
    server=47, proxy=48, register=31, expiry=32, unregister=81, unregistered_calls=109,
    sip_port=40, rtp_port=39, transport=130, srtp=183, sips_uri=2329,
    check_certificate_name=2311, check_certificate_chain=2367, nat=52, check_user=258,
    codecs=(57, 58, 59, 60, 61, 62, 46, 98), dtmf=(850, 851, 852), dtmf_payload=79,
    fax=228, fax_reinvite=4416, dial_plan=4200, dial_hash=72, dial_pause=85, star_codes=191,
    no_call_waiting=91, no_call_waiting_id=714, no_call_waiting_tone=186, ring_seconds=185,
    impedance=854, caller_id=853,
)  # fmt: skip
_SECOND = Profile(
    server=747, proxy=748, register=731, expiry=732, unregister=752, unregistered_calls=813,
    sip_port=740, rtp_port=739, transport=830, srtp=443, sips_uri=2429,
    check_certificate_name=2411, check_certificate_chain=2467, nat=730, check_user=449,
    codecs=(757, 758, 759, 760, 761, 762, 814, 815), dtmf=(860, 861, 862), dtmf_payload=779,
    fax=710, fax_reinvite=4417, dial_plan=4201, dial_hash=772, dial_pause=292, star_codes=751,
    no_call_waiting=791, no_call_waiting_id=823, no_call_waiting_tone=817, ring_seconds=816,
    impedance=864, caller_id=863,
)  # fmt: skip


def profiles(model: GatewayModel) -> tuple[Profile, ...]:
    """The SIP profiles that a model's telephones use."""
    return (_FIRST, _SECOND) if model.variant == "ht80x" and model.fxs > 1 else (_FIRST,)


def parameter(field: str, port: int) -> int:
    """The parameter number of a field of the account table, for a port counted from 1."""
    run = next(run for run in _ACCOUNT_TABLE[field] if run.first <= port <= run.last)
    return run.number + port - run.first


def account_values(gateway: GatewayConfig) -> list[tuple[int, Port, str]]:
    """Number, port and value of every parameter that holds an account.

    A port that is not configured is switched off and its account emptied: a device keeps the value
    of every parameter that a file does not mention.
    """
    own_profiles = gateway.model.variant == "ht80x"
    values = []
    for port in gateway.ports("fxs"):
        fields = {
            "enabled": "1" if port.configured else "0",
            "user": port.user,
            "login": port.user,
            "password": port.secret,
            "name": port.user,
        }
        if own_profiles:
            values += [(_OWN_PROFILE[field][port.index], port, fields[field]) for field in fields]
        else:
            fields |= {"profile": "0", "hunting": "0", "autodial": ""}
            values += [(parameter(field, port.n), port, fields[field]) for field in fields]
    return values
