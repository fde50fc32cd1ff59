"""
`Watcher`: waits for promises, with no thread, descriptor or task of their own.

All waits of one event loop share one `Watcher`. One of the waiters leads
(`LeaderFollowers`): in its own task it sleeps until the kernel reports a change or
a look is due, looks at the promises that may have changed, and gives the others
their outcomes. So nothing runs when nobody waits, and no waiter depends on the
life of another.

A wake-up cannot be lost: a waiter is registered, and its directory watched,
before the first look that counts for it, and every look is repeated after a
while, whatever the kernel reported.

A failure that may pass ends no wait: whoever waits looks again after a pause.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final, final
from weakref import WeakSet

import anyio
from anyio import CapacityLimiter
from anyio.lowlevel import EventLoopToken, current_token

from dp_backends.file._layout import Place
from dp_backends.file._read_batcher import Finding
from dp_backends.file._reading import Known, View
from dp_backends.file._store import FileStore
from dp_backends.file._watching._entries import (
    Entry,
    Waiter,
    WaitRequest,
    WatchRequest,
    WatchStats,
)
from dp_backends.file._watching._handles import WaitingHandles
from dp_backends.file._watching._looking import see_and_look
from dp_backends.file._watching._net import Net, see
from dp_backends.file._watching._reports import KernelReports
from dp_backends.file._watching._schedule import AT_ONCE, LookSchedule
from dp_core import Outcome
from dp_core.backend import (
    Closable,
    Deadlines,
    Follower,
    LeaderFollowers,
    LoopLocal,
    Told,
    Waiters,
    Watch,
    Watched,
    call_soon,
    in_thread,
    now,
    watch_clock,
)

__all__ = ["WATCHERS", "Watcher"]

_NET_LOOKS: Final = 50
"""The most looks in a second at promises of directories that have changed."""

_LOOKS_ALONE: Final = 500
"""The same where the kernel does not report, and looks are all there is."""

_log: Final = logging.getLogger("dp_backends.file")


@final
class Watcher:
    """All waits of one event loop, in whatever stores."""

    def __init__(self) -> None:
        self._waiters: LeaderFollowers[WaitRequest, Outcome[bytes]] = LeaderFollowers(
            _lead
        )
        # The entries of one promise, by its name, which events have.
        self._entries: Waiters[str, Entry] = Waiters()
        self._reports = KernelReports()
        self._limiter = CapacityLimiter(1)
        self._nap = anyio.CancelScope()
        self._look = 0
        self._handles = WaitingHandles()
        self._net = Net()
        self._round_due = AT_ONCE
        self._schedule = LookSchedule()
        # Stores of which it was said that they fail.
        self._failing: WeakSet[FileStore] = WeakSet()
        self._deadlines: Deadlines[Entry] = Deadlines()
        # Of the event loop, while the leader sleeps; it would keep the loop alive.
        self._token: EventLoopToken | None = None
        watch_clock(self)

    async def wait(
        self, store: FileStore, place: Place, life: Closable | None = None
    ) -> Outcome[bytes]:
        """
        Return the promise's outcome, as soon as there is one.

        Args:
            store: The store of the handle.
            place: The promise.
            life: The life of the handle; its end ends the wait.

        Raises:
            PromiseDisposedError: It was disposed of meanwhile.
            BackendClosedError: The handle was closed.
            BackendError: The store could not be read.
        """
        waiter = Follower(self._waiters, WaitRequest(self, self._look))
        entry = self._register(store, place, waiter, life)
        try:
            return await waiter.join()
        finally:
            self._leave(entry, waiter)

    @asynccontextmanager
    async def watch(
        self, store: FileStore, ids: Collection[str], life: Closable | None = None
    ) -> AsyncIterator[AsyncIterator[Told]]:
        """Watch promises; see `dp_core.backend.Watchable`."""
        watch = Watch(ids, self._waiters, WaitRequest(self, self._look))
        waiting: list[tuple[Entry, Waiter]] = []
        try:
            for id in watch.untold:
                request = WatchRequest(self, self._look, watch=watch)
                waiter: Waiter = Watched(watch, id, request)
                entry = self._register(store, store.place(id), waiter, life)
                waiting.append((entry, waiter))
            await watch.all_seen()
            watch.sort(ids)
            yield watch
        finally:
            watch.end()
            for entry, waiter in waiting:
                self._leave(entry, waiter)

    def end_waits(self, store: FileStore, error: Exception) -> None:
        """End all waits of one handle; called in the event loop."""
        for entry in self._all_entries():
            if entry.store is store:
                for waiter in entry.all_waiters():
                    waiter.set_exception(error)
        self._wake()

    def stats(self) -> WatchStats:
        """Return the present size of everything."""
        entries = list(self._all_entries())
        requests = [w.request for entry in entries for w in entry.all_waiters()]
        waiting = sum(request.has_joined for request in requests)
        return WatchStats(
            promises=len(entries),
            joined=len(requests) - waiting,
            waiting=waiting,
            directories=len(self._reports.directories),
            watched=self._reports.watched,
        )

    def _all_entries(self) -> list[Entry]:
        return self._entries.all()

    def _entry(self, name: str, store: FileStore) -> Entry | None:
        return next((e for e in self._entries.of(name) if e.store is store), None)

    def _register(
        self, store: FileStore, place: Place, waiter: Waiter, life: Closable | None
    ) -> Entry:
        self._handles.enter(store, life, self.end_waits)
        entry = self._entry(place.name, store)
        if entry is None:
            entry = Entry(store, place, self._reports.watch(place.shard))
            self._entries.add(place.name, entry)
        entry.add(waiter)
        self._net.begin()
        self._look_by(entry, AT_ONCE)
        return entry

    def _leave(self, entry: Entry, waiter: Waiter) -> None:
        entry.discard(waiter)
        key = entry.place.name
        # Waiters that were woken together come here one after another.
        if entry.waiters is None and self._entry(key, entry.store) is entry:
            self._entries.discard(key, entry)
            self._schedule.discard(entry)
            self._deadlines.set(entry, None)
            self._reports.unwatch(entry.place.shard)
        self._handles.leave(entry.store)

    # Leading ----------------------------------------------------------------

    async def work(self) -> None:
        """Do one round of the leader's work: look at what is due, or sleep."""
        self._read_events()
        for entry in self._deadlines.take_over(now()):
            entry.known = None
            self._look_by(entry, AT_ONCE)
        if batch := self._schedule.take(anyio.current_time()):
            await self._look_at(batch)
        elif anyio.current_time() >= self._round_due:
            await self._make_round()
        else:
            await self._sleep()

    async def _make_round(self) -> None:
        """Look at the directories, and at what is in those that have changed."""
        directories = tuple(self._reports.directories)
        # Not noted by the thread: who leads may be cancelled meanwhile.
        seen = await in_thread(see, directories, limiter=self._limiter)
        if changed := self._net.changed(seen, is_local=not self._reports.has_remote):
            entries = [e for e in self._all_entries() if e.place.shard in changed]
            # Of many, a budget of looks a second, that share hops to the thread.
            looks = _NET_LOOKS if self._reports.are_whole else _LOOKS_ALONE
            pauses = math.ceil(len(entries) / looks)
            time = anyio.current_time()
            for number, entry in enumerate(entries):
                due = time + number % pauses if pauses > 1 else AT_ONCE
                self._look_by(entry, due)
        pause = self._net.next_pause(reported=self._reports.are_whole)
        self._round_due = anyio.current_time() + pause

    async def _sleep(self) -> None:
        # Before the look at the clock, so that no call of `clock_was_set` is missed.
        self._token = current_token()
        try:
            await self._sleep_until_due()
        finally:
            self._token = None

    async def _sleep_until_due(self) -> None:
        deadline = min(self._schedule.first(), self._round_due)
        if (pause := self._deadlines.pause(now())) is not None:
            deadline = min(deadline, anyio.current_time() + pause)
        with anyio.CancelScope(deadline=deadline) as self._nap:
            await self._reports.wait()

    async def _look_at(self, batch: list[Entry]) -> None:
        self._look += 1
        look = self._look
        for entry in batch:
            self._reports.watch_again(entry)
        looks = [(entry.store, entry.place, entry.known) for entry in batch]
        try:
            seen, findings = await in_thread(
                see_and_look,
                self._net.new(entry.place.shard for entry in batch),
                looks,
                limiter=self._limiter,
            )
        except BaseException:
            # Cancelled: the next leader has to look.
            for entry in batch:
                self._look_by(entry, AT_ONCE)
            raise
        self._net.note(seen)
        for entry, finding in zip(batch, findings, strict=True):
            entry.apply(finding, look)
            self._note(entry, finding)
            self._reports.has_remote |= entry.store.is_remote
            if isinstance(finding, View) and entry.waiters is not None:
                self._deadlines.set(entry, finding.deadline)
            if entry.failures:
                pause = entry.pause_after_failure()
                self._look_by(entry, anyio.current_time() + pause)
        if not self._reports.are_whole:
            # The kernel will not say when there is something to see.
            pause = self._net.next_pause(reported=False)
            self._round_due = min(self._round_due, anyio.current_time() + pause)

    def _note(self, entry: Entry, finding: Finding | Known) -> None:
        """Say once that a store fails, unless that is over at once."""
        if not entry.failures:
            self._failing.discard(entry.store)
        elif entry.failures > 1 and entry.store not in self._failing:
            self._failing.add(entry.store)
            _log.warning("%s; who waits there goes on waiting", finding)

    def clock_was_set(self) -> None:
        """Look at the clock again; see `dp_core.backend.ClockWatcher`."""
        if (token := self._token) is not None:
            call_soon(token, self._wake)

    def _wake(self) -> None:
        self._nap.deadline = AT_ONCE

    def _look_by(self, entry: Entry, due: float) -> None:
        """Let the entry be looked at then, by the event loop's clock, or before."""
        if self._schedule.add(entry, due):
            self._nap.deadline = min(self._nap.deadline, due)

    def _read_events(self) -> None:
        for entry, due in self._reports.read(self._entries):
            self._look_by(entry, due)


async def _lead(leader: Follower[WaitRequest, Outcome[bytes]]) -> None:
    await leader.request.watcher.work()


WATCHERS: Final = LoopLocal(Watcher)
"""The watcher of each event loop."""
