"""
`Right` and other right backends, independent of those of this project.

They were written from the contract alone, each with another technique, and
none runs `dp_core.transition`. The kit must pass all of them; the mutants are
subclasses of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from dp_core import (
    Backend,
    BackendClosedError,
    BackendUnavailableError,
    Outcome,
    Pending,
    PromiseDisposedError,
    Rejected,
    Resolved,
    State,
)

State_ = State[bytes]
Outcome_ = Outcome[bytes]


@dataclass(eq=False)
class Entry:
    """One generation of one promise, which its waiters keep."""

    outcome: Outcome_ | None = None
    disposed: bool = False
    over: anyio.Event = field(default_factory=anyio.Event)

    def result(self, id: str) -> Outcome_:
        """Return the outcome for a waiter, once the generation is over."""
        if self.disposed or self.outcome is None:
            raise PromiseDisposedError(id)
        return self.outcome


class Store:
    """The state that the handles of one store share."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.there = anyio.Event()
        self.there.set()

    @property
    def away(self) -> bool:
        """Whether the store fails for a while."""
        return not self.there.is_set()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Fail for a while."""
        self.there = anyio.Event()
        yield
        self.there.set()

    def entry(self, key: str) -> Entry:
        return self.entries.setdefault(key, Entry())


Wait = Callable[[Any, str], Awaitable[Outcome_]]


def lasting(wait: Wait) -> Wait:
    """Let a method wait while the store is away, and until the handle is closed."""

    @wraps(wait)
    async def wait_until_closed(self: Any, id: str) -> Outcome_:
        with anyio.CancelScope() as scope:
            self.waits.add(scope)
            try:
                await self.store.there.wait()
                return await wait(self, id)
            finally:
                self.waits.discard(scope)
        raise BackendClosedError("closed")

    return wait_until_closed


class Right(Backend):
    """Naive and right, on one event loop: an entry for each generation."""

    store_type: type[Store] = Store

    def __init__(self, store: Store) -> None:
        self.store = store
        self.closed = False
        self.waits: set[anyio.CancelScope] = set()

    def __init_subclass__(cls, *, ends_waits: bool = True) -> None:
        # A mutant whose mistake is another one need not repeat how waits are ended.
        if ends_waits and "wait" in vars(cls):
            cls.wait = lasting(cls.wait)  # type: ignore[method-assign,assignment] # in place of the class's own

    async def peek(self, id: str) -> State_:
        await self.turn()
        return self.look(id)

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.turn()
        return self.put(id, outcome)

    @lasting
    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(self.key(id))
        await entry.over.wait()
        return entry.result(id)

    async def dispose(self, id: str) -> None:
        await self.turn()
        self.forget(id)

    async def aclose(self) -> None:
        self.closed = True
        for scope in self.waits:
            scope.cancel()

    async def turn(self) -> None:
        if self.closed:
            raise BackendClosedError("closed")
        if self.store.away:
            raise BackendUnavailableError("away")
        await checkpoint()

    # Steps that take effect at once: no checkpoint is inside them.

    def key(self, id: str) -> str:
        return id

    def look(self, id: str) -> State_:
        entry = self.store.entries.get(self.key(id))
        outcome = None if entry is None else entry.outcome
        return Pending() if outcome is None else outcome

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        entry = self.store.entry(self.key(id))
        if entry.outcome is None:
            entry.outcome = outcome
            entry.over.set()
        return entry.outcome

    def forget(self, id: str) -> None:
        entry = self.store.entries.pop(self.key(id), None)
        if entry is not None:
            entry.disposed = True
            entry.over.set()


class LoggedStore(Store):
    """A store of which only the log is kept while no handle is open."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, Outcome_ | None]] = []
        self.open = 0

    def load(self) -> None:
        self.entries = {}
        for key, outcome in self.log:
            if outcome is None:
                self.entries.pop(key, None)
            else:
                self.load_outcome(key, outcome)

    def load_outcome(self, key: str, outcome: Outcome_) -> None:
        entry = self.entry(key)
        entry.outcome = outcome
        entry.over.set()


class Logged(Right):
    """Right and durable: every change is in the log before it is returned."""

    store_type = LoggedStore
    store: LoggedStore

    def __init__(self, store: LoggedStore) -> None:
        super().__init__(store)
        if store.open == 0:
            store.load()
        store.open += 1

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        if stands is outcome:
            self.write(self.key(id), outcome)
        return stands

    def forget(self, id: str) -> None:
        super().forget(id)
        self.write(self.key(id), None)

    def write(self, key: str, outcome: Outcome_ | None) -> None:
        self.store.log.append((key, outcome))

    async def aclose(self) -> None:
        if not self.closed:
            self.store.open -= 1
        await super().aclose()


class Eager(Right):
    """Right, without checkpoints where none is needed; usable after it was closed."""

    async def turn(self) -> None:
        pass


class LockedStore(Store):
    """A store with one lock."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = anyio.Lock()


class Locked(Right):
    """Right, with one lock around every access to the store."""

    store_type = LockedStore
    store: LockedStore

    async def peek(self, id: str) -> State_:
        async with self.store.lock:
            return await super().peek(id)

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        async with self.store.lock:
            return await super().settle(id, outcome)

    async def dispose(self, id: str) -> None:
        async with self.store.lock:
            await super().dispose(id)


class MonitorStore(Store):
    """A store with one condition variable."""

    def __init__(self) -> None:
        super().__init__()
        self.news = anyio.Condition()


class Monitor(Right):
    """Right, with the monitor of a textbook: a woken waiter has the lock again."""

    store_type = MonitorStore
    store: MonitorStore

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        async with self.store.news:
            stands = await super().settle(id, outcome)
            self.store.news.notify_all()
            return stands

    async def wait(self, id: str) -> Outcome_:
        async with self.store.news:
            await self.turn()
            entry = self.store.entry(id)
            while not entry.over.is_set():
                await self.store.news.wait()
            return entry.result(id)

    async def dispose(self, id: str) -> None:
        async with self.store.news:
            await super().dispose(id)
            self.store.news.notify_all()


class Polling(Backend):
    """Right and slow: no events, but a look every 50 ms."""

    def __init__(self, records: dict[str, tuple[int, Outcome_ | None]]) -> None:
        self.records = records
        self.closed = False

    def record(self, id: str) -> tuple[int, Outcome_ | None]:
        return self.records.get(id, (0, None))

    async def peek(self, id: str) -> State_:
        await checkpoint()
        _, outcome = self.record(id)
        return Pending() if outcome is None else outcome

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await checkpoint()
        generation, stands = self.record(id)
        if stands is None:
            self.records[id] = generation, outcome
        return outcome if stands is None else stands

    async def wait(self, id: str) -> Outcome_:
        await checkpoint()
        mine, outcome = self.record(id)
        while outcome is None:
            await anyio.sleep(0.05)
            if self.closed:
                raise BackendClosedError("closed")
            generation, outcome = self.record(id)
            if generation != mine:
                raise PromiseDisposedError(id)
        return outcome

    async def dispose(self, id: str) -> None:
        await checkpoint()
        self.records[id] = self.record(id)[0] + 1, None

    async def aclose(self) -> None:
        self.closed = True
        await checkpoint()


class Directory(Backend):
    """Right, durable and plain: a file for each outcome, worker threads, polls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.closed = False

    async def peek(self, id: str) -> State_:
        _, outcome = await anyio.to_thread.run_sync(self._read, id)
        return Pending() if outcome is None else outcome

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        return await anyio.to_thread.run_sync(self._settle, id, outcome)

    async def wait(self, id: str) -> Outcome_:
        mine: int | None = None
        while True:
            # Too many open files, for one, may pass.
            with suppress(OSError):
                generation, outcome = await anyio.to_thread.run_sync(self._read, id)
                mine = generation if mine is None else mine
                if generation != mine:
                    raise PromiseDisposedError(id)
                if outcome is not None:
                    return outcome
            await anyio.sleep(0.05)
            if self.closed:
                raise BackendClosedError("closed")

    async def dispose(self, id: str) -> None:
        await anyio.to_thread.run_sync(self._dispose, id)

    async def aclose(self) -> None:
        self.closed = True

    # One directory for each id. Generation n is the file n; it has ended once
    # the directory n.gone exists.

    def _home(self, id: str) -> Path:
        return self.folder / hashlib.sha256(id.encode()).hexdigest()

    def _generation(self, home: Path) -> int:
        generation = 0
        while (home / f"{generation}.gone").exists():
            generation += 1
        return generation

    def _read(self, id: str) -> tuple[int, Outcome_ | None]:
        home = self._home(id)
        while True:
            generation = self._generation(home)
            try:
                kind, held = json.loads((home / str(generation)).read_bytes())
            except FileNotFoundError:
                outcome: Outcome_ | None = None
            else:
                outcome = (
                    Resolved(base64.b64decode(held))
                    if kind == "value"
                    else Rejected(held)
                )
            if generation == self._generation(home):
                return generation, outcome

    def _settle(self, id: str, outcome: Outcome_) -> Outcome_:
        home = self._home(id)
        home.mkdir(exist_ok=True)
        match outcome:
            case Resolved(text):
                record = ["value", base64.b64encode(text).decode()]
            case Rejected(error):
                record = ["error", error]
        temporary = home / f"tmp-{os.urandom(8).hex()}"
        temporary.write_text(json.dumps(record))
        try:
            while True:
                try:
                    (home / str(self._generation(home))).hardlink_to(temporary)
                except FileExistsError:
                    _, stands = self._read(id)
                    if stands is not None:
                        return stands
                else:
                    return outcome
        finally:
            temporary.unlink()

    def _dispose(self, id: str) -> None:
        home = self._home(id)
        home.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            (home / f"{self._generation(home)}.gone").mkdir()
