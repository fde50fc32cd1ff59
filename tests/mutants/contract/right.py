"""
`Right`, a right backend, independent of those of this project.

It and those in `mutants.contract.techniques` were written from the contract alone,
each with another technique, and none runs `dp_core.transition`. The kit must pass
all of them; the mutants are subclasses of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
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


class Eager(Right):
    """Right, without checkpoints where none is needed; usable after it was closed."""

    async def turn(self) -> None:
        pass
