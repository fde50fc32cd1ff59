"""Broken ways to dispose."""

from __future__ import annotations

import asyncio

from anyio.lowlevel import checkpoint

from dp_core import BackendError, Pending, PromiseDisposedError, Rejected, Resolved
from mutants.contract.museum import exhibit
from mutants.contract.right import Entry, Outcome_, Right, State_, Store
from mutants.contract.waiting import Listed


class Tombstones(Right):
    """Knows which ids were ever disposed of. A help, no exhibit."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.gone: dict[str, Entry] = {}

    store_type = _Store
    store: _Store

    def forget(self, id: str) -> None:
        self.store.gone[id] = self.store.entry(id)
        super().forget(id)


@exhibit(
    "disposed-waiters-hear-nothing-newer",
    "condition variables that guard an id, not what was there when the wait began",
)
class LooksAgain(Right):
    """A waiter that a completion woke looks again, and finds the next promise."""

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        while True:
            entry = self.store.entry(id)
            await entry.over.wait()
            if entry.outcome is None:
                raise PromiseDisposedError(id)
            await checkpoint()
            if outcome := self.store.entry(id).outcome:
                return outcome


@exhibit(
    "cancelled-disposals-leave-a-whole-state",
    "delete, commit, publish: who is interrupted after the commit",
)
class ForgetsThenTells(Right):
    """A disposal that is cancelled between its two steps tells no waiter."""

    async def dispose(self, id: str) -> None:
        await self.turn()
        entry = self.store.entries.pop(id, None)
        await checkpoint()
        if entry is not None:
            entry.disposed = True
            entry.over.set()


@exhibit("dispose-forgets", "if value: delete, in dynamic languages")
class FalsyStays(Right):
    """What is null, empty or false is taken for nothing, and not deleted."""

    def forget(self, id: str) -> None:
        if self.look(id) != Resolved(b"null"):
            super().forget(id)


@exhibit("dispose-forgets", "commands that are told apart by their content: SQS FIFO")
class Deduplicates(Right):
    """What was settled before in the same way is acknowledged and dropped."""

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


@exhibit("disposed-waiters-are-told", "paged queries: the first page of waiters")
class TellsTheFirstPage(Listed):
    """Not more than ten waiters are told of a disposal."""

    def forget(self, id: str) -> None:
        del self.store.waiters[id][10:]
        super().forget(id)


@exhibit("dispose-forgets", "soft deletion: the row is still found by its key")
class KeepsTheOutcome(Right):
    """A disposed promise still has its outcome."""

    def forget(self, id: str) -> None:
        outcome = self.store.entry(id).outcome
        super().forget(id)
        self.store.entry(id).outcome = outcome


@exhibit("dispose-forgets", "DELETE that answers 404 to whoever repeats it")
class UnknownRaises(Right):
    """Disposing of what nobody knows is an error."""

    def forget(self, id: str) -> None:
        if id not in self.store.entries:
            raise BackendError("no such promise")
        super().forget(id)


@exhibit("dispose-forgets", "tombstones that outlive what was deleted")
class NeverAgain(Tombstones):
    """An id that was disposed of is not settled any more."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        return outcome if id in self.store.gone else super().put(id, outcome)


@exhibit("dispose-forgets", "flags that are set and never reset")
class TheNextAreToldToo(Tombstones):
    """Whoever waits after a disposal is told of it again."""

    async def wait(self, id: str) -> Outcome_:
        if id in self.store.gone:
            await self.turn()
            raise PromiseDisposedError(id)
        return await super().wait(id)


@exhibit("dispose-forgets", "an event that is used again without being reset")
class TheNextAreToldTheOld(Tombstones):
    """Whoever waits after a disposal is told the former outcome."""

    async def wait(self, id: str) -> Outcome_:
        former = self.store.gone.get(id)
        outcome = await super().wait(id) if former is None else former.outcome
        return outcome or await super().wait(id)


@exhibit("dispose-forgets", "what is final needs no cleanup")
class OnlyPendingGoes(Right):
    """A promise that was settled stays."""

    def forget(self, id: str) -> None:
        if self.store.entry(id).outcome is None:
            super().forget(id)


@exhibit(
    "dispose-forgets",
    "versions sorted as text: v10 before v9, as in any listing of files",
    alone=True,
)
class TenBeforeNine(Right):
    """The newest generation is the one whose name sorts last."""

    def key(self, id: str) -> str:
        names = [name for name in self.store.entries if name.rpartition(".")[0] == id]
        return max(names, default=f"{id}.0")

    def forget(self, id: str) -> None:
        newest = self.key(id)
        entry = self.store.entry(newest)
        entry.disposed = True
        entry.over.set()
        self.store.entry(f"{id}.{int(newest.rpartition('.')[2]) + 1}")


@exhibit("disposed-waiters-are-told", "deletions that notify nobody")
class WaitersNotTold(Right):
    """Waiters stay, and are told the outcome of the next promise."""

    def forget(self, id: str) -> None:
        if self.store.entry(id).outcome is not None:
            super().forget(id)


@exhibit(
    "disposed-waiters-are-told", "caches checked only when somebody knocks", alone=True
)
class ToldAtTheNextEvent(Right):
    """Waiters learn of the disposal when the next promise of the id is settled."""

    def forget(self, id: str) -> None:
        entry = self.store.entries.pop(id, None)
        if entry is not None:
            entry.disposed = True
            self.store.entry(id).former = entry  # type: ignore[attr-defined]

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        former: Entry | None = getattr(self.store.entry(id), "former", None)
        while former is not None:
            former.over.set()
            former = getattr(former, "former", None)
        return super().put(id, outcome)


@exhibit("disposed-waiters-are-told", "errors sent as results: HTTP 200 with an error")
class DisposalIsARejection(Right):
    """Waiters are told a rejection that nobody made."""

    async def wait(self, id: str) -> Outcome_:
        try:
            return await super().wait(id)
        except PromiseDisposedError:
            return Rejected("promise was disposed")


@exhibit("disposed-waiters-are-told", "futures that their owner cancels")
class DisposalIsACancellation(Right):
    """Waiters find themselves cancelled, although nobody cancelled them."""

    async def wait(self, id: str) -> Outcome_:
        try:
            return await super().wait(id)
        except PromiseDisposedError:
            raise asyncio.CancelledError from None


@exhibit(
    "disposed-waiters-hear-nothing-newer",
    "compare-and-swap without a version: the ABA problem",
    alone=True,
)
class InfersDisposal(Right):
    """A waiter that is woken looks again; if it is pending, it was disposed of."""

    async def wait(self, id: str) -> Outcome_:
        try:
            return await super().wait(id)
        except PromiseDisposedError:
            outcome = self.store.entry(id).outcome
            if outcome is None:
                raise
            return outcome


@exhibit(
    "dispose-leaves-other-ids-alone",
    "DELETE ... LIKE 'id%'; redis-cli --scan --pattern 'id*'",
    alone=True,
)
class DisposesByPrefix(Right):
    """Everything that starts with the id is disposed of."""

    def forget(self, id: str) -> None:
        for other in [name for name in self.store.entries if name.startswith(id)]:
            super().forget(other)


@exhibit("dispose-is-atomic", "read, decide, delete: without a transaction")
class DeletesWhatCameMeanwhile(Right):
    """A disposal deletes what is there when it gets to it."""

    async def dispose(self, id: str) -> None:
        await super().dispose(id)
        await checkpoint()
        self.store.entries.pop(id, None)


@exhibit(
    "dispose-is-atomic",
    "cleanups that go on after others took over, and delete what is there by then",
    alone=True,
)
class CleansUpLate(Right):
    """A disposal that eight others ran into is taken for dead; it is only slow."""

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
        return entry.told(id)

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
