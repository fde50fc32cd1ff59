"""Mutants that wait for an outcome wrongly."""

from __future__ import annotations

import threading
from collections import defaultdict, deque

import anyio
from anyio.lowlevel import checkpoint

from mutants.contract.registry import mutant
from mutants.contract.right import Entry, Outcome_, Right, State_, Store


class Listed(Right):
    """
    Right: every waiter has an event in a list of its promise.

    A base class, not a mutant.
    """

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.waiters: defaultdict[str, list[anyio.Event]] = defaultdict(list)

    store_type = _Store
    store: _Store

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        if stands is outcome:
            self.wake(id)
        return stands

    def forget(self, id: str) -> None:
        super().forget(id)
        self.wake(id)

    def wake(self, id: str) -> None:
        for event in self.store.waiters.pop(id, []):
            event.set()

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        if not entry.over.is_set():
            await self.sleep(id, entry)
        return entry.result(id)

    async def sleep(self, id: str, entry: Entry) -> None:
        mine = anyio.Event()
        self.store.waiters[id].append(mine)
        await mine.wait()


class Remembering(Right):
    """Keeps the entries that were settled last. A base class, not a mutant."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.recent: deque[Entry] = deque(maxlen=64)

    store_type = _Store
    store: _Store

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        if stands is outcome:
            self.store.recent.append(self.store.entry(id))
        return stands

    def forgot(self, entry: Entry) -> bool:
        return entry.outcome is not None and entry not in self.store.recent


@mutant("late-waiters-are-told", "publish/subscribe without a store: Redis PUBLISH")
class OnlyLaterSettles(Listed):
    """A wait hears only of settles that come after it began."""

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        await self.sleep(id, entry)
        return entry.result(id)


@mutant("late-waiters-are-told", "queues: a result is consumed by its first reader")
class ToldOnce(Right):
    """The first waiter consumes the outcome; the next one waits for ever."""

    async def wait(self, id: str) -> Outcome_:
        entry = self.store.entry(id)
        outcome = await super().wait(id)
        entry.over = anyio.Event()
        return outcome


@mutant(
    "late-waiters-are-told",
    "bounded logs: a Redis stream with MAXLEN, an etcd watch after a compaction",
    alone=True,
)
class ShortMemory(Remembering):
    """Late waiters hear only of the last 64 settles."""

    async def wait(self, id: str) -> Outcome_:
        if self.forgot(self.store.entry(id)):
            await anyio.sleep_forever()
        return await super().wait(id)


@mutant("waiters-are-woken", "condition variables: notify() for notify_all()")
class WakesOne(Listed):
    """A settle wakes one waiter; the others sleep on."""

    def wake(self, id: str) -> None:
        for event in self.store.waiters.pop(id, [])[:1]:
            event.set()


@mutant("waiters-are-woken", "paged queries: the first page of waiters", alone=True)
class WakesTheFirstPage(Listed):
    """A settle wakes at most 200 waiters."""

    def wake(self, id: str) -> None:
        for event in self.store.waiters.pop(id, [])[:200]:
            event.set()


@mutant("waiters-are-woken", "monitors whose wait() keeps the lock")
class LockHeldWhileWaiting(Right):
    """A waiter holds the lock that settling needs."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    store_type = _Store
    store: _Store

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        async with self.store.locks[id]:
            return await super().settle(id, outcome)

    async def wait(self, id: str) -> Outcome_:
        async with self.store.locks[id]:
            return await super().wait(id)


@mutant("waiters-are-woken", "threading primitives in coroutines")
class BlocksTheLoop(Right):
    """A wait blocks the whole event loop, and so every settler."""

    async def wait(self, id: str) -> Outcome_:
        if self.store.entry(id).outcome is None:
            threading.Event().wait()
        return await super().wait(id)


@mutant("no-wake-up-is-lost", "the lost wake-up of every textbook: look, then sleep")
class LooksThenRegisters(Listed):
    """A wait looks and then registers; a settle in between is missed."""

    async def sleep(self, id: str, entry: Entry) -> None:
        await self.turn()
        await super().sleep(id, entry)


@mutant(
    "no-wake-up-is-lost",
    "subscriptions that replay a bounded backlog: MQTT brokers, Redis streams",
    alone=True,
)
class ReplaysABacklog(Remembering):
    """A new waiter hears of the last 24 settles, and of none before them."""

    class _Store(Remembering._Store):
        def __init__(self) -> None:
            super().__init__()
            self.recent = deque(maxlen=24)

    store_type = _Store

    async def wait(self, id: str) -> Outcome_:
        entry = self.store.entry(id)
        if entry.outcome is None:
            await self.turn()
            if self.forgot(entry):
                await anyio.sleep_forever()
        return await super().wait(id)


@mutant("no-wake-up-is-lost", "events sent before the transaction commits")
class NotifiesBeforePublishing(Listed):
    """A settle wakes the waiters before they can see the outcome."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        self.wake(id)
        await self.turn()
        return Right.put(self, id, outcome)

    async def sleep(self, id: str, entry: Entry) -> None:
        while not entry.over.is_set():
            await super().sleep(id, entry)


@mutant(
    "no-waiter-is-left-behind",
    "a busy flag that drops what comes meanwhile: notifications coalesced too eagerly",
    alone=True,
)
class Coalesces(Listed):
    """A settle that overlaps another one's notification sends none of its own."""

    class _Store(Listed._Store):
        notifying = False

    store_type = _Store
    store: _Store

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.turn()
        stands = Right.put(self, id, outcome)
        if stands is outcome and not self.store.notifying:
            self.store.notifying = True
            try:
                self.wake(id)
                await checkpoint()
            finally:
                self.store.notifying = False
        return stands


@mutant("no-wake-up-is-lost", "listener lists read once and notified later")
class NotifiesThoseItRead(Right):
    """
    A settle wakes the waiters that were there when it began.

    Those that came before it published sleep on.
    """

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        read = self.store.entry(id)
        await self.turn()
        entry = self.store.entry(id)
        if entry.outcome is None:
            entry.outcome = outcome
            read.over.set()
        return entry.outcome

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        outcome = self.store.entry(id).outcome
        return await super().wait(id) if outcome is None else outcome


@mutant(
    "waiters-hear-only-of-their-own",
    "waiters kept in buckets, as futexes are, without a second look",
    alone=True,
)
class Bucketed(Right):
    """
    Promises share 100 slots of waiters.

    A waiter that is woken takes the outcome of whichever promise woke its slot.
    """

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.buckets: defaultdict[int, list[Entry]] = defaultdict(list)
            self.numbers: dict[str, int] = {}

    store_type = _Store
    store: _Store

    def bucket(self, id: str) -> list[Entry]:
        numbers = self.store.numbers
        return self.store.buckets[numbers.setdefault(id, len(numbers)) % 100]

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        for entry in self.bucket(id):
            if entry.outcome is None and not entry.disposed:
                entry.brought = stands  # type: ignore[attr-defined] # this mutant's own
                entry.over.set()
        self.bucket(id).clear()
        return stands

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        if entry.outcome is None:
            self.bucket(id).append(entry)
        await entry.over.wait()
        brought: Outcome_ | None = getattr(entry, "brought", None)
        return entry.result(id) if brought is None else brought


@mutant(
    "peek-never-blocks",
    "long polls that use up a pool of connections: HTTP/1.1 clients",
    alone=True,
)
class PoolOfEachHandle(Right):
    """Every wait holds one of a handle's 32 connections; a peek needs one."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.pool = anyio.Semaphore(32)

    async def peek(self, id: str) -> State_:
        async with self.pool:
            return await super().peek(id)

    async def wait(self, id: str) -> Outcome_:
        async with self.pool:
            return await super().wait(id)


@mutant("peek-never-blocks", "result handles whose only look is a blocking get")
class PeekWaits(Right):
    """A peek waits if there are waiters already."""

    async def peek(self, id: str) -> State_:
        if getattr(self.store.entry(id), "waited", False):
            return await super().wait(id)  # type: ignore[return-value] # wrong on purpose
        return await super().peek(id)

    async def wait(self, id: str) -> Outcome_:
        self.store.entry(id).waited = True  # type: ignore[attr-defined] # this mutant's own
        return await super().wait(id)


@mutant("peek-never-blocks", "receives that wait for a message: SQS WaitTimeSeconds")
class PeekLingers(Right):
    """A peek at a pending promise waits half a second for an outcome."""

    async def peek(self, id: str) -> State_:
        with anyio.move_on_after(0.5):
            return await super().wait(id)  # type: ignore[return-value] # wrong on purpose
        return await super().peek(id)
