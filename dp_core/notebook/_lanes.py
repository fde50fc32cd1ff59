"""
The lane chart: one lane for each process, drawn from what really happened.

The picture is an SVG image in a ``data:`` URL, the one way to draw that every
notebook front end shows, trusted or not; beside it stands the same in words.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable
from typing import Final, final

from dp_core._display import LOOKS, escape, shortened, visible
from dp_core._states import Pending
from dp_core.notebook._journal import JOURNAL, Event, Key
from dp_core.notebook._marks import legend_marks, mark_of, text
from dp_core.notebook._story import Lane, Story, Wait

__all__ = ["Lanes", "lanes"]

_LEFT: Final = 170
_TOP: Final = 46
_ROW: Final = 34
_RIGHT: Final = 70
_GREY: Final = "#8a8a8a"
_WAITING: Final = LOOKS[Pending]
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def lanes(*ids: str) -> Lanes:
    """
    Return the chart of what happened up to now.

    Args:
        ids: The promises to show; all that are known if none is given.
    """
    return Lanes(JOURNAL.about(*ids))


@final
class Lanes:
    """
    A chart of events; shows itself in a notebook.

    Args:
        events: In the order of their times.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        drawn = [event for event in events if mark_of(event)]
        self._story = Story(drawn)
        self._columns = _columns(drawn)
        keys = list(self._story.tales)
        self._letters: dict[Key, str] = dict(zip(keys, _LETTERS, strict=False))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self.plain(), "text/html": self.html()}

    def __repr__(self) -> str:
        return self.plain()

    def html(self) -> str:
        """Return the picture, and the same in words, as HTML."""
        if not self._story.events:
            return "<div>Nothing has happened yet.</div>"
        image = b64encode(self.svg().encode()).decode()
        summary = (
            f"Lane chart of {len(self._story.lanes)} processes and "
            f"{len(self._story.tales)} promises; the same in words is below."
        )
        words = escape("\n".join(self.words()))
        return (
            f'<div><img alt="{summary}" style="max-width:100%" '
            f'src="data:image/svg+xml;base64,{image}"></div>'
            f"<details><summary>The same in words</summary>"
            f"<pre>{words}</pre></details>"
        )

    def words(self) -> list[str]:
        """Return one sentence for each event."""
        events = self._story.events
        return [
            f"{event.at - events[0].at:8.3f} s  {event.process} {event.pid}  "
            f"{mark.word}{_about(event)}"
            for event in events
            if (mark := mark_of(event))
        ]

    def plain(self) -> str:
        """Return the chart in characters, one column for each event."""
        story = self._story
        if not story.events:
            return "Nothing has happened yet."
        column = {id(event): i for i, event in enumerate(story.events)}
        names = [f"{lane.process} {lane.pid}" for lane in story.lanes.values()]
        width = max(map(len, names))
        rows = []
        for name, lane in zip(names, story.lanes.values(), strict=True):
            cells = [" "] * len(story.events)
            for wait in lane.waits:
                end = column[id(wait.end)] if wait.end else len(cells)
                begin = column[id(wait.begin)]
                cells[begin:end] = ("┅" if wait.again else "━") * (end - begin)
            for event in lane.events:
                if mark := mark_of(event):
                    cells[column[id(event)]] = mark.char
            rows.append(f"{name:<{width}}  {''.join(cells)}".rstrip())
        marks = legend_marks(story.events)
        legend = "  ".join(f"{mark.char} {mark.word}" for mark in marks)
        return "\n".join([*rows, legend])

    def svg(self) -> str:
        """Return the picture as SVG."""
        story = self._story
        rows = {name: _TOP + _ROW * i for i, name in enumerate(story.lanes)}
        end = _LEFT + max(self._columns.values()) + 26
        width = max(end + _RIGHT, 620)
        bottom = _TOP + _ROW * len(rows)
        legend, legend_height = self._legend(bottom + 24, width)
        height = bottom + 12 + legend_height
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'font-family="DejaVu Sans, Verdana, sans-serif">'
            f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" '
            f'rx="6" fill="#ffffff" stroke="#cccccc"/>'
        )
        parts = [
            head,
            *self._title(),
            *(self._track(lane, rows[name], end) for name, lane in story.lanes.items()),
            *(self._wake(one, other, rows) for one, other in story.wakes()),
            *(
                self._bar(wait, rows[name], end)
                for name, lane in story.lanes.items()
                for wait in lane.waits
            ),
            *(self._mark(event, rows[event.process]) for event in story.events),
            *self._axis(bottom - 6),
            *legend,
            "</svg>",
        ]
        return "".join(parts)

    def _x(self, event: Event) -> float:
        return _LEFT + self._columns[event.at]

    def _title(self) -> list[str]:
        tales = self._story.tales
        if len(tales) == 1:
            [tale] = tales.values()
            value = f": {_name(tale.text, 50)}" if tale.text else ""
            title = f"{_name(tale.key[1])} {tale.look.shape} {tale.look.word}{value}"
        else:
            title = ",  ".join(
                f"{letter}: {_name(id)} {tales[store, id].look.shape}"
                for (store, id), letter in self._letters.items()
            )
        return [text(12, 18, title, weight="bold")]

    def _track(self, lane: Lane, y: float, end: float) -> str:
        """Draw the name, and a line for as long as there is a process."""
        parts = [
            text(12, y + 4, _name(lane.process, 13), weight="bold"),
            text(_LEFT - 14, y + 4, str(lane.pid), ink="#444", anchor="end"),
        ]
        since: float | None = None if _starts(lane) else _LEFT
        gone: float | None = None
        for event in lane.events:
            x = self._x(event)
            if event.kind == "started":
                if gone is not None:
                    parts += [_line(gone, y, x, dashed=True)]
                    parts += [text(x, y - 10, str(event.pid), size=9, anchor="middle")]
                since, gone = x, None
            elif event.kind in ("killed", "stopped"):
                parts += [_line(since or _LEFT, y, x)]
                since, gone = None, x
        if since is not None:
            parts += [_line(since, y, end)]
        return "".join(parts)

    def _bar(self, wait: Wait, y: float, end: float) -> str:
        """Draw a wait: dashed if it is repeated, open while it lasts."""
        x1 = self._x(wait.begin)
        x2 = self._x(wait.end) if wait.end else end
        dash = ' stroke-dasharray="4 3"' if wait.again else ""
        label = self._letter(wait.begin, (x1 + x2) / 2, y + 4)
        waits = text(x2 + 4, y + 4, "waits…", size=11, ink=_WAITING.ink)
        return (
            f'<rect x="{x1:.1f}" y="{y - 6:.1f}" width="{x2 - x1:.1f}" height="12" '
            f'fill="{_WAITING.paper}" stroke="{_WAITING.ink}"{dash}/>'
            f"{label}{'' if wait.end else waits}"
        )

    def _mark(self, event: Event, y: float) -> str:
        mark = mark_of(event)
        assert mark is not None  # noqa: S101 - only such events are kept
        settles = event.kind in ("won", "refused", "disposed")
        label = self._letter(event, self._x(event), y - 11) if settles else ""
        return mark.draw(self._x(event), y) + label

    def _letter(self, event: Event, x: float, y: float) -> str:
        if len(self._letters) < 2:
            return ""
        return text(x, y, self._letters.get(event.key, "…"), size=10, anchor="middle")

    def _wake(self, won: Event, got: Event, rows: dict[str, int]) -> str:
        x1, y1 = self._x(won), rows[won.process]
        x2, y2 = self._x(got), rows[got.process]
        return (
            f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" fill="none" '
            f'stroke="{_GREY}" stroke-width="1" stroke-dasharray="2 2"/>'
        )

    def _axis(self, y: float) -> list[str]:
        first = self._story.events[0].at
        parts, last = [], -math.inf
        for at, x in self._columns.items():
            if x - last >= 62:
                label = f"{at - first:.3f} s"
                parts.append(text(_LEFT + x, y, label, size=9, ink="#555"))
                last = x
        return parts

    def _legend(self, y: float, width: float) -> tuple[list[str], float]:
        parts, x, top = [], 16.0, y
        for mark in legend_marks(self._story.events):
            step = 26 + 6.6 * len(mark.word)
            if x + step > width:
                x, y = 16.0, y + 22
            parts += [mark.draw(x + 4, y), text(x + 18, y + 4, mark.word, size=11)]
            x += step + 12
        note = "Time runs to the right; long pauses are drawn short."
        parts.append(text(12, y + 24, note, size=10, ink="#555"))
        return parts, y - top + 46


def _columns(events: list[Event]) -> dict[float, float]:
    """
    Return the place of every moment: in order, and long pauses drawn short.

    Neighbours in one lane stay far enough apart for their marks.
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


def _starts(lane: Lane) -> bool:
    return lane.events[0].kind == "started"


def _name(name: str, limit: int = 60) -> str:
    return escape(shortened(visible(name), limit))


def _line(x1: float, y: float, x2: float, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="1 5"' if dashed else ""
    return (
        f'<path d="M{x1:.1f} {y:.1f}H{x2:.1f}" stroke="{_GREY}" '
        f'stroke-width="1.5"{dash}/>'
    )


def _about(event: Event) -> str:
    name = f" '{shortened(visible(event.id), 60)}'" if event.id else ""
    value = f": {shortened(event.text, 80)}" if event.text else ""
    return name + value
