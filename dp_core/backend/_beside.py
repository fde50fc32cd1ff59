"""
Work beside that of the caller.

`in_thread` and `each_in_thread` call in worker threads, `in_thread_apart` in one that
nobody joins; `tasks_beside` runs tasks, and `ForeignThreads` waits for threads that
Python did not start.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast, final

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.abc import TaskGroup
from anyio.lowlevel import current_token

from dp_core.backend._loop_local import call_soon
from dp_core.backend._signal import signal, wake

__all__ = [
    "ForeignThreads",
    "blocking_here",
    "each_in_thread",
    "in_thread",
    "in_thread_apart",
    "tasks_beside",
]

T = TypeVar("T")

_THREADS: Final = Path("/proc/self/task")

_LOOK_SECONDS: Final = 0.001


def _is_never_alone() -> bool:
    return False


class _OwnThread(threading.local):
    """
    Settings of one thread.

    Attributes:
        is_alone: Tells whether the event loop of this thread serves one caller only.
    """

    is_alone: Callable[[], bool] = staticmethod(_is_never_alone)


_OWN: Final = _OwnThread()


@contextmanager
def blocking_here(is_alone: Callable[[], bool]) -> Iterator[None]:
    """
    Let `in_thread` call functions in this thread, where they block one caller only.

    For who runs an event loop for callers that are blocked themselves.

    Args:
        is_alone: Tells whether there is one caller only at this moment.
    """
    before, _OWN.is_alone = _OWN.is_alone, is_alone
    try:
        yield
    finally:
        _OWN.is_alone = before


async def in_thread(
    function: Callable[..., T],
    *arguments: object,
    limiter: CapacityLimiter | None = None,
) -> T:
    """
    Return what a blocking function returns that is called in a worker thread.

    Where no thread can be started (a limit of processes is reached, or the
    interpreter is at its end and runs what was registered with `atexit`), it is
    called in this thread, and the event loop waits for it; so it is in a block of
    `blocking_here`.

    Args:
        function: The function.
        arguments: What it is called with.
        limiter: How many threads there may be, as `anyio.to_thread.run_sync` has it.
    """
    if _OWN.is_alone():
        return function(*arguments)
    has_begun = False
    failure: BaseException | None = None

    def call() -> T | None:
        nonlocal has_begun, failure
        has_begun = True
        try:
            return function(*arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failure = error
            return None

    try:
        try:
            result = await to_thread.run_sync(call, limiter=limiter)
        except RuntimeError:
            if has_begun:
                raise
            result = call()
        if failure is not None:
            raise failure
        return cast("T", result)
    finally:
        # An event loop keeps what a thread raised, and so would this frame: in a
        # cycle with its traceback, which holds what was refused.
        failure = None


async def in_thread_apart(function: Callable[..., T], *arguments: object) -> T:
    """
    Return what a blocking function returns that is called in a thread nobody joins.

    For questions that others answer late, or never: a name server, a server. At its end
    the interpreter waits for all threads of `in_thread`, also for one whose caller is
    gone. This one ends with the process, wherever it is.

    If it is cancelled, the caller leaves at once.

    Args:
        function: The function; it changes nothing that must be whole.
        arguments: What it is called with.
    """
    token = current_token()
    is_done = signal(token)
    results: list[T] = []
    failures: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failures.append(error)
        call_soon(token, partial(wake, is_done))

    try:
        threading.Thread(target=call, name="dp-apart", daemon=True).start()
    except RuntimeError:
        call()
    await is_done
    if failures:
        raise failures.pop()
    return results.pop()


async def each_in_thread(iterator: Iterator[T]) -> AsyncIterator[T]:
    """
    Yield what a blocking iterator yields that is asked in a worker thread.

    Args:
        iterator: The iterator; it yields no None.
    """
    while (item := await in_thread(next, iterator, None)) is not None:
        yield item


@asynccontextmanager
async def tasks_beside() -> AsyncIterator[TaskGroup]:
    """
    Run tasks beside a block, at whose end they are cancelled.

    The tasks are to raise nothing. What the block raises goes on as it is.
    """
    failure: BaseException | None = None
    async with anyio.create_task_group() as group:
        try:
            yield group
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - a task group would wrap it
            failure = error
        finally:
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure


@final
class ForeignThreads:
    """
    The threads, not Python's own, that start from now on.

    For who runs a server or a driver that is written in Rust or C. Such a library may
    say that it is done a moment before its last thread is. A thread that touches
    Python in this moment, while the interpreter ends, takes the process down by
    SIGABRT, with an exit code that says that something failed.

    Only Linux tells of them; elsewhere there are none to wait for.
    """

    def __init__(self) -> None:
        self._before = _running()

    async def wait_until_ended(self, seconds: float) -> bool:
        """Wait until they have ended, or *seconds* are over; return if they have."""
        if not self._left():
            return True
        # A thread may serve an object of Python, and end with it, while only garbage
        # still refers to it: the traceback of an error refers to itself.
        gc.collect()
        with anyio.move_on_after(seconds):
            # The kernel tells nobody that a thread has ended.
            while self._left():  # noqa: ASYNC110
                await anyio.sleep(_LOOK_SECONDS)
            return True
        return False

    def _left(self) -> set[int]:
        return _running() - self._before


def _running() -> set[int]:
    ours = {thread.native_id for thread in threading.enumerate()}
    try:
        return {int(each.name) for each in _THREADS.iterdir()} - ours
    except OSError:
        # It is another system, or this process may open no more files.
        return set()
