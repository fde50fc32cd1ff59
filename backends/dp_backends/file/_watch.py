"""
Waiting for promises in directories: no thread, no descriptor, no background task.

All waits of one event loop share one `Watcher`. One of the waiters *leads*: in
its own task it sleeps until the kernel reports a change or a look is due, looks
at what may have changed, and tells the others. When it leaves, because it was
told or cancelled, it wakes another one, which leads from then on (the
leader/followers pattern: Schmidt et al., POSA 2, 2000). So nothing runs when
nobody waits, and no waiter depends on the life of another.

A wake-up cannot be lost: a waiter is registered, and its directory watched,
before the first look that counts for it, and every look is repeated after a
while, whatever the kernel said.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from itertools import chain, count
from random import uniform
from typing import Final, final

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from dp_backends.file._inotify import Inotify, open_inotify
from dp_backends.file._layout import TEMPORARY, read_name
from dp_backends.file._looks import Answer, look_at
from dp_backends.file._store import FileStore
from dp_core import Outcome, Pending, PromiseDisposedError

__all__ = ["Watcher", "current_watcher"]

_NET: Final = (1.0, 5.0)
"""First and longest pause between looks, in seconds, where the kernel reports."""

_ALONE: Final = (0.01, 0.25)
"""The same where it does not: no inotify, no watch left, a remote disk."""

_HELP_AFTER: Final = 0.02
"""How long a writer may take from visible to durable before a reader helps."""

_AT_ONCE: Final = -math.inf
"""Before all looks that are only due because time has passed."""

_BATCH: Final = 256


@dataclass(eq=False)
class _Waiter:
    """
    Somebody in `Watcher.wait`.

    Attributes:
        since: The number of the last look that began before it joined.
        told: How its wait ends.
        event: Told, or yours to lead.
    """

    since: int
    told: Outcome[bytes] | Exception | None = None
    event: anyio.Event = field(default_factory=anyio.Event)


@dataclass(eq=False)
class _Entry:
    """
    One promise that somebody waits for.

    Attributes:
        joined: Those for whom no look has counted yet.
        waiting: Those who know that *generation* is pending.
    """

    store: FileStore
    id: str
    pauses: tuple[float, float]
    pause: float
    due: float = math.inf
    generation: str | None = None
    joined: set[_Waiter] = field(default_factory=set)
    waiting: set[_Waiter] = field(default_factory=set)

    def tell(self, answer: Answer, look: int) -> None:
        """
        Tell the waiters what a look has found.

        It does not speak for those who joined while it was under way: it may
        have seen a generation that was disposed of before they came.
        """
        ready = {waiter for waiter in self.joined if waiter.since < look}
        self.joined -= ready
        if isinstance(answer, Exception):
            self.waiting |= ready
            self._end(answer)
            return
        if answer.generation != self.generation:
            self._end(PromiseDisposedError(self.id))
            self.generation = answer.generation
        self.waiting |= ready
        if not isinstance(answer.state, Pending):
            self._end(answer.state)

    def _end(self, told: Outcome[bytes] | Exception) -> None:
        for waiter in self.waiting:
            waiter.told = told
            waiter.event.set()
        self.waiting = set()


_Key = tuple[str, str]


@final
class Watcher:
    """All waits of one event loop, in whatever stores."""

    def __init__(self) -> None:
        self._entries: dict[_Key, _Entry] = {}
        self._directories: Counter[str] = Counter()
        self._inotify: Inotify | None = None
        self._leader: _Waiter | None = None
        self._looks = CapacityLimiter(1)
        self._nap = anyio.CancelScope()
        self._look = 0
        # Due times with their entries; an entry whose time has changed since
        # is skipped, so that changing it is cheap.
        self._due: list[tuple[float, int, _Entry]] = []
        self._order = count()

    async def wait(self, store: FileStore, id: str) -> Outcome[bytes]:
        """
        Return the promise's outcome, as soon as there is one.

        Raises:
            PromiseDisposedError: It was disposed of meanwhile.
            BackendError: The store could not be read.
        """
        waiter = _Waiter(self._look)
        with self._registered(store, id, waiter):
            while waiter.told is None:
                if self._leader is None:
                    await self._lead(waiter)
                else:
                    await waiter.event.wait()
                    waiter.event = anyio.Event()
        if isinstance(waiter.told, Exception):
            # A copy: thousands may raise it, and each raise adds a traceback.
            raise copy(waiter.told) from waiter.told.__cause__
        return waiter.told

    @contextmanager
    def _registered(self, store: FileStore, id: str, waiter: _Waiter) -> Iterator[None]:
        place = store.place(id)
        key = (place.shard, place.name)
        if key not in self._entries:
            watched = self._watch(place.shard) and not store.is_remote
            pauses = _NET if watched else _ALONE
            self._entries[key] = _Entry(store, id, pauses, pauses[0])
        entry = self._entries[key]
        entry.joined.add(waiter)
        self._schedule(entry, _AT_ONCE)
        try:
            yield
        finally:
            entry.joined.discard(waiter)
            entry.waiting.discard(waiter)
            if not (entry.joined or entry.waiting) and self._entries.get(key) is entry:
                del self._entries[key]
                entry.due = math.inf
                self._unwatch(place.shard)
            self._hand_over()

    # Leading ----------------------------------------------------------------

    async def _lead(self, leader: _Waiter) -> None:
        self._leader = leader
        try:
            while leader.told is None:
                self._read_events()
                if batch := self._take_due():
                    await self._look_at(batch)
                else:
                    await self._sleep()
        finally:
            self._leader = None

    def _hand_over(self) -> None:
        """Wake somebody to lead, if nobody does and somebody waits."""
        if self._leader is None:
            for entry in self._entries.values():
                for waiter in chain(entry.waiting, entry.joined):
                    waiter.event.set()
                    return

    async def _sleep(self) -> None:
        deadline = self._due[0][0] if self._due else math.inf
        with anyio.CancelScope(deadline=deadline) as self._nap:
            if self._inotify is None:
                await anyio.sleep_forever()
            else:
                await anyio.wait_readable(self._inotify.fd)

    async def _look_at(self, batch: list[_Entry]) -> None:
        answers: list[Answer] = []
        self._look += 1

        def look() -> None:
            answers.extend(look_at(entry.store, entry.id) for entry in batch)

        try:
            await to_thread.run_sync(look, limiter=self._looks)
        finally:
            # Cancelled before the thread had begun, there are no answers, and
            # whoever leads next must look.
            # A copy: a thread that asyncio's own cancellation left goes on.
            given = tuple(answers)
            for entry, answer in zip(batch, given, strict=False):
                entry.tell(answer, self._look)
                jitter = uniform(0.75, 1.0)  # noqa: S311 - spreads load, no secret
                self._schedule(entry, entry.pause * jitter)
                entry.pause = min(entry.pause * 2, entry.pauses[1])
            for entry in batch[len(given) :]:
                self._schedule(entry, _AT_ONCE)

    # What is due ------------------------------------------------------------

    def _schedule(self, entry: _Entry, pause: float) -> None:
        """Let the entry be looked at after *pause* seconds, or before."""
        due = anyio.current_time() + pause
        if due < entry.due and (entry.joined or entry.waiting):
            entry.due = due
            heapq.heappush(self._due, (due, next(self._order), entry))
            self._nap.deadline = min(self._nap.deadline, due)

    def _take_due(self) -> list[_Entry]:
        now = anyio.current_time()
        batch: list[_Entry] = []
        while self._due and self._due[0][0] <= now and len(batch) < _BATCH:
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
                for (directory, _), entry in self._entries.items():
                    if directory == event.directory:
                        entry.pauses, entry.pause = _ALONE, _ALONE[0]
                    self._schedule(entry, _AT_ONCE)
                continue
            name, what = read_name(event.file)
            concerned = self._entries.get((event.directory, name))
            if concerned is not None and event.deleted == (what == TEMPORARY):
                # A temporary name disappears when the record is durable.
                self._schedule(concerned, _AT_ONCE if event.deleted else _HELP_AFTER)


_watcher: Final[RunVar[Watcher]] = RunVar("dp_backends.file")


def current_watcher() -> Watcher:
    """Return the watcher of the running event loop."""
    try:
        return _watcher.get()
    except LookupError:
        watcher = Watcher()
        _watcher.set(watcher)
        return watcher
