"""
`FileBackend`: promises in a directory, for many processes of one machine.

``file:./promises``, ``file:/var/lib/promises`` and ``file:///var/lib/promises``
name a directory; characters that URLs reserve are percent-encoded (RFC 8089).

The room, from the files up to the event loop:

* `_record`: the content of one file; `_layout`: its place in the directory
* `_files`: system calls and their errors
* `_store`: the protocol and its crashes; `_publishing`: its decisive step;
  `_reading`: one look; `_opening`: the directory; `_janitor`: leftovers
* `_registry`: what there is, and what of it is over
* `_read_batcher`: reads; `_watching`: waits
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

from anyio import CapacityLimiter

from dp_backends._urls import path_of
from dp_backends._working import Caller
from dp_backends.file._opening import check_store
from dp_backends.file._read_batcher import ReadBatcher
from dp_backends.file._registry import Listing, Sweeper, info_of
from dp_backends.file._store import FileStore
from dp_backends.file._watching import WATCHERS
from dp_core import (
    Backend,
    Outcome,
    PromiseInfo,
    Query,
    State,
    Terms,
    hookimpl,
)
from dp_core.backend import (
    Check,
    Closable,
    LoopLocal,
    Page,
    Told,
    each_in_thread,
    in_thread,
)
from dp_core.hookspecs import Register

__all__ = ["FileBackend"]


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("file", FileBackend)


class FileBackend(Backend):
    """
    A handle on the store in one directory.

    The directory is made by the first settle or disposal, readable by this user alone.

    Attributes:
        directory: The directory, absolute and without links, as they were when the
            handle was made.
        location: Its URL, see `dp_core.backend.Located`.
    """

    def __init__(self, url: str) -> None:
        self.directory: Final = path_of(url, "directory", "file:./promises")
        self.location: Final = f"file:{self.directory}"
        self._store = FileStore(self.directory)
        # Of this store only: if its disk hangs, no other store is held up.
        self._readers = LoopLocal(partial(ReadBatcher, self._store))
        self._listing = Listing(self._store)
        self._sweeper = Sweeper(self._store)
        self._sweeping = LoopLocal(lambda: CapacityLimiter(1))
        self._writers = Caller("dp-file", _WRITERS)
        self._life = Closable()

    async def peek(self, id: str) -> State[bytes]:
        self._life.check_open()
        view = await self._readers.get().read(self._store.place(id))
        return view.state

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        self._life.check_open()
        # Whoever is cancelled leaves, but what was begun is done to its end.
        return await self._writers.call(self._store.settle, id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        watcher = WATCHERS.get()
        return await watcher.wait(self._store, self._store.place(id), self._life)

    def watch(
        self, ids: Collection[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Told]]:
        """Watch promises; see `dp_core.backend.Watchable`."""
        return WATCHERS.get().watch(self._store, ids, self._life)

    async def dispose(self, id: str) -> None:
        self._life.check_open()
        await self._writers.call(self._store.dispose, id)

    async def create(self, id: str, terms: Terms[bytes]) -> Terms[bytes]:
        """Give a promise its terms; see `dp_core.backend.Registry`."""
        self._life.check_open()
        return await self._writers.call(self._store.create, id, terms)

    async def info(self, id: str) -> PromiseInfo[bytes]:
        """Return what is known about a promise; see `dp_core.backend.Registry`."""
        self._life.check_open()
        return await in_thread(self._info, id, limiter=_READING.get())

    def _info(self, id: str) -> PromiseInfo[bytes]:
        place = self._store.place(id)
        return info_of(place, self._store.look_at(place, whole=True))

    async def list(self, query: Query, after: str | None, limit: int) -> Page:
        """Return promises by their age; see `dp_core.backend.Registry`."""
        self._life.check_open()
        return await in_thread(
            self._listing.page, query, after, limit, limiter=_READING.get()
        )

    async def sweep(self, limit: int) -> float | None:
        """Settle what is over; see `dp_core.backend.Registry`."""
        self._life.check_open()
        return await in_thread(self._sweeper.sweep, limit, limiter=self._sweeping.get())

    async def is_made(self) -> bool:
        """Tell whether the store is there; see `dp_core.backend.MadeOnUse`."""
        self._life.check_open()
        return await in_thread(self._store.is_made, limiter=_READING.get())

    def check(self) -> AsyncIterator[Check]:
        """Look at the directory and its disk; see `dp_core.backend.Checkable`."""
        return each_in_thread(check_store(self.directory))

    async def aclose(self) -> None:
        self._life.close()
        await self._writers.aclose()


# Limiters of our own: waits for the disk do not use up the application's threads,
# and writes do not use up those of reads.
_READING: Final = LoopLocal(lambda: CapacityLimiter(4))
# Several, because file systems join what several threads fsync at once.
_WRITERS: Final = 8
