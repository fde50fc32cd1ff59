"""`say`: a verdict, by shape, word and colour; and text whose backticks are code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from dp_core._states import Pending, Rejected, Resolved
from dp_core.notebook.pictures import STYLES, Element, StateStyle, bundle, pill, show

__all__ = ["Verdict", "say", "with_code"]

Verdict = Literal["open", "right", "not so"]

_STYLES: Final[Mapping[Verdict, StateStyle]] = {
    "open": replace(STYLES[Pending], word="open"),
    "right": replace(STYLES[Resolved], word="right"),
    "not so": replace(STYLES[Rejected], word="not so"),
}


def say(verdict: Verdict, text: str) -> None:
    """Show a verdict and what there is to say of it."""
    style = _STYLES[verdict]
    html = Element("div", pill(style), " ", *with_code(text))
    show(bundle(f"{style.shape} {style.word}: {text}", html))


def with_code(text: str) -> list[Element | str]:
    """Return a text for HTML; what is between backticks is shown as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return [text]
    return [Element("code", part) if n % 2 else part for n, part in enumerate(parts)]
