"""
`MemoryBackend`: promises that live as long as this process.

``memory:`` and ``memory:name`` name its stores.

All handles of one process on one URL share the promises, from any number of
threads and event loops. This is the backend to read first: it runs the state
machine itself, where the others reach the same table through their medium.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Final, TypeAlias

import anyio
from anyio.lowlevel import EventLoopToken, checkpoint, current_token

from dp_core import (
    Backend,
    BackendClosedError,
    Outcome,
    Pending,
    PromiseDisposedError,
    State,
    hookimpl,
    settle_command,
    transition,
)
from dp_core.backend import call_soon
from dp_core.hookspecs import Register

__all__ = ["MemoryBackend"]


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("memory", MemoryBackend)


_Result: TypeAlias = Outcome[bytes] | PromiseDisposedError | BackendClosedError


@dataclass(eq=False)
class _MemoryWaiter:
    """
    A caller of `MemoryBackend.wait`.

    Attributes:
        handle: The handle that it was called on.
        event: Set when the wait has a result.
        token: The event loop of the caller.
        result: How the wait ends; None as long as it goes on.
    """

    handle: MemoryBackend
    event: anyio.Event = field(default_factory=anyio.Event)
    token: EventLoopToken = field(default_factory=current_token)
    result: _Result | None = None

    def end(self, result: _Result) -> None:
        """End the wait, if it has not ended; called by any thread."""
        if self.result is None:
            self.result = result
            call_soon(self.token, self.event.set)


@dataclass
class _MemoryStore:
    """The promises of one URL. Pending promises without waiters take no room."""

    # Re-entrant: the collector may end a wait of a dead event loop at any time,
    # also in a thread that holds the lock.
    lock: RLock = field(default_factory=RLock)
    states: dict[str, State[bytes]] = field(default_factory=dict)
    waiters: defaultdict[str, set[_MemoryWaiter]] = field(
        default_factory=lambda: defaultdict(set)
    )


_STORES: Final[dict[str, _MemoryStore]] = {}


def _forget_parent() -> None:
    """Let a forked child have what is settled, but not its parent's waiters."""
    for store in _STORES.values():
        store.lock = RLock()
        store.waiters.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


def _closed() -> BackendClosedError:
    return BackendClosedError("this handle was closed; connect() again")


class MemoryBackend(Backend):
    """
    A handle on the promises of one ``memory:`` URL of this process.

    Attributes:
        location: That URL, see `dp_core.backend.Located`.
    """

    def __init__(self, url: str) -> None:
        name = url.partition(":")[2]
        self.location: Final = f"memory:{name}"
        self._store = _STORES.setdefault(name, _MemoryStore())
        self._closed = False

    async def peek(self, id: str) -> State[bytes]:
        await self._checkpoint()
        return self._store.states.get(id, Pending())

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        await self._checkpoint()
        store = self._store
        with store.lock:
            before = store.states.get(id, Pending())
            after = transition(before, settle_command(outcome))
            store.states[id] = after
            for waiter in store.waiters.pop(id, ()):
                waiter.end(after)
        return after

    async def wait(self, id: str) -> Outcome[bytes]:
        await self._checkpoint()
        store = self._store
        waiter = _MemoryWaiter(self)
        with store.lock:
            self._check_open()
            state = store.states.get(id, Pending())
            if not isinstance(state, Pending):
                return state
            store.waiters[id].add(waiter)
        try:
            while waiter.result is None:
                await waiter.event.wait()
        finally:
            with store.lock:
                self._forget(id, waiter)
        if isinstance(waiter.result, Exception):
            raise waiter.result
        return waiter.result

    async def dispose(self, id: str) -> None:
        await self._checkpoint()
        store = self._store
        with store.lock:
            # The next generation is pending, and what is pending takes no room.
            store.states.pop(id, None)
            for waiter in store.waiters.pop(id, ()):
                waiter.end(PromiseDisposedError(id))

    async def settled(
        self, after: str | None, limit: int
    ) -> Sequence[tuple[str, Outcome[bytes]]]:
        """Return settled promises by their ids; see `dp_core.backend.Listable`."""
        await self._checkpoint()
        with self._store.lock:
            states = sorted(self._store.states.items())
        settled = [(id, s) for id, s in states if not isinstance(s, Pending)]
        start = 0 if after is None else bisect_right([id for id, _ in settled], after)
        return settled[start : start + limit]

    async def aclose(self) -> None:
        with self._store.lock:
            self._closed = True
            for waiters in self._store.waiters.values():
                for waiter in waiters:
                    if waiter.handle is self:
                        waiter.end(_closed())

    def _check_open(self) -> None:
        if self._closed:
            raise _closed()

    async def _checkpoint(self) -> None:
        self._check_open()
        await checkpoint()

    def _forget(self, id: str, waiter: _MemoryWaiter) -> None:
        waiters = self._store.waiters.get(id)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._store.waiters[id]
