"""`Lanes`: the lane chart, one lane for each process, as picture, text and words."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Final, final

from dp_core.notebook._cover import covered
from dp_core.notebook._journal import JOURNAL, JournalEvent
from dp_core.notebook.pictures._chart import LaneChart, legend_symbols, symbol_of
from dp_core.notebook.pictures._look import shown
from dp_core.notebook.pictures._markup import Element
from dp_core.notebook.pictures._timeline import ProcessTrack, Timeline

__all__ = ["Lanes", "lanes"]

_NOTHING: Final = "Nothing has happened yet."


def lanes(*ids: str) -> Lanes:
    """
    Return the lane chart of the events up to now.

    Args:
        ids: The promises to show; all that are known if none is given.
    """
    return Lanes(covered(JOURNAL, ids))


@final
class Lanes:
    """
    A lane chart of events; shows itself in a notebook.

    Args:
        events: In the order of their times.
    """

    def __init__(self, events: Iterable[JournalEvent]) -> None:
        self._timeline = Timeline(event for event in events if symbol_of(event))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self.plain(), "text/html": self.html()}

    def __repr__(self) -> str:
        return self.plain()

    def html(self) -> str:
        """
        Return the picture, and the same in words, as HTML.

        The picture is in a ``data:`` URL: the one way to draw that every notebook
        front end shows, also where the notebook is not trusted.
        """
        timeline = self._timeline
        if not timeline.events:
            return str(Element("div", _NOTHING))
        chart = LaneChart(timeline)
        data = b64encode(str(chart.svg()).encode()).decode()
        image = Element(
            "img",
            alt=(
                f"Lane chart of {len(timeline.tracks)} processes and "
                f"{len(timeline.promises)} promises; the same in words is below."
            ),
            # A page that is too narrow scrolls it; all others show it in full width.
            style=(
                f"width:100%;min-width:{chart.width:.0f}px;max-width:none;"
                f"height:{chart.height:.0f}px"
            ),
            src=f"data:image/svg+xml;base64,{data}",
        )
        words = Element(
            "details",
            Element("summary", "The same in words"),
            Element("pre", "\n".join(self.words())),
        )
        return f"{Element('div', image, style='overflow-x:auto')}{words}"

    def svg(self) -> str:
        """Return the picture as SVG."""
        return str(LaneChart(self._timeline).svg())

    def words(self) -> list[str]:
        """Return one sentence for each event."""
        events = self._timeline.events
        return [
            f"{event.at - events[0].at:8.3f} s  {shown(event.process)} {event.pid}  "
            f"{symbol.word}{_about(event)}"
            for event in events
            if (symbol := symbol_of(event))
        ]

    def plain(self) -> str:
        """Return the chart as plain text, one column for each event."""
        timeline = self._timeline
        if not timeline.events:
            return _NOTHING
        column = {id(event): i for i, event in enumerate(timeline.events)}
        tracks = timeline.tracks.values()
        names = [f"{shown(track.process)} {_pids(track)}" for track in tracks]
        width = max(map(len, names))
        rows = [
            f"{name:<{width}}  {_cells(track, column)}".rstrip()
            for name, track in zip(names, tracks, strict=True)
        ]
        legend = [f"{s.char} {s.word}" for s in legend_symbols(timeline.events)]
        return "\n".join([*rows, "  ".join(legend)])


def _cells(track: ProcessTrack, column: dict[int, int]) -> str:
    """Return one lane: a line for each wait and settle, a character for each event."""
    cells = [" "] * len(column)
    for span in track.spans:
        begin = column[id(span.begin)]
        end = column[id(span.end)] if span.end else len(cells)
        line = ("┅" if span.again else "━") if span.waits else "─"
        cells[begin:end] = line * (end - begin)
    for event in track.events:
        if symbol := symbol_of(event):
            cells[column[id(event)]] = symbol.char
    return "".join(cells)


def _pids(track: ProcessTrack) -> str:
    return " → ".join(map(str, track.pids))


def _about(event: JournalEvent) -> str:
    name = f" '{shown(event.id)}'" if event.id else ""
    value = f": {shown(event.text, 80)}" if event.text else ""
    return name + value
