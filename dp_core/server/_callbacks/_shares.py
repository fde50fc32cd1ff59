"""
`Shares`: how many attempts there are at once, by what is known of their receivers.

Whoever keeps attempts waiting, or may do so, gets a share of the places only. So there
is always a place soon for those that answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, final

__all__ = ["AT_ONCE", "AT_ONCE_OF_A_HOST", "Shares", "Standing"]


class Standing(IntEnum):
    """Knowledge of a receiver. Those before one share what that one may have."""

    SLOW = 0
    """It did not answer the last attempt, or took long to do so."""

    NEW = 1
    """It has not been asked yet, as far as this server remembers."""

    QUICK = 2
    """It has answered the last attempt soon, whatever it said."""


AT_ONCE: Final = {Standing.SLOW: 32, Standing.NEW: 48, Standing.QUICK: 64}
"""The most attempts at a time of a standing, and of those before it together."""

AT_ONCE_OF_A_HOST: Final = {Standing.SLOW: 4, Standing.NEW: 6, Standing.QUICK: 8}
"""The most of them to one host, at all of its ports."""


@final
class Shares:
    """
    Counts of attempts.

    Args:
        at_most: How many may be for a standing and those before it together.
    """

    def __init__(self, at_most: Mapping[Standing, int]) -> None:
        self._at_most = at_most
        self._taken = dict.fromkeys(at_most, 0)

    def has_room(self, standing: Standing) -> bool:
        """Tell whether one more attempt of a standing may begin."""
        return all(
            taken < self._at_most[each]
            for each, taken in self._taken.items()
            if each >= standing
        )

    def take(self, standing: Standing) -> None:
        """Take a place, of those for which there is room."""
        self._add(standing, 1)

    def leave(self, standing: Standing) -> None:
        """Give back a place that was taken for a standing."""
        self._add(standing, -1)

    def _add(self, standing: Standing, number: int) -> None:
        for each in self._taken:
            if each >= standing:
                self._taken[each] += number
