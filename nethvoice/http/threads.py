"""Threads for handlers that wait: for the database, for Asterisk, for the disk.

`asyncio` can hand work to a `ThreadPoolExecutor`, but takes two futures, a condition and several
callbacks for each call, together as long as a small query.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

_GRACE = 30.0
"""Seconds that `close` waits for what is running."""


class _Call(NamedTuple):
    work: Callable[[], Any]
    context: contextvars.Context
    future: asyncio.Future[Any]


class HandlerThreads:
    """`count` threads, started by the first call."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    async def run(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What the function returns or raises, called in a thread with the caller's context."""
        if not self._threads:
            self._start()
        future = asyncio.get_running_loop().create_future()
        work = partial(function, *arguments, **named)
        self._calls.put(_Call(work, contextvars.copy_context(), future))
        return await future

    def close(self) -> None:
        """Give up what has not begun, and wait for what is running."""
        with contextlib.suppress(Empty):
            while True:
                call = self._calls.get_nowait()
                if call is not None:
                    _tell(call.future, call.future.cancel)
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join(_GRACE)
        self._threads = []

    def _start(self) -> None:
        self._threads = [
            threading.Thread(target=self._serve, name=f"handler_{number}", daemon=True)
            for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                done = partial(_succeed, call.future, call.context.run(call.work))
            except StopIteration as error:
                # A future cannot hold this one; its request would wait for ever.
                done = partial(_fail, call.future, RuntimeError(repr(error)))
            except BaseException as error:
                done = partial(_fail, call.future, error)
            _tell(call.future, done)
            del call, done  # the next wait must not keep a large answer


def _tell(future: asyncio.Future[Any], what: Callable[[], Any]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        future.get_loop().call_soon_threadsafe(what)


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
