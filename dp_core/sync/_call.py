"""`LoopCall`: a coroutine in the event loop of another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar, final

from dp_core.sync._result import Result

__all__ = ["LoopCall"]

T = TypeVar("T")


@final
class LoopCall(Generic[T]):
    """
    A coroutine that an event loop runs in another thread.

    It sees the context variables of the thread that made the call, since
    `call_soon_threadsafe` takes them along.

    Args:
        loop: The event loop.
        coroutine: The coroutine.

    Attributes:
        loop: The event loop.
    """

    __slots__ = ("_coroutine", "_ended", "_result", "_task", "loop")

    _task: asyncio.Task[None]

    def __init__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]
    ) -> None:
        self.loop = loop
        self._coroutine = coroutine
        self._result: Result[T] = Result()
        # A lock costs a third of what an event does.
        self._ended = Lock()
        self._ended.acquire()

    def begin(self) -> None:
        """Begin; in the thread of the event loop."""
        self._task = self.loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._result.take(self._coroutine)
        finally:
            self._ended.release()

    def result(self) -> T:
        """
        Block this thread until the coroutine has ended; return or raise what it does.

        What a signal handler raises meanwhile, such as KeyboardInterrupt, cancels the
        coroutine and is raised once that has ended; what it raises then, at once.
        """
        try:
            self._ended.acquire()
        except BaseException:
            # It has begun by then: a loop makes the calls in the order they come.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._cancel)
                self._ended.acquire()
            raise
        return self._result.give()

    def _cancel(self) -> None:
        self._task.cancel()
