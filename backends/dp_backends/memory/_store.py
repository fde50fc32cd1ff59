"""`MemoryStore`: what is kept under one URL, and how it changes."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count, islice
from threading import RLock
from typing import Final, Protocol, TypeAlias, final

from dp_core import (
    BackendClosedError,
    InvalidQueryError,
    Outcome,
    Pending,
    PromiseDisposedError,
    PromiseInfo,
    Query,
    State,
    Terms,
    settle_command,
    transition,
)
from dp_core.backend import (
    PAGE_BYTES,
    Page,
    Waiters,
    expiry,
    now,
    quoted,
    size_of,
    watch_clock,
)

__all__ = ["MemoryStore", "Result", "Timer", "WaitOfHandle", "WaitingCaller"]

Result: TypeAlias = Outcome[bytes] | PromiseDisposedError | BackendClosedError
"""The end of a wait: an outcome, or an error."""

_LOOK: Final = 10_000
"""The most generations to look at for one page, so that others are not held up."""

_LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks at the clock, which somebody may set."""


class WaitingCaller(Protocol):
    """One who waits for a promise, in any thread, by some handle."""

    @property
    def request(self) -> WaitOfHandle:
        """The wait."""

    def set_result(self, result: Outcome[bytes]) -> None:
        """End it with an outcome; in its event loop."""

    def set_exception(self, error: Exception) -> None:
        """End it with an error; in its event loop."""


class WaitOfHandle(Protocol):
    """A wait by some handle, in some event loop."""

    @property
    def handle(self) -> object:
        """The handle."""

    def end(self, waiter: WaitingCaller, result: Result) -> None:
        """Let its event loop end it; called by any thread."""


class Timer(Protocol):
    """One who sleeps until the next deadline, in any thread."""

    def ring(self) -> None:
        """Wake it up: a deadline may be nearer than it was."""


@final
@dataclass(eq=False, slots=True)
class _Generation:
    """
    A promise from when it was first heard of until it is disposed of.

    Attributes:
        id: The promise's id.
        number: Its place in the order of the store.
        is_current: Whether it was not disposed of.
    """

    id: str
    number: int
    state: State[bytes] = field(default_factory=Pending)
    terms: Terms[bytes] | None = None
    created_at: datetime | None = None
    settled_at: datetime | None = None
    expired: bool = False
    is_current: bool = True

    @property
    def is_due_some_day(self) -> bool:
        """Whether its deadline may still settle it."""
        return self.is_current and isinstance(self.state, Pending)

    def info(self) -> PromiseInfo[bytes]:
        """Return all that is known about it."""
        return PromiseInfo(
            id=self.id,
            state=self.state,
            terms=self.terms,
            created_at=self.created_at,
            settled_at=self.settled_at,
            settled_by=None if isinstance(self.state, Pending) else self.state.by,
            expired=self.expired,
            cursor=str(self.number),
        )


@final
class MemoryStore:
    """
    The promises of one URL. What was neither created nor settled takes no room.

    Attributes:
        waiters: Those who wait, by the id of the promise.
        timers: Those who sleep until the next deadline.
    """

    def __init__(self) -> None:
        # Re-entrant: the collector may end a wait of a dead event loop at any time,
        # also in a thread that holds the lock.
        self.lock = RLock()
        self.waiters: Waiters[str, WaitingCaller] = Waiters()
        self.timers: set[Timer] = set()
        self._generations: dict[str, _Generation] = {}
        # All of these in their order, and some that were disposed of.
        self._order: list[_Generation] = []
        self._numbers = count(1)
        # Of pending ones, with their numbers; and some that were settled since.
        self._deadlines: list[tuple[datetime, int, _Generation]] = []
        watch_clock(self)

    @property
    def size(self) -> int:
        """The number of promises that take room."""
        return len(self._generations)

    def forget_others(self) -> None:
        """Keep what is settled, but not those who wait in the parent of a fork."""
        self.lock = RLock()
        self.waiters.clear()
        self.timers.clear()

    # Settling ---------------------------------------------------------------

    def state(self, id: str) -> State[bytes]:
        """Return a promise's state."""
        generation = self._generations.get(id)
        if generation is None:
            return Pending()
        self._settle_if_over(generation)
        return generation.state

    def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        """Settle a promise unless it is settled; return its outcome."""
        command = settle_command(outcome)
        with self.lock:
            generation = self._generation(id)
            self._settle_if_over(generation)
            before = generation.state
            after = transition(before, command)
            if after is not before:
                self._become(generation, after)
        return after

    def dispose(self, id: str) -> None:
        """Forget a promise."""
        with self.lock:
            # The next generation is pending, and what is pending takes no room.
            generation = self._generations.pop(id, None)
            if generation is not None:
                generation.is_current = False
                self._tidy()
            self._end_waits(id, PromiseDisposedError(id))

    def _generation(self, id: str) -> _Generation:
        """Return the current generation of an id, from now on in the order."""
        generation = self._generations.get(id)
        if generation is None:
            generation = _Generation(id, next(self._numbers))
            self._generations[id] = generation
            self._order.append(generation)
        return generation

    def _become(self, generation: _Generation, outcome: Outcome[bytes]) -> None:
        generation.state = outcome
        generation.settled_at = now()
        self._end_waits(generation.id, outcome)

    def _end_waits(self, id: str, result: Result) -> None:
        for waiter in self.waiters.pop(id):
            waiter.request.end(waiter, result)

    def end_waits_of(self, handle: object, error: BackendClosedError) -> None:
        """End all waits by a handle that is closed."""
        for waiter in self.waiters.all():
            if waiter.request.handle is handle:
                waiter.request.end(waiter, error)

    def _tidy(self) -> None:
        """Drop what was disposed of, once that is most of what is kept."""
        if len(self._order) > 2 * len(self._generations) + _LOOK:
            self._order = [g for g in self._order if g.is_current]
        if len(self._deadlines) > 2 * len(self._generations) + _LOOK:
            self._deadlines = [due for due in self._deadlines if due[2].is_due_some_day]
            heapq.heapify(self._deadlines)

    # Terms ------------------------------------------------------------------

    def create(self, id: str, terms: Terms[bytes]) -> Terms[bytes]:
        """Give a promise its terms unless it has some; return those that stand."""
        with self.lock:
            generation = self._generation(id)
            is_first = generation.terms is None
            if generation.terms is None:
                generation.created_at = now()
                generation.terms = terms.given_at(generation.created_at)
                deadline = generation.terms.deadline
                if deadline is not None and generation.is_due_some_day:
                    due = (deadline, generation.number, generation)
                    heapq.heappush(self._deadlines, due)
                    if self._deadlines[0] is due:
                        # Those who sleep would wake up too late.
                        self.clock_was_set()
            return replace(generation.terms, is_first=is_first)

    def clock_was_set(self) -> None:
        """Wake up all who sleep until the next deadline."""
        for timer in tuple(self.timers):
            timer.ring()

    def sweep(self, limit: int) -> float | None:
        """Settle what is over; see `dp_core.backend.Registry`."""
        with self.lock:
            time = now()
            for _ in range(limit):
                self._drop_settled()
                if not self._deadlines or self._deadlines[0][0] > time:
                    break
                self._settle_if_over(self._deadlines[0][2])
            self._drop_settled()
            if not self._deadlines:
                return None
            pause = (self._deadlines[0][0] - time).total_seconds()
        return min(max(pause, 0.0), _LONGEST_PAUSE)

    def _drop_settled(self) -> None:
        while self._deadlines and not self._deadlines[0][2].is_due_some_day:
            heapq.heappop(self._deadlines)

    def _settle_if_over(self, generation: _Generation) -> None:
        """Let the deadline of a promise settle it, if it is over."""
        if not (generation.terms and isinstance(generation.state, Pending)):
            return
        with self.lock:
            outcome = expiry(generation.terms, now())
            if outcome is not None and generation.is_due_some_day:
                generation.expired = True
                self._become(generation, outcome)

    # Finding ----------------------------------------------------------------

    def info(self, id: str) -> PromiseInfo[bytes]:
        """Return all that is known about a promise."""
        with self.lock:
            generation = self._generations.get(id)
            if generation is None:
                return PromiseInfo(id, Pending())
            self._settle_if_over(generation)
            return generation.info()

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        """Return promises in the order in which they were first heard of."""
        number = _number(after)
        infos: list[PromiseInfo[bytes]] = []
        room = PAGE_BYTES
        with self.lock:
            looked = None
            for generation in islice(self._from(number, newest=query.newest), _LOOK):
                if len(infos) == limit or room <= 0:
                    break
                looked = generation.number
                self._settle_if_over(generation)
                info = generation.info()
                if generation.is_current and query.matches(info):
                    infos.append(info)
                    room -= size_of(info)
            following = self._from(looked, newest=query.newest) if looked else iter(())
            more = next(following, None) is not None
        return Page(tuple(infos), str(looked) if more else None)

    def _from(self, number: int | None, *, newest: bool) -> Iterator[_Generation]:
        order, key = self._order, _number_of
        places: Iterable[int]
        if newest:
            end = len(order) if number is None else bisect_left(order, number, key=key)
            places = range(end - 1, -1, -1)
        else:
            begin = 0 if number is None else bisect_right(order, number, key=key)
            places = range(begin, len(order))
        return (order[place] for place in places)


def _number_of(generation: _Generation) -> int:
    return generation.number


def _number(after: str | None) -> int | None:
    if after is None:
        return None
    if not (after.isascii() and after.isdecimal() and len(after) < 20):
        raise InvalidQueryError(f"{quoted(after)} is not a cursor of this store")
    return int(after)
