"""The state machine as a picture, drawn from the table that the library runs."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, final

from dp_core._display import LOOKS, Look, escape
from dp_core._states import TRANSITIONS
from dp_core.notebook._marks import text

__all__ = ["StateDiagram", "state_diagram"]

Table = Mapping[type[Any], Mapping[type[Any], type[Any]]]
Point = tuple[float, float]

_WIDTH: Final = 640
_ROW: Final = 130
_BOX: Final = (64, 22)
_LINE: Final = "#555555"
_UNKNOWN: Final = LOOKS[None]


def state_diagram() -> StateDiagram:
    """Return the picture of `dp_core.TRANSITIONS`; it cannot differ from it."""
    return StateDiagram(TRANSITIONS)


@final
class StateDiagram:
    """
    A picture of ``{state: {command: next state}}``; shows itself in a notebook.

    Args:
        table: The states in its first column; the first one is the beginning.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        first, *others = table
        middle = _ROW * max(1, len(others)) / 2 + 16
        self._places: dict[type[Any], Point] = {
            first: (170, middle),
            **{state: (460, _ROW * (i + 0.5) + 16) for i, state in enumerate(others)},
        }
        self._height = 2 * middle

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self.plain(), "text/html": self.html()}

    def __repr__(self) -> str:
        return self.plain()

    def arrows(self) -> dict[tuple[type[Any], type[Any]], list[str]]:
        """``{(from, to): commands}``."""
        found: dict[tuple[type[Any], type[Any]], list[str]] = {}
        for state, row in self._table.items():
            for command, target in row.items():
                found.setdefault((state, target), []).append(command.__name__)
        return found

    def plain(self) -> str:
        """Return the table in characters."""
        return "\n".join(
            f"{_name(state):<12} {', '.join(commands):<24} → "
            f"{_name(target)}{' (unchanged)' * _is_unchanged(state, target, commands)}"
            for (state, target), commands in self.arrows().items()
        )

    def html(self) -> str:
        """Return the picture as an HTML image."""
        image = b64encode(self.svg().encode()).decode()
        return (
            f'<div><img alt="{escape(self.plain())}" style="max-width:100%" '
            f'src="data:image/svg+xml;base64,{image}"></div>'
        )

    def svg(self) -> str:
        """Return the picture as SVG."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" '
            f'height="{self._height:.0f}" viewBox="0 0 {_WIDTH} {self._height:.0f}" '
            f'font-family="DejaVu Sans, Verdana, sans-serif">'
            f'<rect x="0.5" y="0.5" width="{_WIDTH - 1}" '
            f'height="{self._height - 1:.0f}" rx="6" fill="#fff" stroke="#ccc"/>'
            f'<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" '
            f'markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0 0L10 5L0 10z" fill="{_LINE}"/></marker></defs>'
        )
        arrows = "".join(
            self._loop(state, commands)
            if state is target
            else self._arrow(self._places[state], self._places[target], commands)
            for (state, target), commands in self.arrows().items()
        )
        boxes = "".join(_box(state, *place) for state, place in self._places.items())
        return f"{head}{arrows}{boxes}</svg>"

    def _arrow(self, start: Point, end: Point, commands: list[str]) -> str:
        """Draw a curve away from the beginning, or a line back to it."""
        (x1, y1), (x2, y2) = start, end
        length = math.hypot(x2 - x1, y2 - y1)
        along = (x2 - x1) / length, (y2 - y1) / length
        up = 1 if min(y1, y2) < self._height / 2 - 1 else -1
        bend_by = up * (48 if x2 > x1 else 4)
        aside = along[1] * bend_by, -along[0] * bend_by
        bend = (x1 + x2) / 2 + aside[0], (y1 + y2) / 2 + aside[1]
        x1, y1 = x1 + along[0] * 66 + aside[0] / 3, y1 + aside[1] / 3
        x2, y2 = x2 - along[0] * 72 + aside[0] / 3, y2 + aside[1] / 3
        share = 0.5 if x2 > x1 else 0.3
        label = (
            x1 + (x2 - x1) * share + aside[0] * 0.4,
            y1 + (y2 - y1) * share + aside[1] * 0.4,
        )
        curve = f"M{x1:.0f} {y1:.0f}Q{bend[0]:.0f} {bend[1]:.0f} {x2:.0f} {y2:.0f}"
        return _line(curve) + _label(*label, ", ".join(commands), "middle")

    def _loop(self, state: type[Any], commands: list[str]) -> str:
        """Draw an arrow that comes back: at the left of the first state."""
        x, y = self._places[state]
        side = -1 if state is next(iter(self._table)) else 1
        edge, out = x + side * _BOX[0], x + side * (_BOX[0] + 46)
        curve = f"M{edge:.0f} {y - 9:.0f}C{out:.0f} {y - 34:.0f} {out:.0f} {y + 34:.0f}"
        anchor = "end" if side < 0 else "start"
        at = x + side * (_BOX[0] + 38)
        labels = "".join(
            _label(at, y + 4 + 15 * (i - (len(commands) - 1) / 2), command, anchor)
            for i, command in enumerate(commands)
        )
        return _line(f"{curve} {edge + side * 2:.0f} {y + 9:.0f}") + labels


def _name(state: type[Any]) -> str:
    look = LOOKS.get(state, _UNKNOWN)
    return f"{look.shape} {state.__name__}"


def _is_unchanged(state: type[Any], target: type[Any], commands: list[str]) -> bool:
    return state is target and "Dispose" not in commands


def _box(state: type[Any], x: float, y: float) -> str:
    look: Look = LOOKS.get(state, _UNKNOWN)
    width, height = _BOX
    return (
        f'<rect x="{x - width:.0f}" y="{y - height:.0f}" width="{2 * width}" '
        f'height="{2 * height}" rx="{height}" fill="{look.paper}" '
        f'stroke="{look.ink}" stroke-width="2"/>'
        + text(
            x,
            y + 5,
            escape(_name(state)),
            size=14,
            ink=look.ink,
            anchor="middle",
            weight="bold",
        )
    )


def _line(d: str) -> str:
    return (
        f'<path d="{d}" fill="none" stroke="{_LINE}" stroke-width="1.6" '
        f'marker-end="url(#tip)"/>'
    )


def _label(x: float, y: float, content: str, anchor: str) -> str:
    # A white rim, so that no line strikes the word through.
    word = text(x, y + 4, escape(content), anchor=anchor)
    return f'<g stroke="#fff" stroke-width="5">{word}</g>{word}'
