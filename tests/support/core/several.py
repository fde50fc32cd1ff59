"""Stores whose waits are counted, and who settles or cancels while others wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

import dp_core as dp
from dp_core.backend import Told, Watchable
from support.core.five_methods import FiveMethods

__all__ = ["LIMIT", "Cancelling", "OneWatch", "handle", "is_left", "later"]

LIMIT: Final = 30.0
TURNS: Final = 40
"""Turns of the event loop after which whoever has to wait does."""

STORES: Final = count()


class OneWatch(FiveMethods):
    """A backend that watches, and counts what is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.watches: list[Collection[str]] = []
        self.open = 0

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        assert isinstance(self.inner, Watchable)
        self.watches.append(ids)
        self.open += 1
        try:
            async with self.inner.watch(ids) as watch:
                yield watch
        finally:
            self.open -= 1


@dataclass
class Cancelling:
    """Cancels a scope at one of the moments before and after each checkpoint."""

    scope: anyio.CancelScope
    at: int
    moments: int = 0

    def moment(self) -> None:
        self.moments += 1
        if self.moments == self.at:
            self.scope.cancel()


def handle(backend: FiveMethods) -> dp.Promises:
    """Return a handle on a store with a URL of its own."""
    return dp.Promises(backend, f"test:{next(STORES)}")


def is_left(backend: FiveMethods) -> bool:
    """Tell whether anything waits there."""
    return any(backend.waits.values()) or bool(getattr(backend, "open", 0))


async def later(*settles: Callable[[], Awaitable[object]]) -> None:
    """Do one thing after another, when all others wait."""
    for settle in settles:
        for _ in range(TURNS):
            await checkpoint()
        await settle()
