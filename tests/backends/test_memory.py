"""The memory backend across threads and event loops."""

from __future__ import annotations

import asyncio
import os
import signal
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier

import anyio
import pytest

import dp_core as dp
from dp_backends.memory import MemoryBackend
from dp_backends.memory._store import MemoryStore
from dp_backends.memory._waiting import LoopWaits
from dp_core.backend import now

URL = "memory:test-threads"
LOOPS = ("asyncio", "trio") * 3


def in_threads(*calls: Callable[[], object]) -> list[object]:
    """Run each call in a thread of its own, all at once."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result(30) for future in [threads.submit(c) for c in calls]]


@pytest.fixture(autouse=True)
def forget() -> None:
    """Begin each test with an empty store."""

    async def dispose() -> None:
        await dp.connect(URL).promise("x").dispose()

    anyio.run(dispose)


async def test_what_is_settled_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever asks for an outcome that is there joins nobody, which takes longer."""
    promise = dp.connect(URL).promise("x")
    await promise.resolve("there")
    monkeypatch.delattr(LoopWaits, "wait")

    assert "there" == await promise.get()


def test_waiters_in_many_loops_are_woken_by_one_settle() -> None:
    """The loops, of both kinds, are in threads; the completer has its own."""
    ready = Barrier(len(LOOPS) + 1)

    def waiter(backend: str) -> object:
        async def wait() -> object:
            promise = dp.connect(URL).promise("x")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep, 0)
                await anyio.to_thread.run_sync(ready.wait)
                return await promise.get(timeout=20)

        return anyio.run(wait, backend=backend)

    def completer() -> object:
        async def complete() -> object:
            ready.wait(20)
            return await dp.connect(URL).promise("x").resolve("woken")

        return anyio.run(complete)

    *waited, won = in_threads(
        *(partial(waiter, b) for b in LOOPS),
        completer,
    )

    assert ["woken"] * len(LOOPS) == waited
    assert dp.Resolved("woken") == won


def test_of_many_racing_threads_one_wins_and_all_know_it() -> None:
    """Every completer is told the same outcome, round after round."""

    def racer(me: int, start: Barrier, id: str) -> object:
        async def race() -> object:
            start.wait(20)
            return await dp.connect(URL).promise(id).resolve(me)

        return anyio.run(race, backend=LOOPS[me])

    for round in range(20):
        start = Barrier(len(LOOPS))
        won = in_threads(
            *(partial(racer, me, start, f"race-{round}") for me in range(len(LOOPS)))
        )
        assert 1 == len(set(won))


def test_a_settle_does_not_mind_waiters_whose_loop_is_over() -> None:
    """A loop that died with a waiter in it holds nobody up."""
    backend = MemoryBackend(URL)
    loop = asyncio.new_event_loop()
    task = loop.create_task(backend.wait("x"))
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    async def complete() -> object:
        return await backend.settle("x", dp.Resolved(b"1"))

    assert dp.Resolved(b"1") == anyio.run(complete)
    assert not task.done()
    task._log_destroy_pending = False


def test_the_collector_may_end_a_wait_while_the_lock_is_held() -> None:
    """A wait of a dead loop is garbage, collected whenever it pleases Python."""
    backend = MemoryBackend(URL)
    loop = asyncio.new_event_loop()
    waiting = backend.wait("x")
    task = loop.create_task(waiting)
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False
    loop.close()

    with backend._store.lock:
        waiting.close()

    assert 0 == len(backend._store.waiters)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_inherits_promises_but_no_lock_and_no_waiter() -> None:
    """It neither hangs on what another thread held, nor wakes strangers."""
    backend = MemoryBackend(URL)

    async def settle() -> None:
        await backend.settle("x", dp.Resolved(b"1"))

    anyio.run(settle)
    with ThreadPoolExecutor(1) as thread, backend._store.lock:
        # Held by this thread: in the child nobody would ever release it.
        child = thread.submit(fork_and_peek, backend).result(30)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fork_and_peek(backend: MemoryBackend) -> int:
    """Return the pid of a child that says with 0 that it can use the store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        signal.alarm(20)
        with backend._store.lock:
            os._exit(backend._store.state("x") != dp.Resolved(b"1"))
    return child


@pytest.mark.slow
async def test_nothing_is_left_of_pending_promises() -> None:
    """Neither peeking, nor waits that were cancelled, nor disposal take room."""
    backend = MemoryBackend(URL)
    before = backend._store.size, len(backend._store.waiters)
    for number in range(10):
        await backend.peek(f"n{number}")
        with anyio.move_on_after(0):
            await backend.wait(f"n{number}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.wait, f"n{number}")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await backend.settle(f"n{number}", dp.Resolved(b"1"))
        await backend.dispose(f"n{number}")

    assert before == (backend._store.size, len(backend._store.waiters))


async def test_a_cancelled_settle_has_not_happened(anyio_backend: str) -> None:
    """The checkpoint comes before the effect."""
    backend = MemoryBackend(URL)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await backend.settle("x", dp.Resolved(b"1"))

    assert dp.Pending() == await backend.peek("x")


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_closing_ends_waits_in_other_threads(loop: str) -> None:
    """A handle is closed in one event loop, and its wait in another one hears of it."""
    backend = MemoryBackend(URL)
    ready = Barrier(2)

    async def wait() -> str:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, ready.wait)
            with pytest.raises(dp.BackendClosedError), anyio.fail_after(20):
                await backend.wait("x")
        return "told"

    async def close() -> None:
        await anyio.to_thread.run_sync(ready.wait)
        await backend.aclose()

    told, _ = in_threads(
        lambda: anyio.run(wait, backend=loop), lambda: anyio.run(close)
    )

    assert "told" == told
    assert 0 == len(backend._store.waiters)


@pytest.mark.slow
async def test_what_was_disposed_of_takes_no_room(anyio_backend: str) -> None:
    """Neither a place in the order nor a deadline is kept of it, but of others."""
    if anyio_backend != "asyncio":
        pytest.skip("the store is the same")
    store = MemoryStore()
    far: dp.Terms[bytes] = dp.Terms(now() + timedelta(days=1))
    store.create("kept", far)
    for number in range(25_000):
        store.create(f"n{number}", far)
        store.dispose(f"n{number}")

    assert len(store._order) < 15_000
    assert len(store._deadlines) < 15_000
    assert ["kept"] == [info.id for info in store.page(dp.Query(), None, 10).infos]
    assert store.sweep(10) is not None


def test_a_sweep_settles_so_many_and_says_that_more_are_over() -> None:
    """Its limit counts promises; who sweeps comes back at once for the rest."""
    store = MemoryStore()
    for id in "abc":
        store.create(id, dp.Terms(now() - timedelta(days=1), dp.Resolved(b"1")))

    assert 0 == store.sweep(2)
    assert None is store.sweep(2)
