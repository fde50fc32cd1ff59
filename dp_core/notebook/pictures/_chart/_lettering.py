"""
Text in a chart: how wide it is, cut to what there is room for.

Its font has one width, so that it can be laid out without a browser. Where a reader's
fonts are others than those named here, these widths are still not exceeded.
"""

from __future__ import annotations

import unicodedata
from math import floor
from typing import Final

from dp_core.notebook.pictures._chart._paints import paint
from dp_core.notebook.pictures._look import shown
from dp_core.notebook.pictures._markup import Element

__all__ = ["FONT", "LINE", "fitted", "lettering", "width_of"]

FONT: Final = "'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace"

LINE: Final = 1.25
"""The height of a line, as a multiple of the font's size."""

# In multiples of the font's size. A script that these fonts lack comes from others,
# which are wider.
_NARROW: Final = 0.62
_OTHER: Final = 1.0
_WIDE: Final = 1.2
_OWN: Final = frozenset("…→✔✘○?")


def _advance(char: str) -> float:
    if char.isascii() or char in _OWN:
        return _NARROW
    return _WIDE if unicodedata.east_asian_width(char) in "WF" else _OTHER


def width_of(text: str, size: float) -> float:
    """Return how many pixels a text takes, at most."""
    return size * sum(map(_advance, text))


def fitted(text: str, size: float, room: float) -> str:
    """Return foreign text on one line, shortened in its middle until it fits."""
    limit = floor(room / (size * _NARROW))
    while (short := shown(text, max(3, limit))) and limit > 3:
        if width_of(short, size) <= room:
            break
        limit -= 1
    return short


def lettering(  # noqa: PLR0913 - the attributes of one SVG element
    x: float | str,
    y: float,
    content: str,
    size: float,
    *,
    ink: str = "ink",
    anchor: str | None = None,
    bold: bool = False,
    dx: float | None = None,
    halo: bool = False,
) -> Element:
    """
    Return a text whose baseline begins (or ends, or is centred) at a point.

    With a halo it keeps free of the lines that it lies on.
    """
    return Element(
        "text",
        content,
        x=x,
        y=y,
        dx=dx,
        font_size=size,
        text_anchor=anchor,
        font_weight="bold" if bold else None,
        paint_order="stroke" if halo else None,
        stroke_width=3 if halo else None,
        **paint(ink, "card" if halo else None),
    )
