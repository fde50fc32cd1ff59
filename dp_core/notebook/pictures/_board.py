"""`Board`: the promises with their states, and the processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

from dp_core.notebook._journal import JOURNAL, JournalEvent
from dp_core.notebook.pictures._look import clock_time, code, pill, shown
from dp_core.notebook.pictures._markup import Element, Node
from dp_core.notebook.pictures._timeline import (
    ProcessTrack,
    PromiseSummary,
    Timeline,
)

__all__ = ["Board", "board"]

_TABLE: Final = "border-collapse:collapse;margin:0.3em 0 0.8em 0"
_HEAD: Final = (
    "text-align:left;padding:0.2em 0.9em 0.2em 0;"
    "border-bottom:1px solid #8a8a8a;font-weight:bold"
)
# A line that is pale on white glares on black: this grey reads alike on both.
_CELL: Final = (
    "text-align:left;padding:0.25em 0.9em 0.25em 0;"
    "border-bottom:1px dotted #8a8a8a;vertical-align:top"
)
_PROMISES: Final = ("state", "promise", "value", "settled by", "refused", "waiting")
_TERMS: Final = ("deadline", "tags")
_PROCESSES: Final = ("process", "pid", "is")
_NOTHING: Final = "Nothing has happened yet."


def board(*ids: str) -> Board:
    """
    Return the board as of now, as far as the processes have reported.

    Args:
        ids: The promises to show; all that are known if none is given.
    """
    return Board(JOURNAL.about(*ids))


@final
class Board:
    """
    A table of promises and one of processes; shows itself in a notebook.

    Args:
        events: In the order of their times.
    """

    def __init__(self, events: Iterable[JournalEvent]) -> None:
        self._timeline = Timeline(events)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self.plain(), "text/html": self.html()}

    def __repr__(self) -> str:
        return self.plain()

    @property
    def states(self) -> dict[str, str]:
        """``{id: "pending" | "resolved" | "rejected"}``."""
        return {key[1]: it.state for key, it in self._timeline.promises.items()}

    def html(self) -> str:
        """Return two tables as HTML."""
        promises: list[Sequence[Node]] = [
            [
                pill(promise.style),
                code(shown(promise.key[1], 40)),
                code(value) if (value := _value(promise)) else "-",
                *self._parties(promise),
                *self._terms(promise),
            ]
            for promise in self._timeline.promises.values()
        ]
        processes: list[Sequence[Node]] = [
            [Element("b", shown(track.process)), _pids(track), _condition(track)]
            for track in self._timeline.tracks.values()
        ]
        tables = _table(self._head, promises) + _table(_PROCESSES, processes)
        return tables or str(Element("div", _NOTHING))

    def plain(self) -> str:
        """Return both tables as plain text."""
        promises = [
            [
                f"{promise.style.shape} {promise.style.word}",
                shown(promise.key[1], 40),
                _value(promise) or "-",
                *self._parties(promise),
                *self._terms(promise),
            ]
            for promise in self._timeline.promises.values()
        ]
        processes = [
            [shown(track.process), _pids(track), _condition(track)]
            for track in self._timeline.tracks.values()
        ]
        lines = _columns(self._head, promises) + _columns(_PROCESSES, processes)
        return "\n".join(lines) or _NOTHING

    @property
    def _head(self) -> tuple[str, ...]:
        return _PROMISES + (_TERMS if self._has_terms else ())

    @property
    def _has_terms(self) -> bool:
        """Whether a promise has a deadline or tags; else there are no columns."""
        return any(it.deadline or it.tags for it in self._timeline.promises.values())

    def _terms(self, promise: PromiseSummary) -> list[str]:
        if not self._has_terms:
            return []
        deadline = clock_time(promise.deadline) if promise.deadline else "-"
        return [deadline, shown(promise.tags, 48) or "-"]

    def _parties(self, promise: PromiseSummary) -> list[str]:
        """Return who settled, who was refused, and who waits."""
        waiting = self._timeline.waiting_for(promise.key)
        return [
            ", ".join(map(shown, names)) or "-"
            for names in (filter(None, [promise.settler]), promise.refused, waiting)
        ]


def _value(promise: PromiseSummary) -> str:
    return shown(promise.text, 48)


def _pids(track: ProcessTrack) -> str:
    return " → ".join(map(str, track.pids))


def _condition(track: ProcessTrack) -> str:
    if not track.alive:
        how = {"killed": "☠ killed"}.get(track.how_it_ended, "■ ended")
        text = track.events[-1].text
        return f"{how}: {shown(text)}" if text else how
    awaited = [f"'{shown(wait.begin.id, 40)}'" for wait in track.open_waits]
    return f"… waiting for {', '.join(awaited)}" if awaited else "▷ alive"


def _table(head: Sequence[Node], rows: list[Sequence[Node]]) -> str:
    if not rows:
        return ""
    lines = [_row("th", _HEAD, head), *(_row("td", _CELL, row) for row in rows)]
    return str(Element("table", *lines, style=_TABLE))


def _row(tag: str, style: str, cells: Sequence[Node]) -> Element:
    return Element("tr", *(Element(tag, cell, style=style) for cell in cells))


def _columns(head: Sequence[str], rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    table = [head, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return [
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
