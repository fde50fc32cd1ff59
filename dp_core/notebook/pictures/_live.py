"""`watch`: a board and lanes that follow the events of the journal."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, final

from dp_core.notebook._cover import covered
from dp_core.notebook._journal import JOURNAL, JournalEvent
from dp_core.notebook.pictures._board import Board
from dp_core.notebook.pictures._cell_output import LiveOutput
from dp_core.notebook.pictures._lanes import Lanes

__all__ = ["refresh", "watch"]

_PERIOD: Final = 0.1
"""The least time between two changes of a picture, in seconds."""


def watch(*ids: str) -> None:
    """
    Show the board and the lanes here, and keep them up to date.

    Args:
        ids: The promises to show; all if none is given.
    """
    view = _LiveView(ids)
    _VIEWS.append(view)
    view.draw()


def refresh() -> None:
    """Bring all that is shown up to date now."""
    for view in _VIEWS:
        view.confirm()


@final
class _LiveView:
    """One board with its lanes, in the cell that called `watch`."""

    def __init__(self, ids: tuple[str, ...]) -> None:
        self._ids = ids
        self._output = LiveOutput()
        self._due: asyncio.TimerHandle | None = None
        self._confirmed: dict[str, str] = {}

    def draw(self) -> None:
        """Show the events up to now."""
        self._output.show(self._drawn())

    def confirm(self) -> None:
        """
        Show the events up to now, as output of the running cell.

        Output of a timer belongs to an earlier cell, and a program that runs a
        notebook, such as nbclient, stores only output of the running cell.
        """
        drawn = self._drawn()
        if drawn != self._confirmed:
            self._output.show(drawn, again=True)
            self._confirmed = drawn

    def _drawn(self) -> dict[str, str]:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        events = covered(JOURNAL, self._ids)
        board, lanes = Board(events), Lanes(events)
        return {
            "text/plain": f"{board.plain()}\n\n{lanes.plain()}",
            "text/html": board.html() + lanes.html(),
        }

    def hear(self, event: JournalEvent) -> None:
        """Draw soon, and once for all events that come until then."""
        if self._due is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                # Reported by a thread, or under trio: drawn with the next event.
                return
            self._due = loop.call_later(_PERIOD, self.draw)


# Older pictures are not updated any more.
_VIEWS: Final[deque[_LiveView]] = deque(maxlen=8)


def _hear(event: JournalEvent) -> None:
    for view in _VIEWS:
        view.hear(event)


JOURNAL.listeners.append(_hear)
