"""Mutants that return an outcome wrongly: too early, too late, or not for long."""

from __future__ import annotations

from collections import OrderedDict

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint

from dp_core import BackendError, Pending, Resolved
from mutants.contract.registry import mutant
from mutants.contract.right import Entry, Outcome_, Right, State_, Store


@mutant(
    "time-changes-nothing",
    "idle timeouts of proxies: nginx gives up after proxy_read_timeout",
    alone=True,
)
class WaitGivesUp(Right):
    """A wait fails when nothing happens in the store for two seconds."""

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
            with anyio.move_on_after(2):
                await entry.over.wait()
            if heard == self.store.heard and not entry.over.is_set():
                raise BackendError("504 Gateway Time-out")
        return entry.result(id)


@mutant("time-changes-nothing", "results that expire: Celery's, RQ's")
class OutcomeExpires(Right):
    """An outcome expires after half a second."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        self.store.entry(id).until = anyio.current_time() + 0.5  # type: ignore[attr-defined] # this mutant's own
        return super().put(id, outcome)

    def look(self, id: str) -> State_:
        until = getattr(self.store.entry(id), "until", 0)
        return super().look(id) if anyio.current_time() < until else Pending()


@mutant("volume-changes-nothing", "caches used as stores: memcached evicts", alone=True)
class LeastRecentlyUsedGoes(Right):
    """Only the 1,000 promises that were used last are kept."""

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


@mutant("what-was-seen-stands", "databases read at READ UNCOMMITTED", alone=True)
class DirtyRead(Right):
    """A peek returns an outcome that a cancelled settle then takes back."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.unwritten: dict[str, Outcome_] = {}

    store_type = _Store
    store: _Store

    def look(self, id: str) -> State_:
        dirty = self.store.unwritten.get(id)
        return super().look(id) if dirty is None else dirty

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        for _ in range(3):
            await self.turn()
        while id in self.store.unwritten:
            await checkpoint()
        if self.store.entry(id).outcome is not None:
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


@mutant("histories-are-linearizable", "reads from a lagging replica", alone=True)
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
                self.store.replica[id] = stands  # type: ignore[assignment] # wrong on purpose
            return stands
        finally:
            self.store.in_flight -= 1

    def forget(self, id: str) -> None:
        super().forget(id)
        self.store.replica.pop(id, None)


@mutant("histories-are-linearizable", "query caches filled by slow readers")
class CacheFilledLate(Right):
    """A slow peek fills a cache that a disposal has just cleared."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.cache: dict[str, State_] = {}

    store_type = _Store
    store: _Store

    async def peek(self, id: str) -> State_:
        cached = self.store.cache.get(id)
        state = self.look(id) if cached is None else cached
        await self.turn()
        if isinstance(state, Resolved):
            self.store.cache[id] = state
        return state

    def forget(self, id: str) -> None:
        super().forget(id)
        self.store.cache.pop(id, None)
