"""
Waiting for promises in directories: no thread, no descriptor, no background task.

All waits of one event loop share one `Watcher`. One of the waiters *leads*: in
its own task it sleeps until the kernel reports a change or a look is due, looks
at what may have changed, and tells the others. When it leaves, because it was
told or cancelled, it wakes another one, which leads from then on (the
leader/followers pattern: Schmidt et al., POSA 2, 2000). So nothing runs when
nobody waits, and no waiter depends on the life of another.

A wake-up cannot be lost: a waiter is registered, and its directory watched,
before it looks for the first time, and every look is repeated after a while
whatever the kernel said.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from random import uniform
from typing import Final, final

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from dp_backends.file._inotify import Inotify, open_inotify
from dp_backends.file._layout import TEMPORARY, read_name
from dp_backends.file._store import FileStore, View
from dp_core import DurablePromiseError, Outcome, PromiseDisposedError

__all__ = ["Watcher", "current_watcher"]

_NET: Final = (1.0, 5.0)
"""First and longest pause between looks, in seconds, where the kernel reports."""

_ALONE: Final = (0.01, 0.25)
"""The same where it does not: no inotify, no watch left, a remote disk."""

_HELP_AFTER: Final = 0.02
"""How long a writer may take from visible to durable before a reader helps."""

_THREADS: Final = 8
_BATCH: Final = 256

_Answer = View | DurablePromiseError


@dataclass(eq=False)
class _Waiter:
    """Somebody in `Watcher.wait`. Its event says: told, or yours to lead."""

    generation: str | None = None
    since: int = 0
    stale: bool = False
    told: Outcome[bytes] | DurablePromiseError | None = None
    event: anyio.Event = field(default_factory=anyio.Event)


@dataclass(eq=False)
class _Entry:
    """One promise that somebody waits for."""

    store: FileStore
    id: str
    pauses: tuple[float, float]
    pause: float
    due: float = math.inf
    waiters: set[_Waiter] = field(default_factory=set)

    def look(self) -> _Answer:
        try:
            return self.store.look(self.id)
        except DurablePromiseError as error:
            return error

    def tell(self, answer: _Answer, round: int) -> bool:
        """
        Tell the waiters what a look has found.

        The look cannot speak to those who joined while it was under way: what
        it found may be older than they are, or newer than what they have seen.

        Returns:
            Whether there are such, so that somebody must look again.
        """
        joined = False
        for waiter in self.waiters:
            if waiter.told is not None:
                continue
            if waiter.generation is None:
                waiter.stale = True
            elif waiter.since >= round:
                joined = True
            else:
                waiter.told = _verdict(self.id, waiter.generation, answer)
                if waiter.told is not None:
                    waiter.event.set()
        return joined


def _verdict(
    id: str, generation: str, answer: _Answer
) -> Outcome[bytes] | DurablePromiseError | None:
    """Return what a waiter for *generation* is told; None if it waits on."""
    if isinstance(answer, DurablePromiseError):
        return answer
    if answer.generation != generation:
        return PromiseDisposedError(id)
    return answer.state if isinstance(answer.state, Outcome) else None


_Key = tuple[str, str]


@final
class Watcher:
    """All waits of one event loop, in whatever stores."""

    def __init__(self) -> None:
        self._entries: dict[_Key, _Entry] = {}
        self._directories: Counter[str] = Counter()
        self._inotify: Inotify | None = None
        self._leader: _Waiter | None = None
        self._looks = CapacityLimiter(_THREADS)
        self._nap = anyio.CancelScope()
        self._round = 0
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
        waiter = _Waiter()
        with self._registered(store, id, waiter) as entry:
            await self._first_look(entry, waiter)
            while waiter.told is None:
                if self._leader is None:
                    await self._lead(waiter)
                else:
                    await waiter.event.wait()
                    waiter.event = anyio.Event()
        if isinstance(waiter.told, DurablePromiseError):
            raise waiter.told
        return waiter.told

    @contextmanager
    def _registered(
        self, store: FileStore, id: str, waiter: _Waiter
    ) -> Iterator[_Entry]:
        place = store.place(id)
        key = (place.shard, place.name)
        if key not in self._entries:
            watched = self._watch(place.shard) and not store.is_remote
            pauses = _NET if watched else _ALONE
            self._entries[key] = _Entry(store, id, pauses, pauses[0])
        entry = self._entries[key]
        entry.waiters.add(waiter)
        try:
            yield entry
        finally:
            entry.waiters.discard(waiter)
            if not entry.waiters:
                del self._entries[key]
                entry.due = math.inf
                self._unwatch(place.shard)
            self._hand_over()

    async def _first_look(self, entry: _Entry, waiter: _Waiter) -> None:
        """Look until nothing has happened while we looked."""
        generation = None
        while waiter.told is None and waiter.generation is None:
            waiter.stale = False
            answer = await to_thread.run_sync(entry.look, limiter=self._looks)
            if generation is None and isinstance(answer, View):
                generation = answer.generation
            waiter.told = _verdict(entry.id, generation or "", answer)
            if not waiter.stale:
                waiter.generation = generation
                waiter.since = self._round
        self._schedule(entry, entry.pause)

    # Leading ----------------------------------------------------------------

    async def _lead(self, leader: _Waiter) -> None:
        self._leader = leader
        try:
            while leader.told is None:
                if batch := self._take_due():
                    await self._look_at(batch)
                else:
                    await self._sleep()
                    self._read_events()
        finally:
            self._leader = None

    def _hand_over(self) -> None:
        """Wake somebody to lead, if nobody does and somebody waits."""
        if self._leader is None:
            for entry in self._entries.values():
                for waiter in entry.waiters:
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
        answers: list[_Answer] = []
        self._round += 1

        def look() -> None:
            answers.extend(entry.look() for entry in batch)

        try:
            await to_thread.run_sync(look, limiter=self._looks)
        finally:
            # Cancelled before the thread had begun, there are no answers, and
            # whoever leads next must look.
            for entry, answer in zip(batch, answers, strict=False):
                if entry.tell(answer, self._round):
                    self._schedule(entry, 0)
                jitter = uniform(0.75, 1.0)  # noqa: S311 - spreads load, no secret
                self._schedule(entry, entry.pause * jitter)
                entry.pause = min(entry.pause * 2, entry.pauses[1])
            for entry in batch[len(answers) :]:
                self._schedule(entry, 0)

    # What is due ------------------------------------------------------------

    def _schedule(self, entry: _Entry, pause: float) -> None:
        """Let the entry be looked at after *pause* seconds, or before."""
        due = anyio.current_time() + pause
        if due < entry.due and entry.waiters:
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
                for entry in self._entries.values():
                    self._schedule(entry, 0)
                continue
            name, what = read_name(event.file)
            concerned = self._entries.get((event.directory, name))
            if concerned is not None and event.deleted == (what == TEMPORARY):
                # A temporary name disappears when the record is durable.
                self._schedule(concerned, 0 if event.deleted else _HELP_AFTER)


_watcher: Final[RunVar[Watcher]] = RunVar("dp_backends.file")


def current_watcher() -> Watcher:
    """Return the watcher of the running event loop."""
    try:
        return _watcher.get()
    except LookupError:
        watcher = Watcher()
        _watcher.set(watcher)
        return watcher
