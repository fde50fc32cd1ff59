"""`Deadlines`: the promises that are waited for, by when they settle by themselves."""

from __future__ import annotations

import heapq
from datetime import datetime
from itertools import count
from typing import Final, final

from dp_backends.file._watching._entries import Entry

__all__ = ["Deadlines"]

_LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks at the wall clock, which somebody may set."""

_STALE: Final = 1000
"""Entries that do not count any more, and are kept at least."""


@final
class Deadlines:
    """The deadlines of entries, of which each has one at most."""

    def __init__(self) -> None:
        self._deadlines: dict[Entry, datetime] = {}
        # With those that were replaced or forgotten since, which are skipped.
        self._heap: list[tuple[datetime, int, Entry]] = []
        self._order = count()

    def set(self, entry: Entry, deadline: datetime | None) -> None:
        """Let an entry have a deadline, or none."""
        if deadline == self._deadlines.get(entry):
            return
        if deadline is None:
            del self._deadlines[entry]
        else:
            self._deadlines[entry] = deadline
            heapq.heappush(self._heap, (deadline, next(self._order), entry))
        if len(self._heap) > 2 * len(self._deadlines) + _STALE:
            self._heap = [item for item in self._heap if self._counts(item)]
            heapq.heapify(self._heap)

    def take_over(self, now: datetime) -> list[Entry]:
        """Return the entries whose deadlines are over, and forget these deadlines."""
        over: list[Entry] = []
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

    def _counts(self, item: tuple[datetime, int, Entry]) -> bool:
        deadline, _, entry = item
        return self._deadlines.get(entry) == deadline
