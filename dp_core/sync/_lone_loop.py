"""`LoneLoop`: an event loop that the calling thread runs, for one call at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar, final

from dp_core.backend import blocking_here
from dp_core.sync._result import Result

__all__ = ["LoneLoop"]

T = TypeVar("T")


@final
class LoneLoop:
    """
    An event loop for calls that come alone; any thread may run it, one at a time.

    A call by it needs no other thread, and none has to be switched to: neither for the
    call, nor for what would block the loop, as the loop serves nobody else.
    """

    def __init__(self) -> None:
        self._is_taken = threading.Lock()
        self._runner: asyncio.Runner | None = None
        self._raised: BaseException | None = None

    def take(self) -> bool:
        """Take it for a call of this thread, if no other has it."""
        return self._is_taken.acquire(blocking=False)

    def leave(self) -> None:
        """Let others have it."""
        self._is_taken.release()

    def is_loop(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Tell whether that is its event loop."""
        return self._runner is not None and self._runner.get_loop() is loop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """
        Return or raise what a coroutine does; for who has taken it.

        What a signal handler raises, such as KeyboardInterrupt, cancels the coroutine
        and is raised once that has ended.
        """
        runner = self._runner = self._runner or self._start()
        result: Result[T] = Result()
        try:
            with blocking_here():
                runner.run(result.take(coroutine), context=copy_context())
        except BaseException:
            # It did not come from the coroutine, which may be left in the loop.
            if asyncio.all_tasks(runner.get_loop()):
                self.close()
            raised, self._raised = self._raised, None
            if raised is not None:
                raise raised from None
            raise
        return result.give()

    def _start(self) -> asyncio.Runner:
        # Not as the event loop of this thread, which is the program's own affair.
        runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        runner.get_loop().set_exception_handler(self._on_error)
        return runner

    def _on_error(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        if "handle" in context:
            # A callback was interrupted by a signal handler that raised something.
            self._raised = context["exception"]
            loop.stop()
        else:
            loop.default_exception_handler(context)

    def close(self) -> None:
        """Cancel what was left, and release what the loop holds."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()
