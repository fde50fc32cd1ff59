"""
Text that other people wrote, made safe to show: the one place for it.

Ids, values, messages, URLs and names of types come from users and from peers.
Shown as they are, they could forge a line of a log, drive a terminal, turn the
direction of writing, or give a password away.

================== ====================================================
`quoted`           inside a sentence: errors and log lines
`visible`          alone, on one line: pages and pictures
`for_terminal`     alone, on any number of lines: the output of ``dp``
`shortened`        any of them, with its middle left out
`without_password` a store URL
`type_name`        a type
`described`        an exception
================== ====================================================
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = [
    "described",
    "for_terminal",
    "quoted",
    "shortened",
    "type_name",
    "visible",
    "without_password",
]


def quoted(text: str, limit: int = 80) -> str:
    """
    Return *text* in quotes, for a sentence or a log line.

    Control characters, terminal escapes and lone surrogates come out escaped,
    so that nobody can forge a log line with an id.

    Args:
        text: Any text.
        limit: How many characters of it to show; a longer text loses its
            middle.
    """
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}…{text[-half:]}"
    return repr(text)


# What a terminal obeys: the C0 and C1 controls, and the characters that turn the
# direction of writing (Unicode TR36 §2.5).
_CONTROLS: Final = r"\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
# What nobody sees: joiners, fillers, tags, and halves of surrogate pairs.
_HIDDEN: Final = r"\u200b-\u200d\u2060-\u2065\u206a-\u206f\ud800-\udfff\ufeff"
_TAGS: Final = "\U000e0000-\U000e007f"

_INVISIBLE: Final = re.compile(f"[{_CONTROLS}{_HIDDEN}{_TAGS}]")
# Text has lines and tabs; and joiners make one emoji of two.
_UNSAFE: Final = re.compile(rf"(?![\t\n])[{_CONTROLS}]")


def visible(text: str) -> str:
    """Return *text* on one line, with every invisible character as an escape."""
    return _INVISIBLE.sub(_escape, text)


def for_terminal(text: str) -> str:
    """Return *text* without anything a terminal obeys but tabs and line ends."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def shortened(text: str, limit: int) -> str:
    """Return *text* in at most *limit* characters: its middle is left out."""
    if len(text) <= limit:
        return text
    head = limit // 2
    return f"{text[:head]}…{text[head + 1 - limit :]}"


# The password may hold "@", and everything else that should have been escaped.
_USER: Final = re.compile(r"//[^/?#]*@")


def without_password(url: str) -> str:
    """Return a URL with its user and password replaced by an ellipsis."""
    return _USER.sub("//…@", url)


def type_name(type_: Any) -> str:
    """Return the name by which a message calls a type."""
    return getattr(type_, "__qualname__", None) or str(type_)


def described(error: BaseException, limit: int = 300) -> str:
    """Return the class and the text of an exception, on one line; never raises."""
    try:
        text = visible(" ".join(str(error).split()))
    except Exception:  # noqa: BLE001 - a str of others may do anything
        text = "its text cannot be shown"
    name = type(error).__name__
    return f"{name}: {shortened(text, limit)}" if text else name
