"""`LaneChart`: a timeline as an SVG drawing, one lane for each process."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, final

from dp_core._states import Pending
from dp_core.notebook._journal import JournalEvent, PromiseKey
from dp_core.notebook.pictures._look import STYLES, shown
from dp_core.notebook.pictures._markup import Element
from dp_core.notebook.pictures._symbols import legend_symbols, symbol_of
from dp_core.notebook.pictures._timeline import ProcessTrack, Timeline, WaitSpan

__all__ = ["LaneChart"]

# In pixels: where the lanes begin, how high one is, and what is left at the right.
_LEFT: Final = 170
_TOP: Final = 46
_ROW: Final = 34
_RIGHT: Final = 70
_MIN_WIDTH: Final = 620

_BLACK: Final = "#1a1a1a"
_GREY: Final = "#8a8a8a"
_DIM: Final = "#555555"
_WAITING: Final = STYLES[Pending]
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NOTE: Final = "Time runs to the right; long pauses are drawn short."


@final
class LaneChart:
    """
    Places and draws the events of a timeline.

    Args:
        timeline: It has at least one event, and all of them have a symbol.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._columns = _columns(timeline.events)
        self._rows = {name: _TOP + _ROW * i for i, name in enumerate(timeline.tracks)}
        self._end = _LEFT + max(self._columns.values()) + 26
        self._letters: dict[PromiseKey, str] = dict(
            zip(timeline.promises, _LETTERS, strict=False)
        )

    def svg(self) -> Element:
        """Return the drawing."""
        timeline = self._timeline
        width = max(self._end + _RIGHT, _MIN_WIDTH)
        bottom = _TOP + _ROW * len(self._rows)
        legend, legend_height = _legend(timeline.events, bottom + 24, width)
        height = bottom + 12 + legend_height
        return Element(
            "svg",
            Element(
                "rect",
                x=0.5,
                y=0.5,
                width=width - 1,
                height=height - 1,
                rx=6,
                fill="#ffffff",
                stroke="#cccccc",
            ),
            _text(12, 18, self._title(), weight="bold"),
            *(
                part
                for track in timeline.tracks.values()
                for part in self._track(track)
            ),
            *(self._wake(won, got) for won, got in timeline.wakes()),
            *(
                part
                for name, track in timeline.tracks.items()
                for wait in track.waits
                for part in self._wait(wait, self._rows[name])
            ),
            *(part for event in timeline.events for part in self._event(event)),
            *self._axis(bottom - 6),
            *legend,
            xmlns="http://www.w3.org/2000/svg",
            width=width,
            height=height,
            viewBox=f"0 0 {width:.0f} {height:.0f}",
            font_family="DejaVu Sans, Verdana, sans-serif",
        )

    def _x(self, event: JournalEvent) -> float:
        return _LEFT + self._columns[event.at]

    def _title(self) -> str:
        promises = self._timeline.promises
        if len(promises) == 1:
            [promise] = promises.values()
            value = f": {shown(promise.text, 50)}" if promise.text else ""
            style = promise.style
            return f"{shown(promise.key[1])} {style.shape} {style.word}{value}"
        return ",  ".join(
            f"{letter}: {shown(key[1])} {promises[key].style.shape}"
            for key, letter in self._letters.items()
        )

    def _track(self, track: ProcessTrack) -> Iterator[Element]:
        """Draw the name, and a line for as long as there is a process."""
        y = self._rows[track.process]
        yield _text(12, y + 4, shown(track.process, 13), weight="bold")
        yield _text(_LEFT - 14, y + 4, str(track.pid), ink="#444444", anchor="end")
        # A process whose start was not reported is older than the first event.
        since: float | None = None if track.events[0].kind == "started" else _LEFT
        gone: float | None = None
        for event in track.events:
            x = self._x(event)
            if event.kind == "started":
                if gone is not None:
                    yield _line(gone, y, x, dash="1 5")
                    yield _text(x, y - 10, str(event.pid), size=9, anchor="middle")
                since, gone = x, None
            elif event.kind in ("killed", "stopped"):
                yield _line(since or _LEFT, y, x)
                since, gone = None, x
        if since is not None:
            yield _line(since, y, self._end)

    def _wait(self, wait: WaitSpan, y: float) -> Iterator[Element]:
        """Draw a wait: dashed if it is repeated, open while it lasts."""
        x1 = self._x(wait.begin)
        x2 = self._x(wait.end) if wait.end else self._end
        yield Element(
            "rect",
            x=x1,
            y=y - 6,
            width=x2 - x1,
            height=12,
            fill=_WAITING.paper,
            stroke=_WAITING.ink,
            stroke_dasharray="4 3" if wait.again else None,
        )
        yield from self._letter(wait.begin, (x1 + x2) / 2, y + 4)
        if not wait.end:
            yield _text(x2 + 4, y + 4, "waits…", size=11, ink=_WAITING.ink)

    def _event(self, event: JournalEvent) -> Iterator[Element]:
        x, y = self._x(event), self._rows[event.process]
        if symbol := symbol_of(event):
            yield symbol.draw(x, y)
        if event.kind in ("won", "refused", "disposed"):
            yield from self._letter(event, x, y - 11)

    def _letter(self, event: JournalEvent, x: float, y: float) -> Iterator[Element]:
        """Tell which promise it is, where there are several."""
        if len(self._letters) > 1:
            letter = self._letters.get(event.key, "…")
            yield _text(x, y, letter, size=10, anchor="middle")

    def _wake(self, won: JournalEvent, got: JournalEvent) -> Element:
        """Draw a line from a settle to a wait that it ended."""
        x1, y1 = self._x(won), self._rows[won.process]
        x2, y2 = self._x(got), self._rows[got.process]
        return _path(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", width=1, dash="2 2")

    def _axis(self, y: float) -> Iterator[Element]:
        first, last = self._timeline.events[0].at, -math.inf
        for at, x in self._columns.items():
            if x - last >= 62:
                yield _text(_LEFT + x, y, f"{at - first:.3f} s", size=9, ink=_DIM)
                last = x


def _columns(events: Sequence[JournalEvent]) -> dict[float, float]:
    """
    Return the place of every moment: in order, with long pauses drawn short.

    Neighbours in one lane stay far enough apart for their symbols.
    """
    places: dict[float, float] = {}
    nearest: dict[str, float] = {}
    x, before = 10.0, None
    for event in events:
        if before is not None:
            x += 5 + 8 * math.log10(1 + 1000 * max(0.0, event.at - before))
        x = max(x, nearest.get(event.process, -math.inf) + 19)
        places[event.at] = x
        nearest[event.process] = x
        before = event.at
    return places


def _legend(
    events: list[JournalEvent], y: float, width: float
) -> tuple[list[Element], float]:
    """Return the symbols that occur with their meanings, and the height of it."""
    parts, x, top = [], 16.0, y
    for symbol in legend_symbols(events):
        step = 26 + 6.6 * len(symbol.word)
        if x + step > width:
            x, y = 16.0, y + 22
        parts += [symbol.draw(x + 4, y), _text(x + 18, y + 4, symbol.word, size=11)]
        x += step + 12
    parts.append(_text(12, y + 24, _NOTE, size=10, ink=_DIM))
    return parts, y - top + 46


def _text(  # noqa: PLR0913 - the attributes of one SVG element
    x: float,
    y: float,
    content: str,
    *,
    size: int = 12,
    ink: str = _BLACK,
    anchor: str | None = None,
    weight: str | None = None,
) -> Element:
    return Element(
        "text",
        content,
        x=x,
        y=y,
        font_size=size,
        fill=ink,
        text_anchor=anchor,
        font_weight=weight,
    )


def _line(x1: float, y: float, x2: float, dash: str | None = None) -> Element:
    return _path(f"M{x1:.1f} {y:.1f}H{x2:.1f}", dash=dash)


def _path(d: str, width: float = 1.5, dash: str | None = None) -> Element:
    return Element(
        "path",
        d=d,
        fill="none",
        stroke=_GREY,
        stroke_width=width,
        stroke_dasharray=dash,
    )
