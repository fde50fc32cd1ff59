"""`Store`: a store as its waits use it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from dp_backends.sql._waits._listener import Listener
from dp_backends.sql._working import Call

__all__ = ["AskForChanges", "Changes", "Store"]

R = TypeVar("R")


class Store(ABC):
    """A store as its waits use it; each driver has its own."""

    @abstractmethod
    async def do(self, call: Call[R]) -> R:
        """
        Return the result of a call.

        Raises:
            BackendError: It failed.
        """

    @abstractmethod
    def listen(self, ring: Callable[[], None]) -> Listener:
        """
        Return one who hears of changes, for the waits of this event loop.

        Args:
            ring: Ends the wait of that one, now or the next, so that it is read again;
                may be called by any thread.
        """

    @abstractmethod
    def changes(self, since: Any, wanted: Collection[bytes]) -> AskForChanges:
        """
        Return the function that asks a session what has changed.

        Args:
            since: Up to where was looked before; None for the first time, when nothing
                has changed.
            wanted: The ids that matter, in UTF-8; may change in another thread.
        """

    @abstractmethod
    def now(self) -> datetime:
        """Return the time by the store's clock, as far as it is known."""


Changes: TypeAlias = tuple[Any, list[bytes]]
"""The point in the order of changes up to which was looked, and what had changed."""

AskForChanges: TypeAlias = Callable[[Any], Changes]
"""A function that asks a session for them, in the thread of its store."""
