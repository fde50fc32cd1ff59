"""Output of the running cell, and `LiveOutput`, which changes in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final
from uuid import uuid4

from IPython.core.getipython import get_ipython

from dp_core.notebook.pictures._markup import Element

__all__ = ["LiveOutput", "bundle", "in_notebook", "show"]

Bundle = Mapping[str, Any]


def in_notebook() -> bool:
    """Tell whether this process is a kernel."""
    return hasattr(get_ipython(), "kernel")


def bundle(plain: str, html: Element | None = None) -> dict[str, str]:
    """Return text, and its HTML if it has some, as ``{MIME type: text}``."""
    return {"text/plain": plain, "text/html": str(html or Element("div", plain))}


def show(content: Bundle, metadata: Bundle | None = None) -> None:
    """Show a bundle in the running cell; print its text outside of a notebook."""
    shell = get_ipython()
    if shell is not None and in_notebook():
        shell.display_pub.publish(dict(content), dict(metadata or {}))
    else:
        print(content.get("text/plain", ""))  # noqa: T201 - where there is no cell


@final
class LiveOutput:
    """Something in a notebook that changes in place; its last content stays."""

    def __init__(self) -> None:
        self._id = uuid4().hex
        self._shown: Bundle | None = None

    def show(self, content: Bundle, *, again: bool = False) -> None:
        """
        Replace what is shown by *content*.

        Args:
            content: A bundle.
            again: Whether to show it also if it is shown already.
        """
        shell = get_ipython()
        if shell is None or not in_notebook() or (content == self._shown and not again):
            return
        shell.display_pub.publish(
            dict(content),
            transient={"display_id": self._id},
            update=self._shown is not None,
        )
        self._shown = content
