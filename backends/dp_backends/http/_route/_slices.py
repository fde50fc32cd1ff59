"""
`Slices`: how long to let a server hold a wait, learned from what ended earlier ones.

A proxy that hears nothing for a while ends a request: with a 504, or by hanging up.
That is not a failure, it is the end of a slice, and the next slices are to be over
before it comes. A server that dies ends its requests, too, and looks the same; so
after many slices that were held to their end, a longer one is tried.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Final, final

__all__ = ["Slices"]

_SHORTER: Final = 0.8
"""The part of the time after which a wait was cut that the next ones may take."""

_LONGER: Final = 1.5
_PATIENT: Final = 20
"""The number of slices that were held to their end, before a longer one is tried."""

_SURE: Final = 3
"""The number of cuts after the same time that make a limit certain."""


@final
@dataclass(frozen=True, slots=True)
class Slices:
    """
    Knowledge of how long a silent wait lives.

    Attributes:
        cut_after: The seconds after which the last one was cut; infinite if none was.
        cuts: How many in a row were cut after about that time.
        longest: The seconds to ask for at most.
        held: How many were held to their end since then.
    """

    cut_after: float = inf
    cuts: int = 0
    longest: float = inf
    held: int = 0

    def within(self, low: int, high: int) -> tuple[int, int]:
        """Return the shortest and the longest slice to ask for, in seconds."""
        if self.longest >= high:
            return low, high
        longest = max(1, int(self.longest))
        return min(low, max(1, int(self.longest * _SHORTER))), longest

    def after_cut(self, seconds: float) -> Slices:
        """Return what is known after a silent wait was cut."""
        again = abs(seconds - self.cut_after) <= 0.2 * seconds + 0.5
        return Slices(seconds, self.cuts + 1 if again else 1, seconds * _SHORTER)

    def after_held(self, seconds: float) -> Slices:
        """Return what is known after a wait was held for as long as was asked."""
        if self.cuts == 0:
            return self
        if seconds > self.cut_after:
            # So it was an outage that cut the other one.
            return Slices()
        if self.cuts >= _SURE or self.held + 1 < _PATIENT:
            return replace(self, held=self.held + 1)
        return replace(self, longest=self.longest * _LONGER, held=0)
