"""
``sqlite:PATH``: promises in one SQLite database, as a package of your own.

A row for each promise; the database decides who is first, and waiters look again
after growing pauses, one of them for all. Any number of processes of one machine
share it, on asyncio and trio; a handle does not survive a fork.

What it promises, and where that ends:

- With ``synchronous = FULL`` a commit returns when it is on the disk; with NORMAL
  a power cut could take it back after that.
- A writer that is killed just before that leaves a commit which the next one to
  open the database finds. Were it shown, a power cut could take that back, too;
  so each handle syncs the log when it opens the database.
- Before version 3.51.3, SQLite has a rare bug by which connections that write and
  checkpoint at once can damage a database. Nothing here helps against that.
- It is for local disks: SQLite's locks do not work on network file systems.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, TypeAlias, TypeVar

import anyio

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
from dp_core.backend import Closable, Follower, LeaderFollowers, LoopLocal
from dp_core.hookspecs import Register

__all__ = ["SqliteBackend"]

T = TypeVar("T")

_PATIENCE: Final = 60.0
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.1

# Ids and texts are stored as bytes, which SQLite does not look into.
_PREPARE: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    """CREATE TABLE IF NOT EXISTS promises (
    id BLOB PRIMARY KEY, generation INTEGER NOT NULL DEFAULT 0, value BLOB, error BLOB
    ) WITHOUT ROWID""",
)
_READ: Final = "SELECT generation, value, error FROM promises WHERE id = ?"
_SETTLE: Final = """
INSERT INTO promises (id, value, error) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET value = excluded.value, error = excluded.error
WHERE value IS NULL AND error IS NULL
"""
# The row stays: by its generation, waiters learn that theirs is over.
_DISPOSE: Final = """
INSERT INTO promises (id, generation) VALUES (?, 1)
ON CONFLICT (id) DO UPDATE SET generation = generation + 1, value = NULL, error = NULL
"""


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("sqlite", SqliteBackend)


@dataclass(eq=False)
class _Wait:
    """One call of `SqliteBackend.wait`, which began with a pending promise."""

    id: str
    generation: int
    pause: float = _FIRST_PAUSE


_Waiter: TypeAlias = Follower[_Wait, Outcome[bytes]]


class SqliteBackend(Backend):
    """A handle: one connection, opened when it is first needed."""

    def __init__(self, url: str) -> None:
        # Absolute, lest SQLite takes "" or ":memory:" for a database of its own.
        self._path = Path(url.partition(":")[2]).absolute()
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None
        self._life = Closable()
        # The waits of each event loop share their looks.
        self._waits: LoopLocal[LeaderFollowers[_Wait, Outcome[bytes]]] = LoopLocal(
            lambda: LeaderFollowers(self._look_again)
        )

    async def peek(self, id: str) -> State[bytes]:
        _, state = await self._do(lambda db: _read(db, id))
        return state

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        return await self._do(lambda db: _settle(db, id, outcome))

    async def wait(self, id: str) -> Outcome[bytes]:
        with self._life.wait():
            generation, state = await self._do(lambda db: _read(db, id))
            if not isinstance(state, Pending):
                return state
            return await Follower(self._waits.get(), _Wait(id, generation)).join()

    async def _look_again(self, leader: _Waiter) -> None:
        await anyio.sleep(min(waiter.request.pause for waiter in leader.group))
        waiters = list(leader.group)
        ids = {waiter.request.id for waiter in waiters}
        try:
            found = await self._do(lambda db: _read_all(db, ids))
        except CorruptPromiseError as error:
            for waiter in waiters:
                waiter.set_exception(error)
            return
        except BackendError:
            # It may pass: too many open files, a disk that is full or away.
            found = {}
        for waiter in waiters:
            wait = waiter.request
            generation, state = found.get(wait.id, (wait.generation, Pending()))
            if generation != wait.generation:
                waiter.set_exception(PromiseDisposedError(wait.id))
            elif not isinstance(state, Pending):
                waiter.set_result(state)
            wait.pause = min(2 * wait.pause, _LONGEST_PAUSE)

    async def dispose(self, id: str) -> None:
        await self._do(lambda db: _dispose(db, id))

    async def aclose(self) -> None:
        self._life.close()
        await anyio.to_thread.run_sync(self._close)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run *work* in a worker thread, where no cancellation cuts it short."""

        def locked() -> T:
            with self._lock:
                db = self._open()
                try:
                    return work(db)
                except sqlite3.OperationalError as error:
                    raise OutcomeUnknownError(f"{self._path}: {error}") from error
                except sqlite3.Error as error:
                    raise CorruptPromiseError(f"{self._path}: {error}") from error

        return await anyio.to_thread.run_sync(locked)

    def _open(self) -> sqlite3.Connection:
        self._life.check_open()
        try:
            self._db = self._db or _connect(self._path)
        except (sqlite3.Error, OSError) as error:
            raise BackendUnavailableError(
                f"{self._path}: {error}; is its directory there, and writable?"
            ) from error
        return self._db

    def _close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, _PATIENCE, isolation_level=None, check_same_thread=False)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        # One at a time: SQLite refuses to make a database while others do.
        fcntl.flock(directory, fcntl.LOCK_EX)
        for order in _PREPARE:
            db.execute(order)
        # A commit of a killed writer is seen from now on, and may not be durable.
        log = os.open(f"{path}-wal", os.O_RDONLY)
        os.fsync(log)
        os.close(log)
        os.fsync(directory)
    except (sqlite3.Error, OSError):
        db.close()
        raise
    finally:
        os.close(directory)
    return db


def _read(db: sqlite3.Connection, id: str) -> tuple[int, State[bytes]]:
    match db.execute(_READ, [id.encode()]).fetchone():
        case generation, bytes(value), None:
            return generation, Resolved(value)
        case generation, None, bytes(error):
            return generation, Rejected(error.decode())
        case generation, None, None:
            return generation, Pending()
    return 0, Pending()


def _read_all(
    db: sqlite3.Connection, ids: Collection[str]
) -> dict[str, tuple[int, State[bytes]]]:
    return {id: _read(db, id) for id in ids}


def _settle(db: sqlite3.Connection, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
    value = outcome.value if isinstance(outcome, Resolved) else None
    error = outcome.error.encode() if isinstance(outcome, Rejected) else None
    # One transaction, so that no disposal comes between the two.
    with db:
        db.execute("BEGIN IMMEDIATE")
        db.execute(_SETTLE, [id.encode(), value, error])
        _, state = _read(db, id)
    assert not isinstance(state, Pending)
    return state


def _dispose(db: sqlite3.Connection, id: str) -> None:
    db.execute(_DISPOSE, [id.encode()])
