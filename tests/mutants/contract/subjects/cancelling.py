"""Mutants that cancel an operation wrongly."""

from __future__ import annotations

import asyncio

import anyio
import trio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint
from sniffio import current_async_library

from dp_core import Pending, Rejected
from mutants.contract.registry import mutant
from mutants.contract.right import Entry, Outcome_, Right, State_, Store
from mutants.contract.subjects.waiting import Listed


@mutant(
    "cancellation-is-passed-on",
    "asyncio.wait_for could swallow a cancellation (CPython #86296)",
    alone=True,
)
class SwallowsCancellation(Right, ends_waits=False):
    """A wait whose caller cancels it returns as if it had not been cancelled."""

    async def wait(self, id: str) -> Outcome_:
        try:
            return await super().wait(id)
        except anyio.get_cancelled_exc_class():
            return Pending()  # type: ignore[return-value] # wrong on purpose


@mutant("cancellation-is-passed-on", "shields that were meant for a short cleanup")
class CannotBeCancelled(Right):
    """A wait ignores cancellation until there is an outcome."""

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        with anyio.CancelScope(shield=True):
            await entry.over.wait()
        return entry.result(id)


@mutant("cancellation-is-passed-on", "except BaseException: in a loop that retries")
class TriesAgainForEver(Right):
    """A wait that is cancelled starts again."""

    async def wait(self, id: str) -> Outcome_:
        while True:
            try:
                return await super().wait(id)
            except anyio.get_cancelled_exc_class():
                await cancel_shielded_checkpoint()


@mutant(
    "cancelled-waiters-leave-the-others",
    "asyncio.Lock deadlock after cancellation (CPython bpo-27585)",
    alone=True,
)
class BatonLost(Listed):
    """Each waiter wakes the next one, but not if it was cancelled in between."""

    def wake(self, id: str) -> None:
        if self.store.waiters[id]:
            self.store.waiters[id].pop(0).set()

    def forget(self, id: str) -> None:
        Right.forget(self, id)
        for event in self.store.waiters.pop(id, []):
            event.set()

    async def sleep(self, id: str, entry: Entry) -> None:
        mine = anyio.Event()
        self.store.waiters[id].append(mine)
        try:
            await mine.wait()
        finally:
            if mine in self.store.waiters[id]:
                self.store.waiters[id].remove(mine)
        await checkpoint()
        if not entry.disposed:
            self.wake(id)


@mutant(
    "cancelled-waiters-leave-the-others", "single flights under their leader's context"
)
class LeaderCancelled(Right):
    """The first waiter waits for all; when it is cancelled, nobody does."""

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        if not hasattr(entry, "flight"):
            flight = entry.flight = anyio.Event()  # type: ignore[attr-defined] # this mutant's own
            await entry.over.wait()
            flight.set()
        elif not entry.over.is_set():
            await entry.flight.wait()
        return entry.result(id)


@mutant(
    "cancelled-waiters-leave-the-others",
    "subscriptions counted down to zero and closed while somebody joins",
    alone=True,
)
class ClosesWhatOthersJoined(Listed):
    """The last waiter to leave closes a subscription that another has joined."""

    async def sleep(self, id: str, entry: Entry) -> None:
        mine = anyio.Event()
        self.store.waiters[id].append(mine)
        try:
            await mine.wait()
        except BaseException:
            others = self.store.waiters[id]
            if others == [mine]:
                for _ in range(3):
                    await cancel_shielded_checkpoint()
                self.store.waiters.pop(id, None)
            elif mine in others:
                others.remove(mine)
            raise


@mutant("cancelled-waiters-leave-the-others", "callbacks removed by position")
class RemovesTheWrongOne(Listed):
    """
    A waiter that leaves may remove another one.

    It remembers its place in the list, not itself.
    """

    async def sleep(self, id: str, entry: Entry) -> None:
        mine = anyio.Event()
        self.store.waiters[id].append(mine)
        place = len(self.store.waiters[id]) - 1
        try:
            await mine.wait()
        except BaseException:
            del self.store.waiters[id][place : place + 1]
            raise


@mutant(
    "cancelled-readers-leave-no-trace",
    "connection pools whose release is not in a finally",
    alone=True,
)
class LeaksOnCancel(Right):
    """A peek that is cancelled during its query keeps its connection."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.pool = anyio.Semaphore(12)

    async def peek(self, id: str) -> State_:
        for _ in range(4):
            await self.turn()
        await self.pool.acquire()
        state = await super().peek(id)
        self.pool.release()
        return state


@mutant(
    "cancelled-waits-leave-nothing-running",
    "tasks started for a wait and shielded, as asyncio.shield does",
    alone=True,
)
class WaitsInTheBackground(Right):
    """Each wait starts a task that goes on when its caller is cancelled."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.tasks: set[asyncio.Task[None]] = set()

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        if not entry.over.is_set():
            told = anyio.Event()

            async def go_on() -> None:
                await entry.over.wait()
                told.set()

            if current_async_library() == "trio":
                trio.lowlevel.spawn_system_task(go_on)
            else:
                self.tasks.add(asyncio.create_task(go_on()))
            await told.wait()
        return entry.result(id)


@mutant("cancelled-readers-leave-no-trace", "servers that fail a request nobody awaits")
class AbandonedWaitRejects(Right):
    """A wait that is cancelled rejects the promise."""

    async def wait(self, id: str) -> Outcome_:
        try:
            return await super().wait(id)
        except anyio.get_cancelled_exc_class():
            self.put(id, Rejected("cancelled"))
            raise


@mutant(
    "cancelled-readers-leave-no-trace",
    "redis-py's asyncio client, March 2023: a cancelled request left its answer in "
    "the connection for the next one (OpenAI's outage of March 20)",
)
class AnswerLeftInThePipe(Right):
    """
    The result of a cancelled peek is returned by the next one.

    It stayed in the connection, whatever promise the next peek is for.
    """

    left: State_ | None = None

    async def peek(self, id: str) -> State_:
        left, self.left = self.left, None
        state = await super().peek(id) if left is None else left
        try:
            await checkpoint()
        except BaseException:
            self.left = state
            raise
        return state


class Locking(Right):
    """Settling and disposing exclude each other. A base class, not a mutant."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.locked: set[str] = set()

    store_type = _Store
    store: _Store

    async def lock(self, id: str) -> None:
        while id in self.store.locked:
            await checkpoint()
        self.store.locked.add(id)

    def unlock(self, id: str) -> None:
        self.store.locked.discard(id)


@mutant("cancelled-settlers-leave-a-whole-state", "locks released by the happy path")
class LockNotReleased(Locking):
    """A settle that is cancelled leaves its promise locked."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.lock(id)
        stands = await super().settle(id, outcome)
        self.unlock(id)
        return stands


@mutant(
    "cancelled-settlers-leave-a-whole-state",
    "outboxes written after the commit they belong to",
    alone=True,
)
class PublishedNotNotified(Right):
    """A settle that is cancelled after it published never wakes the waiters."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        for _ in range(3):
            await self.turn()
        entry = self.store.entry(id)
        if entry.outcome is not None:
            return entry.outcome
        entry.outcome = outcome
        await checkpoint()
        entry.over.set()
        return outcome

    async def wait(self, id: str) -> Outcome_:
        outcome = self.store.entry(id).outcome
        return await super().wait(id) if outcome is None else outcome


@mutant("cancelled-settlers-leave-a-whole-state", "settlements sent after a rollback")
class AppliedAnyway(Right):
    """A cancelled settle takes effect later, and overwrites the outcome."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        entry = self.store.entry(id)
        if hasattr(entry, "queued") and entry.outcome is not None:
            entry.outcome, queued = entry.queued, entry.outcome
            del entry.queued
            return queued
        try:
            return await super().settle(id, outcome)
        except anyio.get_cancelled_exc_class():
            entry.queued = outcome  # type: ignore[attr-defined] # this mutant's own
            raise


@mutant(
    "cancelled-disposals-leave-a-whole-state",
    "locks released by the happy path",
    alone=True,
)
class DisposalKeepsTheLock(Locking):
    """A disposal that is cancelled late leaves its promise locked."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.turn()
        while id in self.store.locked:
            await checkpoint()
        return self.put(id, outcome)

    async def dispose(self, id: str) -> None:
        for _ in range(4):
            await self.turn()
        await self.lock(id)
        await checkpoint()
        self.forget(id)
        self.unlock(id)


@mutant("cancelled-disposals-leave-a-whole-state", "deletion in two steps")
class HalfDisposed(Right):
    """A cancelled disposal has hidden the outcome from peek, but not from settle."""

    def look(self, id: str) -> State_:
        hidden = hasattr(self.store.entry(id), "hidden")
        return Pending() if hidden else super().look(id)

    async def dispose(self, id: str) -> None:
        self.store.entry(id).hidden = True  # type: ignore[attr-defined] # this mutant's own
        await super().dispose(id)
