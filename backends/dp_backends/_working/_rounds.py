"""`Rounds`: an operation begun anew where somebody was faster, not for ever."""

from __future__ import annotations

import time
from typing import Final, final

__all__ = ["Rounds"]

_MOST: Final = 20
"""
The most rounds that find the same.

Two would prove it, were there not caches, as those of file systems over a network.
"""

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05


@final
class Rounds:
    """
    Rounds of one operation, each of which looks, and changes what it has found.

    If a change has no effect, somebody else was faster, and the next look finds what
    they did. Where it finds the same, round after round, something else is in the way,
    and stays there.
    """

    __slots__ = ("_found", "_same")

    def __init__(self) -> None:
        self._found: object = None
        self._same = 0

    def are_futile(self, found: object) -> bool:
        """
        Tell whether to give up after one more round without effect.

        Args:
            found: The find of that round, to be compared with that of the next one.
        """
        self._same = self._same + 1 if self._same and found == self._found else 1
        self._found = found
        return self._same >= _MOST

    def pause(self) -> None:
        """Block the thread for a moment, unless something has changed."""
        if self._same > 1:
            time.sleep(min(_FIRST_PAUSE * 2**self._same, _LONGEST_PAUSE))
