"""
`MemoryBackend`: promises that live as long as this process.

``memory:`` and ``memory:name`` name its stores.

All handles of one process on one URL share the promises, from any number of
threads and event loops. This is the backend to read first: it runs the state
machine itself, where the others reach the same table through their medium.

============ ===================================================================
``_store``   what is kept, and how it changes
``_waiting`` those who wait in one event loop; one of them watches the deadlines
============ ===================================================================
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from anyio.lowlevel import checkpoint

from dp_backends.memory._store import MemoryStore
from dp_backends.memory._waiting import LoopWaits
from dp_core import (
    Backend,
    BackendClosedError,
    Outcome,
    Pending,
    PromiseInfo,
    Query,
    State,
    Terms,
    hookimpl,
)
from dp_core.backend import Check, LoopLocal, Page, Told
from dp_core.hookspecs import Register

__all__ = ["MemoryBackend"]


_STORES: Final[dict[str, tuple[MemoryStore, LoopLocal[LoopWaits]]]] = {}
"""The stores of this process by their names, and the waits of each event loop."""


def _forget_parent() -> None:
    for store, _ in _STORES.values():
        store.forget_others()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("memory", MemoryBackend)


def _closed() -> BackendClosedError:
    return BackendClosedError("this handle was closed; connect() again")


class MemoryBackend(Backend):
    """
    A handle on the promises of one ``memory:`` URL of this process.

    Attributes:
        location: That URL, see `dp_core.backend.Located`.
    """

    def __init__(self, url: str) -> None:
        name = url.partition(":")[2]
        self.location: Final = f"memory:{name}"
        store = MemoryStore()
        shared = _STORES.setdefault(name, (store, LoopLocal(partial(LoopWaits, store))))
        self._store, self._waits = shared
        self._is_closed = False

    async def peek(self, id: str) -> State[bytes]:
        await self._checkpoint()
        return self._store.state(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        await self._checkpoint()
        return self._store.settle(id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        await self._checkpoint()
        # To wait for what is there already costs a third more.
        state = self._store.state(id)
        if not isinstance(state, Pending):
            return state
        return await self._waits.get().wait(id, self)

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        """Watch promises; see `dp_core.backend.Watchable`."""
        await self._checkpoint()
        async with self._waits.get().watch(ids, self) as watch:
            yield watch

    async def dispose(self, id: str) -> None:
        await self._checkpoint()
        self._store.dispose(id)

    async def create(self, id: str, terms: Terms[bytes]) -> Terms[bytes]:
        """Give a promise its terms; see `dp_core.backend.Registry`."""
        await self._checkpoint()
        return self._store.create(id, terms)

    async def info(self, id: str) -> PromiseInfo[bytes]:
        """Return what is known about a promise; see `dp_core.backend.Registry`."""
        await self._checkpoint()
        return self._store.info(id)

    async def list(self, query: Query, after: str | None, limit: int) -> Page:
        """Return promises by their age; see `dp_core.backend.Registry`."""
        await self._checkpoint()
        return self._store.page(query, after, limit)

    async def sweep(self, limit: int) -> float | None:
        """Settle what is over; see `dp_core.backend.Registry`."""
        await self._checkpoint()
        return self._store.sweep(limit)

    async def check(self) -> AsyncIterator[Check]:
        """Say who sees the promises; see `dp_core.backend.Checkable`."""
        await self._checkpoint()
        yield Check(
            "store",
            "warning",
            "promises in memory: are seen by this process alone, and end with it",
            "take file:./promises for promises that outlive a process",
        )

    async def aclose(self) -> None:
        with self._store.lock:
            self._is_closed = True
            self._store.end_waits_of(self, _closed())

    def check_open(self) -> None:
        """Raise `BackendClosedError` if this handle was closed."""
        if self._is_closed:
            raise _closed()

    async def _checkpoint(self) -> None:
        self.check_open()
        await checkpoint()
