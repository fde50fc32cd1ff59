"""
JSON text of others: `decode` it, `check_text` it, or take an object apart.

Python's own ``json`` keeps the last of two equal keys, and reads NaN and
Infinity. Another language would read such text differently, so it is refused
here. Numbers are kept exactly: integers of any size, and in `check_text` every
digit that came in.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from math import isfinite
from typing import Any, Final, NoReturn, TypeVar

from dp_core._errors import InvalidValueError
from dp_core._text import quoted
from dp_core.values._bigints import int_from_text
from dp_core.values._limits import MAX_DEPTH, MAX_VALUE_BYTES, TOO_DEEP, check_size
from dp_core.values._write_json import draft

__all__ = [
    "check_parsed",
    "check_text",
    "decode",
    "split_array",
    "split_object",
    "takes_long",
]

T = TypeVar("T")


def decode(text: bytes) -> Any:
    """
    Return the Python value of JSON text.

    Raises:
        InvalidValueError: *text* is not one JSON value in UTF-8, or not strict: it
            has a key twice in one object, a lone surrogate, or a number beyond
            a float's range, or nests deeper than `MAX_DEPTH`.
    """
    if _PLAIN_STRING.fullmatch(text):
        return _parsed(_inside, text)
    value = _loads(text, _DECODER)
    if _SURROGATE.search(text) or (
        text.count(b"[") + text.count(b"{") > MAX_DEPTH and _nests_too_deep(value)
    ):
        _refuse(_loads(text, _CHECKER))
    return value


def check_text(text: bytes, limit: int = MAX_VALUE_BYTES) -> bytes:
    """
    Return foreign JSON text in the form in which it is kept.

    The text must be what `encode` could have written, white space and the
    spelling of numbers and strings aside. These spellings are kept, white
    space is not: a number passes through with every digit it came with.

    Raises:
        InvalidValueError: As for `encode` and `decode`.
    """
    if _PLAIN_STRING.fullmatch(text):
        check_size(text, limit)
        _parsed(_inside, text)
        return text
    # Strings stand at the odd places, and between them all that has a structure.
    pieces = _STRING.split(text)
    structure = b"".join(pieces[::2])
    if len(structure.translate(None, _WHITE_SPACE)) < len(structure):
        pieces[::2] = [piece.translate(None, _WHITE_SPACE) for piece in pieces[::2]]
        compact = b"".join(pieces)
    else:
        compact = text
    check_size(compact, limit)
    value = _loads(text, _CHECKER)
    if _SURROGATE.search(text) or _is_suspicious(structure):
        _refuse(value)
    return compact


def check_parsed(text: bytes) -> bytes:
    """
    Return JSON text that was parsed already, if it is as strict as `check_text` asks.

    It is not parsed once more unless it may hold something to refuse.

    Raises:
        InvalidValueError: As for `check_text`; its length is not limited.
    """
    brackets = text.count(b"[") + text.count(b"{")
    if brackets > MAX_DEPTH or _SURROGATE.search(text) or _has_huge_number(text):
        check_text(text, len(text))
    return text


def takes_long(text: bytes) -> bool:
    """Tell whether `decode` may take long: it reads numbers of very many digits."""
    return len(text) > _LONG_DIGITS and b"0" * _LONG_DIGITS in text.translate(
        _ONE_DIGIT
    )


_LONG_DIGITS: Final = 20_000
_ONE_DIGIT: Final = bytes(0x30 if 0x30 <= c <= 0x39 else 0x20 for c in range(256))


def _refuse(value: Any) -> None:
    """
    Walk over a value that was parsed, and refuse what is not strict.

    Raises:
        InvalidValueError: Something is not.
    """
    draft(value, sys.maxsize)


def _nests_too_deep(value: Any) -> bool:
    containers: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        containers = [
            item
            for container in containers
            for item in (container.values() if type(container) is dict else container)
            if type(item) is dict or type(item) is list
        ]
        if not containers:
            return False
    return True


# A string that is spelled as it is: to read one takes a fifth of a parser's time.
_PLAIN_STRING: Final = re.compile(rb'"[^"\\\x00-\x1f]*+"')
_STRING: Final = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")')
_WHITE_SPACE: Final = b" \t\r\n"

# The decoder lets three things pass that `write` refuses: a lone surrogate, a
# number beyond a float's range, and what nests too deep. To walk over every item
# in Python takes four times as long as to see that none of them can be there.
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
# Such a number has an exponent of three digits, or two hundred digits in a row. To
# search for these in text with one digit only takes a twentieth of a regular
# expression's time.
_HUGE: Final = (b"e000", b"e+000", b"0" * 200)
_ONE_NUMBER: Final = bytes(
    ord("e" if c in b"eE" else "+" if c in b"+" else "0" if c in b"0123456789" else " ")
    for c in range(256)
)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")


def _has_huge_number(text: bytes) -> bool:
    digits = text.translate(_ONE_NUMBER)
    return any(huge in digits for huge in _HUGE)


def _is_suspicious(structure: bytes) -> bool:
    """Tell whether JSON text without its strings may hold what `write` refuses."""
    if _has_huge_number(structure):
        return True
    brackets = structure.translate(_ONE_KIND, _NOT_BRACKETS)
    if len(brackets) <= 2 * MAX_DEPTH:
        return False
    # Each round removes the innermost level of every branch.
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    return True


def split_object(text: bytes) -> dict[str, bytes]:
    """
    Return the members of a JSON object, each value as the text it came with.

    Raises:
        InvalidValueError: *text* is not a JSON object, or has a key twice.
    """
    return _parsed(_split, text)


def split_array(text: bytes) -> list[bytes]:
    """
    Return the items of a JSON array, each as the text it came with.

    Raises:
        InvalidValueError: *text* is not a JSON array.
    """
    return _parsed(_items, text)


def _items(source: str) -> list[bytes]:
    items: list[bytes] = []
    place = _begin(source, "[", "an array")
    while source[place] != "]":
        _, end = _CHECKER.raw_decode(source, place)
        items.append(source[place:end].encode())
        place = _skip(source, end)
        if source[place] == ",":
            place = _skip(source, place + 1)
    return items


def _begin(source: str, bracket: str, what: str) -> int:
    """Check that a text is JSON; return the place after its first bracket."""
    _CHECKER.decode(source)
    place = _skip(source, 0)
    if source[place] != bracket:
        raise InvalidValueError("$", f"it is not {what}")
    return _skip(source, place + 1)


def _split(source: str) -> dict[str, bytes]:
    pairs: list[tuple[str, Any]] = []
    place = _begin(source, "{", "an object")
    while source[place] != "}":
        key, place = _CHECKER.raw_decode(source, place)
        start = _skip(source, _skip(source, place) + 1)
        _, end = _CHECKER.raw_decode(source, start)
        pairs.append((key, source[start:end].encode()))
        place = _skip(source, end)
        if source[place] == ",":
            place = _skip(source, place + 1)
    return _object(pairs)


def _skip(source: str, place: int) -> int:
    """Return the place of the next character that is not white space."""
    while source[place] in " \t\r\n":
        place += 1
    return place


def _inside(source: str) -> str:
    return source[1:-1]


def _loads(text: bytes, decoder: json.JSONDecoder) -> Any:
    return _parsed(decoder.decode, text)


def _parsed(parse: Callable[[str], T], text: bytes) -> T:
    """
    Return what *parse* makes of *text*.

    Raises:
        InvalidValueError: It is not JSON.
    """
    try:
        return parse(text.decode())
    except UnicodeDecodeError as error:
        reason = f"not UTF-8: {error.reason}"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} (line {error.lineno}, column {error.colno})"
    except RecursionError:
        reason = TOO_DEEP
    # Here, and not where the other error is: that has the whole text in it.
    raise InvalidValueError("$", reason)


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidValueError("$", f"JSON has no {name}; use null or a string")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        # Counted once: a foreign object may have a hundred thousand keys.
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise InvalidValueError("$", f"the key {quoted(twice)} is there twice")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise InvalidValueError("$", f"JSON has no {number}; use null or a string")
    return number


_DECODER: Final = json.JSONDecoder(
    parse_int=int_from_text,
    parse_float=_finite,
    parse_constant=_refuse_constant,
    object_pairs_hook=_object,
)
_CHECKER: Final = json.JSONDecoder(
    # Integers are not looked at: a million digits would cost a second.
    parse_int=lambda digits: 0,
    parse_constant=_refuse_constant,
    object_pairs_hook=_object,
)
