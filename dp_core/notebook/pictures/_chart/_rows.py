"""
`ChartRow`: one lane's room on the page, and `EventBlock`: many of its events as one.

A wait that lasts while another one does has a line of its own in the lane, so that no
bar covers another. Where a lane has so many events that the chart would be wider than
any page, those that follow each other closely are one block with their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, final

from dp_core.notebook._journal import JournalEvent
from dp_core.notebook.pictures._chart._lettering import LINE, width_of
from dp_core.notebook.pictures._timeline import ProcessTrack, TrackSpan

__all__ = [
    "LABEL",
    "PID",
    "PID_LINE",
    "SMALL",
    "ChartRow",
    "EventBlock",
    "blocks_of",
    "rows_of",
]

# In pixels: sizes of text, half the height of the largest symbol, and a line of bars.
LABEL: Final = 12.0
SMALL: Final = 9.0
PID: Final = 10.0
PID_LINE: Final = 13.0
_HALF: Final = 11.0
_PITCH: Final = 24.0
_LETTER: Final = 11.0
_PAD: Final = 3.0

_MOST_LINES: Final = 6
"""Waits at once that have a line each; those beyond share the last one."""

_MOST_PIDS: Final = 9
_MANY: Final = 6
"""Events that a block has at least."""


@final
@dataclass(slots=True, eq=False)
class EventBlock:
    """
    Events of one lane, too many to be drawn.

    Attributes:
        events: In the order of their times.
    """

    events: list[JournalEvent]

    @property
    def text(self) -> str:
        """Their number, in words."""
        return f"{len(self.events):,} events"


EventBlocks: TypeAlias = Mapping[int, EventBlock]
"""The block that an event is in, by the event's identity."""


@final
@dataclass(slots=True, eq=False)
class ChartRow:
    """
    One process's lane.

    Attributes:
        track: The process.
        pids: Its pids in their order, line by line. If it had only one, that is
            beside its name, else they are below it.
        top: Where it begins, in pixels from the top.
        centre: Where its first line of bars is.
        pitch: From one such line to the next.
        height: Its height.
        spans: Its bars, and on which of its lines they are.
        lines: The line of an event, by the event's identity; else it is the first.
    """

    track: ProcessTrack
    pids: tuple[str, ...]
    top: float = 0.0
    centre: float = 0.0
    pitch: float = _PITCH
    height: float = 0.0
    spans: list[tuple[TrackSpan, int]] = field(default_factory=list)
    lines: dict[int, int] = field(default_factory=dict)

    def y(self, event: JournalEvent) -> float:
        """Return where an event of this lane is drawn."""
        return self.y_of(self.lines.get(id(event), 0))

    def y_of(self, line: int) -> float:
        """Return where a line of bars is."""
        return self.centre + self.pitch * line


def rows_of(
    tracks: Iterable[ProcessTrack],
    blocks: EventBlocks,
    top: float,
    width: float,
    *,
    letters: bool,
) -> list[ChartRow]:
    """
    Return the lanes, one below the other.

    Args:
        tracks: The processes.
        blocks: Events that are not drawn.
        top: Where the first lane begins, in pixels.
        width: The room for labels.
        letters: Whether symbols have a letter below them.
    """
    rows = []
    for track in tracks:
        row = ChartRow(track, tuple(_pid_lines(track, width)), top)
        count = _put_on_lines(row, blocks)
        row.pitch = _PITCH + letters * _LETTER
        above = _HALF + _PAD + (len(track.pids) > 1) * SMALL * LINE
        row.centre = top + above
        bars = above + row.pitch * (count - 1) + _HALF + letters * _LETTER + _PAD
        words = above + PID_LINE * len(row.pids) + _HALF
        row.height = max(bars, words if len(track.pids) > 1 else 0)
        top += row.height
        rows.append(row)
    return rows


def _put_on_lines(row: ChartRow, blocks: EventBlocks) -> int:
    """Give each bar a line on which no other one is meanwhile; return how many."""
    order = {id(event): n for n, event in enumerate(row.track.events)}
    free: list[int] = []
    drawn = set()
    for span in row.track.spans:
        begin, end = blocks.get(id(span.begin)), blocks.get(id(span.end))
        ends = id(begin or span.begin), id(end or span.end)
        if (begin and begin is end) or ends in drawn:
            continue
        drawn.add(ends)
        since = order[id(span.begin)]
        line = next((n for n, until in enumerate(free) if until < since), len(free))
        line = min(line, _MOST_LINES - 1)
        until = order[id(span.end)] if span.end else len(order)
        free[line : line + 1] = [max(until, *free[line : line + 1], 0)]
        row.spans.append((span, line))
        row.lines[id(span.begin)] = line
        # The death of a process ends many of its waits, and is drawn once.
        if span.end and span.end.id:
            row.lines[id(span.end)] = line
    return max(1, len(free))


def _pid_lines(track: ProcessTrack, width: float) -> Iterator[str]:
    """Yield the pids in their order, in as many lines as they need."""
    pids = [str(pid) for pid in track.pids]
    if len(pids) > _MOST_PIDS:
        half = _MOST_PIDS // 2
        left_out = f"… {len(pids) - 2 * half} more …"
        pids = [*pids[:half], left_out, *pids[-half:]]
    line = ""
    for n, pid in enumerate(pids):
        word = pid if n == len(pids) - 1 else f"{pid} →"
        longer = f"{line} {word}".strip()
        if line and width_of(longer, PID) > width:
            yield line
            longer = word
        line = longer
    yield line


def blocks_of(tracks: Iterable[ProcessTrack], pause: float) -> dict[int, EventBlock]:
    """
    Return blocks of events that follow each other within *pause* seconds.

    Starts and ends of processes are never in one.
    """
    found: dict[int, EventBlock] = {}
    for track in tracks:
        for run in _runs(track.events, pause):
            if len(run) >= _MANY:
                block = EventBlock(run)
                found |= {id(event): block for event in run}
    return found


def _runs(events: Sequence[JournalEvent], pause: float) -> Iterator[list[JournalEvent]]:
    run: list[JournalEvent] = []
    for event in events:
        if run and (not event.id or event.at - run[-1].at > pause):
            yield run
            run = []
        if event.id:
            run.append(event)
    yield run
