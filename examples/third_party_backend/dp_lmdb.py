"""
``lmdb:PATH``: promises in one LMDB environment, as a package of your own.

LMDB is a file that each process maps into its memory. One writer at a time commits a
transaction, which has a number; readers see the last one. Any number of processes of
one machine share the promises, on asyncio and trio, and a handle outlives a fork.
Waiters look every 5 to 50 milliseconds, one of them for all, whether that number has
changed.

What it promises, and where that ends:

- A commit returns when it is on the disk. A writer that is killed just before leaves
  one that others see; were it shown, a power cut could take it back. So nothing is
  shown of a transaction before it is known to be on the disk, or the file was synced.
- LMDB has no checksums and trusts its file. What a bad disk changed may be shown, and
  a file that was cut short kills the process that reads beyond its end.
- Who writes waits for the writer before, without a limit, and others of the process
  behind them; so a process that is stopped in a commit holds up all who write.
- It is for local disks: processes share their locks in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar
from weakref import WeakSet, WeakValueDictionary

import anyio
import lmdb
from msgspec import MsgspecError, Struct
from msgspec.msgpack import decode, encode

from dp_core import (
    Backend,
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
    Outcome,
    OutcomeUnknownError,
    Pending,
    PromiseDisposedError,
    Rejected,
    Resolved,
    State,
    hookimpl,
)
from dp_core.backend import Closable, Follower, LeaderFollowers, LoopLocal, in_thread
from dp_core.hookspecs import Register

__all__ = ["LmdbBackend"]

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.05
# Of addresses, not of the disk: the file is as large as what is in it.
_ROOM: Final = 1 << 36
_NO_NUMBER: Final = -1


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("lmdb", LmdbBackend)


class _Promise(Struct, frozen=True):
    """A generation of an id, as it is stored; the next one begins by a disposal."""

    generation: int = 0
    value: bytes | None = None
    error: str | None = None

    @property
    def state(self) -> State[bytes]:
        if self.value is not None:
            return Resolved(self.value)
        return Pending() if self.error is None else Rejected(self.error)


class LmdbBackend(Backend):
    """A handle; those of one process share the store at their path."""

    def __init__(self, url: str) -> None:
        path = Path(url.partition(":")[2]).resolve()
        with _STORES_LOCK:
            self.store = _STORES.setdefault(path, _Store(path))
        self.life = Closable()
        self.waits: LoopLocal[_Waits] = LoopLocal(_Waits)
        # More threads would only wait for each other.
        self._limit = LoopLocal(lambda: anyio.CapacityLimiter(1))

    async def peek(self, id: str) -> State[bytes]:
        _, found = await self.do(lambda: self.store.read({id}))
        return found[id].state

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        def settled(old: _Promise) -> _Promise:
            if not isinstance(old.state, Pending):
                return old
            if isinstance(outcome, Resolved):
                return _Promise(old.generation, value=outcome.value)
            return _Promise(old.generation, error=outcome.error)

        new = await self.do(lambda: self.store.change(id, settled))
        assert not isinstance(new.state, Pending)
        return new.state

    async def wait(self, id: str) -> Outcome[bytes]:
        with self.life.wait():
            number, found = await self.do(lambda: self.store.read({id}))
            if not isinstance(state := found[id].state, Pending):
                return state
            waits = self.waits.get()
            waits.number, waits.pause = min(waits.number, number), _FIRST_PAUSE
            wait = _Wait(self, id, found[id].generation, number)
            return await Follower(waits.group, wait).join()

    async def dispose(self, id: str) -> None:
        # The record stays: by its generation, waiters learn that theirs is over.
        def forgotten(old: _Promise) -> _Promise:
            return _Promise(old.generation + 1)

        await self.do(lambda: self.store.change(id, forgotten))

    async def aclose(self) -> None:
        self.life.close()
        await in_thread(self.store.leave, self)

    async def do(self, work: Callable[[], T]) -> T:
        """Call *work* in a worker thread, where no cancellation cuts it short."""
        return await in_thread(self.store.do, self, work, limiter=self._limit.get())


class _Waits:
    """The waits of one handle in one event loop."""

    def __init__(self) -> None:
        self.group: LeaderFollowers[_Wait, Outcome[bytes]] = LeaderFollowers(_look)
        # The lowest of theirs: of which transactions all know.
        self.number = _NO_NUMBER
        self.pause = _FIRST_PAUSE


@dataclass(eq=False)
class _Wait:
    """One call of `LmdbBackend.wait`, which began with a pending promise."""

    handle: LmdbBackend
    id: str
    generation: int
    number: int


async def _look(leader: Follower[_Wait, Outcome[bytes]]) -> None:
    handle = leader.request.handle
    waits = handle.waits.get()
    await anyio.sleep(waits.pause)
    waits.pause = min(2 * waits.pause, _LONGEST_PAUSE)
    if handle.store.number() == waits.number != _NO_NUMBER:
        return
    waiters = list(leader.group)
    ids = {waiter.request.id for waiter in waiters}
    try:
        number, found = await handle.do(lambda: handle.store.read(ids))
    except CorruptPromiseError as error:
        for waiter in waiters:
            waiter.set_exception(error)
        return
    except BackendError:
        # It may pass: too many open files, a disk that is full or away.
        return
    for waiter in waiters:
        promise = found[waiter.request.id]
        if promise.generation != waiter.request.generation:
            waiter.set_exception(PromiseDisposedError(waiter.request.id))
        elif not isinstance(promise.state, Pending):
            waiter.set_result(promise.state)
        waiter.request.number = number
    # Others have come meanwhile, and may know less.
    waits.number = min((each.request.number for each in leader.group), default=number)
    waits.pause = _FIRST_PAUSE


class _Store:
    """The environment at a path, which a process must not open twice."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin_afresh()

    def begin_afresh(self) -> None:
        """Forget an environment that a forked child has from its parent."""
        self._lock = Lock()
        self._users: WeakSet[LmdbBackend] = WeakSet()
        self._env: lmdb.Environment | None = None
        self._durable = _NO_NUMBER

    def do(self, handle: LmdbBackend, work: Callable[[], T]) -> T:
        """Return what *work* returns; one at a time, and with errors of our tree."""
        with self._lock:
            handle.life.check_open()
            self._users.add(handle)
            try:
                return work()
            except (lmdb.MapFullError, lmdb.ReadersFullError) as error:
                text = f"{self.path}: {error}; nothing was changed"
                raise BackendUnavailableError(text) from error
            except (lmdb.CorruptedError, MsgspecError) as error:
                raise CorruptPromiseError(f"{self.path}: {error}") from error
            except lmdb.Error as error:
                # After some errors an environment does nothing more.
                self._close()
                raise OutcomeUnknownError(f"{self.path}: {error}") from error

    def leave(self, handle: LmdbBackend) -> None:
        """Close the environment, unless other handles use it."""
        with self._lock:
            self._users.discard(handle)
            if not self._users:
                self._close()

    def number(self) -> int:
        """Return the number of the last transaction; -1 if that cannot be told."""
        if env := self._env:
            # Not by `Environment.info`, which tells it before it can be read.
            with suppress(lmdb.Error), env.begin() as transaction:
                return transaction.id()
        return _NO_NUMBER

    def read(self, ids: Collection[str]) -> tuple[int, dict[str, _Promise]]:
        """Return promises, and the number of the transaction that they were read at."""
        with self._begin() as transaction:
            return transaction.id(), {id: _get(transaction, id) for id in ids}

    def change(self, id: str, change: Callable[[_Promise], _Promise]) -> _Promise:
        """Make of a promise what *change* makes of it, and return that once durable."""
        with self._begin(write=True) as transaction:
            old = _get(transaction, id)
            if (new := change(old)) is old:
                return old
            transaction.put(_key(id), encode(new))
            number = transaction.id()
        self._durable = number
        return new

    @contextmanager
    def _begin(self, *, write: bool = False) -> Iterator[lmdb.Transaction[bytes]]:
        env = self._env = self._env or self._open()
        # Readers that were killed keep others from using pages anew.
        env.reader_check()
        with env.begin(write=write) as transaction:
            # A writer's number is the next one.
            seen = transaction.id() - write
            if seen > self._durable:
                env.sync(force=True)
                self._durable = seen
            yield transaction

    def _open(self) -> lmdb.Environment:
        self._durable = _NO_NUMBER
        try:
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                env = lmdb.open(str(self.path), _ROOM, subdir=False)
                # The names of new files are to be durable, too.
                os.fsync(directory)
            finally:
                os.close(directory)
        except (lmdb.Error, OSError) as error:
            raise BackendUnavailableError(
                f"{self.path}: {error}; is its directory there, and writable?"
            ) from error
        return env

    def _close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None


def _key(id: str) -> bytes:
    # A key has 511 bytes at most, and an id up to 1,024.
    return sha256(id.encode()).digest()


def _get(transaction: lmdb.Transaction[bytes], id: str) -> _Promise:
    record = transaction.get(_key(id))
    return _Promise() if record is None else decode(record, type=_Promise)


_STORES: Final[WeakValueDictionary[Path, _Store]] = WeakValueDictionary()
_STORES_LOCK: Final = Lock()


def _after_fork() -> None:
    for store in _STORES.values():
        store.begin_afresh()


os.register_at_fork(after_in_child=_after_fork)
