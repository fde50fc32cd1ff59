"""`Deadlines`: what is waited for, by when it settles by itself."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from datetime import datetime
from itertools import count
from typing import Final, Generic, TypeVar, final

__all__ = ["Deadlines"]

_LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks at the wall clock, which somebody may set."""

_STALE: Final = 1000
"""Entries that do not count any more, and are kept at least."""


K = TypeVar("K", bound=Hashable)


@final
class Deadlines(Generic[K]):
    """The deadlines of promises, by their keys; each has one at most."""

    def __init__(self) -> None:
        self._deadlines: dict[K, datetime] = {}
        # With those that were replaced or forgotten since, which are skipped.
        self._heap: list[tuple[datetime, int, K]] = []
        self._order = count()

    def __bool__(self) -> bool:
        return bool(self._deadlines)

    def set(self, key: K, deadline: datetime | None) -> None:
        """Let a promise have a deadline, or none."""
        if deadline == self._deadlines.get(key):
            return
        if deadline is None:
            del self._deadlines[key]
        else:
            self._deadlines[key] = deadline
            heapq.heappush(self._heap, (deadline, next(self._order), key))
        if len(self._heap) > 2 * len(self._deadlines) + _STALE:
            self._heap = [item for item in self._heap if self._counts(item)]
            heapq.heapify(self._heap)

    def take_over(self, now: datetime) -> list[K]:
        """Return the promises whose deadlines are over, and forget these."""
        over: list[K] = []
        while self._heap and (
            self._heap[0][0] <= now or not self._counts(self._heap[0])
        ):
            item = heapq.heappop(self._heap)
            if self._counts(item):
                over.append(item[2])
                del self._deadlines[item[2]]
        return over

    def pause(self, now: datetime) -> float | None:
        """Return how long to sleep at most, in seconds; None for ever."""
        if not self._deadlines:
            return None
        return min(max((self._heap[0][0] - now).total_seconds(), 0.0), _LONGEST_PAUSE)

    def _counts(self, item: tuple[datetime, int, K]) -> bool:
        deadline, _, key = item
        return self._deadlines.get(key) == deadline
