"""`SqlStore`: a database as a handle uses it; each driver has its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from threading import Event
from typing import TypeVar

from dp_backends.sql._sessions import SqlSession
from dp_backends.sql._waits import Store
from dp_backends.sql._working import Ask, Call, Worker
from dp_core.backend import Check

__all__ = ["SqlStore"]

R = TypeVar("R")


class SqlStore(Store):
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
        return await self._worker.do(call)

    async def ask(self, ask: Callable[[SqlSession], R]) -> R:
        """Return what *ask* returns, which is called in the worker thread."""
        return await self.do(Ask(ask))

    @abstractmethod
    def checks(self) -> Iterator[Check]:
        """Yield what is found about the store; see `dp_core.backend.Checkable`."""

    async def aclose(self) -> None:
        """Close what is open; calls that were not begun fail."""
        await self._worker.aclose()
