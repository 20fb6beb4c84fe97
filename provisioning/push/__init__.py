"""The push: makes a gateway fetch its file, store it, and restart with it.

A gateway is driven over telnet or SSH as an installer would at its command line. `push` is the
whole of it; `dialogue_for` says how a model is driven, `logins_for` with which logins.
"""

from provisioning.push.dialogues import Dialogue, Step, dialogue_for
from provisioning.push.failures import (
    ConnectionLost,
    DeviceRefused,
    DeviceSilent,
    DeviceUnreachable,
    LoginRefused,
    NoDialogue,
    PushFailed,
    TransferRefused,
    UnexpectedAnswer,
)
from provisioning.push.logins import Login, logins_for
from provisioning.push.runner import Patience, push

__all__ = [
    "ConnectionLost",
    "DeviceRefused",
    "DeviceSilent",
    "DeviceUnreachable",
    "Dialogue",
    "Login",
    "LoginRefused",
    "NoDialogue",
    "Patience",
    "PushFailed",
    "Step",
    "TransferRefused",
    "UnexpectedAnswer",
    "dialogue_for",
    "logins_for",
    "push",
]
