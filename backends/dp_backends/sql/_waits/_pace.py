"""`Pace`: when to look at promises, and when to ask which of them have changed."""

from __future__ import annotations

import math
from random import uniform
from typing import Final, final

from dp_backends.sql._waits._listener import Heard

__all__ = ["AT_ONCE", "Pace"]

AT_ONCE: Final = -math.inf
"""A time before all others of the event loop."""

_PERHAPS: Final = (0.005, 0.1)
"""Pause after a report that may be early, and for how long, in seconds."""

_FAILING: Final = (0.05, 1.0)
"""First and longest pause after a look that failed, in seconds."""

_CLOCK: Final = 1.0
"""The longest pause while there are deadlines: the clock of the store may be set."""


@final
class Pace:
    """
    Times at which the store is asked, by the clock of the event loop.

    Pauses between questions grow until something is heard. After a failure, nothing is
    asked for a while, whatever was heard.
    """

    def __init__(self) -> None:
        self._pauses = (0.0, 0.0)
        self._pause = 0.0
        self._due = AT_ONCE
        self._perhaps_until = AT_ONCE
        self._failures = 0
        self._rest_until = AT_ONCE

    def hear(self, heard: Heard, pauses: tuple[float, float], time: float) -> None:
        """
        Note a report.

        Args:
            heard: The report.
            pauses: First and longest pause between questions, whatever is heard.
            time: The time.
        """
        self._pauses = pauses
        if heard is Heard.RUNG:
            self._due, self._pause, self._perhaps_until = time, 0.0, AT_ONCE
        elif heard is Heard.PERHAPS:
            pause, long = _PERHAPS
            self._perhaps_until = time + long
            self._due = min(self._due, time + pause)

    def may_look(self, time: float) -> bool:
        """Tell whether promises may be looked at."""
        return time >= self._rest_until

    def is_due(self, time: float) -> bool:
        """Tell whether to ask what has changed."""
        return time >= self.next(to_look=False)

    def next(self, *, to_look: bool) -> float:
        """Return when to look, if there is what to look at, or else when to ask."""
        return self._rest_until if to_look else max(self._due, self._rest_until)

    def asked(self, time: float, *, has_deadlines: bool) -> None:
        """Note that it was asked what has changed."""
        if time < self._perhaps_until:
            self._due = time + _PERHAPS[0]
        else:
            self._due = time + self._next_pause(has_deadlines=has_deadlines)

    def _next_pause(self, *, has_deadlines: bool) -> float:
        first, longest = self._pauses
        if has_deadlines:
            longest = min(longest, _CLOCK)
        self._pause = min(max(self._pause * 2, first), longest)
        return self._pause * uniform(0.75, 1.0)  # noqa: S311 - spreads load, no secret

    def succeeded(self) -> None:
        """Note that the store answered."""
        self._failures = 0

    def failed(self, time: float) -> int:
        """Rest for a while, as the store failed; return how often it did in a row."""
        first, longest = _FAILING
        pause = min(longest, first * 2.0 ** min(self._failures, 30))
        self._rest_until = time + pause
        self._failures += 1
        return self._failures
