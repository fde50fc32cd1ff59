"""`Caller`: functions that block, called in the worker threads of a handle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, final

import anyio

from dp_backends._working._signal import Signal
from dp_backends._working._threads import WorkerThreads
from dp_core.backend import in_thread

__all__ = ["Caller"]

R = TypeVar("R")


@final
class Caller:
    """
    Calls functions in the worker threads of one handle.

    Args:
        name: The threads' name.
        threads: The most threads.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._threads: WorkerThreads[_FunctionCall[Any]] = WorkerThreads(
            name, _work, threads=threads
        )

    async def call(self, function: Callable[..., R], *arguments: object) -> R:
        """
        Return what a function returns, or raise what it raises.

        If it is cancelled before a thread has begun, the function is not called; after
        that, only the caller leaves.
        """
        call = _FunctionCall(function, arguments)
        self._threads.put(call)
        try:
            await call.signal.wait()
        except BaseException:
            call.is_withdrawn = True
            raise
        return call.outcome()

    async def aclose(self) -> None:
        """Wait for the functions that are being called, and end the threads."""
        with anyio.CancelScope(shield=True):
            await in_thread(self._threads.close)


@final
class _FunctionCall(Generic[R]):
    """
    A function to be called, and its caller.

    Attributes:
        signal: Wakes the caller up.
        is_withdrawn: Whether the caller left.
    """

    __slots__ = (
        "_arguments",
        "_error",
        "_function",
        "_result",
        "is_withdrawn",
        "signal",
    )

    _result: R

    def __init__(
        self, function: Callable[..., R], arguments: tuple[object, ...]
    ) -> None:
        self._function = function
        self._arguments = arguments
        self._error: BaseException | None = None
        self.signal = Signal()
        self.is_withdrawn = False

    def do(self) -> None:
        """Call the function."""
        try:
            self._result = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised in `outcome`
            self._error = error

    def outcome(self) -> R:
        """Return what the function returned, or raise what it raised; once."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            # Not in a cycle with its traceback, which holds what was refused.
            error = None


def _work(calls: list[_FunctionCall[Any]]) -> list[Signal]:
    for call in calls:
        if not call.is_withdrawn:
            call.do()
    return [call.signal for call in calls]
