"""`LoopLocal`: a value of its own for each event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, final
from weakref import WeakKeyDictionary

from anyio.lowlevel import current_token

__all__ = ["LoopLocal"]

T = TypeVar("T")


@final
class LoopLocal(Generic[T]):
    """
    A value of its own for each event loop, as `threading.local` is for threads.

    One handle may be used in several event loops, one after another or in several
    threads at once, but `LeaderFollowers`, locks and limiters belong to one. The
    value goes away with its event loop, or with the `LoopLocal`.

    Args:
        make: Makes the value for an event loop when it is first needed there.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[object, T] = WeakKeyDictionary()

    def get(self) -> T:
        """Return the value of the running event loop."""
        loop = current_token().native_token
        try:
            return self._values[loop]
        except KeyError:
            # No other thread makes this one: an event loop runs in one thread.
            return self._values.setdefault(loop, self._make())
