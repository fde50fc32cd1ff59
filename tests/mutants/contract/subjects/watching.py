"""Mutants that watch promises wrongly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from itertools import islice

import anyio

from dp_core import BackendUnavailableError
from dp_core.backend import Told
from mutants.contract.registered import Record, RegistryStore
from mutants.contract.registry import mutant
from mutants.contract.right import Outcome_
from mutants.contract.watching import Records, Watching

# Telling --------------------------------------------------------------------


@mutant("watches-tell-each-once", "SUBSCRIBE twice, and every message comes twice")
class TellsTwice(Watching):
    """A promise that is asked for twice is told twice."""

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        async with super().watch(ids) as watch:
            yield self.twice(watch, list(ids))

    async def twice(
        self, watch: AsyncIterator[Told], ids: list[str]
    ) -> AsyncIterator[Told]:
        async for id, told in watch:
            for _ in range(ids.count(id)):
                yield id, told


@mutant("watches-tell-each-once", "SELECT … WHERE id IN (…), without an ORDER BY")
class InOrderOfTheStore(Watching):
    """What is settled already comes in the order of the store."""

    def watched(self, ids: Collection[str]) -> Records:
        return dict(sorted(super().watched(ids).items()))


@mutant("watches-tell-each-once", "change streams from now on: MongoDB, PostgreSQL")
class OnlyChanges(Watching):
    """What was settled before the watch is not told."""

    def watched(self, ids: Collection[str]) -> Records:
        records = super().watched(ids)
        return {id: r for id, r in records.items() if r.outcome is None}


@mutant("watches-tell-each-once", "999 variables of a statement: SQLite", alone=True)
class TheFirstThousand(Watching):
    """Of many promises, a thousand are watched."""

    def watched(self, ids: Collection[str]) -> Records:
        return super().watched(list(islice(ids, 1000)))


@mutant("watches-tell-each-once", "streams that the client has to hang up")
class GoesOnForEver(Watching):
    """A watch whose promises are all told goes on."""

    async def tell_all(self, records: Records) -> AsyncIterator[Told]:
        async for told in super().tell_all(records):
            yield told
        while True:
            await self.pause()


# Missing --------------------------------------------------------------------


@mutant(
    "watches-miss-nothing",
    "generators: nothing happens before the first next()",
    alone=True,
)
class BeginsWhenItIsAsked(Watching):
    """The promises are watched from the moment when the iterator is asked."""

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        async with super().watch(()):
            yield self.late(ids)

    async def late(self, ids: Collection[str]) -> AsyncIterator[Told]:
        await self.pause()
        async for told in self.tell_all(self.watched(ids)):
            yield told


@mutant("watches-miss-nothing", "polls of the state: whatever is seen next")
class LooksAtTheId(Watching):
    """A watch looks at the id, and so misses a disposal and tells what is newer."""

    def is_over(self, record: Record) -> bool:
        newest = self.store.record(record.id)
        self.settle_if_over(newest)
        return newest.over.is_set()

    def end_of(self, record: Record) -> Outcome_:
        outcome = self.store.record(record.id).outcome
        assert outcome is not None
        return outcome


# Leaving --------------------------------------------------------------------


@mutant(
    "watches-leave-nothing",
    "bounded queues of subscribers, without a way out for the slow",
    alone=True,
)
class SettlesWaitForWatches(Watching):
    """A settle waits until those who watch have taken what was settled before."""

    class _Store(RegistryStore):
        def __init__(self) -> None:
            super().__init__()
            self.watches: list[Records] = []

    store_type = _Store
    store: _Store

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        async with super().watch(()):
            records = self.watched(ids)
            self.store.watches.append(records)
            try:
                yield self.tell_all(records)
            finally:
                self.store.watches = [w for w in self.store.watches if w is not records]

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.turn()
        while any(self.is_behind(records) for records in self.store.watches):
            await self.pause()
        return self.put(id, outcome)

    def is_behind(self, records: Records) -> bool:
        return sum(r.over.is_set() for r in records.values()) > 16


@mutant("watches-leave-nothing", "one subscription for all, ended by who made it")
class TheFirstEndsAll(Watching):
    """Who ends a watch ends the watches of all others of the handle."""

    ended = 0

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        try:
            async with super().watch(ids) as watch:
                yield watch
        finally:
            self.ended += 1

    async def tell_all(self, records: Records) -> AsyncIterator[Told]:
        ended = self.ended
        async for told in super().tell_all(records):
            if self.ended != ended:
                return
            yield told


# Ending, deadlines, failures ------------------------------------------------


@mutant(
    "closing-ends-watches", "close() that knows of calls, not of streams", alone=True
)
class WatchesOutliveTheirHandle(Watching):
    """Closing a handle leaves its watches as they are."""

    async def pause(self) -> None:
        await anyio.sleep(0.005)


@mutant("closing-ends-watches", "iterators that end when the connection does")
class AClosedWatchJustEnds(Watching):
    """When the handle is closed, the iterator ends as if all were told."""

    async def tell_all(self, records: Records) -> AsyncIterator[Told]:
        while not self.closed and records:
            for id in [id for id in records if self.is_over(records[id])]:
                yield id, self.end_of(records.pop(id))
            await anyio.sleep(0.005)


@mutant(
    "watches-hear-of-deadlines",
    "change streams: what a clock changes is no change",
    alone=True,
)
class ClocksChangeNothing(Watching):
    """A watch tells what somebody has settled, and leaves deadlines to others."""

    def is_over(self, record: Record) -> bool:
        return record.over.is_set()


@mutant(
    "watches-outlive-an-outage",
    "streams that break with their connection, and are not asked again",
    alone=True,
)
class WatchesBreak(Watching):
    """A watch fails when the store is away, though that may pass."""

    async def pause(self) -> None:
        await super().pause()
        if self.store.away:
            raise BackendUnavailableError("away")
