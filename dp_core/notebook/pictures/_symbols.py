"""`Symbol`: shape, character and word of an event in the lane chart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from dp_core._states import Pending, Rejected, Resolved
from dp_core.notebook._journal import JournalEvent
from dp_core.notebook.pictures._look import STYLES
from dp_core.notebook.pictures._markup import Element

__all__ = ["Symbol", "legend_symbols", "symbol_of"]

Draw: TypeAlias = Callable[[float, float], Element]
"""Draws a symbol around a point."""

_GREEN: Final = STYLES[Resolved]
_RED: Final = STYLES[Rejected]
_AMBER: Final = STYLES[Pending]
_BLACK: Final = "#1a1a1a"
_GREY: Final = "#6a6a6a"
_WHITE: Final = "#ffffff"


@final
@dataclass(frozen=True, slots=True)
class Symbol:
    """
    The drawing of one kind of event.

    Attributes:
        char: The symbol in the plain-text chart.
        word: Its meaning, for the legend.
        draw: Returns it as SVG around a point.
    """

    char: str
    word: str
    draw: Draw


def symbol_of(event: JournalEvent) -> Symbol | None:
    """Return the event's symbol; None for an event that is not drawn."""
    return _SYMBOLS.get((event.kind, event.state)) or _SYMBOLS.get((event.kind, ""))


def legend_symbols(events: list[JournalEvent]) -> list[Symbol]:
    """Return the symbols that occur, in the order of the table."""
    used = [symbol_of(event) for event in events]
    return [symbol for symbol in dict.fromkeys(_SYMBOLS.values()) if symbol in used]


def _symbol(*shapes: Draw) -> Draw:
    """Put shapes on top of each other."""
    return lambda x, y: Element("g", *(shape(x, y) for shape in shapes))


def _stroke(d: str, ink: str, width: float = 2.2) -> Draw:
    """Draw a line; *d* is an SVG path that begins at the point."""
    return lambda x, y: Element(
        "path",
        d=f"M{x:.1f} {y:.1f}{d}",
        fill="none",
        stroke=ink,
        stroke_width=width,
        stroke_linecap="round",
        stroke_linejoin="round",
    )


def _area(d: str, ink: str, paper: str, width: float = 1.6) -> Draw:
    """Draw a closed shape; *d* is an SVG path that begins at the point."""
    return lambda x, y: Element(
        "path",
        d=f"M{x:.1f} {y:.1f}{d}z",
        fill=paper,
        stroke=ink,
        stroke_width=width,
    )


def _circle(r: float, ink: str, paper: str) -> Draw:
    return lambda x, y: Element(
        "circle", cx=x, cy=y, r=r, fill=paper, stroke=ink, stroke_width=1.6
    )


def _diamond(r: float, ink: str, paper: str) -> Draw:
    return _area(f"m0 {-r}l{r} {r}l{-r} {r}l{-r} {-r}", ink, paper)


def _check(ink: str) -> Draw:
    return _stroke("m-3.2 0.2l2.3 2.6l4.2 -5.2", ink, 1.8)


def _cross(r: float, ink: str, width: float) -> Draw:
    return _stroke(
        f"m{-r} {-r}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}", ink, width
    )


_SYMBOLS: Final[dict[tuple[str, str], Symbol]] = {
    ("started", ""): Symbol(
        "▷", "process starts", _area("m-4 -5l8 5l-8 5", _BLACK, _WHITE, 1.4)
    ),
    ("peeked", "pending"): Symbol(
        "·", "peek: pending", _circle(3.6, _AMBER.ink, _WHITE)
    ),
    ("peeked", "resolved"): Symbol(
        "∙", "peek: resolved", _circle(3.6, _GREEN.ink, _GREEN.ink)
    ),
    ("peeked", "rejected"): Symbol(
        "∙", "peek: rejected", _circle(3.6, _RED.ink, _RED.ink)
    ),
    ("awaiting", ""): Symbol(
        "├", "begins to wait", _stroke("m0 -8v16", _AMBER.ink, 2.4)
    ),
    ("got", "resolved"): Symbol(
        "✔",
        "gets the value",
        _symbol(_circle(7, _GREEN.ink, _GREEN.paper), _check(_GREEN.ink)),
    ),
    ("got", "rejected"): Symbol(
        "✘",
        "gets the rejection",
        _symbol(_diamond(8.5, _RED.ink, _RED.paper), _cross(2.2, _RED.ink, 1.8)),
    ),
    ("left", ""): Symbol("┤", "stops waiting", _stroke("m-2 -7v14m4 -14v14", _GREY, 2)),
    ("won", "resolved"): Symbol(
        "●",
        "settles: resolved",
        _symbol(_circle(8.5, _GREEN.ink, _GREEN.ink), _check(_WHITE)),
    ),
    ("won", "rejected"): Symbol(
        "◆",
        "settles: rejected",
        _symbol(_diamond(10, _RED.ink, _RED.ink), _cross(2.6, _WHITE, 1.8)),
    ),
    ("refused", ""): Symbol(
        "⊘",
        "too late, refused",
        _symbol(_circle(7, _GREY, _WHITE), _stroke("m-4.9 4.9l9.8 -9.8", _GREY, 2)),
    ),
    ("failed", ""): Symbol("!", "no answer", _stroke("m0 -6v7m0 4.6v0.2", _RED.ink, 3)),
    ("disposed", ""): Symbol(
        "⊖",
        "disposes",
        _symbol(_circle(7, _BLACK, _WHITE), _stroke("m-4 0h8", _BLACK, 2)),
    ),
    ("created", ""): Symbol(
        "◇",
        "creates",
        _area("m0 -6l6 6l-6 6l-6 -6", _AMBER.ink, _AMBER.paper),
    ),
    ("killed", ""): Symbol(
        "☠", "killed", _symbol(_cross(6, _WHITE, 6), _cross(6, _BLACK, 3))
    ),
    ("stopped", ""): Symbol(
        "■", "process ends", _area("m-4 -4h8v8h-8", _GREY, _GREY, 0)
    ),
}
