"""`TimeLimit`: the longest wait of one call, however many waits it is made of."""

from __future__ import annotations

from typing import final

import anyio

from dp_core._promise import seconds_of

__all__ = ["TimeLimit"]


@final
class TimeLimit:
    """
    The time that a caller has; it counts from the first question for what is left.

    Attributes:
        seconds: All of it.
    """

    __slots__ = ("_ends", "seconds")

    @staticmethod
    def of(timeout: float | None) -> TimeLimit | None:
        """
        Return the limit that a caller has asked for; None for none.

        Raises:
            InvalidTimeoutError: It is not a number of seconds, 0 or more.
        """
        seconds = seconds_of(timeout)
        return None if seconds is None else TimeLimit(seconds)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends: float | None = None

    def left(self) -> float:
        """Return how many seconds are left; 0 or less where it is over."""
        now = anyio.current_time()
        if self._ends is None:
            self._ends = now + self.seconds
        return self._ends - now
