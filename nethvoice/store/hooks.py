"""Hooks: commands of the operator's, run when the service changes something they follow."""

import logging
import os
import signal
import subprocess
from collections.abc import Sequence

from nethvoice.problems import Problem

log = logging.getLogger(__name__)

SECONDS = 30.0


def run_hook(name: str, command: Sequence[str], *arguments: str) -> None:
    """Run an argument vector with `arguments` added; nothing when none is configured.

    Raises Problem 500 when it fails, cannot be started or does not end in time. Its output goes to
    the log.
    """
    if not command:
        return
    try:
        with subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("%s failed: %s", name, error)
        raise _failed(name) from None
    if process.returncode != 0:
        text = output.decode("utf-8", "replace")[-500:]
        log.warning("%s ended with %d: %s", name, process.returncode, text)
        raise _failed(name)


def _failed(name: str) -> Problem:
    return Problem(500, "Internal error", f"{name} failed, nothing was changed; see the log")
