"""The board: which promises there are, and what each process is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from dp_core._display import code, escape, pill, shortened, visible
from dp_core.notebook._journal import JOURNAL, Event
from dp_core.notebook._story import Lane, Story, Tale

__all__ = ["Board", "board"]

_TABLE = 'style="border-collapse:collapse;margin:0.3em 0 0.8em 0"'
_HEAD = (
    'style="text-align:left;padding:0.2em 0.9em 0.2em 0;'
    'border-bottom:1px solid #8a8a8a;font-weight:bold"'
)
_CELL = (
    'style="text-align:left;padding:0.25em 0.9em 0.25em 0;'
    'border-bottom:1px solid #d5d5d5;vertical-align:top"'
)


def board(*ids: str) -> Board:
    """
    Return the board as it stands now, as far as the processes told.

    Args:
        ids: The promises to show; all that are known if none is given.
    """
    return Board(JOURNAL.about(*ids))


@final
class Board:
    """
    Promises and processes, as *events* tell; shows itself in a notebook.

    Args:
        events: In the order of their times.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._story = Story(events)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self.plain(), "text/html": self.html()}

    def __repr__(self) -> str:
        return self.plain()

    @property
    def states(self) -> dict[str, str]:
        """``{id: "pending" | "resolved" | "rejected"}``."""
        return {tale.key[1]: tale.state for tale in self._story.tales.values()}

    def html(self) -> str:
        """Return two tables as HTML."""
        promises = [
            [pill(tale.look), *map(code, _names(tale)), *map(escape, self._news(tale))]
            for tale in self._story.tales.values()
        ]
        processes = [
            [f"<b>{escape(lane.process)}</b>", str(lane.pid), escape(_condition(lane))]
            for lane in self._story.lanes.values()
        ]
        return (
            _table(_PROMISES, promises) + _table(_PROCESSES, processes)
            or "<div>Nothing has happened yet.</div>"
        )

    def plain(self) -> str:
        """Return the same in characters."""
        promises = [
            [f"{tale.look.shape} {tale.look.word}", *_names(tale), *self._news(tale)]
            for tale in self._story.tales.values()
        ]
        processes = [
            [lane.process, str(lane.pid), _condition(lane)]
            for lane in self._story.lanes.values()
        ]
        lines = _columns(_PROMISES, promises) + _columns(_PROCESSES, processes)
        return "\n".join(lines) or "Nothing has happened yet."

    def _news(self, tale: Tale) -> list[str]:
        return [
            tale.settler or "-",
            ", ".join(tale.refused) or "-",
            ", ".join(self._story.waiting_for(tale.key)) or "-",
        ]


_PROMISES = ["state", "promise", "value", "settled by", "refused", "waiting"]
_PROCESSES = ["process", "pid", "is"]


def _names(tale: Tale) -> list[str]:
    return [shortened(visible(tale.key[1]), 40), shortened(tale.text, 48)]


def _condition(lane: Lane) -> str:
    if not lane.alive:
        return {"killed": "☠ killed", "stopped": "■ ended"}[lane.how_it_ended]
    awaited = [f"'{shortened(wait.begin.id, 40)}'" for wait in lane.open_waits]
    return f"… waiting for {', '.join(awaited)}" if awaited else "▷ alive"


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [_row("th", _HEAD, head), *(_row("td", _CELL, row) for row in rows)]
    return f"<table {_TABLE}>{''.join(lines)}</table>"


def _row(tag: str, style: str, cells: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag} {style}>{cell}</{tag}>' for cell in cells)}</tr>"


def _columns(head: list[str], rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    table = [head, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return [
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
