"""Many blocked threads share one; at rest there is none."""

from __future__ import annotations

import _thread
import asyncio
import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from uuid import uuid4
from weakref import WeakSet

import pytest

import dp_core.sync as dp
from dp_core import Backend, Outcome, Resolved, State
from dp_core.backend import in_thread
from dp_core.sync import _loop_thread, _run
from dp_core.sync._loop_thread import LoopThread

MANY = 300


class Counting(Backend):
    """A backend that knows in which threads it waits, and tells when many do."""

    def __init__(self, enough: int) -> None:
        self.inner = dp.connect(f"memory:{uuid4()}").backend
        self.threads: Counter[int] = Counter()
        self.enough = enough
        self.are_there = threading.Event()
        self.ended = threading.Event()
        self.seen: list[str] = []

    async def peek(self, id: str) -> State[bytes]:
        self.seen.append(NAME.get())
        return await self.inner.peek(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        return await self.inner.settle(id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        self.seen.append(NAME.get())
        self.threads[threading.get_ident()] += 1
        if self.threads.total() == self.enough:
            self.are_there.set()
        try:
            return await self.inner.wait(id)
        finally:
            self.ended.set()

    async def dispose(self, id: str) -> None:
        await self.inner.dispose(id)

    async def aclose(self) -> None:
        await self.inner.aclose()


NAME: ContextVar[str] = ContextVar("NAME", default="")


def files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - it counts itself, too


def sync_threads() -> list[threading.Thread]:
    """Return the threads that run an event loop for others."""
    return [thread for thread in threading.enumerate() if thread.name == "dp-sync"]


def test_blocked_threads_share_one_that_waits() -> None:
    """Three hundred of them need one thread and one event loop more."""
    backend = Counting(MANY)
    promises = dp.Promises(backend, "test:many")
    results: list[int] = []
    before = files()
    threads = [
        threading.Thread(
            target=lambda n=n: results.append(promises.promise(str(n)).get())
        )
        for n in range(MANY)
    ]
    for thread in threads:
        thread.start()
    assert backend.are_there.wait(60)
    assert 1 == len(backend.threads) == len(sync_threads())
    # Two event loops have three files each.
    assert files() - before <= 6
    for n in range(MANY):
        promises.promise(str(n)).resolve(n)
    for thread in threads:
        thread.join()
    assert list(range(MANY)) == sorted(results)


def test_the_thread_ends_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some time after the last wait, with its files; the next wait starts another."""
    promises = dp.connect("memory:rest")
    monkeypatch.setattr(_loop_thread, "_IDLE", 0.0)
    _run._LOOPS[-1].rest(threading.Lock())
    before = files()
    for _ in range(2):
        with pytest.raises(dp.PromiseTimeoutError):
            promises.promise("x").get(0.01)
        for thread in sync_threads():
            thread.join(60)
        assert [] == sync_threads()
    assert files() <= before


def test_a_wait_keeps_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes, and others come and go."""
    backend = Counting(2)
    promises = dp.Promises(backend, "test:keeps")
    monkeypatch.setattr(_loop_thread, "_IDLE", 0.2)
    with pytest.raises(dp.PromiseTimeoutError):
        promises.promise("before").get(0.01)
    results: list[object] = []
    waiting = threading.Thread(
        target=lambda: results.append(promises.promise("a").get())
    )
    waiting.start()
    assert backend.are_there.wait(60)
    for n in range(3):
        with pytest.raises(dp.PromiseTimeoutError):
            promises.promise(f"b{n}").get(0.3)
    assert 1 == len(backend.threads) == len(sync_threads())
    promises.promise("a").resolve(1)
    waiting.join()
    assert [1] == results


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_fork_ends_the_thread_at_rest() -> None:
    """A fork finds no thread that only waits for calls; a call starts another one."""
    promise = dp.connect("memory:forked").promise("x")
    with pytest.raises(dp.PromiseTimeoutError):
        promise.get(0.01)
    assert sync_threads()

    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)

    assert [] == sync_threads()
    with pytest.raises(dp.PromiseTimeoutError):
        promise.get(0.01)


def test_calls_see_the_variables_of_their_thread() -> None:
    """Context variables, such as the span of a trace, are those of the caller."""
    backend = Counting(1)
    promises = dp.Promises(backend, "test:context")
    token = NAME.set("mine")
    try:
        promises.promise("a").peek()
        with pytest.raises(dp.PromiseTimeoutError):
            promises.promise("a").get(0.01)
    finally:
        NAME.reset(token)
    assert {"mine"} == set(backend.seen)


def test_calls_at_the_same_time(tmp_path: Path) -> None:
    """Eight threads that settle the same promises agree on each outcome."""
    promises = dp.connect(f"file:{tmp_path}/promises")
    told: list[list[dp.Outcome[int]]] = [[] for _ in range(8)]
    start = threading.Barrier(len(told))

    def settle(number: int) -> None:
        start.wait()
        told[number].extend(
            promises.promise(f"p{n}").resolve(number) for n in range(20)
        )

    threads = [threading.Thread(target=settle, args=(n,)) for n in range(len(told))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(others == told[0] for others in told)
    assert told[0] == [promises.promise(f"p{n}").peek() for n in range(20)]
    promises.close()


def test_nothing_is_kept() -> None:
    """A value that was refused is gone with its last reference."""

    class Value:
        """Not JSON."""

    kept: WeakSet[Value] = WeakSet()
    promises = dp.connect("memory:kept")
    gc.disable()
    try:
        value = Value()
        kept.add(value)
        with suppress(dp.InvalidValueError):
            promises.promise("x").resolve(value)
        del value
        assert not kept
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "started",
    [(_thread, "start_new_thread"), (threading.Thread, "start")],
    ids=["first", "second"],
)
def test_without_threads(
    started: tuple[object, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one cannot be started, of the two of a loop, the caller runs its call."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    promises = dp.connect("memory:no-threads")
    a, b = promises.promise("a"), promises.promise("b")
    settler = threading.Timer(0.1, lambda: a.resolve(1))
    settler.start()
    _run._LOOPS[-1].rest(threading.Lock())
    monkeypatch.setattr(*started, refuse)
    assert 1 == a.get()
    b.reject("no")
    with dp.as_settled([a, b]) as settled:
        assert [a, b] == [promise for promise, _ in settled]
    with pytest.raises(dp.PromiseTimeoutError):
        promises.promise("c").get(0.01)
    monkeypatch.undo()
    settler.join()


def test_a_forgotten_block_is_left() -> None:
    """Its watch ends with the iterator, though nobody left the block."""
    backend = Counting(1)
    promises = dp.Promises(backend, "test:forgotten")
    settled = dp.as_settled([promises.promise("x")])
    settled.__enter__()
    assert backend.are_there.wait(60)
    del settled
    assert backend.ended.wait(60)
    thread = _run._LOOPS[-1]._thread
    while thread is not None and thread._calls:
        promises.promise("y").peek()


class Exiting(Counting):
    """A backend one of whose callbacks ends the event loop."""

    async def wait(self, id: str) -> Outcome[bytes]:
        asyncio.get_running_loop().call_later(0.02, sys.exit)
        return await super().wait(id)


def test_a_loop_that_is_lost() -> None:
    """Who is blocked by it is told so, and the next call has another one."""
    promise = dp.Promises(Exiting(1), "test:exiting").promise("x")
    with pytest.raises(dp.OutcomeUnknownError, match="event loop of this call"):
        promise.get()
    assert dp.Resolved(1) == promise.resolve(1) == promise.peek()


class ExitingBefore(Counting):
    """A backend whose event loop ends when another call has come, and not begun."""

    async def wait(self, id: str) -> Outcome[bytes]:
        self.are_there.set()
        queue = LoopThread.here()._queue
        while not queue:
            pass
        # Behind the callback that takes it, and before its task.
        asyncio.get_running_loop().call_soon(sys.exit)
        return await super().wait(id)


def test_a_call_that_a_lost_loop_has_not_begun() -> None:
    """It is run by the next one."""
    backend = ExitingBefore(2)
    promises = dp.Promises(backend, "test:exiting-before")

    def wait() -> None:
        with pytest.raises(dp.OutcomeUnknownError):
            promises.promise("x").get()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert backend.are_there.wait(60)
    assert dp.Resolved(1) == promises.promise("y").resolve(1)
    waiting.join()


def test_a_call_that_comes_when_the_thread_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is run by the next one, though the thread took it from the queue."""
    promise = dp.connect("memory:ends").promise("x")
    promise.peek()
    thread = _run._LOOPS[-1]._thread
    assert thread is not None
    put, refused = LoopThread.put, []

    def too_late(self: LoopThread, function: Callable[[], None]) -> bool:
        if self is not thread:
            return put(self, function)
        monkeypatch.undo()
        _run._LOOPS[-1].rest(threading.Lock())
        # As the thread does at its end, when somebody else is about to look.
        refused.append(self.is_over)
        function()
        return True

    monkeypatch.setattr(LoopThread, "put", too_late)
    assert dp.Resolved(1) == promise.resolve(1)
    assert [True] == refused


class Blocking(Counting):
    """A backend that asks a function that blocks, and tells in which thread it was."""

    async def peek(self, id: str) -> State[bytes]:
        there = await in_thread(threading.get_ident)
        return Resolved(b"1" if there == threading.get_ident() else b"0")


def test_what_blocks_is_called_by_the_loop_of_one_caller() -> None:
    """It needs no third thread; of several callers, it would keep the others."""
    backend = Blocking(1)
    promises = dp.Promises(backend, "test:blocking")
    assert dp.Resolved(1) == promises.promise("x").peek()
    waiting = threading.Thread(target=promises.promise("y").get)
    waiting.start()
    assert backend.are_there.wait(60)
    assert dp.Resolved(0) == promises.promise("x").peek()
    promises.promise("y").resolve(1)
    waiting.join()
    assert dp.Resolved(1) == promises.promise("x").peek()
