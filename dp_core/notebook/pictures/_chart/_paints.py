"""
`STYLE_SHEET`: the colours of a chart, for light and for dark pages.

An image in a ``data:`` URL cannot see the page's colours. It has a background of its
own, so that it reads on any page; and where the browser prefers dark ones, its colours
are dark too (CSS Media Queries 5, ``prefers-color-scheme``). Chromium asks the page
that shows the image, whose theme JupyterLab tells it; others ask the system.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dp_core._states import Pending, Rejected, Resolved
from dp_core.notebook.pictures._look import STYLES

__all__ = ["PAINTS", "STYLE_SHEET", "paint"]

# On the chart's own background, text has the contrast that WCAG 2.2 asks for, 4.5 to
# 1, and lines and symbols have 3 to 1.
PAINTS: Final[Mapping[str, tuple[str, str]]] = {
    "ink": ("#1a1a1a", "#ececec"),
    "dim": ("#555555", "#b4b4b4"),
    "line": ("#8a8a8a", "#8a8a8a"),
    "grid": ("#e4e4e4", "#3a3a3a"),
    "card": ("#ffffff", "#1c1c1c"),
    "edge": ("#cccccc", "#4a4a4a"),
    "grey": ("#6a6a6a", "#a8a8a8"),
    "amber": (STYLES[Pending].ink, "#ffcf70"),
    "amber-paper": (STYLES[Pending].paper, "#4a3a12"),
    "green": (STYLES[Resolved].ink, "#63d6b1"),
    "green-paper": (STYLES[Resolved].paper, "#0f3d31"),
    "red": (STYLES[Rejected].ink, "#ff9d73"),
    "red-paper": (STYLES[Rejected].paper, "#4d2212"),
}
"""``{name: (on light pages, on dark ones)}``."""


def paint(fill: str | None = None, stroke: str | None = None) -> dict[str, str]:
    """Return the attributes of an element that is filled and drawn in these paints."""
    names = [f"f-{fill}" if fill else "f-none", f"s-{stroke}" if stroke else ""]
    return {"class": " ".join(filter(None, names))}


def _rules(column: int) -> str:
    return "".join(
        f".f-{name}{{fill:{colours[column]}}}.s-{name}{{stroke:{colours[column]}}}"
        for name, colours in PAINTS.items()
    )


STYLE_SHEET: Final = (
    f".f-none{{fill:none}}{_rules(0)}@media (prefers-color-scheme:dark){{{_rules(1)}}}"
)
