"""
``file:``: promises in a directory, for any number of processes on one machine.

``file:./promises``, ``file:/var/lib/promises`` and ``file:///var/lib/promises``
name a directory; characters that URLs reserve are percent-encoded (RFC 8089).

What one file says is in `_record`, where it is in `_layout`, how it gets there
in `_store` (the protocol, and its crashes), how its appearance is noticed in
`_watch`, and how what is left over goes away in `_janitor`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import unquote_to_bytes
from weakref import WeakKeyDictionary

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from dp_backends.file._looks import Looks
from dp_backends.file._store import FileStore
from dp_backends.file._watch import current_watcher
from dp_core import (
    Backend,
    BackendClosedError,
    Outcome,
    State,
    UnknownBackendError,
    hookimpl,
)
from dp_core.hookspecs import Register

__all__ = ["FileBackend"]


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("file", FileBackend)


class FileBackend(Backend):
    """
    A handle on the store in one directory.

    The directory is made when it is first used, readable by this user alone.
    """

    def __init__(self, url: str) -> None:
        self._store = FileStore(_path(url))
        self._closed = False

    async def peek(self, id: str) -> State[bytes]:
        self._check_open()
        return (await _looks_at(self._store).look(self._store, id)).state

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        self._check_open()
        # One hop. A cancel scope of anyio waits for its end, a few milliseconds;
        # asyncio's own cancellation does not, but neither leaves it half done.
        return await to_thread.run_sync(
            self._store.settle, id, outcome, limiter=_writing()
        )

    async def wait(self, id: str) -> Outcome[bytes]:
        self._check_open()
        if not self._store.is_open:
            await to_thread.run_sync(self._store.open, limiter=_reading())
        return await current_watcher().wait(self._store, id)

    async def dispose(self, id: str) -> None:
        self._check_open()
        await to_thread.run_sync(self._store.dispose, id, limiter=_writing())

    async def settled(
        self, after: str | None, limit: int
    ) -> list[tuple[str, Outcome[bytes]]]:
        """Return settled promises; see `dp_core.backend.Listable`."""
        self._check_open()
        return await to_thread.run_sync(
            self._store.settled, after, limit, limiter=_reading()
        )

    async def aclose(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise BackendClosedError("this handle was closed; connect() again")


# Limiters of our own: neither do waits for the disk use up the application's
# threads, nor writes those of reads.
_READS: Final[RunVar[CapacityLimiter]] = RunVar("dp_backends.file.reads")
_WRITES: Final[RunVar[CapacityLimiter]] = RunVar("dp_backends.file.writes")
_LOOKS: Final[RunVar[WeakKeyDictionary[FileStore, Looks]]] = RunVar(
    "dp_backends.file.looks"
)

T = TypeVar("T")


def _of_loop(variable: RunVar[T], make: Callable[[], T]) -> T:
    """Return what the running event loop has in *variable*, made if need be."""
    try:
        return variable.get()
    except LookupError:
        value = make()
        variable.set(value)
        return value


def _reading() -> CapacityLimiter:
    return _of_loop(_READS, lambda: CapacityLimiter(4))


def _writing() -> CapacityLimiter:
    # Many, because file systems join what several threads fsync at once.
    return _of_loop(_WRITES, lambda: CapacityLimiter(32))


def _looks_at(store: FileStore) -> Looks:
    # Those of one store only: where its disk hangs, nobody else is held up.
    all_looks = _of_loop(_LOOKS, WeakKeyDictionary[FileStore, Looks])
    looks = all_looks.get(store)
    if looks is None:
        looks = all_looks[store] = Looks()
    return looks


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
    try:
        raw = unquote_to_bytes(path)
    except UnicodeEncodeError:
        raise UnknownBackendError(url, "it has a lone surrogate in it") from None
    if b"\0" in raw:
        raise UnknownBackendError(url, "no name of a directory has NUL in it")
    return os.path.abspath(os.fsdecode(raw))
