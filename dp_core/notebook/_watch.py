"""Boards and lanes that follow what happens."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, final

from dp_core.notebook._board import Board
from dp_core.notebook._journal import JOURNAL, Event
from dp_core.notebook._lanes import Lanes
from dp_core.notebook._screen import Screen

__all__ = ["refresh", "watch"]

_PERIOD: Final = 0.1
"""How often a picture changes at most, in seconds."""


def watch(*ids: str) -> None:
    """
    Show the board and the lanes here, and let them follow what happens.

    Args:
        ids: The promises to show; all if none is given.
    """
    view = _View(ids)
    _VIEWS.append(view)
    view.draw()


def refresh() -> None:
    """Bring all that is shown up to date now."""
    for view in _VIEWS:
        view.confirm()


@final
class _View:
    def __init__(self, ids: tuple[str, ...]) -> None:
        self._ids = ids
        self._screen = Screen()
        self._due: asyncio.TimerHandle | None = None
        self._confirmed: dict[str, str] = {}

    def draw(self) -> None:
        """Show what is known."""
        self._screen.show(self._drawn())

    def confirm(self) -> None:
        """
        Show it from the running cell.

        What a timer draws belongs to an earlier cell, and programs that run a
        notebook take notice of what the running cell says, and of nothing else.
        """
        drawn = self._drawn()
        if drawn != self._confirmed:
            self._screen.show(drawn, again=True)
            self._confirmed = drawn

    def _drawn(self) -> dict[str, str]:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        events = JOURNAL.about(*self._ids)
        board, lanes = Board(events), Lanes(events)
        return {
            "text/plain": f"{board.plain()}\n\n{lanes.plain()}",
            "text/html": board.html() + lanes.html(),
        }

    def hear(self, event: Event) -> None:
        if self._due is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                # Reported by a thread, or under trio: drawn with the next one.
                return
            self._due = loop.call_later(_PERIOD, self.draw)


# Old pictures stand still.
_VIEWS: Final[deque[_View]] = deque(maxlen=8)


def _hear(event: Event) -> None:
    for view in _VIEWS:
        view.hear(event)


JOURNAL.listeners.append(_hear)
