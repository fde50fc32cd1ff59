"""`render`: prints calls that overlap, in order, one line an event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["Span", "render"]

_MAX_LINES: Final = 40


class Span(NamedTuple):
    """
    Something that took time; or a note, which has no result.

    Attributes:
        began: When it began.
        ended: When it ended.
        text: What it is.
        result: How it ended; empty for a note.
    """

    began: float
    ended: float
    text: str
    result: str = ""


def render(spans: Iterable[Span]) -> tuple[str, ...]:
    """
    Return the lines that show *spans* in order.

    A span during which nothing else began or ended is one line; any other has
    a line for its beginning and one for its end.
    """
    moments: list[tuple[float, Span, bool]] = []
    for span in spans:
        moments.append((span.began, span, False))
        if span.result:
            moments.append((span.ended, span, True))
    moments.sort(key=lambda moment: moment[0])
    lines: list[str] = []
    before: Span | None = None
    for _, span, is_end in moments:
        if not span.result:
            lines.append(span.text)
        elif not is_end:
            lines.append(f"{span.text} …")
        elif before is span:
            lines[-1] = f"{span.text}: {span.result}"
        else:
            lines.append(f"… {span.text}: {span.result}")
        before = span
    if len(lines) > _MAX_LINES:
        left_out = f"({len(lines) - _MAX_LINES} lines left out)"
        lines[_MAX_LINES // 2 : -_MAX_LINES // 2] = [left_out]
    return tuple(lines)
