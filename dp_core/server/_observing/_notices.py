"""`Notices`: lines of the log, one a cause and minute, with a count of the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, final

__all__ = ["Notices"]

_log: Final = logging.getLogger("dp_core.server")

SECONDS: Final = 60.0
"""The time in which one cause is told once."""

MAX_CAUSES: Final = 1000
"""The most causes to remember; of more, the oldest is told anew."""


@dataclass
class _Told:
    """
    A cause that was told.

    Attributes:
        until: The time from which it is told again.
        untold: How often it came up since it was told.
        line: The last line that was not told.
    """

    level: int
    until: float
    untold: int = 0
    line: str = ""


@final
class Notices:
    """
    A log that one cause cannot fill, however often it comes up.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # In the order of `until`, as all are told for the same time.
        self._told: dict[Hashable, _Told] = {}

    def tell(
        self, cause: Hashable, line: Callable[[], str], level: int = logging.WARNING
    ) -> None:
        """
        Write a line, unless the same cause was told within a minute.

        Args:
            cause: Lines of one cause are one; its parts have few values.
            line: Makes the line, safe to show.
            level: As of `logging`.
        """
        self.look()
        told = self._told.get(cause)
        if told is None:
            _log.log(level, "%s", line())
            while len(self._told) >= MAX_CAUSES:
                self._tell_rest(self._told.pop(next(iter(self._told))))
            self._told[cause] = _Told(level, self._clock() + SECONDS)
            return
        told.untold += 1
        told.line = line()

    def look(self) -> None:
        """Tell how often causes came up whose time is over."""
        now = self._clock()
        while self._told:
            cause = next(iter(self._told))
            if self._told[cause].until > now:
                return
            told = self._told.pop(cause)
            if told.untold:
                self._tell_rest(told)
                self._told[cause] = _Told(told.level, now + SECONDS)

    def end(self) -> None:
        """Tell all that was not told."""
        for told in self._told.values():
            self._tell_rest(told)
        self._told.clear()

    def _tell_rest(self, told: _Told) -> None:
        if told.untold:
            _log.log(
                told.level, "%d more like this in a minute: %s", told.untold, told.line
            )
