"""Broken ways to share a store, to close it and to open it again."""

from __future__ import annotations

from collections import defaultdict
from typing import cast

import anyio

from dp_core import (
    BackendClosedError,
    BackendError,
    Pending,
    Rejected,
    Resolved,
)
from mutants.contract.museum import exhibit
from mutants.contract.right import (
    Entry,
    Logged,
    LoggedStore,
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
    """A handle that the others know of. A help, no exhibit."""

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


@exhibit("handles-see-each-other", "negative caching: DNS, NFS attribute caches")
class PendingCached(Right):
    """A handle that saw a promise pending believes so until it settles it."""

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


@exhibit("handles-see-each-other", "write-behind buffers: acknowledged, not written")
class WrittenAtClose(Right):
    """What a handle settled is in its own buffer until it is closed."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.shared, self.store = store, Store()

    async def aclose(self) -> None:
        for id, entry in self.store.entries.items():
            self.shared.entries.setdefault(id, entry)
        await super().aclose()


@exhibit(
    "handles-see-each-other",
    "a snapshot and the changes after it, with a gap between them",
    alone=True,
)
class SnapshotGap(Member):
    """A new handle knows what the last close saved, and what comes from now on."""

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
    """Waiters listen at their own handle. A help, no exhibit."""

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
        return entry.told(id)

    async def aclose(self) -> None:
        for id in [*self.listeners]:
            self.wake(id)
        await super().aclose()


@exhibit("handles-wake-each-other", "in-process events beside a shared database")
class WakesItsOwnHandle(Listening):
    """A completion wakes the waiters of the handle it came through."""

    def audience(self) -> list[Right]:
        return [self]


@exhibit(
    "handles-wake-each-other",
    "a queue where a topic was meant: each message goes to one subscriber",
    alone=True,
)
class WakesOnePeer(Listening):
    """A completion is sent to one other handle, not to all."""

    def audience(self) -> list[Right]:
        return [self, self.next_handle()]


@exhibit("handles-forget-together", "immutable caches: what is settled stays settled")
class OutcomeCachedForEver(Right):
    """A handle never asks again for an outcome it has seen."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.seen: dict[str, State_] = {}

    def look(self, id: str) -> State_:
        state = self.seen.get(id) or super().look(id)
        if not isinstance(state, Pending):
            self.seen[id] = state
        return state

    def forget(self, id: str) -> None:
        self.seen.pop(id, None)
        super().forget(id)


@exhibit(
    "handles-forget-together",
    "cache invalidation sent to one replica of several",
    alone=True,
)
class InvalidatesOnePeer(Member, OutcomeCachedForEver):
    """A disposal clears the cache of one other handle."""

    store: Party

    def forget(self, id: str) -> None:
        super().forget(id)
        cast("InvalidatesOnePeer", self.next_handle()).seen.pop(id, None)


# Opened again ---------------------------------------------------------------


@exhibit("outcomes-survive-reopening", "fsync every second: Redis AOF, NATS JetStream")
class LastWriteLost(Logged):
    """A write reaches the log with the next one."""

    def __init__(self, store: LoggedStore) -> None:
        super().__init__(store)
        self.late: list[tuple[str, Outcome_ | None]] = []

    def write(self, key: str, outcome: Outcome_ | None) -> None:
        self.store.log += self.late
        self.late = [(key, outcome)]


@exhibit("outcomes-survive-reopening", "error paths that return before the commit")
class RejectionsNotLogged(Logged):
    """Only values are written down."""

    def write(self, key: str, outcome: Outcome_ | None) -> None:
        if not isinstance(outcome, Rejected):
            super().write(key, outcome)


@exhibit(
    "outcomes-survive-reopening",
    "guards kept in memory: a set of the ids that were settled",
    alone=True,
)
class GuardNotRebuilt(Logged):
    """What was loaded can be read, but does not count as settled."""

    class _Store(LoggedStore):
        def load_outcome(self, key: str, outcome: Outcome_) -> None:
            super().load_outcome(key, outcome)
            self.entry(key).unguarded = True  # type: ignore[attr-defined]

    store_type = _Store

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        entry = self.store.entry(id)
        if hasattr(entry, "unguarded"):
            del entry.unguarded
            entry.outcome = None
        return super().put(id, outcome)


@exhibit("disposals-survive-reopening", "deletes that never reach the log", alone=True)
class DisposalsNotLogged(Logged):
    """After reopening, what was disposed of is back."""

    def write(self, key: str, outcome: Outcome_ | None) -> None:
        if outcome is not None:
            super().write(key, outcome)


@exhibit("disposals-survive-reopening", "log compaction that keeps the first record")
class FirstRecordWins(Logged):
    """When the log is read, the first outcome of an id counts, be it disposed of."""

    class _Store(LoggedStore):
        def load(self) -> None:
            self.entries = {}
            for key, outcome in self.log:
                if outcome is not None and key not in self.entries:
                    self.load_outcome(key, outcome)

    store_type = _Store


@exhibit(
    "reopening-changes-nothing",
    "logs read with str.splitlines(), which splits at U+2028, U+0085 and more",
    alone=True,
)
class SplitsLines(Logged):
    """A value ends at what Unicode calls the end of a line."""

    class _Store(LoggedStore):
        def load_outcome(self, key: str, outcome: Outcome_) -> None:
            if isinstance(outcome, Resolved):
                first = outcome.value.decode().splitlines()[0]
                outcome = Resolved(first.encode())
            super().load_outcome(key, outcome)

    store_type = _Store


@exhibit("reopening-changes-nothing", "files opened without an encoding")
class WrongEncoding(Logged):
    """Ids are written as UTF-8 and read as latin-1."""

    class _Store(LoggedStore):
        def load_outcome(self, key: str, outcome: Outcome_) -> None:
            super().load_outcome(key.encode().decode("latin-1"), outcome)

    store_type = _Store


# Closing --------------------------------------------------------------------


@exhibit("closing-touches-no-promise", "clients that own the connection they share")
class ClosesTheStore(Right):
    """Closing one handle closes them all."""

    class _Store(Store):
        owner: Right | None = None

    store_type = _Store
    store: _Store

    def __init__(self, store: _Store) -> None:
        super().__init__(store)
        store.owner = self

    async def turn(self) -> None:
        if self.store.owner is None:
            raise BackendClosedError("closed")
        await super().turn()

    async def aclose(self) -> None:
        self.store.owner = None
        await super().aclose()


@exhibit(
    "closing-touches-no-promise", "shutdown hooks that fail all futures", alone=True
)
class ClosingFailsAllWaiters(Right):
    """Closing a handle ends the waits of all others."""

    async def aclose(self) -> None:
        for entry in self.store.entries.values():
            if entry.outcome is None:
                entry.closing = True  # type: ignore[attr-defined]
                entry.over.set()
        await super().aclose()

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        await entry.over.wait()
        if hasattr(entry, "closing") and entry.outcome is None:
            raise BackendClosedError("closed")
        return entry.told(id)


@exhibit("closing-twice-is-no-error", "sockets and pools: already closed", alone=True)
class SecondCloseRaises(Right):
    """Closing a closed handle is an error."""

    async def aclose(self) -> None:
        if self.closed:
            raise BackendError("already closed")
        await super().aclose()


@exhibit(
    "closed-handles-keep-nobody-waiting", "defaults returned after close()", alone=True
)
class ClosedTellsPending(Right):
    """A closed handle tells that everything is pending."""

    async def peek(self, id: str) -> State_:
        return Pending() if self.closed else await super().peek(id)


@exhibit("closed-handles-keep-nobody-waiting", "queues without a reader after close()")
class ClosedHangs(Right):
    """Calls on a closed handle wait for somebody to serve them."""

    async def turn(self) -> None:
        if self.closed:
            await anyio.sleep_forever()
        await super().turn()


@exhibit("closed-handles-keep-nobody-waiting", "self._connection = None")
class ClosedIsAnAccident(Right):
    """Calls on a closed handle fail by an AttributeError."""

    async def aclose(self) -> None:
        self.store = None  # type: ignore[assignment]
