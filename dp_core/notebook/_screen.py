"""Where things are shown: in the running cell, or in plain text outside of IPython."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final
from uuid import uuid4

from IPython.core.getipython import get_ipython

from dp_core._display import escape

__all__ = ["Screen", "bundle", "cell_number", "in_notebook", "show"]

Bundle = Mapping[str, Any]


def in_notebook() -> bool:
    """Tell whether this process is a kernel."""
    return hasattr(get_ipython(), "kernel")


def cell_number() -> int:
    """Return which cell runs; 0 outside of IPython."""
    return getattr(get_ipython(), "execution_count", 0)


def bundle(plain: str, html: str | None = None) -> dict[str, str]:
    """Return text as ``{MIME type: text}``."""
    if html is None:
        html = f"<div>{escape(plain)}</div>"
    return {"text/plain": plain, "text/html": html}


def show(content: Bundle, metadata: Bundle | None = None) -> None:
    """Show a bundle in the running cell."""
    shell = get_ipython()
    if shell is not None and in_notebook():
        shell.display_pub.publish(dict(content), dict(metadata or {}))
    else:
        print(content.get("text/plain", ""))  # noqa: T201 - where there is no cell


@final
class Screen:
    """Something in a notebook that changes in place; its last content stays."""

    def __init__(self) -> None:
        self._id = uuid4().hex
        self._shown: Bundle | None = None

    def show(self, content: Bundle, *, again: bool = False) -> None:
        """Show *content* instead of what was there; if it is the same, *again*."""
        shell = get_ipython()
        if shell is None or not in_notebook() or (content == self._shown and not again):
            return
        shell.display_pub.publish(
            dict(content),
            transient={"display_id": self._id},
            update=self._shown is not None,
        )
        self._shown = content
