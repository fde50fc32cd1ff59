"""`Block`: an async context manager that a task holds open, for a blocking one."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from functools import partial
from threading import Lock
from typing import final

from dp_core.sync._loop_thread import LoopThread

__all__ = ["Block"]


@final
class Block:
    """
    A context manager that is entered and left by one task of a thread.

    Args:
        thread: The thread.
        manager: The context manager.

    Raises:
        NoThreadError: A thread cannot be started.
    """

    def __init__(
        self, thread: LoopThread, manager: AbstractAsyncContextManager[object]
    ) -> None:
        self._process = os.getpid()
        self._end = asyncio.Event()
        self._is_entered = Lock()
        self._is_entered.acquire()
        self._is_open = False
        self._call = thread.begin(partial(self._hold, manager))
        try:
            self._is_entered.acquire()
        except BaseException:
            self.leave()
            raise
        if not self._is_open:
            # It raises why.
            self._call.result()

    async def _hold(self, manager: AbstractAsyncContextManager[object]) -> None:
        try:
            async with manager:
                self._is_open = True
                self._is_entered.release()
                await self._end.wait()
        finally:
            if not self._is_open:
                self._is_entered.release()

    def is_here(self) -> bool:
        """Tell whether it is of this process, not of one that this was forked from."""
        return os.getpid() == self._process

    def leave(self) -> None:
        """Leave the context manager."""
        if self.is_here():
            self._call.loop.call_soon_threadsafe(self._end.set)
            self._call.result()
