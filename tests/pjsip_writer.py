"""A minimal writer of PJSIP configuration from the rows of a trunk.

It stands for what FreePBX's PJSIP driver does at a reload: sections of registration, auth, AOR,
endpoint and identify for each trunk, named after it.
"""

from collections.abc import Iterator, Mapping

Rows = Mapping[str, str]

_ENDPOINT = {
    "dtmfmode": "dtmf_mode",
    "t38_udptl": "t38_udptl",
    "t38_udptl_ec": "t38_udptl_ec",
    "t38_udptl_nat": "t38_udptl_nat",
    "fax_detect": "fax_detect",
    "trust_rpid": "trust_id_inbound",
    "user_eq_phone": "user_eq_phone",
    "send_connected_line": "send_connected_line",
    "trust_id_outbound": "trust_id_outbound",
    "from_user": "from_user",
    "from_domain": "from_domain",
    "contact_user": "contact_user",
    "outbound_proxy": "outbound_proxy",
    "language": "language",
    "media_address": "media_address",
    "message_context": "message_context",
}
_ONLY = {
    "rewrite_contact": "yes",
    "rtp_symmetric": "yes",
    "force_rport": "no",
    "direct_media": "no",
}
_UNLESS = {"identify_by": "default", "media_encryption": "no"}
_REGISTRATION = (
    "retry_interval",
    "forbidden_retry_interval",
    "fatal_retry_interval",
    "max_retries",
    "expiration",
    "contact_user",
    "outbound_proxy",
)


def write(trunks: list[Rows]) -> str:
    """The sections of these trunks; switched off ones are left out."""
    lines: list[str] = []
    for rows in trunks:
        if rows.get("disabletrunk") == "on":
            continue
        for kind, options in _sections(rows):
            lines += [f"[{rows['trunk_name']}]", f"type={kind}"]
            lines += [f"{name}={_escaped(value)}" for name, value in options if value != ""]
            lines.append("")
    return "\n".join(lines)


def _escaped(value: str) -> str:
    return value.replace(";", "\\;")


def _sections(rows: Rows) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    name = rows["trunk_name"]
    server = f"{rows['sip_server']}:{rows['sip_server_port']}"
    user = rows.get("username", "")
    if rows["registration"] == "send":
        yield "registration", _registration(rows, name, user, server)
    if rows["authentication"] != "none":
        yield (
            "auth",
            [
                ("auth_type", "userpass"),
                ("username", rows.get("auth_username") or user or name),
                ("password", rows.get("secret", "")),
            ],
        )
    contact = rows.get("aor_contact") or f"sip:{user}@{server}".replace("sip:@", "sip:")
    yield (
        "aor",
        [
            ("contact", contact),
            ("qualify_frequency", rows["qualify_frequency"]),
            ("outbound_proxy", rows["outbound_proxy"]),
        ],
    )
    yield "endpoint", _endpoint(rows, name)
    yield "identify", [("endpoint", name), ("match", rows["match"] or rows["sip_server"])]


def _registration(rows: Rows, name: str, user: str, server: str) -> list[tuple[str, str]]:
    permanent = {"on": "yes", "off": "no"}[rows["auth_rejection_permanent"]]
    line = (
        [("line", "yes"), ("endpoint", name.replace(" ", ""))]
        if rows.get("pjsip_line") == "true"
        else [("line", "no")]
    )
    return [
        ("transport", rows["transport"]),
        ("outbound_auth", name),
        ("server_uri", rows["server_uri"] or f"sip:{server}"),
        ("client_uri", rows["client_uri"] or f"sip:{user}@{server}"),
        ("auth_rejection_permanent", permanent),
        *((key, rows.get(key, "")) for key in _REGISTRATION),
        *line,
    ]


def _endpoint(rows: Rows, name: str) -> list[tuple[str, str]]:
    options = [
        ("transport", rows["transport"]),
        ("context", rows["context"]),
        ("disallow", "all"),
        ("allow", rows["codecs"] or "ulaw"),
        ("aors", rows["aors"] or name),
    ]
    if rows["authentication"] in ("outbound", "both"):
        options.append(("outbound_auth", name))
    if rows["authentication"] in ("inbound", "both"):
        options.append(("auth", name))
    options += [(option, rows.get(key, "")) for key, option in _ENDPOINT.items()]
    options += [(key, rows[key]) for key, value in _ONLY.items() if rows.get(key) == value]
    options += [(key, rows[key]) for key, value in _UNLESS.items() if rows.get(key) != value]
    if rows["sendrpid"] in ("yes", "both"):
        options.append(("send_rpid", "yes"))
    if rows["sendrpid"] in ("pai", "both"):
        options.append(("send_pai", "yes"))
    return options
