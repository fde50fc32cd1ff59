"""`LoopThread`: an event loop in a thread that is there while it has calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, final

from dp_core.sync._call import LoopCall

__all__ = ["LoopThread", "NoThreadError"]

T = TypeVar("T")

_IDLE: Final = 1.0
"""Seconds without a call after which the thread ends."""


class NoThreadError(RuntimeError):
    """A thread cannot be started: a limit is reached, or the interpreter ends."""


@final
class LoopThread:
    """An event loop in a thread of its own, which any number of threads share."""

    def __init__(self) -> None:
        # Of all these, and never held for long.
        self._changing = threading.Lock()
        self._running: _Running | None = None
        self._is_closed = False

    def begin(self, make: Callable[[], Coroutine[Any, Any, T]]) -> LoopCall[T]:
        """
        Let the event loop run a coroutine.

        Args:
            make: Makes the coroutine.

        Raises:
            NoThreadError: A thread cannot be started.
        """
        with self._changing:
            if self._running is None:
                self._running = self._start()
            running = self._running
            running.calls += 1
            call = LoopCall(running.loop, self._counted(running, make()))
            running.loop.call_soon_threadsafe(call.begin)
        return call

    def _start(self) -> _Running:
        if self._is_closed:
            raise NoThreadError
        running = _Running()
        try:
            running.thread.start()
        except RuntimeError:
            running.loop.close()
            raise NoThreadError from None
        return running

    async def _counted(self, running: _Running, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            return await coroutine
        finally:
            with self._changing:
                running.calls -= 1
                running.idle_since = running.loop.time()
                is_last = not running.calls
            if is_last and not running.has_timer:
                self._look_after(running, _IDLE)

    def _look_after(self, running: _Running, seconds: float) -> None:
        running.has_timer = True
        running.loop.call_later(seconds, self._look, running)

    def _look(self, running: _Running) -> None:
        """End, if there was no call for a while."""
        running.has_timer = False
        with self._changing:
            if running.calls:
                # The last of them looks again.
                return
            left = running.idle_since + _IDLE - running.loop.time()
            if left <= 0 and self._running is running:
                self._running = None
        if left > 0:
            self._look_after(running, left)
        else:
            running.end.set()

    def rest(self) -> None:
        """End the thread, unless there are calls; one that comes starts another."""
        with self._changing:
            running = self._running
            if running is None or running.calls or running.is_here():
                return
            self._running = None
        running.loop.call_soon_threadsafe(running.end.set)
        running.thread.join()

    def close(self) -> None:
        """End as `rest` does, and start no thread any more."""
        with self._changing:
            self._is_closed = True
        self.rest()


@final
class _Running:
    """
    A thread, and the event loop that it runs.

    Attributes:
        calls: The number of calls that have come and have not ended.
        idle_since: When the last one ended, by the clock of the loop.
        has_timer: Whether the loop will look how long ago that is.
        end: Lets the thread end.
    """

    def __init__(self) -> None:
        # Here, so that calls can come before the thread runs it.
        self.loop = asyncio.SelectorEventLoop()
        # A thread that waits for strangers must not keep the program from its end.
        self.thread = threading.Thread(target=self._run, name="dp-sync", daemon=True)
        self.end = asyncio.Event()
        self.calls = 0
        self.idle_since = 0.0
        self.has_timer = False

    def _run(self) -> None:
        # anyio takes the task that a runner runs for the owner of its worker threads:
        # they serve one call after another.
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._until_the_end())

    async def _until_the_end(self) -> None:
        await self.end.wait()

    def is_here(self) -> bool:
        """Tell whether this is the thread."""
        return threading.current_thread() is self.thread
