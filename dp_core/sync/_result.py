"""`CallResult`: what a coroutine returned or raised, for another stack than its own."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, final

__all__ = ["CallResult"]

T = TypeVar("T")


@final
class CallResult(Generic[T]):
    """The result of a coroutine, or its error."""

    __slots__ = ("_error", "_value")

    _value: T

    def __init__(self) -> None:
        self._error: BaseException | None = None

    async def take(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        """
        Keep what a coroutine returns or raises.

        Args:
            make: Makes the coroutine.
        """
        try:
            self._value = await make()
        except CancelledError as error:
            self._error = error
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised in `give`
            self._error = error

    def fail(self, error: BaseException) -> None:
        """Keep an error, in the place of what a coroutine would have raised."""
        self._error = error

    def give(self) -> T:
        """Return the result, or raise the error; once."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            # Not in a cycle with its traceback, which holds what was refused.
            error = None
