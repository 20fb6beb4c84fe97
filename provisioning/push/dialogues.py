"""The dialogues, one for each family of gateways that can be pushed to.

The commands are those with which the makers' manuals load a configuration by TFTP. They are
declared here; `runner` carries them out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from provisioning.push.failures import NoDialogue


class Step(StrEnum):
    """What a push is doing, in this order. A dialogue need not have all of them."""

    CONNECTING = "connecting"
    LOGGED_IN = "logged in"
    FETCHING = "fetching"
    SAVING = "saving"
    RESTARTING = "restarting"
    DONE = "done"

    @property
    def percent(self) -> int:
        """How far the push is when this step begins."""
        return _PERCENT[self]


_PERCENT = {
    Step.CONNECTING: 0,
    Step.LOGGED_IN: 20,
    Step.FETCHING: 30,
    Step.SAVING: 60,
    Step.RESTARTING: 80,
    Step.DONE: 100,
}

OnStep = Callable[[Step], None]


@dataclass(frozen=True)
class Command:
    """A line that is answered with the prompt; `{tftp}` and `{file}` are filled in.

    `settles`: the prompt may come back before the work is done, so nothing follows until the
    gateway has been quiet for a while. `not_yet`: an error text after which the same line is tried
    again, a few times.
    """

    text: str
    step: Step
    settles: bool = False
    not_yet: str = ""


@dataclass(frozen=True)
class Restart:
    """The line that restarts the gateway, and what its questions are answered with.

    `by_text` has a pattern of the question and its answer; a question that matches none gets the
    next of `in_order`. `unasked`: the answer that is given when no question comes. `asks`: it does
    not restart before it was told `yes`.
    """

    text: str
    by_text: tuple[tuple[str, str], ...] = ()
    in_order: tuple[str, ...] = ()
    unasked: str = ""
    asks: bool = False


@dataclass(frozen=True)
class Dialogue:
    """How a family of gateways is driven. `privileged` is the command, if any, that turns the
    prompt `>` into `#`."""

    name: str
    vendor: str
    transport: Literal["telnet", "ssh"]
    commands: tuple[Command, ...]
    restart: Restart
    privileged: str = ""

    @property
    def port(self) -> int:
        """TCP port that such gateways listen on."""
        return 23 if self.transport == "telnet" else 22


SMARTWARE = Dialogue(
    name="smartware",
    vendor="Patton",
    transport="telnet",
    privileged="enable",
    commands=(Command("copy tftp://{tftp}/{file} startup-config", Step.FETCHING),),
    restart=Restart(
        "reload",
        # It asks first whether to save what is running, which would undo the copy, but only when
        # that was changed; so the question decides, not its place.
        by_text=(
            (r"stor(e|ing)|sav(e|ing)|copy|drop|discard", "no"),
            (r"restart|reload|reboot|cancel|sure|proceed|continue", "yes"),
        ),
        in_order=("no", "yes"),
        asks=True,
    ),
)

TRINITY = Dialogue(
    name="trinity",
    vendor="Patton",
    transport="telnet",
    privileged="enable",
    commands=(
        # Unlike SmartWare it does not take startup-config from the network, and its prompt may be
        # back before the transfer is over.
        Command("copy tftp://{tftp}/{file} config:tmp-config", Step.FETCHING, settles=True),
        Command(
            "copy config:tmp-config startup-config",
            Step.SAVING,
            not_yet=r"no such|not found|does not exist|busy|in progress|in use|locked",
        ),
    ),
    restart=Restart(
        "reload",
        by_text=((r"stor(e|ing)|sav(e|ing)|copy|drop|discard", "no"),),
        in_order=("yes",),
        unasked="yes",
        asks=True,
    ),
)

VEGA = Dialogue(
    name="vega",
    vendor="Sangoma",
    transport="telnet",
    commands=(
        Command("GET tftp://{tftp}/{file}", Step.FETCHING),
        Command("SAVE", Step.SAVING),
    ),
    restart=Restart("REBOOT SYSTEM BLOCK", in_order=("yes",)),
)

MEDIATRIX = Dialogue(
    name="mediatrix",
    vendor="Mediatrix",
    transport="ssh",
    # It fetches its script when it restarts.
    commands=tuple(
        Command(text, Step.SAVING)
        for text in (
            "Conf.ScriptSpecificFileName ={file}",
            "Conf.ScriptGenericFileName ={file}",
            'Conf.ScriptsLocation =""',
            'Conf.ScriptsTransferProtocol ="tftp"',
            'Conf.ScriptsTransferSrvHostname ="{tftp}"',
            "Conf.ScriptsAllowRepeatedExecution =Disable",
            "Conf.ScriptsTransferOnRestartEnable =Enable",
        )
    ),
    restart=Restart("reboot", in_order=("yes",)),
)


def dialogue_for(vendor: str, model: str) -> Dialogue:
    """The dialogue of a gateway, by its vendor and the model's name. Raises NoDialogue."""
    match vendor.lower():
        case "patton":
            return TRINITY if model.upper().startswith("TRI_") else SMARTWARE
        case "sangoma":
            return VEGA
        case "mediatrix":
            return MEDIATRIX
    raise NoDialogue(f"{vendor} gateways fetch their configuration themselves, or by hand")
