"""The legend of a chart: its symbols, with their meanings."""

from __future__ import annotations

from typing import Final

from dp_core.notebook._journal import JournalEvent
from dp_core.notebook.pictures._chart._lettering import lettering, width_of
from dp_core.notebook.pictures._chart._paints import paint
from dp_core.notebook.pictures._chart._symbols import legend_symbols
from dp_core.notebook.pictures._markup import Element

__all__ = ["BREAK_MARK", "legend"]

_LEFT: Final = 18.0
_SIZE: Final = 10.0
_LINE: Final = 22.0

BREAK_MARK: Final = Element(
    "g",
    Element("path", d="M-5 5L-1 -5L5 -5L1 5z", **paint("card")),
    Element("path", d="M-5 5L-1 -5M1 5L5 -5", stroke_width=1.4, **paint(stroke="ink")),
)
"""Two strokes across the axis: here a pause was cut out."""

_NOTE: Final = "Time runs to the right, and is stretched where symbols need room."
_SCALE: Final = "a pause, cut out of the axis; its length is written there"
_BLOCK: Final = "events too close to each other to be drawn"


def legend(
    events: list[JournalEvent], top: float, width: float, *, breaks: bool, blocks: bool
) -> tuple[list[Element], float]:
    """Return the symbols that occur with their meanings, and where that ends."""
    entries = [(symbol.drawn, symbol.word) for symbol in legend_symbols(events)]
    if blocks:
        entries.append((_block(-8, 16), _BLOCK))
    if breaks:
        entries.append((BREAK_MARK, _SCALE))
    parts, x, y = [], _LEFT, top
    for drawn, word in entries:
        step = 32 + width_of(word, _SIZE)
        if x + step > width and x > _LEFT:
            x, y = _LEFT, y + _LINE
        parts += [
            Element("svg", drawn, x=x, y=y, overflow="visible"),
            lettering(x + 14, y + 4, word, _SIZE),
        ]
        x += step
    parts.append(lettering(12, y + 24, _NOTE, _SIZE, ink="dim"))
    return parts, y + 34


def _block(x: float, width: float) -> Element:
    return Element(
        "rect", x=x, y=-8, width=width, height=16, rx=4, **paint("card", "line")
    )
