"""HTML as JupyterLab leaves it in a notebook that is not trusted, and its colours."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from typing import Final
from xml.etree import ElementTree as ET

__all__ = ["HOSTILE", "assert_safe", "contrast"]

SAFE: Final = {
    "div": {"style"},
    "span": {"style"},
    "code": {"style"},
    "b": set(),
    "i": set(),
    "pre": set(),
    "details": set(),
    "summary": set(),
    "table": {"style"},
    "tr": set(),
    "th": {"style"},
    "td": {"style"},
    "img": {"alt", "src", "style"},
}
"""The elements that are left, and their attributes."""

HOSTILE: Final = "<script>alert('x')</script>\" onload=\u202e\x1b[31m\n&"
"""An id, a value or a URL that tries to become more than text."""


class Elements(HTMLParser):
    """Collects elements, with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_safe(html: str) -> str:
    """Check that nothing in it would be removed; return its text."""
    found = Elements(html)
    for tag, attributes in found.elements:
        assert attributes.keys() <= SAFE[tag], (tag, attributes)
        assert "var(" not in str(attributes.get("style"))
        if tag == "img":
            head, _, data = str(attributes["src"]).partition(",")
            assert "data:image/svg+xml;base64" == head
            ET.fromstring(base64.b64decode(data))  # noqa: S314 - made by us
    return found.text


def contrast(ink: str, paper: str) -> float:
    """Return the contrast of two colours: https://www.w3.org/TR/WCAG22/#contrast-minimum."""
    one, other = sorted([_luminance(ink), _luminance(paper)])
    return (other + 0.05) / (one + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
