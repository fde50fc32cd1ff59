"""
Text that other people wrote, made safe to show: the one place for it.

Ids, values, messages, URLs and names of types come from users and from peers.
Shown as they are, they could forge a line of a log, drive a terminal, turn the
direction of writing, or give a password away.

================== ====================================================
`quoted`           inside a sentence: errors and log lines
`visible`          alone, on one line: pages and pictures
`for_terminal`     alone, on any number of lines: the output of ``dp``, markup
`coloured`         one line of a program's output, whose colours stay
`shortened`        any of them, with its middle left out
`without_password` a store URL
`type_name`        a type
`described`        an exception
`shown`            any other object, in a sentence
`repr_of`          an object inside a repr, whole
================== ====================================================
"""

from __future__ import annotations

import re
from types import CoroutineType
from typing import Any, Final

__all__ = [
    "coloured",
    "described",
    "for_terminal",
    "quoted",
    "repr_of",
    "shortened",
    "shown",
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
    return _UNSEEN.sub(_escape, repr(text))


# What a terminal obeys: the C0 and C1 controls, and the characters that turn the
# direction of writing (Unicode TR36 §2.5).
_CONTROLS: Final = r"\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
# What no format can hold: halves of surrogate pairs (UTF-8), U+FFFE and U+FFFF (XML
# 1.0 §2.2), and the other codes that are no characters, so that there is one rule.
_IMPOSSIBLE: Final = r"\ud800-\udfff\ufdd0-\ufdef" + "".join(
    f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(17)
)
# What nobody sees, although it counts as printable: fillers, and selectors, which
# can hide any text behind a character.
_BLANK: Final = (
    r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0"
    r"\U000e0100-\U000e01ef"
)

_UNSEEN: Final = re.compile(f"[{_BLANK}]")
# Text has lines and tabs; and joiners make one emoji of two.
_UNSAFE: Final = re.compile(rf"(?![\t\n])[{_CONTROLS}{_IMPOSSIBLE}]")


def visible(text: str) -> str:
    """Return *text* on one line, with every invisible character as an escape."""
    if not text.isprintable():
        # All that is neither a letter, mark, number, sign nor the space: controls,
        # formats, tags, private and unassigned codes, and the other spaces.
        text = "".join(c if c.isprintable() else _escaped(c) for c in text)
    return _UNSEEN.sub(_escape, text)


def for_terminal(text: str) -> str:
    """Return *text* without what a terminal obeys or a file cannot hold."""
    return _UNSAFE.sub(_escape, text)


# Colours and the like (ECMA-48 §8.3.117), which change nothing but the look.
_COLOUR: Final = re.compile(r"(\x1b\[[0-9;]*m)")


def coloured(line: str) -> str:
    """Return a line of output as a terminal shows it: its end, with its colours."""
    # What a carriage return goes back over is overwritten, a label before it, too.
    last = line.removesuffix("\r").rpartition("\r")[2]
    parts = _COLOUR.split(last)
    parts[::2] = map(for_terminal, parts[::2])
    return "".join(parts)


def _escape(match: re.Match[str]) -> str:
    return _escaped(match[0])


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def shortened(text: str, limit: int) -> str:
    """Return *text* in at most *limit* characters: its middle is left out."""
    if len(text) <= limit:
        return text
    head = limit // 2
    return f"{text[:head]}…{text[head + 1 - limit :]}"


# The password may hold "@", and everything else that should have been escaped.
_USER: Final = re.compile(r"//[^/?#]*@")
# Databases take it as an option, too.
_SECRET: Final = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


def without_password(url: str) -> str:
    """Return a URL with its user and password replaced by an ellipsis."""
    return _SECRET.sub(r"\1…", _USER.sub("//…@", url))


def type_name(type_: Any) -> str:
    """Return the name by which a message calls a type; never raises."""
    try:
        # list[int] has the name of list.
        if isinstance(type_, type):
            return type_.__qualname__
        return visible(shortened(str(type_), 200))
    except Exception:  # noqa: BLE001 - a repr of others may do anything
        return "a type whose name cannot be shown"


def shown(thing: object, limit: int = 80) -> str:
    """
    Return the repr of anything, on one line; never raises.

    A repr of others may raise, or be of any length, and that of an integer over
    4,300 digits raises in Python itself.
    """
    try:
        if isinstance(thing, str):
            return quoted(thing, limit)
        text = repr(thing)
        if isinstance(thing, CoroutineType):
            # Nobody passes one on purpose.
            text = f"<{thing.__qualname__}(…) without await>"
        return visible(shortened(text, limit))
    except Exception:  # noqa: BLE001 - see above
        return f"an object of type {type_name(type(thing))}"


def described(error: BaseException, limit: int = 300) -> str:
    """Return the class and the text of an exception, on one line; never raises."""
    try:
        text = visible(" ".join(str(error).split()))
    except Exception:  # noqa: BLE001 - a str of others may do anything
        text = "its text cannot be shown"
    name = type(error).__name__
    return f"{name}: {shortened(text, limit)}" if text else name


def repr_of(thing: object) -> str:
    """Return ``repr(thing)``; where that raises, a word about its type."""
    try:
        return repr(thing)
    except Exception:  # noqa: BLE001 - see `shown`
        return f"<{type_name(type(thing))} that cannot be shown>"
