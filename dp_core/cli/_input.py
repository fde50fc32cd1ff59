"""
`read_value`: a value on the command line as JSON text.

``5`` is a number and ``hello`` is text: a value is JSON where it reads as
JSON, else plain text. A value that only begins like an object, an array or a
string, or that is not strict JSON (``NaN``), is taken for a slip of the pen
and refused; ``--text`` makes it text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Final

from dp_core._errors import InvalidValueError
from dp_core.values import check_text, encode

__all__ = ["FORMS", "read_text", "read_value"]


def read_value(argument: str | None, form: str) -> bytes:
    """
    Return the JSON text of *argument*.

    Args:
        argument: The value as typed; ``-`` reads stdin, None means null.
        form: One of `FORMS`.

    Raises:
        InvalidValueError: It is not a valid value of that form.
    """
    return b"null" if argument is None else FORMS[form](read_text(argument))


def read_text(argument: str) -> str:
    """
    Return *argument*, or for ``-`` the text of stdin without its last line end.

    Raises:
        InvalidValueError: stdin is not UTF-8.
    """
    if argument != "-":
        return argument
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidValueError("$", f"stdin is not UTF-8: {error.reason}") from None


def _as_json(text: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise InvalidValueError("$", "it is not UTF-8") from None
    return check_text(raw)


def _as_either(text: str) -> bytes:
    if not _meant_as_json(text):
        return encode(text)
    try:
        return _as_json(text)
    except InvalidValueError as error:
        raise InvalidValueError(
            error.place, f"{error.reason}; if it is plain text, say --text"
        ) from None


def _meant_as_json(text: str) -> bool:
    if text.lstrip().startswith(("{", "[", '"')):
        return True
    try:
        # Digits are not looked at: a million of them would cost a second.
        json.loads(text, parse_int=len)
    except ValueError:
        return False
    return True


FORMS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "either": _as_either,
    "text": encode,
    "json": _as_json,
}
"""``{form: function that reads a value of that form}``."""
