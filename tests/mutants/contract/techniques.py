"""Right backends with other techniques: a log, a lock, a monitor, polls, files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.lowlevel import checkpoint

from dp_core import (
    Backend,
    BackendClosedError,
    Pending,
    PromiseDisposedError,
    Rejected,
    Resolved,
)
from mutants.contract.right import Outcome_, Right, State_, Store


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
