"""`Watching`, a right backend that can watch; mutants of watches are subclasses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import anyio

from dp_core import BackendClosedError, PromiseDisposedError
from dp_core.backend import Told
from mutants.contract.registered import Record, Registered
from mutants.contract.right import Outcome_

__all__ = ["Records", "Watching"]

Records = dict[str, Record]
"""What is watched, by id."""


class Watching(Registered):
    """Naive and right: a watch looks at its records every few milliseconds."""

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        await self.pause()
        while self.store.away:
            await self.pause()
        yield self.tell_all(self.watched(ids))

    async def tell_all(self, records: Records) -> AsyncIterator[Told]:
        """Tell each record once."""
        while records:
            for id in [id for id in records if self.is_over(records[id])]:
                # Before it is told: nobody may come back for the next.
                record = records.pop(id)
                yield id, self.end_of(record)
            await self.pause()

    async def pause(self) -> None:
        """Sleep for a moment, unless the handle is closed."""
        if self.closed:
            raise BackendClosedError("closed")
        await anyio.sleep(0.005)
        if self.closed:
            raise BackendClosedError("closed")

    # Steps that take effect at once: no checkpoint is inside them.

    def watched(self, ids: Collection[str]) -> Records:
        return {id: self.store.record(self.key(id)) for id in ids}

    def is_over(self, record: Record) -> bool:
        """Tell whether a record is settled or disposed of."""
        self.settle_if_over(record)
        return record.over.is_set()

    def end_of(self, record: Record) -> Outcome_ | PromiseDisposedError:
        try:
            return record.result(record.id)
        except PromiseDisposedError as error:
            return error
