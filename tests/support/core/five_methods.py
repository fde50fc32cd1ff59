"""`FiveMethods`: a backend that has what every backend has, and counts its waits."""

from __future__ import annotations

from collections import Counter
from itertools import count

from anyio.lowlevel import checkpoint

from dp_core import (
    Backend,
    BackendUnavailableError,
    CorruptPromiseError,
    Outcome,
    State,
    connect,
)

__all__ = ["FiveMethods"]

_STORES = count()


class FiveMethods(Backend):
    """
    A backend with a store of its own, that has the five methods only.

    Attributes:
        waits: How many waits are under way, for each id.
        is_away: Whether a peek fails.
        damaged: The id of a promise that cannot be read.
    """

    def __init__(self) -> None:
        self.inner = connect(f"memory:five-methods-{next(_STORES)}").backend
        self.waits: Counter[str] = Counter()
        self.is_away = False
        self.damaged = ""

    async def peek(self, id: str) -> State[bytes]:
        if self.is_away:
            raise BackendUnavailableError("away")
        # Later ids are looked at faster.
        for _ in range(10 - len(id)):
            await checkpoint()
        return await self.inner.peek(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        return await self.inner.settle(id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        if id == self.damaged:
            raise CorruptPromiseError("damaged")
        self.waits[id] += 1
        try:
            return await self.inner.wait(id)
        finally:
            self.waits[id] -= 1

    async def dispose(self, id: str) -> None:
        await self.inner.dispose(id)

    async def aclose(self) -> None:
        await self.inner.aclose()
