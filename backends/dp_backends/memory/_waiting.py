"""`LoopWaits`: the waits of one event loop, one of which watches the deadlines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final, Protocol, final

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from dp_backends.memory._store import MemoryStore, Result, WaitingCaller
from dp_core import Outcome, Pending
from dp_core.backend import (
    Follower,
    LeaderFollowers,
    Told,
    Watch,
    Watched,
    call_soon,
)

__all__ = ["LoopWaits"]

_BATCH: Final = 256
"""The most promises that the leader settles before others get their turn."""


class Handle(Protocol):
    """A handle on the store, which may be closed."""

    def check_open(self) -> None:
        """Raise `BackendClosedError` if it was closed."""


@final
class LoopWaits:
    """
    All waits of one event loop for the promises of one store.

    The first of the waiters leads (`LeaderFollowers`): it sleeps until the next
    deadline, and settles what is over, so that all are told although nobody else acts.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._group: LeaderFollowers[_MemoryWait, Outcome[bytes]] = LeaderFollowers(
            _lead
        )
        # Those whose waits other threads have ended.
        self._ended: list[tuple[WaitingCaller, Result]] = []
        # None where nobody waits: either would keep the event loop alive.
        self._token: EventLoopToken | None = None
        self._bell: anyio.Event | None = None
        self._watching = 0

    async def wait(self, id: str, handle: Handle) -> Outcome[bytes]:
        """
        Return the outcome of a promise, as soon as there is one.

        Raises:
            PromiseDisposedError: It was disposed of meanwhile.
            BackendClosedError: The handle was closed meanwhile.
        """
        store = self._store
        follower = Follower(self._group, _MemoryWait(handle, self))
        with store.lock:
            handle.check_open()
            state = store.state(id)
            if not isinstance(state, Pending):
                return state
            store.waiters.add(id, follower)
            self._begin()
        try:
            return await follower.join()
        finally:
            with store.lock:
                store.waiters.discard(id, follower)
                self._end_if_alone()

    @asynccontextmanager
    async def watch(
        self, ids: Collection[str], handle: Handle
    ) -> AsyncIterator[AsyncIterator[Told]]:
        """Watch promises; see `dp_core.backend.Watchable`."""
        store, request = self._store, _MemoryWait(handle, self)
        watch = Watch(ids, self._group, request)
        waiters: dict[str, WaitingCaller] = {}
        with store.lock:
            handle.check_open()
            for id in watch.untold:
                state = store.state(id)
                if isinstance(state, Pending):
                    waiters[id] = Watched(watch, id, request)
                    store.waiters.add(id, waiters[id])
                else:
                    watch.tell(id, state)
            self._begin()
            self._watching += 1
        try:
            yield watch
        finally:
            watch.end()
            with store.lock:
                for id, waiter in waiters.items():
                    store.waiters.discard(id, waiter)
                self._watching -= 1
                self._end_if_alone()

    def _begin(self) -> None:
        self._store.timers.add(self)
        self._token = current_token()

    def _end_if_alone(self) -> None:
        if not (self._group or self._watching):
            self._store.timers.discard(self)
            self._token = self._bell = None

    async def work(self) -> None:
        """Settle what is over, then sleep until the next deadline or a ring."""
        # Before the look, so that no ring is missed.
        bell = self._bell = anyio.Event()
        pause = self._store.sweep(_BATCH)
        if pause is None:
            # No cancel scope: where an event loop was closed over its waits, the
            # collector ends them at any time, and a scope then needs a loop.
            await bell.wait()
        else:
            with anyio.move_on_after(pause):
                await bell.wait()

    def ring(self) -> None:
        """Let the leader look again; called by any thread."""
        self._call(self._wake)

    def end(self, waiter: WaitingCaller, result: Result) -> None:
        """End a wait; called by any thread, with the lock."""
        self._ended.append((waiter, result))
        if len(self._ended) == 1:
            self._call(self._end_waits)

    def _call(self, call: Callable[[], object]) -> None:
        if (token := self._token) is not None:  # pragma: no branch - left just now
            call_soon(token, call)

    def _end_waits(self) -> None:
        with self._store.lock:
            ended, self._ended = self._ended, []
        for waiter, result in ended:
            if isinstance(result, Exception):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)
        # It may be the leader, who sleeps.
        self._wake()

    def _wake(self) -> None:
        if self._bell is not None:
            self._bell.set()


async def _lead(leader: Follower[_MemoryWait, Outcome[bytes]]) -> None:
    await leader.request.waits.work()


@final
class _MemoryWait:
    """
    A wait by some handle.

    Attributes:
        handle: The handle that was called.
        waits: The waits of its event loop.
    """

    __slots__ = ("handle", "waits")

    def __init__(self, handle: Handle, waits: LoopWaits) -> None:
        self.handle = handle
        self.waits = waits

    def end(self, waiter: WaitingCaller, result: Result) -> None:
        self.waits.end(waiter, result)
