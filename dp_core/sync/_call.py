"""`LoopCall`: a coroutine in the event loop of another thread, and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Lock
from typing import Any, Generic, TypeVar, final

from dp_core._errors import BackendError
from dp_core.sync._loop_thread import LoopThread
from dp_core.sync._result import CallResult

__all__ = ["LoopCall"]

T = TypeVar("T")


@final
class LoopCall(Generic[T]):
    """
    A coroutine that an event loop runs in another thread.

    It sees the context variables of the thread that made the call. It is made in the
    other thread: whatever a signal handler raises in this one, nothing is half made.

    Args:
        make: Makes the coroutine.
    """

    __slots__ = (
        "_context",
        "_ended",
        "_has_begun",
        "_is_cancelled",
        "_is_refused",
        "_make",
        "_result",
        "_task",
        "_thread",
    )

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make
        self._context = copy_context()
        self._result: CallResult[T] = CallResult()
        self._thread: LoopThread | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_begun = False
        self._is_cancelled = False
        self._is_refused = False
        # A lock costs a third of what an event does.
        self._ended = Lock()
        self._ended.acquire()

    def put(self, thread: LoopThread) -> bool:
        """Let a thread run it; False if that is at its end, and does not."""
        self._thread = thread
        self._is_refused = False
        return thread.put(partial(self._begin, thread))

    def wait(self) -> bool:
        """
        Block this thread until the coroutine has ended.

        Returns:
            False if the other thread has ended instead, and nothing was begun.
        """
        self._ended.acquire()
        return not self._is_refused

    def result(self) -> T:
        """Return or raise what the coroutine did, once it has ended."""
        return self._result.give()

    def cancel(self) -> None:
        """
        Cancel the coroutine, and block this thread until that has ended.

        For who put it, or was interrupted there: then it may be that nobody runs it.
        """
        self._is_cancelled = True
        if self._thread is not None and self._thread.put(self._cancel):
            self._ended.acquire()

    def fail(self, error: BackendError) -> None:
        """End with an error, where nobody runs the coroutine any more."""
        self._result.fail(error)
        self._end()

    # In the thread of the event loop ----------------------------------------

    def _begin(self, thread: LoopThread) -> None:
        if thread.is_over:
            self._refuse()
            return
        thread.begin_call()
        task = asyncio.create_task(self._run(thread), context=self._context)
        # A loop that is lost cancels tasks that have not begun; they run nothing then.
        task.add_done_callback(self._refuse)

    def _refuse(self, _: object = None) -> None:
        if not self._has_begun:
            self._is_refused = True
            self._end()

    async def _run(self, thread: LoopThread) -> None:
        self._has_begun = True
        self._task = asyncio.current_task()
        try:
            if not self._is_cancelled:
                await self._result.take(self._make)
        finally:
            # Not to be freed by the thread that waits: a signal handler could run in
            # the middle of that, and what it raises would be lost.
            self._task = None
            # Whoever is told finds nothing kept of what was passed, or refused.
            del self._make
            thread.end_call()
            self._end()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            # It will not do anything. Or it has ended: then who waits was interrupted
            # just after that, and waits once more.
            self._end()

    def _end(self) -> None:
        # Twice, where it ended just before it was cancelled, or the process forked.
        with suppress(RuntimeError):
            self._ended.release()
