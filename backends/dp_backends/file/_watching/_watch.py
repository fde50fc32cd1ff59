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

import heapq
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Final, final
from weakref import WeakSet

import anyio
from anyio import CapacityLimiter
from anyio.lowlevel import EventLoopToken, current_token

from dp_backends._system import Inotify, open_inotify
from dp_backends.file._layout import FileName, Kind, Place
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
from dp_backends.file._watching._looking import see_and_look
from dp_backends.file._watching._net import Net, see
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

_HELP_AFTER: Final = 0.02
"""Seconds that a writer may take from visible to durable before a reader helps."""

_AT_ONCE: Final = -math.inf
"""A time before all those at which looks are due because time has passed."""

_BATCH: Final = 256

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
        self._directories: Counter[str] = Counter()
        self._inotify: Inotify | None = None
        self._limiter = CapacityLimiter(1)
        self._nap = anyio.CancelScope()
        self._look = 0
        # The number of waiters of each handle, and how its end ends them.
        self._waits_of: Counter[FileStore] = Counter()
        self._ends: dict[FileStore, tuple[Closable, Callable[[], None]]] = {}
        self._net = Net()
        self._round_due = _AT_ONCE
        self._has_remote = False
        # Due times with their entries; an entry whose time has changed since
        # is skipped, so that changing it is cheap.
        self._due: list[tuple[float, int, Entry]] = []
        self._order = count()
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
            directories=len(self._directories),
            watched=0 if self._inotify is None else len(self._inotify),
        )

    def _all_entries(self) -> list[Entry]:
        return self._entries.all()

    def _entry(self, name: str, store: FileStore) -> Entry | None:
        return next((e for e in self._entries.of(name) if e.store is store), None)

    def _register(
        self, store: FileStore, place: Place, waiter: Waiter, life: Closable | None
    ) -> Entry:
        if life is not None:
            life.check_open()
            if store not in self._ends:
                end = partial(self.end_waits, store, life.closed())
                life.add(end)
                self._ends[store] = life, end
        self._waits_of[store] += 1
        entry = self._entry(place.name, store)
        if entry is None:
            entry = Entry(store, place, self._watch(place.shard))
            self._entries.add(place.name, entry)
        entry.add(waiter)
        self._net.begin()
        self._schedule(entry, _AT_ONCE)
        return entry

    def _leave(self, entry: Entry, waiter: Waiter) -> None:
        entry.discard(waiter)
        key = entry.place.name
        # Waiters that were woken together come here one after another.
        if entry.waiters is None and self._entry(key, entry.store) is entry:
            self._entries.discard(key, entry)
            entry.due = math.inf
            self._deadlines.set(entry, None)
            self._unwatch(entry.place.shard)
        self._waits_of[entry.store] -= 1
        if not self._waits_of[entry.store]:
            del self._waits_of[entry.store]
            if entry.store in self._ends:
                life, end = self._ends.pop(entry.store)
                life.discard(end)

    # Leading ----------------------------------------------------------------

    async def work(self) -> None:
        """Do one round of the leader's work: look at what is due, or sleep."""
        self._read_events()
        for entry in self._deadlines.take_over(now()):
            entry.known = None
            self._schedule(entry, _AT_ONCE)
        if batch := self._take_due():
            await self._look_at(batch)
        elif anyio.current_time() >= self._round_due:
            await self._make_round()
        else:
            await self._sleep()

    async def _make_round(self) -> None:
        """Look at the directories, and at what is in those that have changed."""
        directories = tuple(self._directories)
        # Not noted by the thread: who leads may be cancelled meanwhile.
        seen = await in_thread(see, directories, limiter=self._limiter)
        if changed := self._net.changed(seen, is_local=not self._has_remote):
            entries = [e for e in self._all_entries() if e.place.shard in changed]
            # Of many, a budget of looks a second, that share hops to the thread.
            looks = _NET_LOOKS if self._is_reported else _LOOKS_ALONE
            pauses = math.ceil(len(entries) / looks)
            time = anyio.current_time()
            for number, entry in enumerate(entries):
                due = time + number % pauses if pauses > 1 else _AT_ONCE
                self._schedule(entry, due)
        pause = self._net.next_pause(reported=self._is_reported)
        self._round_due = anyio.current_time() + pause

    @property
    def _is_reported(self) -> bool:
        """Whether the kernel reports all changes."""
        return (
            self._inotify is not None
            and len(self._inotify) >= len(self._directories)
            and not self._has_remote
        )

    async def _sleep(self) -> None:
        # Before the look at the clock, so that no call of `clock_was_set` is missed.
        self._token = current_token()
        try:
            await self._sleep_until_due()
        finally:
            self._token = None

    async def _sleep_until_due(self) -> None:
        deadline = min(self._due[0][0] if self._due else math.inf, self._round_due)
        if (pause := self._deadlines.pause(now())) is not None:
            deadline = min(deadline, anyio.current_time() + pause)
        with anyio.CancelScope(deadline=deadline) as self._nap:
            if self._inotify is None:
                await anyio.sleep_forever()
            else:
                await anyio.wait_readable(self._inotify.fd)

    async def _look_at(self, batch: list[Entry]) -> None:
        self._look += 1
        look = self._look
        for entry in batch:
            self._watch_again(entry)
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
                self._schedule(entry, _AT_ONCE)
            raise
        self._net.note(seen)
        for entry, finding in zip(batch, findings, strict=True):
            entry.apply(finding, look)
            self._note(entry, finding)
            self._has_remote = self._has_remote or entry.store.is_remote
            if isinstance(finding, View) and entry.waiters is not None:
                self._deadlines.set(entry, finding.deadline)
            if entry.failures:
                pause = entry.pause_after_failure()
                self._schedule(entry, anyio.current_time() + pause)
        if not self._is_reported:
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
        self._nap.deadline = _AT_ONCE

    # What is due ------------------------------------------------------------

    def _schedule(self, entry: Entry, due: float) -> None:
        """Let the entry be looked at then, by the event loop's clock, or before."""
        if due < entry.due and entry.waiters is not None:
            entry.due = due
            heapq.heappush(self._due, (due, next(self._order), entry))
            self._nap.deadline = min(self._nap.deadline, due)

    def _take_due(self) -> list[Entry]:
        time = anyio.current_time()
        batch: list[Entry] = []
        while self._due and self._due[0][0] <= time and len(batch) < _BATCH:
            due, _, entry = heapq.heappop(self._due)
            if due == entry.due:
                entry.due = math.inf
                batch.append(entry)
        return batch

    # What the kernel reports ------------------------------------------------

    def _watch(self, directory: str) -> bool:
        if self._inotify is None:
            self._inotify = open_inotify()
        self._directories[directory] += 1
        return self._inotify is not None and self._inotify.add(directory)

    def _watch_again(self, entry: Entry) -> None:
        """Watch a directory that was made or replaced since."""
        if self._inotify is None:
            return
        identity = entry.store.identity
        if entry.watched not in (None, identity):
            self._inotify.remove(entry.place.shard)
            entry.is_watched = False
        entry.watched = identity
        entry.is_watched = entry.is_watched or self._inotify.add(entry.place.shard)

    def _unwatch(self, directory: str) -> None:
        self._directories[directory] -= 1
        if not self._directories[directory]:
            del self._directories[directory]
            if self._inotify is not None:
                self._inotify.remove(directory)

    def _read_events(self) -> None:
        if self._inotify is None:
            return
        for event in self._inotify.read():
            if event.directory is None or event.file is None:
                # Events were dropped, or the directory is gone.
                for entry in self._all_entries():
                    if entry.place.shard == event.directory:
                        entry.is_watched = False
                    self._schedule(entry, _AT_ONCE)
                continue
            file = FileName.of(event.file)
            if event.deleted == (file.kind is Kind.TEMPORARY):
                # A temporary name disappears when the record is durable.
                due = _AT_ONCE if event.deleted else anyio.current_time() + _HELP_AFTER
                for entry in self._entries.of(file.name):
                    if entry.place.shard == event.directory:
                        self._schedule(entry, due)


async def _lead(leader: Follower[WaitRequest, Outcome[bytes]]) -> None:
    await leader.request.watcher.work()


WATCHERS: Final = LoopLocal(Watcher)
"""The watcher of each event loop."""
