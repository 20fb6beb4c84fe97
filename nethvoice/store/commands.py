"""Running the operator's commands: an argument vector, a time limit, an end in any case."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO

_LOOK_AFTER_PROCESS = 0.2


class CommandFailed(Exception):
    """Why a command failed, in words that follow its name: `ended with code 3`."""


def run(command: Sequence[str], timeout: float, write: Callable[[str], object]) -> None:
    """Run `command` for at most `timeout` seconds, giving each line of its output to `write`.

    It has ended when its own process has, even if something it left running keeps its output open.
    Raises CommandFailed; after a time-out all that it started is ended.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(f"cannot be run: {error.strerror}") from error
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    deadline = time.monotonic() + timeout
    try:
        for line in _lines(process, process.stdout, deadline):
            write(line.decode("utf-8", "replace"))
        code = process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"did not end within {timeout:g} s and was stopped") from None
    finally:
        process.stdout.close()
        if process.poll() is None:
            _kill(process)
    if code != 0:
        raise CommandFailed(f"ended with code {code}")


def _lines(
    process: "subprocess.Popen[bytes]", output: IO[bytes], deadline: float
) -> Iterator[bytes]:
    """What the process writes until it ends. Raises TimeoutExpired."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            if selector.select(min(left, _LOOK_AFTER_PROCESS)):
                chunk = output.read1(65536)  # type: ignore[attr-defined]
                if not chunk:
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
            elif process.poll() is not None:
                break
    if rest:
        yield rest


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the process with all that it started, as far as that is allowed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LOOK_AFTER_PROCESS)
