"""
`StateStyle`: shape, word and colour of a state; and `promise_bundle`.

Pure functions, no I/O. The HTML survives where JupyterLab shows a notebook that is
not trusted, and removes style sheets, scripts, inline SVG, ids and CSS variables:
styles are inline, with both foreground and background, so that they read on any
theme. Everything has a plain-text twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from dp_core._states import Pending, Rejected, Resolved, State
from dp_core._text import shortened, visible, without_password
from dp_core.notebook.pictures._markup import Element, Node

__all__ = [
    "STYLES",
    "STYLE_OF_WORD",
    "StateStyle",
    "clock_time",
    "code",
    "pill",
    "preview",
    "promise_bundle",
    "several",
    "shown",
    "style_of",
]


@final
@dataclass(frozen=True, slots=True)
class StateStyle:
    """
    Shape, word and colour of a state; any one of them is enough to recognise it.

    Attributes:
        shape: One character.
        word: The state's name.
        ink: Colour of text and border.
        paper: Colour of the background.
    """

    shape: str
    word: str
    ink: str
    paper: str


# Hues after Okabe and Ito ("Color Universal Design", 2008), darkened until they
# have the contrast that WCAG 2.2 §1.4.3 asks of text.
STYLES: Final[Mapping[type[Any] | None, StateStyle]] = {
    None: StateStyle("?", "not asked yet", "#444444", "#eeeeee"),
    Pending: StateStyle("○", "pending", "#6b4400", "#fff1cc"),
    Resolved: StateStyle("✔", "resolved", "#00543f", "#d9f2ea"),
    Rejected: StateStyle("✘", "rejected", "#8a2c00", "#fde4d8"),
}

STYLE_OF_WORD: Final[Mapping[str, StateStyle]] = {
    style.word: style for style in STYLES.values()
}


def style_of(state: State[Any] | None) -> StateStyle:
    """Return the style of *state*; None is for a promise nobody has asked yet."""
    return STYLES[None if state is None else type(state)]


def promise_bundle(
    id: str,
    url: str,
    state: str | None = None,
    value: str = "",
    deadline: str = "",
) -> dict[str, str]:
    """
    Return a promise as ``{MIME type: text}``, as notebooks show it.

    Args:
        id: The promise's id.
        url: The store's URL; a password in it is not shown.
        state: The last known state: "pending", "resolved" or "rejected"; None if
            the store was never asked.
        value: What `preview` made of the outcome.
        deadline: When it settles by itself, as RFC 3339 has it; empty for never.
    """
    style = STYLES[None] if state is None else STYLE_OF_WORD[state]
    name, store = shown(id), shown(without_password(url))
    plain = f"{style.shape} {style.word}  '{name}' at {store}"
    html: list[Node] = [pill(style), " ", code(name), " at ", code(store)]
    if state in ("resolved", "rejected"):
        link = " = " if state == "resolved" else " with "
        value = shown(value, 80)
        plain += link + value
        html += [link, code(value)]
    elif deadline:
        plain += f" until {clock_time(deadline)}"
        html.append(f" until {clock_time(deadline)}")
    return {"text/plain": plain, "text/html": str(Element("div", *html))}


def shown(text: str, limit: int = 60) -> str:
    """Return an id, a value, a URL or a name as all pictures show it, on one line."""
    return shortened(visible(text), limit)


def several(ids: Iterable[str], limit: int = 3) -> str:
    """Return ids as a sentence has them: the first in quotes, the others by number."""
    names = [f"'{shown(id)}'" for id in dict.fromkeys(ids)]
    if len(names) > limit:
        return f"{', '.join(names[:limit])} and {len(names) - limit:,} more"
    return ", ".join(names)


def clock_time(moment: str) -> str:
    """Return a moment of RFC 3339, in UTC, to the second."""
    return f"{moment.replace('T', ' ').partition('.')[0]} UTC"


def pill(style: StateStyle) -> Element:
    """Return the style as a small HTML label."""
    return Element(
        "span",
        f"{style.shape}\xa0{style.word}",
        style=(
            "display:inline-block;padding:0 0.6em;border-radius:1em;"
            f"border:1px solid {style.ink};color:{style.ink};"
            f"background:{style.paper};font-family:sans-serif;white-space:nowrap"
        ),
    )


def code(text: str) -> Element:
    """Return text as HTML in a fixed-width font."""
    return Element("code", text, style="overflow-wrap:anywhere")


def preview(state: State[bytes] | None, limit: int = 80) -> str:
    """Return the value's JSON text, or the message, in at most *limit* characters."""
    match state:
        case Resolved(text):
            # A character takes at most four bytes of UTF-8.
            ends = text if len(text) <= 8 * limit else _ends(text, 4 * limit)
            return shown(ends.decode(errors="replace"), limit)
        case Rejected(error):
            return shown(error[: 2 * limit], limit)
        case _:
            return ""


def _ends(text: bytes, length: int) -> bytes:
    return text[:length] + text[-length:]
