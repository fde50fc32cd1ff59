"""Where the texts and symbols of a lane chart are, on a page of some width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from dp_core.notebook.pictures._chart import width_of

__all__ = ["Box", "assert_apart", "texts_of"]

_SVG: Final = "{http://www.w3.org/2000/svg}"
_ABOVE, _BELOW = 0.93, 0.24
"""How far a font reaches above and below its line, as DejaVu Sans Mono does."""


@dataclass(frozen=True)
class Box:
    """The room that a text takes, in pixels from the top left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def covers(self, other: Box) -> bool:
        """Tell whether both take the same room, by more than a rounding error."""
        return (
            min(self.right, other.right) - max(self.left, other.left) > 0.1
            and min(self.bottom, other.bottom) - max(self.top, other.top) > 0.1
        )


def _length(value: str | None, whole: float) -> float:
    """Return a length of SVG in pixels."""
    text = value or "0"
    return float(text[:-1]) / 100 * whole if text.endswith("%") else float(text)


def _walk(
    element: ET.Element, x: float, y: float, width: float
) -> Iterator[tuple[ET.Element, float, float]]:
    """Yield all texts, with their points; nested drawings have a place and a width."""
    for child in element:
        left = x + _length(child.get("x"), width) + float(child.get("dx", 0))
        top = y + _length(child.get("y"), 0)
        if child.tag == f"{_SVG}svg":
            yield from _walk(child, left, top, _length(child.get("width"), width))
        elif child.tag == f"{_SVG}text":
            yield child, left, top


def texts_of(svg: str, width: float) -> list[Box]:
    """Return the boxes of all texts of a chart on a page of some width."""
    boxes = []
    for text, x, y in _walk(ET.fromstring(svg), 0, 0, width):  # noqa: S314 - ours
        size, words = float(text.get("font-size", 0)), text.text or ""
        wide = width_of(words, size)
        before = {"middle": wide / 2, "end": wide}.get(text.get("text-anchor", ""), 0)
        left, top = x - before, y - _ABOVE * size
        boxes.append(Box(words, left, top, left + wide, y + _BELOW * size))
    return boxes


def assert_apart(boxes: list[Box], width: float, height: float) -> None:
    """Check that no text covers another one, and that all are on the page."""
    for box in boxes:
        assert -0.1 <= box.left, box
        assert box.right <= width + 0.1, box
        assert -0.1 <= box.top, box
        assert box.bottom <= height + 0.1, box
    open_boxes: list[Box] = []
    for box in sorted(boxes, key=lambda box: box.top):
        open_boxes = [other for other in open_boxes if other.bottom > box.top]
        for other in open_boxes:
            assert not box.covers(other), (box, other)
        open_boxes.append(box)
