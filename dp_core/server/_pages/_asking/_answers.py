"""
Answers that people give in a form: `choices_of` offers some, `read_answer` reads one.

`FIELDS` has the fields by which an answer comes, one of them a form. A choice comes as
JSON text in ASCII, as browsers change line ends in what a button sends; and as its
words, not its number, as the promise may have been made anew since the page was shown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Final

from dp_core._errors import InvalidValueError, ProtocolError
from dp_core._text import visible
from dp_core.server._pages._asking._forms import Form
from dp_core.values import decode, encode
from dp_core.wire import Settle, read_settle

__all__ = [
    "FIELDS",
    "ChoiceGoneError",
    "choices_of",
    "one_of",
    "read_answer",
    "text_of_choice",
]

MOST_CHOICES: Final = 20
"""The most buttons; who has more is asked for text."""

_MAX_CHOICE: Final = 200


class ChoiceGoneError(Exception):
    """The promise does not offer this choice, or does not any more."""


def choices_of(data: object) -> tuple[str, ...]:
    """
    Return what the data of a promise offers to choose from; nothing if it is odd.

    Args:
        data: A person may choose where it is an object with a list of different texts
            as ``choices``.
    """
    found = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(found, list) or not 0 < len(found) <= MOST_CHOICES:
        return ()
    if not all(isinstance(each, str) and _is_shown(each) for each in found):
        return ()
    return tuple(found) if len(set(found)) == len(found) else ()


def text_of_choice(choice: str) -> str:
    """Return a choice as a button sends it."""
    return json.dumps(choice)


def _is_shown(choice: str) -> bool:
    return 0 < len(visible(choice)) <= _MAX_CHOICE and not choice.isspace()


def _choice(text: str, choices: Collection[str]) -> tuple[str, bytes]:
    choice = decode(_json_of(text))
    if choice not in choices:
        raise ChoiceGoneError
    return "resolve", encode(choice)


def _boolean(text: str, choices: Collection[str]) -> tuple[str, bytes]:
    if text not in ("true", "false"):
        raise InvalidValueError("$", "the answer is yes or no")
    return "resolve", text.encode()


def _text(text: str, choices: Collection[str]) -> tuple[str, bytes]:
    if not text.strip():
        raise InvalidValueError("$", "the answer is empty")
    return "resolve", encode(text, sys.maxsize)


def _json(text: str, choices: Collection[str]) -> tuple[str, bytes]:
    if not text.strip():
        raise InvalidValueError("$", "the answer is empty")
    return "resolve", _json_of(text)


def _json_of(text: str) -> bytes:
    return text.strip().encode()


def _error(text: str, choices: Collection[str]) -> tuple[str, bytes]:
    if not text.strip():
        raise InvalidValueError("$", "the reason is empty")
    return "reject", encode(text, sys.maxsize)


FIELDS: Final[Mapping[str, Callable[[str, Collection[str]], tuple[str, bytes]]]] = {
    "choice": _choice,
    "boolean": _boolean,
    "text": _text,
    "json": _json,
    "error": _error,
}
"""``{field: its text and the choices -> operation and argument}``."""


def one_of(form: Form, fields: Collection[str]) -> str:
    """
    Return which one of some fields a form has.

    Raises:
        ProtocolError: It has none of them, or several (400).
    """
    found = [name for name in fields if name in form]
    if len(found) != 1:
        raise ProtocolError(
            400,
            "this is not a form of this server: it has "
            + ("several answers" if found else "no answer"),
        )
    return found[0]


def read_answer(id: str, form: Form, data: bytes | None, limit: int) -> Settle:
    """
    Return the settle that a form asks for.

    Args:
        id: The promise's id.
        form: What was filled in.
        data: The data of the promise, for its choices.
        limit: The largest value to accept, in bytes of JSON text.

    Raises:
        ProtocolError: It is not a form of ours (400).
        CodecError: The value cannot be kept.
        ChoiceGoneError: The promise does not offer that.
    """
    field = one_of(form, FIELDS)
    choices: tuple[str, ...] = ()
    if field == "choice" and data is not None:
        choices = choices_of(decode(data))
    try:
        operation, argument = FIELDS[field](form[field], choices)
    except UnicodeEncodeError:
        raise InvalidValueError("$", "it is not Unicode text") from None
    return read_settle(operation, id, argument, limit)
