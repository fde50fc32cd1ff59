"""The marks of the lane chart: each a shape, a character and a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from dp_core._display import LOOKS
from dp_core._states import Pending, Rejected, Resolved
from dp_core.notebook._journal import Event

__all__ = ["Mark", "legend_marks", "mark_of", "text"]

_GREEN: Final = LOOKS[Resolved]
_RED: Final = LOOKS[Rejected]
_AMBER: Final = LOOKS[Pending]
_BLACK: Final = "#1a1a1a"
_GREY: Final = "#6a6a6a"


@final
@dataclass(frozen=True, slots=True)
class Mark:
    """
    How one kind of event is drawn.

    Attributes:
        char: The mark in the plain-text chart.
        word: What it means, for the legend.
        draw: Returns SVG for the mark around a point.
    """

    char: str
    word: str
    draw: Callable[[float, float], str]


def mark_of(event: Event) -> Mark | None:
    """Return the event's mark; None for one that is not drawn."""
    return _MARKS.get((event.kind, event.state)) or _MARKS.get((event.kind, ""))


def legend_marks(events: list[Event]) -> list[Mark]:
    """Return the marks that occur, in the order of the table."""
    used = [mark_of(event) for event in events]
    return [mark for mark in dict.fromkeys(_MARKS.values()) if mark in used]


def text(  # noqa: PLR0913 - the attributes of one SVG element
    x: float,
    y: float,
    content: str,
    *,
    size: int = 12,
    ink: str = _BLACK,
    anchor: str = "start",
    weight: str = "normal",
) -> str:
    """Return SVG text; *content* is escaped already."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{ink}" '
        f'text-anchor="{anchor}" font-weight="{weight}">{content}</text>'
    )


def _path(d: str, ink: str, width: float = 2.2) -> str:
    return (
        f'<path d="{d}" fill="none" stroke="{ink}" stroke-width="{width}" '
        f'stroke-linecap="round" stroke-linejoin="round"/>'
    )


def _circle(x: float, y: float, r: float, ink: str, paper: str) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{paper}" '
        f'stroke="{ink}" stroke-width="1.6"/>'
    )


def _diamond(x: float, y: float, r: float, ink: str, paper: str) -> str:
    return (
        f'<path d="M{x:.1f} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z" '
        f'fill="{paper}" stroke="{ink}" stroke-width="1.6"/>'
    )


def _check(x: float, y: float, ink: str) -> str:
    return _path(f"M{x - 3.2:.1f} {y + 0.2:.1f}l2.3 2.6l4.2 -5.2", ink, 1.8)


def _cross(x: float, y: float, r: float, ink: str, width: float) -> str:
    d = f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}"
    return _path(d, ink, width)


def _settled_resolved(x: float, y: float) -> str:
    return _circle(x, y, 8.5, _GREEN.ink, _GREEN.ink) + _check(x, y, "#fff")


def _settled_rejected(x: float, y: float) -> str:
    return _diamond(x, y, 10, _RED.ink, _RED.ink) + _cross(x, y, 2.6, "#fff", 1.8)


def _got_resolved(x: float, y: float) -> str:
    return _circle(x, y, 7, _GREEN.ink, _GREEN.paper) + _check(x, y, _GREEN.ink)


def _got_rejected(x: float, y: float) -> str:
    return _diamond(x, y, 8.5, _RED.ink, _RED.paper) + _cross(x, y, 2.2, _RED.ink, 1.8)


def _refused(x: float, y: float) -> str:
    slash = _path(f"M{x - 4.9:.1f} {y + 4.9:.1f}l9.8 -9.8", _GREY, 2)
    return _circle(x, y, 7, _GREY, "#fff") + slash


def _killed(x: float, y: float) -> str:
    return _cross(x, y, 6, "#fff", 6) + _cross(x, y, 6, _BLACK, 3)


def _started(x: float, y: float) -> str:
    return (
        f'<path d="M{x - 4:.1f} {y - 5:.1f}l8 5l-8 5z" fill="#fff" '
        f'stroke="{_BLACK}" stroke-width="1.4"/>'
    )


def _stopped(x: float, y: float) -> str:
    return (
        f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{_GREY}"/>'
    )


def _awaiting(x: float, y: float) -> str:
    return _path(f"M{x:.1f} {y - 8:.1f}v16", _AMBER.ink, 2.4)


def _left(x: float, y: float) -> str:
    bar = f"M{x - 2:.1f} {y - 7:.1f}v14m4 -14v14"
    return _path(bar, _GREY, 2)


def _disposed(x: float, y: float) -> str:
    return _circle(x, y, 7, _BLACK, "#fff") + _path(
        f"M{x - 4:.1f} {y:.1f}h8", _BLACK, 2
    )


def _failed(x: float, y: float) -> str:
    return _path(f"M{x:.1f} {y - 6:.1f}v7m0 4.6v0.2", _RED.ink, 3)


def _dot(paper: str, ink: str) -> Callable[[float, float], str]:
    return lambda x, y: _circle(x, y, 3.6, ink, paper)


_MARKS: Final[dict[tuple[str, str], Mark]] = {
    ("started", ""): Mark("▷", "process starts", _started),
    ("peeked", "pending"): Mark("·", "peek: pending", _dot("#fff", _AMBER.ink)),
    ("peeked", "resolved"): Mark("∙", "peek: resolved", _dot(_GREEN.ink, _GREEN.ink)),
    ("peeked", "rejected"): Mark("∙", "peek: rejected", _dot(_RED.ink, _RED.ink)),
    ("awaiting", ""): Mark("├", "begins to wait", _awaiting),
    ("got", "resolved"): Mark("✔", "gets the value", _got_resolved),
    ("got", "rejected"): Mark("✘", "gets the rejection", _got_rejected),
    ("left", ""): Mark("┤", "stops waiting", _left),
    ("won", "resolved"): Mark("●", "settles: resolved", _settled_resolved),
    ("won", "rejected"): Mark("◆", "settles: rejected", _settled_rejected),
    ("refused", ""): Mark("⊘", "too late, refused", _refused),
    ("failed", ""): Mark("!", "no answer", _failed),
    ("disposed", ""): Mark("⊖", "disposes", _disposed),
    ("killed", ""): Mark("☠", "killed", _killed),
    ("stopped", ""): Mark("■", "process ends", _stopped),
}
