"""Mutants that dispose of a promise wrongly."""

from __future__ import annotations

import asyncio
from itertools import count, takewhile

from anyio.lowlevel import checkpoint

from dp_core import BackendError, Pending, PromiseDisposedError, Rejected, Resolved
from mutants.contract.registry import mutant
from mutants.contract.right import Entry, Outcome_, Right, State_, Store
from mutants.contract.subjects.waiting import Listed


class Tombstones(Right):
    """Knows which ids were ever disposed of. A base class, not a mutant."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.gone: dict[str, Entry] = {}

    store_type = _Store
    store: _Store

    def forget(self, id: str) -> None:
        self.store.gone[id] = self.store.entry(id)
        super().forget(id)


@mutant(
    "disposed-waiters-hear-nothing-newer",
    "condition variables that guard an id, not what was there when the wait began",
)
class LooksAgain(Right):
    """
    A waiter that was woken looks up its id again.

    It finds the outcome of the next generation.
    """

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        while True:
            entry = self.store.entry(id)
            await entry.over.wait()
            if entry.outcome is None:
                raise PromiseDisposedError(id)
            await checkpoint()
            if (outcome := self.store.entry(id).outcome) is not None:
                return outcome


@mutant(
    "cancelled-disposals-leave-a-whole-state",
    "delete, commit, publish: interrupted after the commit",
)
class ForgetsThenTells(Right):
    """A disposal that is cancelled between its two steps leaves its waiters waiting."""

    async def dispose(self, id: str) -> None:
        await self.turn()
        entry = self.store.entries.pop(id, None)
        await checkpoint()
        if entry is not None:
            entry.disposed = True
            entry.over.set()


@mutant("dispose-forgets", "if value: delete, in dynamic languages")
class FalsyStays(Right):
    """A null value is taken for no value, and not deleted."""

    def forget(self, id: str) -> None:
        if self.look(id) != Resolved(b"null"):
            super().forget(id)


@mutant("dispose-forgets", "commands that are told apart by their content: SQS FIFO")
class Deduplicates(Right):
    """
    A settle like the last one of its id is acknowledged and dropped.

    It is taken for a repetition, although the promise was disposed of in between.
    """

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.last: dict[str, Outcome_] = {}

    store_type = _Store
    store: _Store

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        if self.look(id) == Pending():
            if self.store.last.get(id) == outcome:
                return outcome
            self.store.last[id] = outcome
        return super().put(id, outcome)


@mutant("disposed-waiters-are-told", "paged queries: the first page of waiters")
class TellsTheFirstPage(Listed):
    """A disposal wakes at most ten waiters."""

    def forget(self, id: str) -> None:
        del self.store.waiters[id][10:]
        super().forget(id)


@mutant("dispose-forgets", "soft deletion: the row is still found by its key")
class KeepsTheOutcome(Right):
    """A disposed promise keeps its outcome."""

    def forget(self, id: str) -> None:
        outcome = self.store.entry(id).outcome
        super().forget(id)
        self.store.entry(id).outcome = outcome


@mutant("dispose-forgets", "DELETE that answers 404 when it is repeated")
class UnknownRaises(Right):
    """Disposing of an unknown promise raises an error."""

    def forget(self, id: str) -> None:
        if id not in self.store.entries:
            raise BackendError("no such promise")
        super().forget(id)


@mutant("dispose-forgets", "tombstones that outlive the deletion")
class NeverAgain(Tombstones):
    """After a disposal, settles of the id are acknowledged and dropped."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        return outcome if id in self.store.gone else super().put(id, outcome)


@mutant("dispose-forgets", "flags that are set and never reset")
class TheNextAreToldToo(Tombstones):
    """Waits that begin after a disposal raise PromiseDisposedError as well."""

    async def wait(self, id: str) -> Outcome_:
        if id in self.store.gone:
            await self.turn()
            raise PromiseDisposedError(id)
        return await super().wait(id)


@mutant("dispose-forgets", "an event that is used again without being reset")
class TheNextAreToldTheOld(Tombstones):
    """Waits that begin after a disposal return the former outcome."""

    async def wait(self, id: str) -> Outcome_:
        former = self.store.gone.get(id)
        outcome = await super().wait(id) if former is None else former.outcome
        return await super().wait(id) if outcome is None else outcome


@mutant("dispose-forgets", "cleanups that skip finished records")
class OnlyPendingGoes(Right):
    """A promise that is settled cannot be disposed of."""

    def forget(self, id: str) -> None:
        if self.store.entry(id).outcome is None:
            super().forget(id)


@mutant(
    "dispose-forgets",
    "versions sorted as text: v10 before v9, as in any listing of files",
    alone=True,
)
class TenBeforeNine(Right):
    """Generations are sorted as text, so the tenth never becomes the newest."""

    def key(self, id: str) -> str:
        names = (f"{id}.{generation}" for generation in count())
        begun = takewhile(self.store.entries.__contains__, names)
        return max(begun, default=f"{id}.0")

    def forget(self, id: str) -> None:
        newest = self.key(id)
        entry = self.store.entry(newest)
        entry.disposed = True
        entry.over.set()
        self.store.entry(f"{id}.{int(newest.rpartition('.')[2]) + 1}")


@mutant("disposed-waiters-are-told", "deletions that notify nobody")
class WaitersNotTold(Right):
    """A disposal keeps the waiters, who then get the outcome of the next generation."""

    def forget(self, id: str) -> None:
        if self.store.entry(id).outcome is not None:
            super().forget(id)


@mutant(
    "disposed-waiters-are-told", "caches checked only when somebody knocks", alone=True
)
class ToldAtTheNextEvent(Right):
    """Waiters hear of a disposal only when the next generation is settled."""

    def forget(self, id: str) -> None:
        entry = self.store.entries.pop(id, None)
        if entry is not None:
            entry.disposed = True
            self.store.entry(id).former = entry  # type: ignore[attr-defined] # this mutant's own

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        former: Entry | None = getattr(self.store.entry(id), "former", None)
        while former is not None:
            former.over.set()
            former = getattr(former, "former", None)
        return super().put(id, outcome)


@mutant("disposed-waiters-are-told", "errors sent as results: HTTP 200 with an error")
class DisposalIsARejection(Right):
    """Waiters of a disposed promise get a rejection that nobody made."""

    async def wait(self, id: str) -> Outcome_:
        try:
            return await super().wait(id)
        except PromiseDisposedError:
            return Rejected("promise was disposed")


@mutant("disposed-waiters-are-told", "futures that their owner cancels")
class DisposalIsACancellation(Right):
    """Waiters of a disposed promise get a CancelledError."""

    async def wait(self, id: str) -> Outcome_:
        try:
            return await super().wait(id)
        except PromiseDisposedError:
            raise asyncio.CancelledError from None


@mutant(
    "disposed-waiters-hear-nothing-newer",
    "compare-and-swap without a version: the ABA problem",
    alone=True,
)
class InfersDisposal(Right):
    """A waiter that a disposal woke looks again, and may find a newer outcome."""

    async def wait(self, id: str) -> Outcome_:
        try:
            return await super().wait(id)
        except PromiseDisposedError:
            outcome = self.store.entry(id).outcome
            if outcome is None:
                raise
            return outcome


@mutant(
    "dispose-leaves-other-ids-alone",
    "DELETE ... LIKE 'id%'; redis-cli --scan --pattern 'id*'",
    alone=True,
)
class DisposesByPrefix(Right):
    """A disposal deletes every promise whose id starts with its own id."""

    def forget(self, id: str) -> None:
        for other in [name for name in self.store.entries if name.startswith(id)]:
            super().forget(other)


@mutant("dispose-is-atomic", "read, decide, delete: without a transaction")
class DeletesWhatCameMeanwhile(Right):
    """A disposal deletes whatever is there at its second step, a newer outcome too."""

    async def dispose(self, id: str) -> None:
        await super().dispose(id)
        await checkpoint()
        self.store.entries.pop(id, None)


@mutant(
    "dispose-is-atomic",
    "cleanups that go on after others took over, and delete what is there by then",
    alone=True,
)
class CleansUpLate(Right):
    """
    A slow disposal is taken for dead by eight others.

    When it goes on, it deletes the outcome that they settled.
    """

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.ran_into: dict[str, int] = {}

    store_type = _Store
    store: _Store

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.my_turn(id)
        return self.put(id, outcome)

    async def peek(self, id: str) -> State_:
        await self.my_turn(id)
        return self.look(id)

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        while id in self.store.ran_into:
            await checkpoint()
        entry = self.store.entry(id)
        await entry.over.wait()
        return entry.result(id)

    async def dispose(self, id: str) -> None:
        await self.turn()
        while id in self.store.ran_into:
            await checkpoint()
        self.store.ran_into[id] = 0
        self.forget(id)
        try:
            await checkpoint()
        finally:
            self.store.entries.pop(id, None)
            del self.store.ran_into[id]

    async def my_turn(self, id: str) -> None:
        await self.turn()
        if id in self.store.ran_into:
            self.store.ran_into[id] += 1
        while self.store.ran_into.get(id, 8) < 8:
            await checkpoint()
