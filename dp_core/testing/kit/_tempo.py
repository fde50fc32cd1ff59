"""`Tempo`: how fast the store and the machine are, as seen so far."""

from __future__ import annotations

from typing import Final

__all__ = ["Tempo"]

_SMOOTHING: Final = 8
_DECAY: Final = 0.999


class Tempo:
    """
    Running estimates of how long calls take.

    Attributes:
        seconds: Moving average of the calls that wait for nobody.
        longest: The longest time a law waited for the end of a call.
    """

    def __init__(self) -> None:
        self.seconds = 0.006
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Add the duration of a call that waits for nobody."""
        self.seconds += (seconds - self.seconds) / _SMOOTHING

    def waited(self, seconds: float) -> None:
        """Add the time that a law waited for the end of a call."""
        # It decays, so that one hiccup of the machine does not count for long.
        self.longest = max(seconds, self.longest * _DECAY)
