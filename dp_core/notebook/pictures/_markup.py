"""
`Element`: an element of HTML or SVG; the one place where markup is escaped.

Text is also cleaned for its format here: XML cannot hold controls, U+FFFE, or half of
a surrogate pair, and what turns the direction of writing would turn our own words.
"""

from __future__ import annotations

from html import escape
from typing import TypeAlias, final

from dp_core._text import for_terminal

__all__ = ["Element", "Node"]

Node: TypeAlias = "Element | str"


@final
class Element:
    """
    An element; as a string it is markup.

    Args:
        tag: The element's name.
        children: Elements, and text, which is escaped here.
        attributes: Values are escaped; None leaves an attribute out. ``_`` in a
            name stands for ``-``.
    """

    __slots__ = ("_markup",)

    def __init__(
        self, tag: str, *children: Node, **attributes: str | float | None
    ) -> None:
        opening = tag + "".join(
            f' {name.replace("_", "-")}="{_escaped(value)}"'
            for name, value in attributes.items()
            if value is not None
        )
        inside = "".join(
            escape(for_terminal(child), quote=False)
            if isinstance(child, str)
            else str(child)
            for child in children
        )
        # An empty <td> needs an end tag, and <img> must not have one.
        self._markup = f"<{opening}>{inside}</{tag}>" if children else f"<{opening}/>"

    def __str__(self) -> str:
        return self._markup


def _escaped(value: str | float) -> str:
    # Nobody sees less than a tenth of a pixel.
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return escape(for_terminal(text))
