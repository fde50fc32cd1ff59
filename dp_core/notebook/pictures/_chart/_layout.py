"""`ChartLayout`: where everything in a chart is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

from dp_core.notebook._journal import JournalEvent
from dp_core.notebook.pictures._chart._heading import letters_of
from dp_core.notebook.pictures._chart._lettering import width_of
from dp_core.notebook.pictures._chart._rows import (
    LABEL,
    PID,
    SMALL,
    ChartRow,
    EventBlock,
    blocks_of,
    rows_of,
)
from dp_core.notebook.pictures._chart._scale import Slot, TimeScale, least_width
from dp_core.notebook.pictures._chart._symbols import symbol_of
from dp_core.notebook.pictures._look import shown
from dp_core.notebook.pictures._timeline import ProcessTrack, Timeline

__all__ = ["LEFT", "ChartLayout"]

LEFT: Final = 12.0
"""Pixels before the labels, and behind them."""

_NARROWEST: Final = 440.0
"""
The width for which a chart is laid out, if its events do not need more.

So much has an output of JupyterLab in a window of 900 pixels, beside its file browser.
"""

_WIDEST: Final = 1500.0
"""The width from which on events are drawn as blocks."""

_LABELS: Final = (72.0, 160.0)
_RIGHT: Final = 14.0
_OPEN: Final = 66.0
"""Pixels behind the lanes; more if words follow there."""

_TAIL: Final = 16.0

_PAUSES: Final = (-1.0, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 10.0, 1e9)


@final
class ChartLayout:
    """
    Places for the events of a timeline.

    Args:
        timeline: It has at least one event, and all of them have a symbol.

    Attributes:
        letters: The letter of each promise, if there are several.
        left: Where the lanes begin, in pixels.
        right: The room behind them.
        plot: How long they are.
        blocks: Events that are drawn as one, by their identities.
        scale: The time axis.
        rows: The lanes, by process; empty until `put_rows`.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.letters = letters_of(timeline.promises)
        tracks = timeline.tracks.values()
        self._labels = min(max(_LABELS[0], *map(_label_width, tracks)), _LABELS[1])
        self.left = LEFT + self._labels + LEFT
        is_open = any(span.end is None for track in tracks for span in track.spans)
        self.right = _OPEN if is_open else _RIGHT
        self.blocks: dict[int, EventBlock] = {}
        for pause in _PAUSES:
            self.blocks = blocks_of(tracks, pause)
            pairs = list(self._slots())
            slots = [slot for _, slot in pairs]
            if least_width(slots) <= _WIDEST - self.left - self.right:
                break
        room = _NARROWEST - self.left - self.right
        # So that a bar that goes on can be seen to do so.
        tail = _TAIL if is_open else 0.0
        self.scale = TimeScale(slots, room - tail)
        self.plot = max(room, self.scale.end + tail)
        self._places = {
            id(event): place
            for (event, _), place in zip(pairs, self.scale.places, strict=True)
        }
        self.rows: dict[str, ChartRow] = {}

    @property
    def width(self) -> float:
        """The width of the whole chart on the narrowest page."""
        return self.left + self.plot + self.right

    def put_rows(self, top: float) -> float:
        """Lay out the lanes from *top* on, and return where they end."""
        rows = rows_of(
            self._timeline.tracks.values(),
            self.blocks,
            top,
            self._labels,
            letters=bool(self.letters),
        )
        self.rows = {row.track.process: row for row in rows}
        return rows[-1].top + rows[-1].height

    def x(self, event: JournalEvent) -> float:
        """Return where an event is; in the middle of its block if it is in one."""
        block = self.blocks.get(id(event))
        if block is None:
            return self._places[id(event)]
        return sum(self.ends_of(block)) / 2

    def ends_of(self, block: EventBlock) -> tuple[float, float]:
        """Return where a block begins and ends."""
        return (
            self._places[id(block.events[0])],
            self._places[id(block.events[-1])],
        )

    def begin_of(self, event: JournalEvent) -> float:
        """Return where something begins that began with an event."""
        block = self.blocks.get(id(event))
        return self.ends_of(block)[1] if block else self.x(event)

    def end_of(self, event: JournalEvent | None) -> float:
        """Return where something ends that an event ended; or did not end yet."""
        if event is None:
            return self.plot
        block = self.blocks.get(id(event))
        return self.ends_of(block)[0] if block else self.x(event)

    def name_room(self, row: ChartRow) -> float:
        """Return the width of a lane's name."""
        beside = width_of(row.pids[0], PID) + 8 if len(row.track.pids) == 1 else 0.0
        return self._labels - beside

    def restarted(self, event: JournalEvent) -> bool:
        """Tell whether a process starts that has been there before."""
        pids = self._timeline.tracks[event.process].pids
        return event.kind == "started" and event.pid != pids[0]

    def _slots(self) -> Iterator[tuple[JournalEvent, Slot]]:
        for event in self._timeline.events:
            block = self.blocks.get(id(event))
            if block is None:
                half = self._half(event)
                yield event, Slot(event.at, event.process, half, half)
                continue
            half = width_of(block.text, SMALL) / 2 + 4
            if event is block.events[0]:
                yield event, Slot(event.at, event.process, 6, half)
            elif event is block.events[-1]:
                yield event, Slot(event.at, event.process, half, 6)

    def _half(self, event: JournalEvent) -> float:
        symbol = symbol_of(event)
        texts = [self.letters.get(event.key, "") if event.id else ""]
        if self.restarted(event):
            texts.append(str(event.pid))
        half = max(width_of(text, SMALL) / 2 + 2 for text in texts)
        return max(half, symbol.half + 1 if symbol else 0.0)


def _label_width(track: ProcessTrack) -> float:
    name = width_of(shown(track.process, 24), LABEL)
    if len(track.pids) > 1:
        return name
    return name + 8 + width_of(str(track.pid), PID)
