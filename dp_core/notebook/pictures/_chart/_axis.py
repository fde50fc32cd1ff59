"""The axis as it is drawn: ticks a constant time apart, and the lengths of pauses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, final

from dp_core.notebook.pictures._chart._lettering import width_of
from dp_core.notebook.pictures._chart._scale import TimeScale

__all__ = ["TICK_SIZE", "Tick", "pause", "ticks_of"]

TICK_SIZE: Final = 9.0
_APART: Final = 64.0
"""Pixels from tick to tick, at least, on average."""

_GAP: Final = 8.0
"""Pixels between the texts of ticks."""

_STEPS: Final = (
    *(m * 10.0**e for e in range(-4, 1) for m in (1, 2, 5)),
    *(10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0),
    *(3600.0, 7200.0, 10800.0, 21600.0, 43200.0, 86400.0),
)
"""Seconds from tick to tick, of which one is taken."""

_MOST_TICKS: Final = 400

_UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))


@final
@dataclass(frozen=True, slots=True)
class Tick:
    """
    A mark on the axis.

    Attributes:
        x: Where it is, in pixels.
        text: Its time; empty where there is no room for it.
        regular: Whether it is one of those that are a constant time apart.
    """

    x: float
    text: str
    regular: bool


def ticks_of(scale: TimeScale, width: float) -> list[Tick]:
    """
    Return the ticks, no text of which touches another one.

    The begin of each segment has one, so that the time after a break can be read.
    """
    segments = scale.segments()
    zero = segments[0][0]
    kept = sum(end - begin for begin, end in segments)
    step = next((s for s in _STEPS if kept / s <= width / _APART), 0.0)
    decimals = max(0, -math.floor(math.log10(step))) if step else 3
    row = _TickLine(width)
    ticks = [
        row.tick(scale.place(begin), begin - zero, range(decimals + bool(n), -1, -1))
        for n, (begin, _) in enumerate(segments)
    ]
    return ticks + [
        replace(row.tick(scale.place(zero + at), at, (decimals,)), regular=True)
        for begin, end in segments
        for at in _multiples(step, begin - zero, end - zero)
    ]


@final
class _TickLine:
    """A line of text on the axis, in which no text touches another one."""

    def __init__(self, width: float) -> None:
        self._width = width
        self._taken: list[tuple[float, float]] = []

    def tick(self, x: float, seconds: float, decimals: Iterable[int]) -> Tick:
        """Return a tick, as exact as there is room for."""
        for places in decimals:
            text = _moment(seconds, places)
            half = width_of(text, TICK_SIZE) / 2 + _GAP / 2
            # At the edges the text is moved inside, as it will be drawn.
            centre = min(max(x, half), self._width - half)
            left, right = centre - half, centre + half
            if all(right <= a or b <= left for a, b in self._taken):
                self._taken.append((left, right))
                return Tick(x, text, regular=False)
        return Tick(x, "", regular=False)


def _multiples(step: float, begin: float, end: float) -> Iterator[float]:
    if not step:
        return
    first = math.ceil(begin / step - 1e-6)
    for n in range(first, min(math.floor(end / step), first + _MOST_TICKS) + 1):
        yield n * step


def _moment(seconds: float, decimals: int) -> str:
    """Return a time since the first event, as a clock shows it."""
    if not seconds:
        return "0 s"
    if seconds < 60:
        return f"{seconds:.{decimals}f} s"
    minutes, rest = divmod(round(seconds, decimals), 60)
    width = 2 + decimals + bool(decimals)
    clock = f"{rest:0{width}.{decimals}f}"
    if minutes < 60:
        return f"{minutes:.0f}:{clock}"
    return f"{minutes // 60:.0f}:{minutes % 60:02.0f}:{clock}"


def pause(seconds: float) -> str:
    """Return the length of a pause, in at most seven characters."""
    size, unit = next(((s, u) for s, u in _UNITS if seconds >= s), _UNITS[-1])
    number = seconds / size
    return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
