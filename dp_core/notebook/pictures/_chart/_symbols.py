"""`Symbol`: shape, character and word of an event in the lane chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from dp_core.notebook._journal import JournalEvent
from dp_core.notebook.pictures._chart._paints import paint
from dp_core.notebook.pictures._markup import Element

__all__ = ["Symbol", "legend_symbols", "symbol_of"]


@final
@dataclass(frozen=True, slots=True)
class Symbol:
    """
    The drawing of one kind of event.

    Attributes:
        char: The symbol in the plain-text chart.
        word: Its meaning, for the legend.
        half: Half of its width in pixels.
        drawn: It as SVG, around the point 0, 0.
    """

    char: str
    word: str
    half: float
    drawn: Element


def symbol_of(event: JournalEvent) -> Symbol | None:
    """Return the event's symbol; None for an event that is not drawn."""
    return _SYMBOLS.get((event.kind, event.state)) or _SYMBOLS.get((event.kind, ""))


def legend_symbols(events: list[JournalEvent]) -> list[Symbol]:
    """Return the symbols that occur, in the order of the table."""
    used = [symbol_of(event) for event in events]
    return [symbol for symbol in dict.fromkeys(_SYMBOLS.values()) if symbol in used]


def _group(*shapes: Element) -> Element:
    """Put shapes on top of each other."""
    return Element("g", *shapes)


def _stroke(d: str, ink: str, width: float = 2.2) -> Element:
    """Return a line; *d* is an SVG path that begins at the point."""
    return Element(
        "path",
        d=f"M0 0{d}",
        stroke_width=width,
        stroke_linecap="round",
        stroke_linejoin="round",
        **paint(stroke=ink),
    )


def _area(d: str, ink: str, paper: str, width: float = 1.6) -> Element:
    """Return a closed shape; *d* is an SVG path that begins at the point."""
    return Element("path", d=f"M0 0{d}z", stroke_width=width, **paint(paper, ink))


def _circle(r: float, ink: str, paper: str) -> Element:
    return Element("circle", r=r, stroke_width=1.6, **paint(paper, ink))


def _diamond(r: float, ink: str, paper: str) -> Element:
    return _area(f"m0 {-r}l{r} {r}l{-r} {r}l{-r} {-r}", ink, paper)


def _check(ink: str) -> Element:
    return _stroke("m-3.2 0.2l2.3 2.6l4.2 -5.2", ink, 1.8)


def _cross(r: float, ink: str, width: float) -> Element:
    return _stroke(
        f"m{-r} {-r}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}", ink, width
    )


_STOP: Final = _area("m-4 -4h8v8h-8", "grey", "grey")
_EXIT: Final = _area("m-4 -4h8v8h-8", "grey", "card")

_SYMBOLS: Final[dict[tuple[str, str], Symbol]] = {
    ("started", ""): Symbol(
        "▷", "process starts", 6, _area("m-4 -5l8 5l-8 5", "ink", "card", 1.4)
    ),
    ("peeked", "pending"): Symbol(
        "·", "peek: pending", 5, _circle(3.6, "amber", "card")
    ),
    ("peeked", "resolved"): Symbol(
        "∙", "peek: resolved", 5, _circle(3.6, "green", "green")
    ),
    ("peeked", "rejected"): Symbol(
        "∙", "peek: rejected", 5, _circle(3.6, "red", "red")
    ),
    ("awaiting", ""): Symbol(
        "├", "begins to wait", 3, _stroke("m0 -8v16", "amber", 2.4)
    ),
    ("got", "resolved"): Symbol(
        "✔",
        "gets the value",
        8,
        _group(_circle(7, "green", "green-paper"), _check("green")),
    ),
    ("got", "rejected"): Symbol(
        "✘",
        "gets the rejection",
        10,
        _group(_diamond(8.5, "red", "red-paper"), _cross(2.2, "red", 1.8)),
    ),
    ("left", ""): Symbol(
        "┤", "stops waiting", 4, _stroke("m-2 -7v14m4 -14v14", "grey", 2)
    ),
    ("settling", ""): Symbol(
        "╶", "begins to settle", 3, _stroke("m0 -5v10", "grey", 2.4)
    ),
    ("won", "resolved"): Symbol(
        "●",
        "settles: resolved",
        10,
        _group(_circle(8.5, "green", "green"), _check("card")),
    ),
    ("won", "rejected"): Symbol(
        "◆",
        "settles: rejected",
        11,
        _group(_diamond(10, "red", "red"), _cross(2.6, "card", 1.8)),
    ),
    ("refused", ""): Symbol(
        "⊘",
        "too late, refused",
        8,
        _group(_circle(7, "grey", "card"), _stroke("m-4.9 4.9l9.8 -9.8", "grey", 2)),
    ),
    ("failed", ""): Symbol("!", "no answer", 4, _stroke("m0 -6v7m0 4.6v0.2", "red", 3)),
    ("disposed", ""): Symbol(
        "⊖",
        "disposes",
        8,
        _group(_circle(7, "ink", "card"), _stroke("m-4 0h8", "ink", 2)),
    ),
    ("created", ""): Symbol(
        "◇", "creates", 7, _area("m0 -6l6 6l-6 6l-6 -6", "amber", "amber-paper")
    ),
    ("killed", ""): Symbol(
        "☠", "killed", 9, _group(_cross(6, "card", 6), _cross(6, "ink", 3))
    ),
    ("ended", ""): Symbol("▪", "process ends by itself", 6, _EXIT),
    ("stopped", ""): Symbol("■", "stopped by the fleet", 6, _STOP),
}
