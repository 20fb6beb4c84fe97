"""Threads for handlers that wait: for the database, for Asterisk, for the disk.

`asyncio` can hand work to a `ThreadPoolExecutor`, but takes two futures, a condition and several
callbacks for each call, together as long as a small query.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

_GRACE = 30.0
"""Seconds that `close` waits for what is running."""


class _Call(NamedTuple):
    work: Callable[[], Any]
    context: contextvars.Context
    future: asyncio.Future[Any]


class HandlerThreads:
    """Up to `count` threads, each started when the others are busy.

    One is woken at a time, and wakes the next one while more is waiting: short calls are done by
    few threads, one after the other, and nobody waits behind a long one. The one that fell asleep
    last is woken first, for the processor's cache still knows it.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._guard = threading.Lock()
        self._waiting: deque[_Call] = deque()
        self._asleep: list[threading.Lock] = []
        self._waking = False
        self._closed = False
        self._threads: list[threading.Thread] = []

    def run(
        self, function: Callable[..., Any], *arguments: Any, **named: Any
    ) -> asyncio.Future[Any]:
        """What the function returns or raises, called in a thread with the caller's context."""
        future = asyncio.get_running_loop().create_future()
        work = partial(function, *arguments, **named)
        with self._guard:
            if self._closed:
                raise RuntimeError("the threads are closed")
            self._wake_one()
            self._waiting.append(_Call(work, contextvars.copy_context(), future))
        return future

    def close(self) -> None:
        """Give up what has not begun, and wait for what is running."""
        with self._guard:
            self._closed = True
            for call in self._waiting:
                _tell(call.future, call.future.cancel)
            self._waiting.clear()
            for sleep in self._asleep:
                sleep.release()
        for thread in self._threads:
            thread.join(_GRACE)

    def _wake_one(self) -> None:
        if self._waking:
            return
        if self._asleep:
            self._asleep.pop().release()
        elif len(self._threads) < self._count:
            name = f"handler_{len(self._threads)}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not self._threads:
                    raise
                return  # the system gives no more; those that are there do it
            self._threads.append(thread)
        else:
            return
        self._waking = True

    def _serve(self) -> None:
        sleep = threading.Lock()
        sleep.acquire()
        woken = True
        while not self._closed:
            call = self._next(sleep, woken=woken)
            woken = call is None
            if call is None:
                sleep.acquire()
            else:
                _work(call)
            del call  # who sleeps must not keep a large answer

    def _next(self, sleep: threading.Lock, *, woken: bool) -> _Call | None:
        with self._guard:
            if woken:
                self._waking = False
            if not self._waiting:
                self._asleep.append(sleep)
                if self._closed:
                    sleep.release()
                return None
            call = self._waiting.popleft()
            if self._waiting:
                self._wake_one()
            return call


def _work(call: _Call) -> None:
    try:
        done = partial(_succeed, call.future, call.context.run(call.work))
    except StopIteration as error:
        # A future cannot hold this one; its request would wait for ever.
        done = partial(_fail, call.future, RuntimeError(repr(error)))
    except BaseException as error:
        done = partial(_fail, call.future, error)
    _tell(call.future, done)


def _tell(future: asyncio.Future[Any], what: Callable[[], Any]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        future.get_loop().call_soon_threadsafe(what)


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
