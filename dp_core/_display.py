"""
How a promise looks: a state by its shape, its word and its colour.

Pure functions, no I/O. What they return survives where notebooks are shown
without trust (JupyterLab then removes style sheets, scripts, inline SVG, ids and
CSS variables): inline styles with both foreground and background, so that it
reads on any theme, and a plain-text twin of everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from dp_core._states import SETTLED, Pending, Rejected, Resolved, State

__all__ = [
    "LOOKS",
    "LOOK_OF_WORD",
    "Look",
    "code",
    "escape",
    "look_of",
    "pill",
    "preview",
    "promise_bundle",
    "shortened",
    "visible",
]


@final
@dataclass(frozen=True, slots=True)
class Look:
    """
    How a state looks; any one of shape, word and colour is enough to tell.

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
LOOKS: Final[Mapping[type[Any] | None, Look]] = {
    None: Look("?", "not asked yet", "#444444", "#eeeeee"),
    Pending: Look("○", "pending", "#6b4400", "#fff1cc"),
    Resolved: Look("✔", "resolved", "#00543f", "#d9f2ea"),
    Rejected: Look("✘", "rejected", "#8a2c00", "#fde4d8"),
}


LOOK_OF_WORD: Final[Mapping[str, Look]] = {look.word: look for look in LOOKS.values()}


def look_of(state: State[Any] | None) -> Look:
    """Return how *state* looks; None is a promise nobody has asked yet."""
    return LOOKS[None if state is None else type(state)]


def promise_bundle(id: str, url: str, seen: State[bytes] | None) -> dict[str, str]:
    """
    Return a promise as ``{MIME type: text}``, as notebooks want it.

    Args:
        id: The promise's id.
        url: The store's URL; a password in it is not shown.
        seen: What was last known of it; None if it was never asked.
    """
    look, value = look_of(seen), preview(seen)
    name, store = shortened(visible(id), 60), shortened(visible(_public(url)), 60)
    link = "with" if isinstance(seen, Rejected) else "="
    plain = f"{look.shape} {look.word}  '{name}' at {store}"
    html = f"{pill(look)} {code(name)} at {code(store)}"
    if isinstance(seen, SETTLED):
        plain += f" {link} {value}"
        html += f" {link} {code(value)}"
    return {"text/plain": plain, "text/html": f"<div>{html}</div>"}


def pill(look: Look) -> str:
    """Return the look as a small HTML label."""
    return (
        f'<span style="display:inline-block;padding:0 0.6em;border-radius:1em;'
        f"border:1px solid {look.ink};color:{look.ink};background:{look.paper};"
        f'font-family:sans-serif;white-space:nowrap">'
        f"{look.shape}&nbsp;{escape(look.word)}</span>"
    )


def code(text: str) -> str:
    """Return text as HTML in a fixed-width font."""
    return f'<code style="overflow-wrap:anywhere">{escape(text)}</code>'


def preview(state: State[bytes] | None, limit: int = 80) -> str:
    """Return the value's JSON text, or the message, in at most *limit* characters."""
    match state:
        case Resolved(text):
            # A character takes at most four bytes of UTF-8.
            ends = text if len(text) <= 8 * limit else _ends(text, 4 * limit)
            return shortened(visible(ends.decode(errors="replace")), limit)
        case Rejected(error):
            return shortened(visible(error[: 2 * limit]), limit)
        case _:
            return ""


def shortened(text: str, limit: int) -> str:
    """Return text with its middle left out where it is longer than *limit*."""
    if len(text) <= limit:
        return text
    head = limit // 2
    return f"{text[:head]}…{text[head + 1 - limit :]}"


def _ends(text: bytes, length: int) -> bytes:
    return text[:length] + text[-length:]


# Controls, and what turns the direction of writing (Unicode TR36 §2.5): a stored
# value must not forge what stands around it.
_INVISIBLE: Final = re.compile(
    "[\0-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)


def visible(text: str) -> str:
    """Return text with what cannot be seen written as an escape."""
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


_PASSWORD: Final = re.compile(r"(?<=//)[^/@]*@")


def _public(url: str) -> str:
    return _PASSWORD.sub("…@", url)


_HTML: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
)


def escape(text: str) -> str:
    """Return text as HTML, for elements and attributes."""
    # The module html would load 2,000 entities that nobody needs here.
    return text.translate(_HTML)
