"""
`WorkerThreads`: the threads of one handle, which work on calls, and are gone at rest.

A call that finds no thread free starts one, up to a number. A thread goes on from call
to call while there are any, and ends a second after the last one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar, final

import anyio

from dp_backends._working._calls import WorkerCall, tell
from dp_core.backend import in_thread

__all__ = ["WorkerThreads"]

C = TypeVar("C", bound=WorkerCall[Any])

_IDLE: Final = 1.0
"""Seconds without a call after which a thread ends."""

_LOOK_UP: Final = 0.05
"""Seconds between two looks of an idle thread at whether the program is at its end."""


@final
class WorkerThreads(Generic[C]):
    """
    Threads that work on calls.

    Args:
        name: The threads' name.
        work: Works on calls that came together, and returns those to tell; raises
            nothing.
        threads: The most threads.
        batch: The most calls that a thread takes at once.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[C]], Iterable[C]],
        *,
        threads: int = 1,
        batch: int = 1,
    ) -> None:
        self._name = name
        self._work = work
        self._most = threads
        self._batch = batch
        self._is_closing = False
        self.begin()
        _ALL.add(self)

    def begin(self) -> None:
        """Be without threads and calls, as after a fork."""
        self._calls: deque[C] = deque()
        self._threads: set[threading.Thread] = set()
        # How many of them are not working.
        self._free = 0
        # Those of the threads that sleep; each waits for its own lock.
        self._asleep: list[threading.Lock] = []
        # Of all these, and never held for long. Not a `queue`: where several threads
        # wait for one with a time-out, Python 3.11 may let one of them wait for ever.
        self._changing = threading.Lock()

    def put(self, call: C) -> None:
        """
        Let a call of this event loop be worked on.

        By this thread, where there can be no other.
        """
        call.come()
        if sys.is_finalizing():
            # The threads stand still for ever, and another one would not begin.
            tell(self._work([call]))
            return
        asleep = None
        with self._changing:
            self._calls.append(call)
            if self._asleep:
                asleep = self._asleep.pop()
            if len(self._calls) > self._free and len(self._threads) < self._most:
                self._start()
            there_are = bool(self._threads)
        if asleep is not None:
            # Not while it would have to wait for us.
            asleep.release()
        if not there_are:
            while calls := self.take(self._batch):
                tell(self._work(calls))

    def take(self, limit: int) -> list[C]:
        """Return calls that have come."""
        with self._changing:
            return self._take(limit)

    def _take(self, limit: int) -> list[C]:
        return [self._calls.popleft() for _ in range(min(limit, len(self._calls)))]

    async def aclose(self) -> None:
        """Wait until all calls are worked on, and the threads have ended."""
        with anyio.CancelScope(shield=True):
            await in_thread(self._close)

    def _close(self) -> None:
        with self._changing:
            self._is_closing = True
            threads = tuple(self._threads)
            asleep, self._asleep = self._asleep, []
        for lock in asleep:
            lock.release()
        for thread in threads:
            thread.join()

    def rest(self) -> None:
        """End the threads, unless they work; calls that come start others."""
        with self._changing:
            if self._calls or self._free < len(self._threads):
                return
            threads, self._threads, self._free = self._threads, set(), 0
            asleep, self._asleep = self._asleep, []
        for lock in asleep:
            lock.release()
        for thread in threads:
            thread.join()

    def _start(self) -> None:
        """Start another thread; not where there is a limit, or the interpreter ends."""
        thread = threading.Thread(target=self._run, name=self._name)
        with suppress(RuntimeError):
            thread.start()
            self._threads.add(thread)
            self._free += 1

    def _run(self) -> None:
        idle_since = time.monotonic()
        while True:
            with self._changing:
                if threading.current_thread() not in self._threads:
                    # See `rest`.
                    return
                if calls := self._take(self._batch):
                    self._free -= 1
                elif self._is_over(idle_since):
                    self._free -= 1
                    self._threads.remove(threading.current_thread())
                    return
                else:
                    # Another one each time: whoever was to release the last may have
                    # been interrupted by a signal handler.
                    mine = threading.Lock()
                    mine.acquire()
                    self._asleep.append(mine)
            if not calls:
                self._sleep(mine)
                continue
            done = self._work(calls)
            # Before anybody hears of it: who calls again finds this thread free.
            with self._changing:
                self._free += 1
            tell(done)
            # A thread at rest keeps nobody, nor their event loop.
            del done
            idle_since = time.monotonic()

    def _sleep(self, mine: threading.Lock) -> None:
        """Wait until somebody releases this lock, or for a while."""
        if not mine.acquire(timeout=_LOOK_UP):
            with self._changing, suppress(ValueError):
                self._asleep.remove(mine)

    def _is_over(self, idle_since: float) -> bool:
        return (
            self._is_closing
            or time.monotonic() - idle_since > _IDLE
            or not threading.main_thread().is_alive()
        )


_ALL: Final[weakref.WeakSet[WorkerThreads[Any]]] = weakref.WeakSet()


def _before_fork() -> None:
    # From 3.12 on Python warns of forks with threads, and people know of no threads.
    for threads in tuple(_ALL):
        threads.rest()


def _after_in_child() -> None:
    # The parent's threads are not here, and its locks may be held for ever.
    for threads in tuple(_ALL):
        threads.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_in_child)
