"""
`TimeScale`: the one time axis of a chart, from moments to pixels.

It is linear: a second is as wide here as there, but for two things. Long pauses, in
which nothing happens, are cut out, where that makes the rest much wider; each cut is
a `Break`, to be marked with its length. And symbols of one lane that would cover each
other move apart, and take along all that is later, so that the order in which things
happened, in all lanes, is the order from left to right. Ticks are a constant time
apart; where they are further apart on the page, symbols needed the room.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

__all__ = ["Break", "Slot", "TimeScale", "least_width"]

BREAK: Final = 56.0
"""The width of a break in pixels, at least: room for a mark and a length."""

_MOST_BREAKS: Final = 12
_WORTH: Final = 16.0
"""Pixels of the axis for which a break is not worth it."""

_SEEN: Final = 3.0
"""Pixels that are seen to be apart."""

_SCROLLED: Final = 3.0
"""The cost of a pixel that a narrow page has not."""

_FINEST: Final = 6e5
"""Pixels a second at most; the clock is not better than that."""


@final
@dataclass(frozen=True, slots=True)
class Slot:
    """
    The room that something takes in a lane.

    Attributes:
        at: Its time, in seconds.
        lane: Which lane it is in.
        left: The pixels that it needs before its place.
        right: The same behind it.
    """

    at: float
    lane: str
    left: float
    right: float


@final
@dataclass(frozen=True, slots=True)
class Break:
    """
    A pause that is cut out of the axis.

    Attributes:
        begin: Where it begins, in pixels.
        end: Where it ends.
        seconds: Its length.
    """

    begin: float
    end: float
    seconds: float


@final
@dataclass(frozen=True, slots=True)
class _Fit:
    """A way to lay out all slots: their places, and what it costs."""

    places: list[float]
    end: float
    cuts: frozenset[int]
    speed: float
    cost: float


@final
class TimeScale:
    """
    Places of slots, in the order of their times.

    Args:
        slots: In that order; at least one.
        width: The pixels there are. It is exceeded if the slots need more.

    Attributes:
        places: Where each slot is.
        end: Where the last one ends.
        speed: Pixels a second, where no symbols needed more room.
        breaks: From left to right.
    """

    def __init__(self, slots: Sequence[Slot], width: float) -> None:
        fit = min(_fits(slots, width), key=lambda fit: fit.cost)
        self.places, self.end, self.speed = fit.places, fit.end, fit.speed
        self._times = [slot.at for slot in slots]
        self.breaks = [
            Break(
                self.places[cut - 1],
                self.places[cut],
                self._times[cut] - self._times[cut - 1],
            )
            for cut in sorted(fit.cuts)
        ]
        self._cuts = sorted(fit.cuts)

    def segments(self) -> list[tuple[float, float]]:
        """Return what is between the breaks: times of begin and end."""
        edges = [0, *self._cuts, len(self._times)]
        return [(self._times[a], self._times[b - 1]) for a, b in pairwise(edges)]

    def place(self, at: float) -> float:
        """Return where a moment is that lies within a segment."""
        after = min(bisect_left(self._times, at), len(self._times) - 1)
        if self._times[after] <= at or after == 0:
            return self.places[after]
        begin, end = self._times[after - 1], self._times[after]
        x1, x2 = self.places[after - 1], self.places[after]
        return x1 + (x2 - x1) * (at - begin) / (end - begin)


def least_width(slots: Sequence[Slot]) -> float:
    """Return the pixels that slots need in any case."""
    return _lay_out(slots, [0.0] * len(slots), (), 0.0)[1]


def _fits(slots: Sequence[Slot], width: float) -> list[_Fit]:
    """Return the best layout for each number of breaks, at the longest pauses."""
    pauses = [0.0, *(b.at - a.at for a, b in pairwise(slots))]
    longest = sorted(range(1, len(slots)), key=lambda i: -pauses[i])
    fits = []
    for count in range(min(_MOST_BREAKS, len(longest)) + 1):
        cuts = frozenset(longest[:count])
        fit = _fit(slots, pauses, cuts, width)
        if any(pauses[i] * fit.speed < 2 * BREAK for i in cuts):
            continue  # The pause as it is would take less.
        fits.append(fit)
    return fits


def _fit(
    slots: Sequence[Slot], pauses: Sequence[float], cuts: frozenset[int], width: float
) -> _Fit:
    least, end = _lay_out(slots, pauses, cuts, 0)
    # Where symbols alone take all there is, time has some room nevertheless.
    room = max(width, 1.15 * end)
    kept = sum(pauses) - sum(pauses[i] for i in cuts)
    low, high = 0.0, min(_FINEST, room / kept) if kept > 0 else 0.0
    places = least
    for _ in range(24):
        speed = (low + high) / 2
        tried, reached = _lay_out(slots, pauses, cuts, speed)
        if reached <= room:
            low, places, end = speed, tried, reached
        else:
            high = speed
    pushed = end - low * kept - BREAK * len(cuts)
    merged = sum(
        max(0.0, _SEEN - (x2 - x1))
        for (x1, x2), pause in zip(pairwise(places), pauses[1:], strict=True)
        if pause > 0
    )
    cost = pushed + _WORTH * (merged / 8 + len(cuts)) + _SCROLLED * (room - width)
    return _Fit(places, end, cuts, low, cost)


def _lay_out(
    slots: Sequence[Slot], pauses: Sequence[float], cuts: Collection[int], speed: float
) -> tuple[list[float], float]:
    """Return the places at some pixels a second, and where the last slot ends."""
    places: list[float] = []
    free: dict[str, float] = {}
    x = 0.0
    for i, slot in enumerate(slots):
        x += BREAK if i in cuts else pauses[i] * speed
        x = max(x, free.get(slot.lane, 0.0) + slot.left)
        places.append(x)
        free[slot.lane] = x + slot.right
    return places, max(free.values())
