"""`now`: the wall clock by which deadlines settle promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["now", "shift_clock"]

_shift = timedelta()


def now() -> datetime:
    """
    Return the time of this process, in UTC.

    Backends ask for the time here and nowhere else, so that a test can move it.
    """
    return datetime.now(UTC) + _shift


def shift_clock(by: timedelta) -> timedelta:
    """
    Move the clock of this process; for tests, see `dp_core.testing`.

    Args:
        by: How far it is from the system's from now on.

    Returns:
        How far it was before.
    """
    global _shift
    before, _shift = _shift, by
    return before
