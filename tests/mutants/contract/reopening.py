"""Broken ways to keep what was acknowledged."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from dp_core import Rejected, Resolved
from mutants.contract.museum import exhibit
from mutants.contract.right import Logged, LoggedStore, Outcome_, Right, Store


@exhibit(
    "cancelled-settlers-leave-a-whole-state",
    "caches that are filled before the transaction commits",
)
class ShownBeforeLogged(Logged):
    """An outcome is shown, then written; who is cancelled in between wrote nothing."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.turn()
        stands = Right.put(self, id, outcome)
        if stands is outcome:
            await checkpoint()
            self.write(id, outcome)
        return stands


@exhibit("reopening-changes-nothing", "journals whose records have a maximal length")
class LargeRecordsSkipped(Logged):
    """What is longer than 64 KiB is not in the log."""

    def write(self, key: str, outcome: Outcome_ | None) -> None:
        held: bytes | str = ""
        match outcome:
            case Resolved(value):
                held = value
            case Rejected(error):
                held = error
        if len(held) <= 65536:
            super().write(key, outcome)


@exhibit("volume-changes-nothing", "logs with a maximal length: Redis' MAXLEN")
class LogOfAThousand(Logged):
    """Only the last thousand changes are in the log."""

    def __init__(self, store: LoggedStore) -> None:
        del store.log[:-1000]
        super().__init__(store)


@exhibit(
    "closed-handles-keep-nobody-waiting",
    "delete on a closed connection: fire and forget",
)
class ForgetsNothingWhenClosed(Right):
    """A disposal on a closed handle succeeds, and does nothing."""

    async def dispose(self, id: str) -> None:
        if not self.closed:
            await super().dispose(id)


@exhibit("closing-touches-no-promise", "leases that outlive their holders: ZooKeeper")
class LockKeptWhenClosed(Right):
    """Who is closed during a settle does not give the lock back."""

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


@exhibit("disposals-survive-reopening", "counters kept in memory: generations, epochs")
class CountsToOne(Logged):
    """Read again, a second disposal of an id is one too many."""

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
