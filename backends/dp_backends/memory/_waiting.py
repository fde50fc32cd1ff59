"""`LoopWaits`: the waits of one event loop, one of which watches the deadlines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeAlias, final

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from dp_backends.memory._store import MemoryStore, Result
from dp_core import Outcome, Pending
from dp_core.backend import Follower, LeaderFollowers, call_soon

__all__ = ["LoopWaits"]

_Follower: TypeAlias = Follower["LoopWaits", Outcome[bytes]]

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
        self._group: LeaderFollowers[LoopWaits, Outcome[bytes]] = LeaderFollowers(_lead)
        # None where nobody waits: either would keep the event loop alive.
        self._token: EventLoopToken | None = None
        self._bell: anyio.Event | None = None

    async def wait(self, id: str, handle: Handle) -> Outcome[bytes]:
        """
        Return the outcome of a promise, as soon as there is one.

        Raises:
            PromiseDisposedError: It was disposed of meanwhile.
            BackendClosedError: The handle was closed meanwhile.
        """
        store = self._store
        waiter = _LoopWaiter(handle, self, Follower(self._group, self))
        with store.lock:
            handle.check_open()
            state = store.state(id)
            if not isinstance(state, Pending):
                return state
            store.waiters[id].add(waiter)
            store.timers.add(self)
            self._token = current_token()
        try:
            return await waiter.follower.join()
        finally:
            with store.lock:
                store.forget(id, waiter)
                if not self._group:
                    store.timers.discard(self)
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

    def end(self, follower: _Follower, result: Result) -> None:
        """End a wait; called by any thread."""
        self._call(partial(self._end, follower, result))

    def _call(self, call: Callable[[], object]) -> None:
        if (token := self._token) is not None:
            call_soon(token, call)

    def _end(self, follower: _Follower, result: Result) -> None:
        if isinstance(result, Exception):
            follower.set_exception(result)
        else:
            follower.set_result(result)
        # It may be the leader, who sleeps.
        self._wake()

    def _wake(self) -> None:
        if self._bell is not None:
            self._bell.set()


async def _lead(leader: _Follower) -> None:
    await leader.request.work()


@final
class _LoopWaiter:
    """
    A caller of `LoopWaits.wait`.

    Attributes:
        handle: The handle that was called.
        follower: The same caller, among those of its event loop.
    """

    def __init__(self, handle: Handle, waits: LoopWaits, follower: _Follower) -> None:
        self.handle = handle
        self.follower = follower
        self._waits = waits

    def end(self, result: Result) -> None:
        self._waits.end(self.follower, result)
