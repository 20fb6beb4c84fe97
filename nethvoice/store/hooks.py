"""Commands of the operator that carry a choice out on this host, a firewall's for instance."""

import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Sequence

from nethvoice.problems import Problem

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
    try:
        process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise _failed(name, f"it cannot be run: {error.strerror}") from None
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.close()
        process.wait()
        raise _failed(name, f"it did not end within {timeout:g} s") from None
    if process.returncode != 0:
        text = output.decode("utf-8", "replace").strip()[-_OUTPUT_IN_LOG:]
        raise _failed(name, f"it ended with code {process.returncode}", output=text)


def _failed(name: str, reason: str, output: str = "") -> Problem:
    log.warning("%s failed: %s", name, reason, extra={"output": output})
    return Problem(500, "Hook failed", f"{name} failed: {reason}; nothing is changed")
