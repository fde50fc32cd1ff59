"""The worker threads of a handle: started by calls, shared by loops, gone at rest."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from anyio.lowlevel import EventLoopToken, checkpoint

from dp_backends._working import Caller, WorkerCall, _calls, _threads, tell
from dp_core.backend import call_soon

pytestmark = pytest.mark.anyio

THREADS = 3


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """Return a caller, which is closed at the end."""
    caller = Caller("dp-test", THREADS)
    yield caller
    await caller.aclose()


class Gate:
    """A function that worker threads call, and from which they are let go."""

    def __init__(self) -> None:
        self._entered = threading.Semaphore(0)
        self._open = threading.Event()
        self.threads: list[int] = []

    def __call__(self) -> int:
        self.threads.append(threading.get_ident())
        self._entered.release()
        assert self._open.wait(30)
        return len(self.threads)

    def _enter(self) -> bool:
        return self._entered.acquire(timeout=30)

    async def entered(self, threads: int = 1) -> None:
        """Wait until a number of threads are there."""
        for _ in range(threads):
            assert await anyio.to_thread.run_sync(self._enter)

    def open(self) -> None:
        """Let them go."""
        self._open.set()


def of_a_worker() -> list[threading.Thread]:
    """Return the threads that there are."""
    return [t for t in threading.enumerate() if t.name == "dp-test"]


async def test_calls_one_after_another_take_one_thread(caller: Caller) -> None:
    """A thread that is free is used again, and is not that of the event loop."""
    found = {await caller.call(threading.get_ident) for _ in range(20)}

    assert [thread.ident for thread in of_a_worker()] == list(found)
    assert threading.get_ident() not in found


async def test_who_was_told_finds_the_thread_free(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that still tells of one call counts for the next one."""
    goes_on = threading.Event()

    def slowly(calls: Iterable[WorkerCall[object]]) -> None:
        tell(calls)
        assert goes_on.wait(30)

    monkeypatch.setattr(_threads, "tell", slowly)
    await caller.call(int)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller.call, int)
        await anyio.wait_all_tasks_blocked()
        threads = of_a_worker()
        goes_on.set()

    assert 1 == len(threads)


async def test_calls_that_come_together_take_several_threads(caller: Caller) -> None:
    """There are as many as calls, up to the number; the others wait for a free one."""
    gate = Gate()

    async with anyio.create_task_group() as tasks:
        for _ in range(THREADS + 5):
            tasks.start_soon(caller.call, gate)
        await gate.entered(THREADS)
        await anyio.wait_all_tasks_blocked()
        begun = len(gate.threads)
        gate.open()

    assert THREADS == begun == len(set(gate.threads))
    assert THREADS + 5 == len(gate.threads)


async def test_an_event_loop_is_told_once_for_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls that end while the event loop is busy cost it one call from outside."""
    told: list[EventLoopToken] = []

    def count(token: EventLoopToken, call: Callable[[], object]) -> None:
        told.append(token)
        call_soon(token, call)

    monkeypatch.setattr(_calls, "call_soon", count)
    for _ in range(2):
        calls: list[WorkerCall[int]] = [WorkerCall() for _ in range(20)]
        for number, call in enumerate(calls):
            call.come()
            call.result = number
        with ThreadPoolExecutor(4) as threads:
            # The event loop does nothing else meanwhile.
            list(threads.map(lambda call: tell([call]), calls))
        assert list(range(20)) == [await call.wait() for call in calls]

    assert 2 == len(told)


async def test_a_cancelled_call_is_not_made(caller: Caller) -> None:
    """What is cancelled before a thread has begun is not called at all."""
    gate, called = Gate(), threading.Event()

    async with anyio.create_task_group() as tasks:
        for _ in range(THREADS):
            tasks.start_soon(caller.call, gate)
        await gate.entered(THREADS)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await caller.call(called.set)
        gate.open()
    await caller.call(int)

    assert not called.is_set()


async def test_a_call_under_way_is_done_without_its_caller(caller: Caller) -> None:
    """Who is cancelled while a thread is at the call leaves; the call goes on."""
    gate = Gate()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller.call, gate)
            await gate.entered()
            scope.cancel()
    assert [] != of_a_worker()
    gate.open()

    assert scope.cancelled_caught
    assert 1 == len(gate.threads)


async def test_errors_reach_their_callers(caller: Caller) -> None:
    """What a function raises is raised where it was called, and its thread goes on."""

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await caller.call(fail)

    assert 0 == await caller.call(int)


async def test_nothing_is_kept(caller: Caller) -> None:
    """What a call was given, and what it raised, goes away with its caller."""

    class Given:
        pass

    def fail(given: Given) -> None:
        raise ZeroDivisionError

    async def call() -> weakref.ref[Given]:
        given = Given()
        try:
            await caller.call(fail, given)
        except ZeroDivisionError:
            return weakref.ref(given)
        raise AssertionError

    gc.disable()
    try:
        given = await call()
        # The thread is at another call by then.
        await caller.call(int)
        assert given() is None
    finally:
        gc.enable()


async def test_threads_end(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without calls there is no thread after a while, and the next call starts one."""
    monkeypatch.setattr(_threads, "_IDLE", 0.0)
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(caller.call, int)
    for thread in of_a_worker():
        await anyio.to_thread.run_sync(thread.join, 30)

    assert [] == of_a_worker()
    assert 0 == await caller.call(int)


async def test_closing_waits_for_what_was_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A closed handle has no thread, and what it was doing is done."""
    caller, gate = Caller("dp-test", THREADS), Gate()
    results: list[int] = []
    join = threading.Thread.join

    def joined(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name == "dp-test":
            gate.open()
        join(thread, timeout)

    async def call() -> None:
        results.append(await caller.call(gate))

    monkeypatch.setattr(threading.Thread, "join", joined)
    async with anyio.create_task_group() as tasks:
        for _ in range(THREADS + 2):
            tasks.start_soon(call)
        await gate.entered(THREADS)
        await caller.aclose()

    assert THREADS + 2 == len(results)
    assert [] == of_a_worker()


async def test_without_threads(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, the caller's thread does the work."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    assert threading.get_ident() == await caller.call(threading.get_ident)


async def test_where_no_more_threads_can_be_started(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that there are do all the work, and the event loop does none."""
    gate = Gate()

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller.call, gate)
        await gate.entered()
        with monkeypatch.context() as limited:
            limited.setattr(threading.Thread, "start", start)
            for _ in range(3):
                tasks.start_soon(caller.call, gate)
            await anyio.wait_all_tasks_blocked()
        gate.open()

    assert 4 == len(gate.threads)
    assert 1 == len(set(gate.threads))


async def test_callers_of_several_loops(caller: Caller) -> None:
    """Calls of several event loops share the threads, and each is told in its own."""
    results: list[int] = []

    def elsewhere(number: int) -> None:
        results.append(anyio.run(caller.call, abs, -number))

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(anyio.to_thread.run_sync, elsewhere, number)

    assert list(range(8)) == sorted(results)


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
async def test_a_fork_has_no_threads(caller: Caller) -> None:
    """The child of a fork starts its own, whatever the parent's were doing."""
    gate = Gate()

    async with anyio.create_task_group() as tasks:
        for _ in range(THREADS + 1):
            tasks.start_soon(caller.call, gate)
        await gate.entered(THREADS)
        exit_code = await anyio.to_thread.run_sync(_fork, caller)
        gate.open()

    assert 0 == exit_code
    assert THREADS + 1 == len(gate.threads)


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
async def test_a_fork_ends_the_threads_at_rest(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork finds no thread at rest, and the next call starts one."""
    monkeypatch.setattr(_threads, "_IDLE", 1e9)
    await caller.call(abs, -1)
    assert of_a_worker()

    _fork_and_wait()

    assert [] == of_a_worker()
    assert 2 == await caller.call(abs, -2)


def _fork_and_wait() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def _fork(caller: Caller) -> int:
    """Return the exit code of a child that uses the caller, and closes it."""

    async def use() -> bool:
        has_worked = 7 == await caller.call(abs, -7)
        await caller.aclose()
        return has_worked

    child = os.fork()
    if not child:
        try:
            os._exit(0 if anyio.run(use) else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


PROGRAM = """
import atexit, anyio
from dp_backends._working import Caller, _threads

_threads._IDLE = 1e9
caller = Caller("dp-test", 2)
atexit.register(lambda: print(anyio.run(caller.call, abs, -2)))
print(anyio.run(caller.call, abs, -1))
"""


def test_the_end_of_a_program() -> None:
    """A handle that was not closed holds up no exit, and works until then."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ("1\n2\n", "") == (done.stdout, done.stderr)


async def test_a_thread_that_nobody_woke_goes_on(caller: Caller) -> None:
    """Who was to wake it may have been interrupted by a signal handler before that."""
    await caller.call(threading.get_ident)
    threads = caller._threads
    while not threads._asleep:
        await checkpoint()
    threads._asleep.pop()

    with anyio.fail_after(30):
        assert threading.get_ident() != await caller.call(threading.get_ident)
        await caller.aclose()
    assert [] == of_a_worker()
