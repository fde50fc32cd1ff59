"""
`WorkerThreads`: the threads of one handle, which work on calls, and are gone at rest.

A call that finds no thread free starts one, up to a number. A thread goes on from call
to call while there are any, and ends a second after the last one.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar, final

from dp_backends._working._signal import Signal, wake_all

__all__ = ["WorkerThreads"]

C = TypeVar("C")

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
        work: Works on calls that came together, and returns whom to wake up; raises
            nothing.
        threads: The most threads.
        batch: The most calls that a thread takes at once.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[C]], Iterable[Signal]],
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
        # Of all these, and never held for long. Not a `queue`: where several threads
        # wait for one with a time-out, Python 3.11 may let one of them wait for ever.
        self._changed = threading.Condition(threading.Lock())

    def put(self, call: C) -> None:
        """Let a call be worked on; by this thread, where there can be no other."""
        with self._changed:
            self._calls.append(call)
            self._changed.notify()
            if len(self._calls) > self._free and len(self._threads) < self._most:
                self._start()
            if self._threads:
                return
        while calls := self.take(self._batch):
            wake_all(self._work(calls))

    def take(self, limit: int, seconds: float = 0.0) -> list[C]:
        """Return calls that have come; wait for the first one for so many seconds."""
        with self._changed:
            return self._take(limit, seconds)

    def _take(self, limit: int, seconds: float) -> list[C]:
        if seconds and not self._calls:
            self._changed.wait(seconds)
        return [self._calls.popleft() for _ in range(min(limit, len(self._calls)))]

    def close(self) -> None:
        """Wait until all calls are worked on, and the threads have ended."""
        with self._changed:
            self._is_closing = True
            threads = tuple(self._threads)
            self._changed.notify_all()
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
            with self._changed:
                if calls := self._take(self._batch, _LOOK_UP):
                    self._free -= 1
                elif self._is_over(idle_since):
                    self._free -= 1
                    self._threads.remove(threading.current_thread())
                    return
            if calls:
                done = self._work(calls)
                # Before anybody hears of it: who calls again finds this thread free.
                with self._changed:
                    self._free += 1
                wake_all(done)
                idle_since = time.monotonic()

    def _is_over(self, idle_since: float) -> bool:
        return (
            self._is_closing
            or time.monotonic() - idle_since > _IDLE
            or not threading.main_thread().is_alive()
        )


_ALL: Final[weakref.WeakSet[WorkerThreads[Any]]] = weakref.WeakSet()


def _after_in_child() -> None:
    # The parent's threads are not here, and its locks may be held for ever.
    for threads in tuple(_ALL):
        threads.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
