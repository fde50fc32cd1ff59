"""Calls that overlap, told in order, one line each event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["Span", "tell"]


_MOST: Final = 40


class Span(NamedTuple):
    """Something that took time; or a note, which came to nothing."""

    began: float
    ended: float
    what: str
    came_to: str = ""


def tell(spans: Iterable[Span]) -> tuple[str, ...]:
    """
    Return what happened, in order.

    What nothing else happened during is one line; else its end has its own.
    """
    moments: list[tuple[float, Span, bool]] = []
    for span in spans:
        moments.append((span.began, span, False))
        if span.came_to:
            moments.append((span.ended, span, True))
    moments.sort(key=lambda moment: moment[0])
    lines: list[str] = []
    before: Span | None = None
    for _, span, is_end in moments:
        if not span.came_to:
            lines.append(span.what)
        elif not is_end:
            lines.append(f"{span.what} …")
        elif before is span:
            lines[-1] = f"{span.what}: {span.came_to}"
        else:
            lines.append(f"… {span.what}: {span.came_to}")
        before = span
    if len(lines) > _MOST:
        left_out = f"({len(lines) - _MOST} lines left out)"
        lines[_MOST // 2 : -_MOST // 2] = [left_out]
    return tuple(lines)
