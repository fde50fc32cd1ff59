"""Mutants that settle a promise wrongly."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from dp_core import BackendError, Pending, Rejected, Resolved
from mutants.contract.registry import mutant
from mutants.contract.right import Outcome_, Right, State_, Store


@mutant("first-completion-wins", "key-value stores whose put() overwrites")
class LastWriteWins(Right):
    """A later settle overwrites the outcome."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        super().put(id, outcome)
        self.store.entry(id).outcome = outcome
        return outcome


@mutant("first-completion-wins", "status columns updated without a WHERE clause")
class RejectOverwrites(Right):
    """A later rejection overwrites a value."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        if isinstance(outcome, Rejected):
            self.store.entry(id).outcome = stands = outcome
        return stands


@mutant("first-completion-wins", "INSERT ... ON CONFLICT DO NOTHING, unread")
class LoserIsToldItsOwn(Right):
    """The first settle wins, but every later one gets its own outcome back."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        super().put(id, outcome)
        return outcome


@mutant("first-completion-wins", "asyncio.Future.set_result: InvalidStateError")
class SecondSettleRaises(Right):
    """A settle that loses raises an error."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        if stands is not outcome:
            raise BackendError("already settled")
        return stands


@mutant(
    "first-completion-wins",
    "APIs that answer a repeated request with 409 Conflict",
    alone=True,
)
class RepetitionRaises(Right):
    """
    A settle that repeats the winning outcome raises an error.

    Its caller may only be unsure whether it arrived.
    """

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        if self.look(id) == outcome:
            raise BackendError("duplicate request")
        return super().put(id, outcome)


@mutant("first-completion-wins", "json.dumps returns str: encode() forgotten")
class ReturnsText(Right):
    """Values are returned as str, not as bytes."""

    def look(self, id: str) -> State_:
        state = super().look(id)
        if isinstance(state, Resolved):
            return Resolved(state.value.decode())  # type: ignore[arg-type] # wrong on purpose
        return state


@mutant("first-completion-wins", "dict.get: None for what is not there")
class PendingIsNone(Right):
    """A pending promise is returned as None."""

    def look(self, id: str) -> State_:
        state = super().look(id)
        return None if isinstance(state, Pending) else state  # type: ignore[return-value] # wrong on purpose


@mutant("first-completion-wins", "an unknown state parsed as success: Resonate's SDK")
class RejectedReadsAsResolved(Right):
    """A rejection is returned as a value."""

    def look(self, id: str) -> State_:
        state = super().look(id)
        return Resolved(b"null") if isinstance(state, Rejected) else state


@mutant("racing-settlers-agree", "upserts that take another path in bulk", alone=True)
class BulkOverwrites(Right):
    """More than 16 concurrent settles are written as one batch: the last wins."""

    class _Store(Store):
        in_flight = 0

    store_type = _Store
    store: _Store

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        self.store.in_flight += 1
        try:
            await checkpoint()
            in_bulk = self.store.in_flight > 16
            stands = await super().settle(id, outcome)
            if in_bulk:
                self.store.entry(id).outcome = stands = outcome
            return stands
        finally:
            self.store.in_flight -= 1


@mutant("racing-settlers-agree", "optimistic locking with a bounded retry")
class GivesUpAfterConflicts(Right):
    """After four conflicts a settle assumes that its own outcome won."""

    class _Store(Store):
        version = 0

    store_type = _Store
    store: _Store

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        for _ in range(4):
            version = self.store.version
            await self.turn()
            if version == self.store.version:
                self.store.version += 1
                return self.put(id, outcome)
        return outcome


@mutant("settle-is-atomic", "zarr's default set_if_not_exists: exists, then set")
class CheckThenSet(Right):
    """A settle checks whether the promise is pending, and sets the outcome later."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        entry = self.store.entry(id)
        stands = entry.outcome
        await self.turn()
        if stands is not None:
            return stands
        entry.outcome = outcome
        entry.over.set()
        return outcome


@mutant("settle-is-atomic", "services whose every replica has its own mutex")
class LockOfEachHandle(CheckThenSet):
    """Settles exclude each other on one handle only, not on the store."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.lock = anyio.Lock()

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        async with self.lock:
            return await super().settle(id, outcome)


@mutant(
    "settle-is-atomic",
    "leases that expire under a slow holder (Kleppmann, How to do distributed "
    "locking, 2016); procmail's lockfile -l",
    alone=True,
)
class StaleLockIsBroken(CheckThenSet):
    """A lock that is held for long is taken away, although its holder is only slow."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.locked: set[str] = set()

    store_type = _Store
    store: _Store

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        for _ in range(90):
            if id not in self.store.locked:
                break
            await checkpoint()
        self.store.locked.add(id)
        try:
            return await super().settle(id, outcome)
        finally:
            self.store.locked.discard(id)


@mutant("first-completion-wins", "payloads compared, and their kind not")
class SamePayload(Right):
    """
    A settle whose text equals the outcome gets its own outcome back.

    One may be a value and the other a rejection.
    """

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        same = self.payload(stands) == self.payload(outcome)
        return outcome if same else stands

    def payload(self, outcome: Outcome_) -> object:
        match outcome:
            case Resolved(text):
                return text
            case Rejected(error):
                return error.encode()
        return None


@mutant("settle-is-atomic", "large objects that are uploaded before the insert")
class LargeOnesRace(Right):
    """A settle with a large value checks first and writes later."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        if isinstance(outcome, Resolved) and len(outcome.value) > 65536:
            await self.turn()
            entry = self.store.entry(id)
            if entry.outcome is None:
                await self.turn()
                entry.outcome = outcome
                entry.over.set()
            return entry.outcome
        return await super().settle(id, outcome)
