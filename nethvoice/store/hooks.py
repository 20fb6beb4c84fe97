"""Commands of the operator that carry a choice out on this host, a firewall's for instance."""

import logging
from collections.abc import Sequence

from nethvoice.problems import Problem
from nethvoice.store import commands

log = logging.getLogger(__name__)

_OUTPUT_IN_LOG = 500

SECONDS = 30.0


def run_hook(name: str, command: Sequence[str], *arguments: str, timeout: float = SECONDS) -> None:
    """Run the hook of setting `name` with `arguments` added; an empty `command` is no hook.

    Raises Problem 500 when it cannot be run, ends with another code than 0, or takes longer than
    `timeout` seconds; then all that it started is ended. What it printed goes to the log only.
    """
    if not command:
        return
    lines: list[str] = []
    try:
        commands.run([*command, *arguments], timeout, lines.append)
    except commands.CommandFailed as failure:
        output = "\n".join(lines).strip()[-_OUTPUT_IN_LOG:]
        raise _failed(name, f"it {failure}", output=output) from None


def _failed(name: str, reason: str, output: str) -> Problem:
    log.warning("%s failed: %s", name, reason, extra={"output": output})
    return Problem(500, "Hook failed", f"{name} failed: {reason}; nothing is changed")
