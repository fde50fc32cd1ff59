"""`Ahead`: an async iterator as a plain one, with one call for all that is ready."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, final

from dp_core._mismatch import BLOCKING_ITERATOR

__all__ = ["Ahead"]

T = TypeVar("T")

_Run: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@final
class Ahead(Iterator[T], Generic[T]):
    """
    The items of an async iterator.

    Args:
        items: The async iterator.
        is_ready: Tells whether its next item needs no wait.
        run: Runs a coroutine function for this thread.

    Attributes:
        run: As given; it may be replaced from one item to the next.
    """

    def __init__(
        self, items: AsyncIterator[T], is_ready: Callable[[], bool], run: _Run
    ) -> None:
        self._items = items
        self._is_ready = is_ready
        self.run = run
        self._taken: deque[T] = deque()
        self._error: Exception | None = None

    if not TYPE_CHECKING:
        __aiter__ = BLOCKING_ITERATOR

    def __next__(self) -> T:
        if not self._taken and self._error is None:
            self.run(self._take)
        if self._taken:
            return self._taken.popleft()
        error, self._error = self._error, None
        if error is None:
            raise StopIteration
        try:
            raise error
        finally:
            # Not in a cycle with its traceback.
            error = None

    async def _take(self) -> None:
        # Item by item, so that an interruption loses none of them.
        try:
            self._taken.append(await anext(self._items))
            while self._is_ready():
                self._taken.append(await anext(self._items))
        except StopAsyncIteration:
            return
        except Exception as error:  # noqa: BLE001 - raised where its item would come
            self._error = error
