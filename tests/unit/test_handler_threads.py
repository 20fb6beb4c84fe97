"""The threads that handlers run in."""

import asyncio
import contextvars
import threading
import time

import pytest

from nethvoice.http.threads import HandlerThreads

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def test_results_errors_and_context() -> None:
    async def scenario() -> None:
        threads = HandlerThreads(2)
        name.set("caller")
        assert await threads.run(lambda a, b: (a, b, name.get()), 1, b=2) == (1, 2, "caller")
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 / 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await threads.run(next, iter(()))
        await threads.run(name.set, "changed")
        assert name.get() == "caller"
        running = await threads.run(threading.current_thread)
        assert running.name.startswith("handler")
        threads.close()
        assert not running.is_alive()

    asyncio.run(scenario())


def test_so_many_at_once_and_no_more() -> None:
    async def scenario() -> None:
        threads = HandlerThreads(3)
        at_once, most = 0, 0
        guard = threading.Lock()

        def work() -> None:
            nonlocal at_once, most
            with guard:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.02)
            with guard:
                at_once -= 1

        await asyncio.gather(*(threads.run(work) for _ in range(12)))
        assert most == 3
        threads.close()

    asyncio.run(scenario())


def test_closing_gives_up_what_waits_and_ends_what_runs() -> None:
    async def scenario() -> None:
        threads = HandlerThreads(1)
        begun, go = threading.Event(), threading.Event()

        def work() -> str:
            begun.set()
            go.wait(5)
            return "done"

        running = asyncio.ensure_future(threads.run(work))
        waiting = asyncio.ensure_future(threads.run(work))
        await asyncio.to_thread(begun.wait, 5)
        threading.Timer(0.05, go.set).start()
        threads.close()
        assert await running == "done"
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(scenario())


def test_calls_one_after_the_other_keep_few_threads_at_work() -> None:
    async def scenario() -> None:
        threads = HandlerThreads(64)
        all_at_once = threading.Barrier(16, timeout=5)
        await asyncio.gather(*(threads.run(all_at_once.wait) for _ in range(16)))
        used = {await threads.run(threading.get_ident) for _ in range(200)}
        assert len(used) < 8
        threads.close()

    asyncio.run(scenario())


def test_a_system_that_gives_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        threads = HandlerThreads(4)
        begun, go = threading.Event(), threading.Event()
        first = threads.run(lambda: (begun.set(), go.wait(5)))
        await asyncio.to_thread(begun.wait, 5)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", _refuse)
            second = threads.run(lambda: 7)
            go.set()
            assert await second == 7
            with pytest.raises(RuntimeError, match="no more"):
                HandlerThreads(1).run(time.time)
        await first
        threads.close()

    asyncio.run(scenario())


def _refuse(_thread: threading.Thread) -> None:
    raise RuntimeError("no more threads")


def test_nothing_runs_after_the_end() -> None:
    async def scenario() -> None:
        threads = HandlerThreads(1)
        threads.close()
        with pytest.raises(RuntimeError, match="closed"):
            await threads.run(time.time)

    asyncio.run(scenario())


def test_who_went_away_is_not_told() -> None:
    async def scenario() -> None:
        threads = HandlerThreads(1)
        begun, go = threading.Event(), threading.Event()
        gone = asyncio.ensure_future(threads.run(lambda: (begun.set(), go.wait(5))))
        await asyncio.to_thread(begun.wait, 5)
        gone.cancel()
        go.set()
        assert await threads.run(lambda: 7) == 7
        threads.close()

    asyncio.run(scenario())
