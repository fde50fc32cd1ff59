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

import os
import re
from functools import partial
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from anyio import CapacityLimiter

from dp_backends.file._read_batcher import ReadBatcher
from dp_backends.file._registry import Listing, Sweeper, info_of
from dp_backends.file._store import FileStore
from dp_backends.file._watching import WATCHERS
from dp_core import (
    Backend,
    BackendUnavailableError,
    Outcome,
    PromiseInfo,
    Query,
    State,
    Terms,
    UnknownBackendError,
    hookimpl,
)
from dp_core.backend import Closable, LoopLocal, Page, in_thread
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
        self.directory: Final = _path(url)
        self.location: Final = f"file:{self.directory}"
        self._store = FileStore(self.directory)
        # Of this store only: if its disk hangs, no other store is held up.
        self._readers = LoopLocal(partial(ReadBatcher, self._store))
        self._listing = Listing(self._store)
        self._sweeper = Sweeper(self._store)
        self._sweeping = LoopLocal(lambda: CapacityLimiter(1))
        self._life = Closable()

    async def peek(self, id: str) -> State[bytes]:
        self._life.check_open()
        view = await self._readers.get().read(self._store.place(id))
        return view.state

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        self._life.check_open()
        # One hop. A cancel scope of anyio waits for its end, a few milliseconds;
        # asyncio's own cancellation does not, but neither leaves it half done.
        return await in_thread(self._store.settle, id, outcome, limiter=_WRITING.get())

    async def wait(self, id: str) -> Outcome[bytes]:
        with self._life.wait():
            return await WATCHERS.get().wait(self._store, self._store.place(id))

    async def dispose(self, id: str) -> None:
        self._life.check_open()
        await in_thread(self._store.dispose, id, limiter=_WRITING.get())

    async def create(self, id: str, terms: Terms[bytes]) -> Terms[bytes]:
        """Give a promise its terms; see `dp_core.backend.Registry`."""
        self._life.check_open()
        return await in_thread(self._store.create, id, terms, limiter=_WRITING.get())

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

    async def aclose(self) -> None:
        self._life.close()


# Limiters of our own: waits for the disk do not use up the application's threads,
# and writes do not use up those of reads.
_READING: Final = LoopLocal(lambda: CapacityLimiter(4))
# Many, because file systems join what several threads fsync at once.
_WRITING: Final = LoopLocal(lambda: CapacityLimiter(32))


def _path(url: str) -> str:
    """Return the directory that a store URL names, absolute."""
    path = url.partition(":")[2]
    host = ""
    if path.startswith("//"):
        host, _, path = path[2:].partition("/")
        path = f"/{path}"
    if host not in ("", "localhost"):
        raise UnknownBackendError(
            url,
            f"a directory of this machine has no host {host!r}; for a relative one "
            f"write 'file:./{host}{path}'",
        )
    if "?" in path or "#" in path:
        raise UnknownBackendError(
            url, "it has no options; write ? as %3F and # as %23 in a path"
        )
    if not path:
        raise UnknownBackendError(url, "it names no directory; try 'file:./promises'")
    if path.startswith("~"):
        home, slash, rest = path.partition("/")
        path = f"{quote(os.path.expanduser(home), safe='/~')}{slash}{rest}"
        if path.startswith("~"):
            raise UnknownBackendError(
                url, f"{home!r} is not a valid home; write './~…' for a name with ~"
            )
    try:
        return os.path.realpath(_decoded(url, path))
    except FileNotFoundError:
        raise BackendUnavailableError(
            "the working directory was removed, and the store's path is relative to "
            "it; go to another directory, or write an absolute path"
        ) from None


def _decoded(url: str, path: str) -> str:
    """Return the name that a path of a URL stands for."""
    try:
        raw = unquote_to_bytes(path)
    except UnicodeEncodeError:
        raise UnknownBackendError(url, "it has a lone surrogate in it") from None
    if found := _CONTROL.search(raw):
        raise UnknownBackendError(
            url, f"it has a control character in it ({found[0]!r}); is a line end left?"
        )
    if path != path.strip():
        raise UnknownBackendError(
            url, "it begins or ends with a blank; write it as %20 if it has one"
        )
    return os.fsdecode(raw)


_CONTROL: Final = re.compile(rb"[\0-\x1f\x7f]+|\xc2[\x80-\x9f]")
