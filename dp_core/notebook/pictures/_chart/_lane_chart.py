"""
`LaneChart`: a timeline as an SVG drawing, one lane for each process.

It is as wide as the page, and its text is as large as the page's: what lies in time is
placed in per cent of the width, all else in pixels; not in sums of both, which not all
browsers know in SVG. Everything is laid out for the narrowest page,
`LaneChart.width`; on a wider one there is more room between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

from dp_core.notebook._journal import ENDS, JournalEvent
from dp_core.notebook.pictures._chart._axis import TICK_SIZE, Tick, pause, ticks_of
from dp_core.notebook.pictures._chart._heading import heading
from dp_core.notebook.pictures._chart._layout import LEFT, ChartLayout
from dp_core.notebook.pictures._chart._legend import BREAK_MARK, legend
from dp_core.notebook.pictures._chart._lettering import (
    FONT,
    fitted,
    lettering,
    width_of,
)
from dp_core.notebook.pictures._chart._paints import STYLE_SHEET, paint
from dp_core.notebook.pictures._chart._rows import LABEL, PID, PID_LINE, SMALL, ChartRow
from dp_core.notebook.pictures._chart._scale import Break
from dp_core.notebook.pictures._chart._symbols import symbol_of
from dp_core.notebook.pictures._markup import Element
from dp_core.notebook.pictures._timeline import Timeline, TrackSpan

__all__ = ["LaneChart"]

_AXIS: Final = 32.0
"""The height of an axis: a line, and two lines of text."""

_MANY_LANES: Final = 6
"""From how many lanes on the axis is above them, too."""

_WAIT: Final = 12.0
_SETTLE: Final = 5.0
"""The heights of bars."""

_DASHED: Final = "4 3"
_NOTE: Final = {True: "waits…", False: "settles…"}


@final
class LaneChart:
    """
    Draws the events of a timeline.

    Args:
        timeline: It has at least one event, and all of them have a symbol.

    Attributes:
        width: The narrowest page on which all of it can be read, in pixels.
        height: Its height on any page.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._layout = layout = ChartLayout(timeline)
        self.width = layout.width
        self._heading, top = heading(timeline.promises, layout.letters, self.width)
        self._axis_above = len(timeline.tracks) >= _MANY_LANES
        self._top = top + _AXIS * self._axis_above
        self._bottom = layout.put_rows(self._top)
        self._legend, self.height = legend(
            timeline.events,
            self._bottom + _AXIS + 16,
            self.width,
            breaks=bool(layout.scale.breaks),
            blocks=bool(layout.blocks),
        )
        self._ticks = ticks_of(layout.scale, layout.plot)

    def svg(self) -> Element:
        """Return the drawing."""
        plot = Element(
            "svg",
            *self._plot(),
            x=self._of_page(self._layout.left),
            width=self._of_page(self._layout.plot),
            height=self.height,
            overflow="visible",
        )
        return Element(
            "svg",
            Element("style", STYLE_SHEET),
            Element("rect", width="100%", height="100%", rx=6, **paint("card", "edge")),
            *self._heading,
            *(part for row in self._layout.rows.values() for part in self._label(row)),
            plot,
            *self._legend,
            xmlns="http://www.w3.org/2000/svg",
            width="100%",
            height=self.height,
            font_family=FONT,
        )

    def _plot(self) -> Iterator[Element]:
        """Draw what lies in time, from the back to the front."""
        layout, timeline = self._layout, self._timeline
        for tick in self._ticks:
            if tick.regular:
                yield self._line(tick.x, self._top, tick.x, self._bottom, "grid", 1)
        for row in layout.rows.values():
            yield from self._lifeline(row)
        for row in layout.rows.values():
            for span, line in row.spans:
                yield self._bar(span, row.y_of(line))
        for won, got in timeline.wakes():
            yield self._wake(won, got)
        for gap in layout.scale.breaks:
            yield self._gap(gap)
        if self._axis_above:
            yield from self._axis(self._top, -1)
        yield from self._axis(self._bottom, 1)
        for row in layout.rows.values():
            yield from self._marks(row)
            yield from self._open_ends(row)

    def _label(self, row: ChartRow) -> Iterator[Element]:
        """Write the name, and the pids in their order."""
        name = fitted(row.track.process, LABEL, self._layout.name_room(row))
        yield lettering(LEFT, row.centre + 4, name, LABEL, bold=True)
        if len(row.track.pids) == 1:
            x, y = self._of_page(self._layout.left), row.centre + 4
            pid = row.pids[0]
            yield lettering(x, y, pid, PID, ink="dim", anchor="end", dx=-LEFT)
            return
        for n, line in enumerate(row.pids, 1):
            y = row.centre + 4 + n * PID_LINE
            yield lettering(LEFT, y, line, PID, ink="dim")

    def _lifeline(self, row: ChartRow) -> Iterator[Element]:
        """Draw a line for as long as there is a process, dashed while there is none."""
        y = row.centre
        # A process whose start is not shown is older than the first event.
        since: float | None = 0.0
        gone: float | None = None
        for event in row.track.events:
            if event.kind == "started":
                x = self._layout.x(event)
                if gone is not None:
                    yield self._line(gone, y, x, y, "line", 1.5, "1 5")
                since, gone = x, None
            elif event.kind in ENDS:
                x = self._layout.x(event)
                yield self._line(since or 0.0, y, x, y, "line", 1.5)
                since, gone = None, x
        if since is not None:
            yield self._line(since, y, self._layout.plot, y, "line", 1.5)

    def _bar(self, span: TrackSpan, y: float) -> Element:
        """Draw a wait or a settle: dashed if it is repeated, open while it lasts."""
        x1 = self._layout.begin_of(span.begin)
        x2 = self._layout.end_of(span.end)
        height = _WAIT if span.waits else _SETTLE
        ink = ("amber-paper", "amber") if span.waits else ("edge", "grey")
        return Element(
            "rect",
            x=self._percent(x1),
            y=y - height / 2,
            width=self._percent(max(0.0, x2 - x1)),
            height=height,
            stroke_dasharray=_DASHED if span.again else None,
            **paint(*ink),
        )

    def _wake(self, won: JournalEvent, got: JournalEvent) -> Element:
        """Draw a line from a settle to a wait that it ended."""
        rows = self._layout.rows
        x1, y1 = self._layout.x(won), rows[won.process].y(won)
        x2, y2 = self._layout.x(got), rows[got.process].y(got)
        return self._line(x1, y1, x2, y2, "line", 1, "2 2")

    def _marks(self, row: ChartRow) -> Iterator[Element]:
        """Draw the events of a lane, with the letters of promises, and new pids."""
        layout = self._layout
        for event in row.track.events:
            block = layout.blocks.get(id(event))
            if block is not None:
                if event is block.events[0]:
                    yield from self._block(*layout.ends_of(block), row, block.text)
                continue
            x, y = layout.x(event), row.y(event)
            if symbol := symbol_of(event):
                yield self._at(x, y, symbol.drawn)
            if layout.restarted(event):
                yield self._text(x, y - 13, str(event.pid), ink="dim")
            if letter := event.id and layout.letters.get(event.key):
                yield self._text(x, y + 20, letter)

    def _block(
        self, begin: float, end: float, row: ChartRow, text: str
    ) -> Iterator[Element]:
        yield Element(
            "rect",
            x=self._percent(begin),
            y=row.centre - 9,
            width=self._percent(end - begin),
            height=18,
            rx=4,
            **paint("card", "line"),
        )
        yield self._text((begin + end) / 2, row.centre + 3, text)

    def _open_ends(self, row: ChartRow) -> Iterator[Element]:
        """Say of what lasts that it does."""
        said = {line: span for span, line in row.spans if span.end is None}
        for line, span in said.items():
            note, y = _NOTE[span.waits], row.y_of(line) + 4
            yield lettering("100%", y, note, 11, ink="amber", dx=6)

    def _gap(self, gap: Break) -> Element:
        """Interrupt all lanes where a pause was cut out."""
        y, height = self._top, self._bottom - self._top
        band = Element("rect", x=-5, width=10, height=height, **paint("card"))
        edges = Element(
            "path",
            d=f"M-5 0v{height:.1f}M5 0v{height:.1f}",
            stroke_dasharray="3 3",
            **paint(stroke="edge"),
        )
        return self._at((gap.begin + gap.end) / 2, y, band, edges)

    def _axis(self, y: float, side: int) -> Iterator[Element]:
        """Draw the axis at *y*, with its text above (-1) or below it (1)."""
        yield self._line(0, y, self._layout.plot, y, "line", 1)
        near, far = (13, 26) if side > 0 else (-7, -20)
        for tick in self._ticks:
            yield self._line(tick.x, y, tick.x, y + 4 * side, "dim", 1)
            if tick.text:
                yield self._tick_text(tick, y + near)
        for gap in self._layout.scale.breaks:
            x = (gap.begin + gap.end) / 2
            yield self._at(x, y, BREAK_MARK)
            yield self._text(x, y + far, pause(gap.seconds), ink="dim")

    def _tick_text(self, tick: Tick, y: float) -> Element:
        half = width_of(tick.text, TICK_SIZE) / 2
        x, anchor = self._percent(tick.x), "middle"
        if tick.x < half:
            x, anchor = "0%", "start"
        elif tick.x > self._layout.plot - half:
            x, anchor = "100%", "end"
        return lettering(x, y, tick.text, TICK_SIZE, ink="dim", anchor=anchor)

    def _text(self, x: float, y: float, text: str, ink: str = "ink") -> Element:
        place = self._percent(x)
        return lettering(place, y, text, SMALL, ink=ink, anchor="middle", halo=True)

    def _at(self, x: float, y: float, *shapes: Element) -> Element:
        return Element("svg", *shapes, x=self._percent(x), y=y, overflow="visible")

    def _line(  # noqa: PLR0913, PLR0917 - the attributes of one SVG element
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        ink: str,
        width: float,
        dash: str | None = None,
    ) -> Element:
        return Element(
            "line",
            x1=self._percent(x1),
            y1=y1,
            x2=self._percent(x2),
            y2=y2,
            stroke_width=width,
            stroke_dasharray=dash,
            **paint(stroke=ink),
        )

    def _of_page(self, x: float) -> str:
        """Return a length, or a place on the narrowest page, in per cent of a page."""
        return f"{100 * x / self.width:.3f}%"

    def _percent(self, x: float) -> str:
        """Return a length, or a place on the axis, in per cent of the axis."""
        return f"{100 * x / self._layout.plot:.3f}%"
