"""
`LoopWatcher`: all waits of one event loop for promises of one store.

One of the waiters leads (`LeaderFollowers`): it asks what has changed since it last
asked, and looks at what of that somebody waits for. It sleeps until a change is
reported, a deadline is over, or a pause that grows: reports make a wait fast, and its
end depends on none of them.

A waiter whose promise has another generation than it began with hears of the disposal.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from typing import Any, Final, final

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from dp_backends.sql._rows import PENDING, PromiseRow, moment
from dp_backends.sql._waits._listener import Listener
from dp_backends.sql._waits._news import MOST, read_news
from dp_backends.sql._waits._pace import AT_ONCE, Pace
from dp_backends.sql._waits._waited_store import Store
from dp_backends.sql._waits._waiters import WaitCall, Waiter, WatchedCall
from dp_backends.sql._working import Ask, LookCall
from dp_core import (
    BackendError,
    CorruptPromiseError,
    Outcome,
    Pending,
    PromiseDisposedError,
)
from dp_core.backend import (
    Closable,
    Deadlines,
    Follower,
    LeaderFollowers,
    Told,
    Waiters,
    Watch,
    Watched,
    call_soon,
    watch_clock,
)

__all__ = ["LoopWatcher"]

_log: Final = logging.getLogger(__name__)


@final
class LoopWatcher:
    """
    All waits of one event loop for promises of one store.

    Args:
        store: The store.
        life: The life of the handle; its end ends them.
    """

    def __init__(self, store: Store, life: Closable) -> None:
        self._store = store
        self._life = life
        self._group: LeaderFollowers[WaitCall, Outcome[bytes]] = LeaderFollowers(_lead)
        self._waiters: Waiters[bytes, Waiter] = Waiters()
        # To be looked at, by all means.
        self._unseen: dict[bytes, None] = {}
        self._look = 0
        self._listener: Listener | None = None
        self._since: Any = None
        self._deadlines: Deadlines[bytes] = Deadlines()
        self._was_reached = False
        self._pace = Pace()
        self._nap = anyio.CancelScope()
        # Of the leader's work.
        self._work_scope = anyio.CancelScope()
        # While somebody leads; it would keep the event loop alive.
        self._token: EventLoopToken | None = None
        watch_clock(self)

    async def wait(self, id: bytes) -> Outcome[bytes]:
        """
        Return the outcome of a promise, as soon as there is one.

        Raises:
            PromiseDisposedError: It was disposed of meanwhile.
            BackendClosedError: The handle was closed.
            BackendError: The store was never reached, or is damaged.
        """
        waiter = Follower(self._group, WaitCall(self, self._look))
        self._register(id, waiter)
        try:
            return await waiter.join()
        finally:
            self._forget(id, waiter)

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        """Watch promises; see `dp_core.backend.Watchable`."""
        watch = Watch(ids, self._group, WaitCall(self, self._look))
        waiters: dict[bytes, Waiter] = {
            id.encode(): Watched(watch, id, WatchedCall(self, self._look, watch=watch))
            for id in watch.untold
        }
        try:
            for id, waiter in waiters.items():
                self._register(id, waiter)
            await watch.all_seen()
            watch.sort(ids)
            yield watch
        finally:
            watch.end()
            for id, waiter in waiters.items():
                self._forget(id, waiter)

    def _register(self, id: bytes, waiter: Waiter) -> None:
        self._life.check_open()
        if not self._waiters:
            self._life.add(self._end)
        self._waiters.add(id, waiter)
        self._unseen[id] = None
        self._wake()

    def _forget(self, id: bytes, waiter: Waiter) -> None:
        if self._waiters.discard(id, waiter):
            self._unseen.pop(id, None)
            self._deadlines.set(id, None)
        if not self._waiters:
            self._life.discard(self._end)
            # What happens until the next wait concerns nobody.
            self._since = None

    def _end(self) -> None:
        """End all waits, as the handle is closed; called in the event loop."""
        self._fail_all(self._life.closed())
        # Somebody leads, perhaps in a question that nobody answers.
        self._work_scope.cancel()

    def _fail_all(self, error: Exception) -> None:
        for waiter in self._waiters.all():
            waiter.set_exception(error)

    def close(self) -> None:
        """Hear no more, as nobody waits any more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    # Leading ----------------------------------------------------------------

    async def work(self) -> None:
        """Do one round of the leader's work: look, ask what has changed, or sleep."""
        self._token = current_token()
        try:
            with anyio.CancelScope() as self._work_scope:
                await self._work()
        finally:
            self._token = None

    async def _work(self) -> None:
        if self._listener is None:
            self._listener = self._store.listen(self.ring)
        listener = self._listener
        heard = listener.read()
        self._pace.hear(heard, listener.pauses, anyio.current_time())
        self._unseen.update(dict.fromkeys(self._deadlines.take_over(self._store.now())))
        clock = anyio.current_time()
        if self._pace.may_look(clock) and self._unseen:
            await self._attempt(self._look_at_unseen)
        elif self._pace.is_due(clock):
            await self._attempt(self._ask_for_changes)
        else:
            await self._sleep(listener)

    async def _attempt(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except BackendError as error:
            self._fail(error)
        else:
            self._pace.succeeded()
            self._was_reached = True

    def _fail(self, error: BackendError) -> None:
        """Look again after a pause, if the failure may pass; else let all know."""
        if isinstance(error, CorruptPromiseError) or not self._was_reached:
            self._fail_all(error)
            return
        if self._pace.failed(anyio.current_time()) == 2:
            _log.warning("%s; who waits there goes on waiting", error)

    async def _look_at_unseen(self) -> None:
        if self._since is None:
            self._since, _ = await self._store.do(Ask(self._store.changes(None, ())))
        ids = list(islice(self._unseen, MOST))
        for id in ids:
            del self._unseen[id]
        self._look += 1
        look = self._look
        try:
            rows = await self._store.do(LookCall(*ids))
        except BaseException:
            # Cancelled: the next leader has to look.
            self._unseen.update(dict.fromkeys(id for id in ids if id in self._waiters))
            raise
        for row in rows.values():
            self._apply(row, look)

    def _apply(self, row: PromiseRow, look: int) -> None:
        """
        Let the waiters of a promise know what a look has found.

        It does not count for those that came while it was under way: it may have seen
        a generation that was disposed of before they came.
        """
        ready = [w for w in self._waiters.of(row.id) if w.request.since < look]
        try:
            state = row.promise_state()
            deadline = moment(row.deadline) if row.state == PENDING else None
        except CorruptPromiseError as error:
            for waiter in ready:
                waiter.set_exception(error)
            return
        for waiter in ready:
            request = waiter.request
            if not request.has_begun:
                request.begin(row.generation)
            elif row.generation not in (_FORGOTTEN, request.generation):
                waiter.set_exception(PromiseDisposedError(row.name))
            if not isinstance(state, Pending):
                waiter.set_result(state)
        if row.id in self._waiters:
            self._deadlines.set(row.id, deadline)

    async def _ask_for_changes(self) -> None:
        changes = self._store.changes(self._since, self._waiters)
        self._look += 1
        look = self._look
        news = await self._store.do(Ask(partial(read_news, changes)))
        self._since = news.since
        self._unseen.update(
            dict.fromkeys(id for id in news.rest if id in self._waiters)
        )
        for row in news.rows:
            self._apply(row, look)
        self._pace.asked(anyio.current_time(), has_deadlines=bool(self._deadlines))

    # Sleeping ---------------------------------------------------------------

    async def _sleep(self, listener: Listener) -> None:
        due = self._pace.next(to_look=bool(self._unseen))
        for pause in (self._deadlines.pause(self._store.now()), listener.pause):
            if pause is not None:
                due = min(due, anyio.current_time() + pause)
        # Nothing was awaited since the listener was read: who rings does it by a call
        # into the event loop, which comes when this sleeps.
        with anyio.CancelScope(deadline=due) as self._nap:
            await listener.wait()

    def clock_was_set(self) -> None:
        """Look at the clock again; see `dp_core.backend.ClockWatcher`."""
        self.ring()

    def ring(self) -> None:
        """Read the listener, and look at the clock, again; called by any thread."""
        if (token := self._token) is not None:
            call_soon(token, self._wake)

    def _wake(self) -> None:
        self._nap.deadline = AT_ONCE


_FORGOTTEN: Final = 0
"""Generation of a promise that was not disposed of, or so long ago that it is gone."""


async def _lead(leader: Follower[WaitCall, Outcome[bytes]]) -> None:
    await leader.request.watcher.work()
