"""`SqlStore`: a database as a handle uses it; each driver has its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from datetime import datetime
from threading import Event
from typing import Any, TypeVar

from dp_backends.sql._sessions import SqlSession
from dp_backends.sql._waits import AskForChanges, Listener
from dp_backends.sql._working import Ask, Call, Worker

__all__ = ["SqlStore"]

R = TypeVar("R")


class SqlStore(ABC):
    """
    A store in an SQL database.

    Args:
        location: Its URL in its normal form.
        connect: Makes a session, which is to give up waiting once the event is set;
            raises `Failure`. It must not refer to this object.
        patience: How many seconds a call is tried while the database is away.
    """

    def __init__(
        self, location: str, connect: Callable[[Event], SqlSession], patience: float
    ) -> None:
        self.location = location
        self._worker = Worker(connect, patience)

    async def do(self, call: Call[R]) -> R:
        """
        Return the result of a call.

        Raises:
            BackendError: It failed.
        """
        return await self._worker.do(call)

    async def ask(self, ask: Callable[[SqlSession], R]) -> R:
        """Return what *ask* returns, which is called in the worker thread."""
        return await self.do(Ask(ask))

    async def aclose(self) -> None:
        """Close what is open; calls that were not begun fail."""
        await self._worker.aclose()

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
