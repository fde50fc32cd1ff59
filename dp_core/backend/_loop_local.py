"""`LoopLocal` and `call_soon`: values and calls of one event loop among several."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar, final
from weakref import WeakKeyDictionary

from anyio.lowlevel import EventLoopToken, current_token

__all__ = ["LoopLocal", "call_soon"]

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

    def get(self, token: EventLoopToken | None = None) -> T:
        """
        Return the value of the running event loop.

        Args:
            token: The event loop, for who has its token, as to find it out takes long.
        """
        loop = (token or current_token()).native_token
        try:
            return self._values[loop]
        except KeyError:
            # No other thread makes this one: an event loop runs in one thread.
            return self._values.setdefault(loop, self._make())


def call_soon(token: EventLoopToken, call: Callable[[], object]) -> None:
    """
    Let an event loop make a call soon, without waiting for it; from any thread.

    Nothing happens if the event loop is over.

    Args:
        token: The event loop, as ``anyio.lowlevel.current_token`` names it.
        call: Is called in the thread of the event loop; must not raise.
    """
    native: Any = token.native_token
    # anyio can only call into a loop and wait for it, which could deadlock.
    schedule = getattr(native, "run_sync_soon", None) or native.call_soon_threadsafe
    with suppress(RuntimeError):
        schedule(call)
