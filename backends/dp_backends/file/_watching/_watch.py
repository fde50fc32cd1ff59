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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeAlias, final
from weakref import WeakSet

import anyio
from anyio import CapacityLimiter
from anyio.lowlevel import EventLoopToken, current_token

from dp_backends._system import Inotify, open_inotify
from dp_backends.file._layout import FileName, Kind, Place
from dp_backends.file._read_batcher import Finding
from dp_backends.file._reading import Known, View
from dp_backends.file._store import FileStore
from dp_backends.file._watching._entries import Entry, Waiter, WaitRequest
from dp_backends.file._watching._looking import look_again
from dp_core import Outcome
from dp_core.backend import (
    Deadlines,
    Follower,
    LeaderFollowers,
    LoopLocal,
    call_soon,
    in_thread,
    now,
    watch_clock,
)

__all__ = ["WATCHERS", "WatchStats", "Watcher"]

_HELP_AFTER: Final = 0.02
"""Seconds that a writer may take from visible to durable before a reader helps."""

_AT_ONCE: Final = -math.inf
"""A pause before all looks that are only due because time has passed."""

_BATCH: Final = 256

_UNHURRIED: Final = 1.0
_GRID: Final = 0.5
"""Looks after a pause of the one or more come at multiples of the other, in seconds."""

_log: Final = logging.getLogger("dp_backends.file")


@final
@dataclass(frozen=True, slots=True)
class WatchStats:
    """
    The size of a `Watcher`, for tests and for the curious.

    Attributes:
        promises: The promises waited for, counted once for each handle.
        joined: The waiters for whom no look has counted yet.
        waiting: The waiters that know that their promise is pending.
        directories: The directories in which these promises are.
        watched: Those of them that the kernel watches.
    """

    promises: int
    joined: int
    waiting: int
    directories: int
    watched: int


_Key: TypeAlias = tuple[str, str]


@final
class Watcher:
    """All waits of one event loop, in whatever stores."""

    def __init__(self) -> None:
        self._waiters: LeaderFollowers[WaitRequest, Outcome[bytes]] = LeaderFollowers(
            _lead
        )
        # The entries of one promise, by shard and name, which events have.
        self._entries: dict[_Key, dict[FileStore, Entry]] = {}
        self._directories: Counter[str] = Counter()
        self._inotify: Inotify | None = None
        self._limiter = CapacityLimiter(1)
        self._nap = anyio.CancelScope()
        self._look = 0
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

    async def wait(self, store: FileStore, place: Place) -> Outcome[bytes]:
        """
        Return the promise's outcome, as soon as there is one.

        Raises:
            PromiseDisposedError: It was disposed of meanwhile.
            BackendError: The store could not be read.
        """
        waiter = Follower(self._waiters, WaitRequest(self, self._look))
        with self._registered(store, place, waiter):
            return await waiter.join()

    def stats(self) -> WatchStats:
        """Return the present size of everything."""
        entries = list(self._all_entries())
        return WatchStats(
            promises=len(entries),
            joined=sum(len(entry.joined) for entry in entries),
            waiting=sum(len(entry.waiting) for entry in entries),
            directories=len(self._directories),
            watched=0 if self._inotify is None else len(self._inotify),
        )

    def _all_entries(self) -> Iterator[Entry]:
        for entries in self._entries.values():
            yield from entries.values()

    @contextmanager
    def _registered(
        self, store: FileStore, place: Place, waiter: Waiter
    ) -> Iterator[None]:
        key = (place.shard, place.name)
        entries = self._entries.setdefault(key, {})
        if store not in entries:
            entries[store] = Entry(store, place, self._watch(place.shard))
        entry = entries[store]
        entry.joined.add(waiter)
        self._schedule(entry, _AT_ONCE)
        try:
            yield
        finally:
            entry.joined.discard(waiter)
            entry.waiting.discard(waiter)
            if not (entry.joined or entry.waiting):
                self._forget(key, entry)

    def _forget(self, key: _Key, entry: Entry) -> None:
        entries = self._entries.get(key, {})
        # Waiters that were woken together come here one after another.
        if entries.get(entry.store) is entry:
            del entries[entry.store]
            if not entries:
                del self._entries[key]
            entry.due = math.inf
            self._deadlines.set(entry, None)
            self._unwatch(entry.place.shard)

    # Leading ----------------------------------------------------------------

    async def work(self) -> None:
        """Do one round of the leader's work: look at what is due, or sleep."""
        self._read_events()
        for entry in self._deadlines.take_over(now()):
            entry.known = None
            self._schedule(entry, _AT_ONCE)
        if batch := self._take_due():
            await self._look_at(batch)
        else:
            await self._sleep()

    async def _sleep(self) -> None:
        # Before the look at the clock, so that no call of `clock_was_set` is missed.
        self._token = current_token()
        try:
            await self._sleep_until_due()
        finally:
            self._token = None

    async def _sleep_until_due(self) -> None:
        deadline = self._due[0][0] if self._due else math.inf
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
            findings = await in_thread(look_again, looks, limiter=self._limiter)
        except BaseException:
            # Cancelled: the next leader has to look.
            for entry in batch:
                self._schedule(entry, _AT_ONCE)
            raise
        for entry, finding in zip(batch, findings, strict=True):
            entry.apply(finding, look)
            self._note(entry, finding)
            if isinstance(finding, View) and (entry.joined or entry.waiting):
                self._deadlines.set(entry, finding.deadline)
            self._schedule(entry, entry.next_pause(len(self._entries)))

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

    def _schedule(self, entry: Entry, pause: float) -> None:
        """Let the entry be looked at after *pause* seconds, or before."""
        due = anyio.current_time() + pause
        if pause >= _UNHURRIED:
            # So that looks that need not be exact share a hop to the thread.
            due = math.ceil(due / _GRID) * _GRID
        if due < entry.due and (entry.joined or entry.waiting):
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
                pause = _AT_ONCE if event.deleted else _HELP_AFTER
                for entry in self._entries.get(
                    (event.directory, file.name), {}
                ).values():
                    self._schedule(entry, pause)


async def _lead(leader: Waiter) -> None:
    await leader.request.watcher.work()


WATCHERS: Final = LoopLocal(Watcher)
"""The watcher of each event loop."""
