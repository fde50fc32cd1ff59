"""`SqlBackend`: a handle on a store in an SQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import anyio

from dp_backends.sql._listing import Found, search
from dp_backends.sql._rows import DISPOSED, PENDING, PromiseRow, microseconds
from dp_backends.sql._sessions import SqlSession
from dp_backends.sql._store import SqlStore
from dp_backends.sql._waits import LoopWatcher
from dp_backends.sql._working import (
    CreateCall,
    DisposeCall,
    InfoCall,
    LookCall,
    PeekCall,
    SettleCall,
)
from dp_core import (
    Backend,
    Outcome,
    PromiseInfo,
    Query,
    State,
    Terms,
)
from dp_core.backend import Check, Closable, LoopLocal, Page, Told, each_in_thread

__all__ = ["SqlBackend"]

_LONGEST_PAUSE: Final = 1.0
"""Seconds between two sweeps, as others may create promises."""


class SqlBackend(Backend):
    """
    A handle on a store in an SQL database.

    Args:
        store: The store.

    Attributes:
        location: The store's URL, see `dp_core.backend.Located`.
    """

    def __init__(self, store: SqlStore) -> None:
        self.location: Final = store.location
        self._store = store
        self._life = Closable()
        self._watchers: LoopLocal[LoopWatcher] = LoopLocal(
            partial(LoopWatcher, store, self._life)
        )

    async def peek(self, id: str) -> State[bytes]:
        self._life.check_open()
        return await self._store.do(PeekCall(id.encode()))

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        self._life.check_open()
        return await self._store.do(SettleCall(id.encode(), outcome))

    async def wait(self, id: str) -> Outcome[bytes]:
        return await self._watchers.get().wait(id.encode())

    def watch(
        self, ids: Collection[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Told]]:
        """Watch promises; see `dp_core.backend.Watchable`."""
        return self._watchers.get().watch(ids)

    async def wait_for(self, id: str, seconds: float) -> State[bytes]:
        """Wait for so long; see `dp_core.backend.TimedBackend`."""
        with self._life.wait():
            if seconds > 0:
                with anyio.move_on_after(seconds):
                    return await self._watchers.get().wait(id.encode())
            return await self._store.do(PeekCall(id.encode(), is_patient=False))

    async def dispose(self, id: str) -> None:
        self._life.check_open()
        await self._store.do(DisposeCall(id.encode()))

    async def create(self, id: str, terms: Terms[bytes]) -> Terms[bytes]:
        """Give a promise its terms; see `dp_core.backend.Registry`."""
        self._life.check_open()
        return await self._store.do(CreateCall(id.encode(), terms))

    async def info(self, id: str) -> PromiseInfo[bytes]:
        """Return what is known about a promise; see `dp_core.backend.Registry`."""
        self._life.check_open()
        return await self._store.do(InfoCall(id.encode()))

    async def list(self, query: Query, after: str | None, limit: int) -> Page:
        """Return promises by their age; see `dp_core.backend.Registry`."""
        self._life.check_open()
        found = await self._store.ask(
            partial(search, query=query, after=after, limit=limit)
        )
        if found.over:
            rows = await self._store.do(LookCall(*found.over))
            # From the end, as one of them may go.
            for id, place in reversed(found.over.items()):
                _look_again(found, place, rows[id])
        return Page(
            tuple(filter(query.matches, found.infos)),
            None if found.after is None else str(found.after),
            tuple(found.failures),
        )

    async def sweep(self, limit: int) -> float | None:
        """Settle what is over; see `dp_core.backend.Registry`."""
        self._life.check_open()
        due, pause = await self._store.ask(partial(_due, limit))
        settled = 0
        if due:
            rows = await self._store.do(LookCall(*due))
            settled = sum(row.state != PENDING for row in rows.values())
        if settled == limit:
            return 0.0
        # One that is damaged stays as it is, and is looked at again.
        return _LONGEST_PAUSE if pause is None and settled < len(due) else pause

    async def is_made(self) -> bool:
        """Tell whether the store is there; see `dp_core.backend.MadeOnUse`."""
        self._life.check_open()
        return await self._store.ask(lambda session: session.is_made())

    def check(self) -> AsyncIterator[Check]:
        """Look at the database; see `dp_core.backend.Checkable`."""
        return each_in_thread(self._store.checks())

    async def aclose(self) -> None:
        self._life.close()
        self._watchers.get().close()
        await self._store.aclose()


def _look_again(found: Found, place: int, row: PromiseRow) -> None:
    """Let a page say what is known now of a promise that was over."""
    info = found.infos[place]
    if str(row.place) == info.cursor and row.state != DISPOSED:
        found.infos[place] = row.info()
    else:
        # Disposed of since; its next generation has another place.
        del found.infos[place]


def _due(limit: int, session: SqlSession) -> tuple[list[bytes], float | None]:
    """Return promises that are over, and in how many seconds another one will be."""
    if not session.is_made():
        return [], None
    now = microseconds(session.now())
    due = [id for (id,) in session.all(session.sql.due, now, limit)]
    ((next_due,),) = session.all(session.sql.next_due, now)
    if next_due is None:
        return due, None
    return due, min((next_due - now) / 1_000_000, _LONGEST_PAUSE)
