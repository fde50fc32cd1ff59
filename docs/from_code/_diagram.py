"""The state machine as a picture, drawn from `dp_core.TRANSITIONS`."""

from __future__ import annotations

from typing import Final

from dp_core import TRANSITIONS
from dp_core.notebook import state_diagram

__all__ = ["diagram"]

WIDTH: Final = 660
ROW: Final = 170
BOX: Final = (110, 40)


def diagram() -> str:
    """
    Return the states and commands as SVG inside HTML.

    The first state of the table is on the left, the others are on the right.
    Colours are those of the page, so that it can be read by day and by night.
    """
    first, *others = (state.__name__ for state in TRANSITIONS)
    height = ROW * len(others)
    places = {first: (160.0, height / 2)}
    places |= {name: (470.0, ROW * (n + 0.5)) for n, name in enumerate(others)}
    parts = [
        _loop(places[source], commands)
        if source == target
        else _arrow(places[source], places[target], commands)
        for (source, target), commands in _arrows().items()
    ]
    parts += [_box(name, place) for name, place in places.items()]
    return (
        f'<div class="states"><svg viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>{_in_words()}</title>"
        '<marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 10 5 0 10z"/></marker>'
        f"{''.join(parts)}</svg></div>"
    )


def _arrows() -> dict[tuple[str, str], list[str]]:
    return {
        (source.__name__, target.__name__): commands
        for (source, target), commands in state_diagram().arrows().items()
    }


def _in_words() -> str:
    return "; ".join(
        f"{source} to {target} by {' or '.join(commands)}"
        for (source, target), commands in _arrows().items()
    )


def _box(name: str, place: tuple[float, float]) -> str:
    (x, y), (width, height) = place, BOX
    return (
        f'<rect x="{x - width / 2}" y="{y - height / 2}" width="{width}" '
        f'height="{height}" rx="8"/><text x="{x}" y="{y + 5}">{name}</text>'
    )


def _loop(place: tuple[float, float], commands: list[str]) -> str:
    """Draw the commands that lead back, on the outer side of the state."""
    side = -1 if place[0] < WIDTH / 2 else 1
    x, y = place[0] + side * BOX[0] / 2, place[1]
    curve = (
        f"M{x} {y - 10}C{x + side * 40} {y - 30} {x + side * 40} {y + 30} {x} {y + 10}"
    )
    anchor = "end" if side < 0 else "start"
    # Two short lines fit beside a state where one long line does not.
    top = y + 14 - 9 * len(commands)
    words = "".join(
        f'<text class="{anchor}" x="{x + side * 36}" y="{top + 18 * n}">{word}</text>'
        for n, word in enumerate(commands)
    )
    return f'<path class="line" d="{curve}"/>{words}'


def _arrow(
    start: tuple[float, float], end: tuple[float, float], commands: list[str]
) -> str:
    """Draw an arrow; the way back runs below the way there."""
    away = end[0] > start[0]
    side = 1 if away else -1
    shift = -9 if away else 9
    x1, y1 = start[0] + side * BOX[0] / 2, start[1] + shift
    x2, y2 = end[0] - side * BOX[0] / 2, end[1] + shift
    # A third of the way from the right-hand state, so that labels keep apart.
    share = 0.55 if away else 0.45
    x, y = x1 + (x2 - x1) * share, y1 + (y2 - y1) * share
    return (
        f'<path class="line" d="M{x1} {y1} {x2} {y2}"/>'
        f'<text x="{x}" y="{y - 8 if away else y + 20}">{", ".join(commands)}</text>'
    )
