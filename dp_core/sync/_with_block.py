"""`Block`: an async context manager that a task holds open, for a blocking one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, final

from dp_core.sync._loop_thread import LoopThread
from dp_core.sync._shared_loop import SharedLoop

__all__ = ["Block"]

T = TypeVar("T")


@final
class Block:
    """
    A context manager that is entered and left by one task of an event loop.

    One that is forgotten is left.

    Args:
        loop: The event loop.
        manager: The context manager.
    """

    # Where `__init__` is interrupted by a signal handler.
    _thread: LoopThread | None = None

    def __init__(
        self, loop: SharedLoop, manager: AbstractAsyncContextManager[object]
    ) -> None:
        self._loop = loop
        self._manager = manager
        self._process = os.getpid()

    def enter(self) -> None:
        """
        Enter the context manager.

        Raises:
            NoThreadError: A thread cannot be started.
        """
        self._loop.run(self._enter)

    def is_here(self) -> bool:
        """Tell whether it is of this process, not of one that this was forked from."""
        return os.getpid() == self._process

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return or raise what a coroutine does in the event loop of the task."""
        return self._loop.run(make, self._thread)

    def leave(self) -> None:
        """Leave the context manager."""
        if self.is_here():
            self.run(self._leave)
            self._thread = None

    def __del__(self) -> None:
        if self._thread is not None and self.is_here():
            self._thread.put(self._end.set)

    # In the thread ----------------------------------------------------------

    async def _enter(self) -> None:
        self._end = asyncio.Event()
        entered = asyncio.get_running_loop().create_future()
        # Not a method: the task keeps nobody from forgetting this.
        holding = _hold(self._manager, entered, self._end)
        self._task = asyncio.create_task(holding)
        self._thread = LoopThread.here()
        self._thread.begin_call()
        self._task.add_done_callback(self._thread.end_call)
        await self._wait(entered)
        if self._task.done():
            self._thread = None
            self._task.result()

    async def _leave(self) -> None:
        self._end.set()
        await self._wait()
        self._task.result()
        # Freed here, not in the middle of what another thread does.
        del self._task

    async def _wait(self, *others: asyncio.Future[None]) -> None:
        """Wait for the task, or for something else; if cancelled, cancel the task."""
        try:
            both = (self._task, *others)
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait((self._task,))
            raise


async def _hold(
    manager: AbstractAsyncContextManager[object],
    entered: asyncio.Future[None],
    end: asyncio.Event,
) -> None:
    async with manager:
        entered.set_result(None)
        await end.wait()
