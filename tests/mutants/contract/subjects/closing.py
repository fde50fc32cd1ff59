"""Mutants that close a handle, or open a store again, wrongly."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from dp_core import (
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    Pending,
    Rejected,
    Resolved,
)
from mutants.contract.registry import mutant
from mutants.contract.right import Outcome_, Right, State_, Store, lasting
from mutants.contract.techniques import Logged, LoggedStore

# Closing --------------------------------------------------------------------


@mutant("closing-touches-no-promise", "clients that own the connection they share")
class ClosesTheStore(Right):
    """Closing one handle closes all of them."""

    class _Store(Store):
        owner: Right | None = None

    store_type = _Store
    store: _Store

    def __init__(self, store: _Store) -> None:
        super().__init__(store)
        store.owner = self

    async def turn(self) -> None:
        if self.store.owner is None:
            raise BackendClosedError("closed")
        await super().turn()

    async def aclose(self) -> None:
        self.store.owner = None
        await super().aclose()


@mutant(
    "closing-touches-no-promise", "shutdown hooks that fail all futures", alone=True
)
class ClosingFailsAllWaiters(Right):
    """Closing a handle ends the waits of all other handles."""

    async def aclose(self) -> None:
        for entry in self.store.entries.values():
            if entry.outcome is None:
                entry.closing = True  # type: ignore[attr-defined] # this mutant's own
                entry.over.set()
        await super().aclose()

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        await entry.over.wait()
        if hasattr(entry, "closing") and entry.outcome is None:
            raise BackendClosedError("closed")
        return entry.result(id)


@mutant("closing-touches-no-promise", "leases that outlive their holders: ZooKeeper")
class LockKeptWhenClosed(Right):
    """A handle that is closed during a settle keeps the lock of the store."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.lock = anyio.Semaphore(1)

    store_type = _Store
    store: _Store

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.turn()
        await self.store.lock.acquire()
        try:
            await checkpoint()
            return self.put(id, outcome)
        finally:
            if not self.closed:
                self.store.lock.release()


@mutant("closing-twice-is-no-error", "sockets and pools: already closed", alone=True)
class SecondCloseRaises(Right):
    """Closing a closed handle raises an error."""

    async def aclose(self) -> None:
        if self.closed:
            raise BackendError("already closed")
        await super().aclose()


@mutant(
    "closing-ends-waits",
    "asyncio.Queue before 3.13, and other queues: getters sleep on after the end",
    alone=True,
)
class WaitsOutliveTheirHandle(Right):
    """Closing a handle leaves its waits asleep until the promise is settled."""

    async def aclose(self) -> None:
        self.closed = True


@mutant("closing-ends-waits", "pools: close() interrupts what it lent to others")
class ClosingLooksLikeAnOutage(Right, ends_waits=False):
    """Waits end when their handle is closed, with the error of a cut connection."""

    async def wait(self, id: str) -> Outcome_:
        try:
            return await super().wait(id)
        except BackendClosedError:
            raise BackendUnavailableError("the connection was cut") from None


@mutant("closing-ends-waits", "shutdown flags that are read once, before the loop")
class ClosedBeforeItSleeps(Right, ends_waits=False):
    """A wait that is about to sleep while its handle is closed sleeps on."""

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        await checkpoint()
        return await self.sleep(id)

    @lasting
    async def sleep(self, id: str) -> Outcome_:
        entry = self.store.entry(id)
        await entry.over.wait()
        return entry.result(id)


@mutant(
    "closed-handles-keep-nobody-waiting", "defaults returned after close()", alone=True
)
class ClosedTellsPending(Right):
    """A closed handle returns every promise as pending."""

    async def peek(self, id: str) -> State_:
        return Pending() if self.closed else await super().peek(id)


@mutant("closed-handles-keep-nobody-waiting", "queues without a reader after close()")
class ClosedHangs(Right):
    """Calls on a closed handle never end."""

    async def turn(self) -> None:
        if self.closed:
            await anyio.sleep_forever()
        await super().turn()


@mutant("closed-handles-keep-nobody-waiting", "self._connection = None")
class ClosedIsAnAccident(Right):
    """Calls on a closed handle fail with an AttributeError."""

    async def aclose(self) -> None:
        self.store = None  # type: ignore[assignment] # wrong on purpose


@mutant(
    "closed-handles-keep-nobody-waiting",
    "delete on a closed connection: fire and forget",
)
class ForgetsNothingWhenClosed(Right):
    """A disposal on a closed handle returns without an error, and does nothing."""

    async def dispose(self, id: str) -> None:
        if not self.closed:
            await super().dispose(id)


# Opening again --------------------------------------------------------------


@mutant(
    "cancelled-settlers-leave-a-whole-state",
    "caches that are filled before the transaction commits",
)
class ShownBeforeLogged(Logged):
    """A settle shows its outcome, then logs it; cancelled in between, it does not."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.turn()
        stands = Right.put(self, id, outcome)
        if stands is outcome:
            await checkpoint()
            self.write(id, outcome)
        return stands


@mutant("reopening-changes-nothing", "journals whose records have a maximal length")
class LargeRecordsSkipped(Logged):
    """Outcomes longer than 64 KiB are not written to the log."""

    def write(self, key: str, outcome: Outcome_ | None) -> None:
        held: bytes | str = ""
        match outcome:
            case Resolved(value):
                held = value
            case Rejected(error):
                held = error
        if len(held) <= 65536:
            super().write(key, outcome)


@mutant("volume-changes-nothing", "logs with a maximal length: Redis' MAXLEN")
class LogOfAThousand(Logged):
    """The log keeps only the last thousand changes."""

    def __init__(self, store: LoggedStore) -> None:
        del store.log[:-1000]
        super().__init__(store)


@mutant("disposals-survive-reopening", "counters kept in memory: generations, epochs")
class CountsToOne(Logged):
    """After reopening, only the first disposal of each id counts."""

    class _Store(LoggedStore):
        def load(self) -> None:
            gone: set[str] = set()
            counted: list[tuple[str, Outcome_ | None]] = []
            for key, outcome in self.log:
                if outcome is not None or key not in gone:
                    counted.append((key, outcome))
                if outcome is None:
                    gone.add(key)
            self.log = counted
            super().load()

    store_type = _Store


@mutant("outcomes-survive-reopening", "fsync every second: Redis AOF, NATS JetStream")
class LastWriteLost(Logged):
    """Each write reaches the log together with the next one."""

    def __init__(self, store: LoggedStore) -> None:
        super().__init__(store)
        self.late: list[tuple[str, Outcome_ | None]] = []

    def write(self, key: str, outcome: Outcome_ | None) -> None:
        self.store.log += self.late
        self.late = [(key, outcome)]


@mutant("outcomes-survive-reopening", "error paths that return before the commit")
class RejectionsNotLogged(Logged):
    """Only values are written to the log."""

    def write(self, key: str, outcome: Outcome_ | None) -> None:
        if not isinstance(outcome, Rejected):
            super().write(key, outcome)


@mutant(
    "outcomes-survive-reopening",
    "guards kept in memory: a set of the ids that were settled",
    alone=True,
)
class GuardNotRebuilt(Logged):
    """An outcome loaded from the log can be read, but does not count as settled."""

    class _Store(LoggedStore):
        def load_outcome(self, key: str, outcome: Outcome_) -> None:
            super().load_outcome(key, outcome)
            self.entry(key).unguarded = True  # type: ignore[attr-defined] # this mutant's own

    store_type = _Store

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        entry = self.store.entry(id)
        if hasattr(entry, "unguarded"):
            del entry.unguarded
            entry.outcome = None
        return super().put(id, outcome)


@mutant("disposals-survive-reopening", "deletes that never reach the log", alone=True)
class DisposalsNotLogged(Logged):
    """Disposals are not written to the log, so reopening undoes them."""

    def write(self, key: str, outcome: Outcome_ | None) -> None:
        if outcome is not None:
            super().write(key, outcome)


@mutant("disposals-survive-reopening", "log compaction that keeps the first record")
class FirstRecordWins(Logged):
    """Loading keeps the first outcome of an id, although it was disposed of."""

    class _Store(LoggedStore):
        def load(self) -> None:
            self.entries = {}
            for key, outcome in self.log:
                if outcome is not None and key not in self.entries:
                    self.load_outcome(key, outcome)

    store_type = _Store


@mutant(
    "reopening-changes-nothing",
    "logs read with str.splitlines(), which splits at U+2028, U+0085 and more",
    alone=True,
)
class SplitsLines(Logged):
    """Loading ends a value at every character that Unicode takes for a line break."""

    class _Store(LoggedStore):
        def load_outcome(self, key: str, outcome: Outcome_) -> None:
            if isinstance(outcome, Resolved):
                first = outcome.value.decode().splitlines()[0]
                outcome = Resolved(first.encode())
            super().load_outcome(key, outcome)

    store_type = _Store


@mutant("reopening-changes-nothing", "files opened without an encoding")
class WrongEncoding(Logged):
    """Ids are written as UTF-8 and read as latin-1."""

    class _Store(LoggedStore):
        def load_outcome(self, key: str, outcome: Outcome_) -> None:
            super().load_outcome(key.encode().decode("latin-1"), outcome)

    store_type = _Store
