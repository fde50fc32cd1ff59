"""Mutants that share a store between handles wrongly."""

from __future__ import annotations

from collections import defaultdict
from typing import cast

import anyio

from dp_core import (
    BackendClosedError,
    Pending,
)
from mutants.contract.registry import mutant
from mutants.contract.right import (
    Entry,
    Outcome_,
    Right,
    State_,
    Store,
)


class Party(Store):
    """A store that knows its open handles."""

    def __init__(self) -> None:
        super().__init__()
        self.handles: list[Right] = []


class Member(Right):
    """A handle that the others know of. A base class, not a mutant."""

    store_type = Party
    store: Party

    def __init__(self, store: Party) -> None:
        super().__init__(store)
        store.handles.append(self)

    async def aclose(self) -> None:
        if self in self.store.handles:
            self.store.handles.remove(self)
        await super().aclose()

    def next_handle(self) -> Right:
        """Return the handle that was opened after this one, in a ring."""
        handles = self.store.handles
        return handles[(handles.index(self) + 1) % len(handles)]


@mutant("handles-see-each-other", "negative caching: DNS, NFS attribute caches")
class PendingCached(Right):
    """
    A handle returns a promise that it saw pending as pending.

    Only its own settle ends that.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.pending: set[str] = set()

    def look(self, id: str) -> State_:
        state = super().look(id)
        if isinstance(state, Pending):
            self.pending.add(id)
        return Pending() if id in self.pending else state

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        self.pending.discard(id)
        return super().put(id, outcome)


@mutant("handles-see-each-other", "write-behind buffers: acknowledged, not written")
class WrittenAtClose(Right):
    """A handle keeps its outcomes in a buffer of its own until it is closed."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.shared, self.store = store, Store()

    async def aclose(self) -> None:
        for id, entry in self.store.entries.items():
            self.shared.entries.setdefault(id, entry)
        await super().aclose()


@mutant(
    "handles-see-each-other",
    "a snapshot and the changes after it, with a gap between them",
    alone=True,
)
class SnapshotGap(Member):
    """A new handle misses the changes between the last snapshot and its opening."""

    class _Store(Party):
        def __init__(self) -> None:
            super().__init__()
            self.saved: dict[str, Entry] = {}

    store_type = _Store
    store: _Store

    def __init__(self, store: _Store) -> None:
        super().__init__(store)
        gap = {*store.entries} - {*store.saved}
        self.unknown = {id: store.entries[id] for id in gap}

    def look(self, id: str) -> State_:
        unknown = self.unknown.get(id)
        entry = self.store.entries.get(id)
        return Pending() if entry and entry is unknown else super().look(id)

    async def aclose(self) -> None:
        self.store.saved = dict(self.store.entries)
        await super().aclose()


class Listening(Member):
    """Waiters listen at their own handle. A base class, not a mutant."""

    def __init__(self, store: Party) -> None:
        super().__init__(store)
        self.listeners: defaultdict[str, list[anyio.Event]] = defaultdict(list)

    def audience(self) -> list[Right]:
        return self.store.handles

    def wake(self, id: str) -> None:
        for event in self.listeners.pop(id, []):
            event.set()

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        for handle in self.audience():
            cast("Listening", handle).wake(id)
        return stands

    def forget(self, id: str) -> None:
        super().forget(id)
        for handle in self.store.handles:
            cast("Listening", handle).wake(id)

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        if not entry.over.is_set():
            mine = anyio.Event()
            self.listeners[id].append(mine)
            await mine.wait()
        if not entry.over.is_set():
            raise BackendClosedError("closed")
        return entry.result(id)

    async def aclose(self) -> None:
        for id in [*self.listeners]:
            self.wake(id)
        await super().aclose()


@mutant("handles-wake-each-other", "in-process events beside a shared database")
class WakesItsOwnHandle(Listening):
    """A settle wakes only the waiters of its own handle."""

    def audience(self) -> list[Right]:
        return [self]


@mutant(
    "handles-wake-each-other",
    "a queue where a topic was meant: each message goes to one subscriber",
    alone=True,
)
class WakesOnePeer(Listening):
    """A settle wakes the waiters of one other handle, not of all."""

    def audience(self) -> list[Right]:
        return [self, self.next_handle()]


@mutant("handles-forget-together", "caches of values that are thought to be immutable")
class OutcomeCachedForEver(Right):
    """A handle never reads an outcome again, even if another handle disposed of it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.seen: dict[str, State_] = {}

    def look(self, id: str) -> State_:
        seen = self.seen.get(id)
        state = super().look(id) if seen is None else seen
        if not isinstance(state, Pending):
            self.seen[id] = state
        return state

    def forget(self, id: str) -> None:
        self.seen.pop(id, None)
        super().forget(id)


@mutant(
    "handles-forget-together",
    "cache invalidation sent to one replica of several",
    alone=True,
)
class InvalidatesOnePeer(Member, OutcomeCachedForEver):
    """A disposal clears the cache of one other handle, not of all."""

    store: Party

    def forget(self, id: str) -> None:
        super().forget(id)
        cast("InvalidatesOnePeer", self.next_handle()).seen.pop(id, None)
