"""Broken ways to settle, and to show what was settled."""

from __future__ import annotations

from collections import OrderedDict

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint

from dp_core import BackendError, Pending, Rejected, Resolved
from mutants.contract.museum import exhibit
from mutants.contract.right import Entry, Outcome_, Right, State_, Store


@exhibit("first-completion-wins", "key-value stores whose put() overwrites")
class LastWriteWins(Right):
    """Settling overwrites."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        super().put(id, outcome)
        self.store.entry(id).outcome = outcome
        return outcome


@exhibit("first-completion-wins", "status columns updated without a WHERE clause")
class RejectOverwrites(Right):
    """A rejection replaces a value: errors are thought to weigh more."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        if isinstance(outcome, Rejected):
            self.store.entry(id).outcome = stands = outcome
        return stands


@exhibit("first-completion-wins", "INSERT ... ON CONFLICT DO NOTHING, unread")
class LoserIsToldItsOwn(Right):
    """The first wins, and every later one is told that it did."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        super().put(id, outcome)
        return outcome


@exhibit("first-completion-wins", "asyncio.Future.set_result: InvalidStateError")
class SecondSettleRaises(Right):
    """Having lost is an error."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        if stands is not outcome:
            raise BackendError("already settled")
        return stands


@exhibit(
    "first-completion-wins",
    "APIs that answer a repeated request with 409 Conflict",
    alone=True,
)
class RepetitionRaises(Right):
    """Whoever repeats their own completion, unsure whether it arrived, fails."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        if self.look(id) == outcome:
            raise BackendError("duplicate request")
        return super().put(id, outcome)


@exhibit("first-completion-wins", "json.dumps returns str: encode() forgotten")
class ReturnsText(Right):
    """The value comes as a str."""

    def look(self, id: str) -> State_:
        state = super().look(id)
        if isinstance(state, Resolved):
            return Resolved(state.value.decode())  # type: ignore[arg-type]
        return state


@exhibit("first-completion-wins", "dict.get: None for what is not there")
class PendingIsNone(Right):
    """Pending is told as None."""

    def look(self, id: str) -> State_:
        state = super().look(id)
        return None if isinstance(state, Pending) else state  # type: ignore[return-value]


@exhibit("first-completion-wins", "an unknown state parsed as success: Resonate's SDK")
class RejectedReadsAsResolved(Right):
    """A rejection is told as a value."""

    def look(self, id: str) -> State_:
        state = super().look(id)
        return Resolved(b"null") if isinstance(state, Rejected) else state


@exhibit("racing-settlers-agree", "upserts that take another path in bulk", alone=True)
class BulkOverwrites(Right):
    """More than 16 settles at once are written as one batch: the last wins."""

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


@exhibit("racing-settlers-agree", "optimistic locking with a bounded retry")
class GivesUpAfterConflicts(Right):
    """After four conflicts it supposes that its own write came through."""

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


@exhibit("settle-is-atomic", "zarr's default set_if_not_exists: exists, then set")
class CheckThenSet(Right):
    """Looks whether it is pending, does something else, then writes."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        entry = self.store.entry(id)
        stands = entry.outcome
        await self.turn()
        if stands is not None:
            return stands
        entry.outcome = outcome
        entry.over.set()
        return outcome


@exhibit("settle-is-atomic", "services whose every replica has its own mutex")
class LockOfEachHandle(CheckThenSet):
    """Atomic among the users of one handle only."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.lock = anyio.Lock()

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        async with self.lock:
            return await super().settle(id, outcome)


@exhibit(
    "settle-is-atomic",
    "leases that expire under a slow holder (Kleppmann, How to do distributed "
    "locking, 2016); procmail's lockfile -l",
    alone=True,
)
class StaleLockIsBroken(CheckThenSet):
    """A lock that is held for long is taken from its holder, who is only slow."""

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


# Shown and gone -------------------------------------------------------------


@exhibit(
    "time-changes-nothing",
    "idle timeouts of proxies: nginx gives up after proxy_read_timeout",
    alone=True,
)
class WaitGivesUp(Right):
    """A wait ends with an error when nothing was heard for a second."""

    class _Store(Store):
        heard = 0

    store_type = _Store
    store: _Store

    async def turn(self) -> None:
        self.store.heard += 1
        await super().turn()

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        while not entry.over.is_set():
            heard = self.store.heard
            with anyio.move_on_after(1):
                await entry.over.wait()
            if heard == self.store.heard and not entry.over.is_set():
                raise BackendError("504 Gateway Time-out")
        return entry.told(id)


@exhibit("time-changes-nothing", "results that expire: Celery's, RQ's")
class OutcomeExpires(Right):
    """A result is kept for half a second."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        self.store.entry(id).until = anyio.current_time() + 0.5  # type: ignore[attr-defined]
        return super().put(id, outcome)

    def look(self, id: str) -> State_:
        until = getattr(self.store.entry(id), "until", 0)
        return super().look(id) if anyio.current_time() < until else Pending()


@exhibit(
    "volume-changes-nothing", "caches used as stores: memcached evicts", alone=True
)
class LeastRecentlyUsedGoes(Right):
    """Keeps the 1,000 promises used last."""

    class _Store(Store):
        entries: OrderedDict[str, Entry]

        def __init__(self) -> None:
            super().__init__()
            self.entries = OrderedDict()

        def entry(self, key: str) -> Entry:
            entry = super().entry(key)
            self.entries.move_to_end(key)
            if len(self.entries) > 1000:
                self.entries.popitem(last=False)
            return entry

    store_type = _Store


@exhibit("what-was-seen-stands", "databases read at READ UNCOMMITTED", alone=True)
class DirtyRead(Right):
    """A peek shows what is being written; a cancelled writer takes it back."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.unwritten: dict[str, Outcome_] = {}

    store_type = _Store
    store: _Store

    def look(self, id: str) -> State_:
        dirty = self.store.unwritten.get(id)
        return dirty or super().look(id)  # type: ignore[return-value]

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        for _ in range(3):
            await self.turn()
        while id in self.store.unwritten:
            await checkpoint()
        if self.store.entry(id).outcome:
            return self.put(id, outcome)
        self.store.unwritten[id] = outcome
        try:
            await checkpoint()
            await checkpoint()
            return self.put(id, outcome)
        finally:
            del self.store.unwritten[id]

    async def dispose(self, id: str) -> None:
        await self.turn()
        while id in self.store.unwritten:
            await checkpoint()
        self.forget(id)


@exhibit("histories-are-linearizable", "reads from a lagging replica", alone=True)
class StaleReplica(Right):
    """Under load, peeks are served by a replica that lags behind."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.in_flight = 0
            self.replica: dict[str, State_] = {}

    store_type = _Store
    store: _Store

    async def peek(self, id: str) -> State_:
        self.store.in_flight += 1
        try:
            await self.turn()
            busy = self.store.in_flight > 3
            return self.store.replica.get(id, Pending()) if busy else self.look(id)
        finally:
            self.store.in_flight -= 1

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        self.store.in_flight += 1
        try:
            stands = await super().settle(id, outcome)
            await cancel_shielded_checkpoint()
            if self.store.in_flight < 4:
                self.store.replica[id] = stands  # type: ignore[assignment]
            return stands
        finally:
            self.store.in_flight -= 1

    def forget(self, id: str) -> None:
        super().forget(id)
        self.store.replica.pop(id, None)


@exhibit("histories-are-linearizable", "query caches filled by slow readers")
class CacheFilledLate(Right):
    """A peek puts what it saw into a cache that was cleared meanwhile."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.cache: dict[str, State_] = {}

    store_type = _Store
    store: _Store

    async def peek(self, id: str) -> State_:
        state = self.store.cache.get(id) or self.look(id)
        await self.turn()
        if isinstance(state, Resolved):
            self.store.cache[id] = state
        return state

    def forget(self, id: str) -> None:
        super().forget(id)
        self.store.cache.pop(id, None)


@exhibit("first-completion-wins", "payloads compared, and their kind not")
class SamePayload(Right):
    """Who offers the text that stands is told that it won, be it an error."""

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


@exhibit("settle-is-atomic", "large objects that are uploaded before the insert")
class LargeOnesRace(Right):
    """Between look and write of a large value there is time."""

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
