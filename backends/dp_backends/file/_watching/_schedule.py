"""`LookSchedule`: which promises are to be looked at, and when."""

from __future__ import annotations

import heapq
import math
from itertools import count
from typing import Final, final

from dp_backends.file._watching._entries import Entry

__all__ = ["AT_ONCE", "LookSchedule"]

AT_ONCE: Final = -math.inf
"""A time before all those at which looks are due because time has passed."""

_BATCH: Final = 256
"""The most promises to look at in one hop to a thread."""


@final
class LookSchedule:
    """Entries by the times of the event loop at which looks at them are due."""

    def __init__(self) -> None:
        # An entry whose time has changed since is skipped: changing it is cheap.
        self._due: list[tuple[float, int, Entry]] = []
        self._order = count()

    def add(self, entry: Entry, due: float) -> bool:
        """Let the entry be looked at then, or before; tell whether that is news."""
        if due >= entry.due or entry.waiters is None:
            return False
        entry.due = due
        heapq.heappush(self._due, (due, next(self._order), entry))
        return True

    def discard(self, entry: Entry) -> None:
        """Let the entry not be looked at."""
        entry.due = math.inf

    def first(self) -> float:
        """Return the first time at which a look may be due."""
        return self._due[0][0] if self._due else math.inf

    def take(self, time: float) -> list[Entry]:
        """Remove the entries that are due at a time, of many the first."""
        batch: list[Entry] = []
        while self._due and self._due[0][0] <= time and len(batch) < _BATCH:
            due, _, entry = heapq.heappop(self._due)
            if due == entry.due:
                entry.due = math.inf
                batch.append(entry)
        return batch
