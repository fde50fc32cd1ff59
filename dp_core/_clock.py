"""`now`: the wall clock by which deadlines settle promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol
from weakref import WeakSet

__all__ = ["ClockWatcher", "now", "shift_clock", "watch_clock"]


class ClockWatcher(Protocol):
    """One who sleeps until a deadline."""

    def clock_was_set(self) -> None:
        """Look at the clock again; called by any thread."""


_shift = timedelta()
_watchers: WeakSet[ClockWatcher] = WeakSet()


def now() -> datetime:
    """
    Return the time of this process, in UTC.

    Backends ask for the time here and nowhere else, so that a test can move it.
    """
    return datetime.now(UTC) + _shift


def watch_clock(watcher: ClockWatcher) -> None:
    """Let *watcher* know when a test moves the clock; it is not kept alive."""
    _watchers.add(watcher)


def shift_clock(by: timedelta) -> timedelta:
    """
    Move the clock of this process; for `dp_core.testing.DeadlineClock`.

    Args:
        by: How far it is from the system's from now on.

    Returns:
        How far it was before.
    """
    global _shift
    before, _shift = _shift, by
    for watcher in tuple(_watchers):
        watcher.clock_was_set()
    return before
