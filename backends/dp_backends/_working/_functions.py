"""`Caller`: functions that block, called in the worker threads of a handle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, final

from dp_backends._working._calls import WorkerCall
from dp_backends._working._threads import WorkerThreads

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
        return await call.wait()

    async def aclose(self) -> None:
        """Wait for the functions that are being called, and end the threads."""
        await self._threads.aclose()


@final
class _FunctionCall(WorkerCall[R]):
    """A function to be called, and its caller."""

    __slots__ = ("_arguments", "_function")

    def __init__(
        self, function: Callable[..., R], arguments: tuple[object, ...]
    ) -> None:
        super().__init__()
        self._function = function
        self._arguments = arguments

    def do(self) -> None:
        """Call the function."""
        try:
            self.result = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised in `outcome`
            self.error = error


def _work(calls: list[_FunctionCall[Any]]) -> list[_FunctionCall[Any]]:
    for call in calls:
        if not call.is_withdrawn:
            call.do()
    return calls
