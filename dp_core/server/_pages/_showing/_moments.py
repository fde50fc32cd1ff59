"""Moments and lengths of time in words, for people of any zone and language."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["moment_in_words", "time_in_words"]

_UNITS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_MANY: Final = 10
"""From so many of a unit on, the next smaller one is of no interest."""


def moment_in_words(moment: datetime) -> str:
    """Return a moment without letters of any language: ``2026-11-26 14:30 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def time_in_words(length: timedelta) -> str:
    """Return a length of time in one or two units: ``2 days 3 hours``."""
    seconds = max(0, round(length.total_seconds()))
    for place, (unit, size) in enumerate(_UNITS):
        count, rest = divmod(seconds, size)
        if count:
            words = _counted(count, unit)
            if count < _MANY and place + 1 < len(_UNITS):
                smaller, smaller_size = _UNITS[place + 1]
                if part := rest // smaller_size:
                    words += f" {_counted(part, smaller)}"
            return words
    return "less than a second"


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"
