"""
Values as JSON text: `encode`, and the walk that refuses what JSON cannot hold.

Python's own ``json`` is wider than JSON (NaN, Infinity, keys that are not
strings, lone surrogates). All of these would read differently in another
language, so `write` refuses them, and the error names the place.

The text is measured while it is written: what is too long is refused when that is
known, and not after the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from json.encoder import encode_basestring
from math import isfinite
from types import CoroutineType
from typing import Any, Final, final

from dp_core._errors import InvalidValueError
from dp_core._text import described, shown, type_name
from dp_core.values._bigints import int_to_text
from dp_core.values._limits import (
    MAX_DEPTH,
    MAX_VALUE_BYTES,
    TOO_DEEP,
    check_size,
    too_long,
)
from dp_core.values._places import json_path, key_step

__all__ = ["Draft", "RefusedError", "check_message", "draft", "encode", "write"]

_LONG_BITS: Final = 60_000
_SURROGATES: Final = "a lone surrogate is not Unicode text; remove it"


def check_message(error: str, limit: int = MAX_VALUE_BYTES) -> str:
    """
    Return *error* if it can be the message of a rejection.

    Raises:
        InvalidValueError: Not a string, not Unicode, or too long.
    """
    if not isinstance(error, str):
        raise InvalidValueError(
            "$",
            f"an error message is a string, not {type_name(type(error))}; of an "
            "exception take str(error)",
        )
    encode(error, limit)
    return error


class RefusedError(Exception):
    """
    A value was refused; the place is collected while the error travels up.

    Attributes:
        reason: What is wrong with it.
        is_whole: Whether that concerns the value as a whole, and no place in it.
        steps: The way to it as parts of a JSONPath, innermost first.
    """

    def __init__(self, reason: str, *, is_whole: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_whole = is_whole
        self.steps: list[str] = []

    def public(self) -> InvalidValueError:
        """Return the error for users, with the place as a JSONPath (RFC 9535)."""
        steps = [] if self.is_whole else reversed(self.steps)
        return InvalidValueError(json_path(steps), self.reason)


def encode(value: object, limit: int = MAX_VALUE_BYTES) -> bytes:
    """
    Return the JSON text of *value*.

    Besides JSON's own types, dataclasses, msgspec Structs and attrs classes
    are written as objects.

    Raises:
        InvalidValueError: Something in it is not strict JSON, it nests deeper
            than `MAX_DEPTH`, or its text is longer than *limit* bytes.
    """
    if type(value) is str and len(value) <= limit:
        # The most frequent of all, in a third of the time.
        try:
            text = encode_basestring(value).encode()
        except UnicodeEncodeError:
            pass  # It is told where.
        else:
            check_size(text, limit)
            return text
    return draft(value, limit).text()


def draft(value: object, limit: int = MAX_VALUE_BYTES) -> Draft:
    """
    Return the text of *value* without the digits of its longest numbers.

    Raises:
        InvalidValueError: As for `encode`, as far as that is known by now.
    """
    written = Draft(limit)
    try:
        write(value, 0, written)
    except RefusedError as refused:
        error = refused.public()
    except RecursionError:
        error = InvalidValueError("$", TOO_DEEP)
    else:
        return written
    try:
        raise error
    finally:
        # An error that a frame of its own traceback holds would stay, and the
        # value with it, until the collector comes.
        del error


@final
class Draft:
    """
    JSON text that is being written, and how much of it there may still be.

    Attributes:
        add: Adds a piece of the text.
        room: Bytes that are left; strings, and the numbers of items, are counted,
            so that the text is never much longer than allowed.
        takes_long: Whether `text` may take long: there are numbers of tens of
            thousands of digits.
    """

    __slots__ = ("_chunks", "_limit", "add", "room", "takes_long")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: list[str | int] = []
        self.add: Final = self._chunks.append
        self.room = limit
        self.takes_long = False

    def take(self, length: int) -> None:
        """
        Count text of at least *length* bytes.

        Raises:
            RefusedError: There is no room for it.
        """
        self.room -= length
        if self.room < 0:
            raise RefusedError(
                f"its JSON text is {too_long(self._limit)}", is_whole=True
            )

    def text(self) -> bytes:
        """
        Return the text.

        Raises:
            InvalidValueError: It is too long.
        """
        chunks: Any = self._chunks
        if self.takes_long:
            chunks = [int_to_text(c) if isinstance(c, int) else c for c in chunks]
        text = "".join(chunks).encode()
        check_size(text, self._limit)
        return text


def write(value: Any, depth: int, to: Draft) -> None:
    """
    Write a value, item by item.

    Args:
        value: The value.
        depth: How many arrays and objects are around it.
        to: Where the text is written.

    Raises:
        RefusedError: Something in it is not strict JSON.
    """
    writer = _WRITERS.get(type(value)) or _writer_for(value)
    writer(value, depth, to)


def _write_str(value: str, depth: int, to: Draft) -> None:
    # Before anything is made of it: it may have gigabytes.
    to.room -= len(value)
    if to.room < 0:
        to.take(0)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RefusedError(_SURROGATES) from None
    to.add(encode_basestring(value))


def _write_int(value: int, depth: int, to: Draft) -> None:
    if value.bit_length() > _LONG_BITS:
        # log10(2) is a little more than 0.30102.
        to.take(int(value.bit_length() * 0.30102))
        to.add(value)
        to.takes_long = True
    else:
        to.add(int_to_text(value))


def _write_float(value: float, depth: int, to: Draft) -> None:
    if not isfinite(value):
        raise RefusedError(f"JSON has no {value}; use null or a string")
    to.add(float.__repr__(value))


def _write_array(value: Any, depth: int, to: Draft) -> None:
    _check_depth(depth)
    to.take(len(value))
    add, separator = to.add, "["
    for index, item in enumerate(value):
        add(separator)
        separator = ","
        try:
            write(item, depth + 1, to)
        except RefusedError as refused:
            refused.steps.append(f"[{index}]")
            raise
    add("]" if separator == "," else "[]")


def _write_object(value: Mapping[Any, Any], depth: int, to: Draft) -> None:
    _check_depth(depth)
    to.take(len(value))
    add, separator = to.add, "{"
    for key, item in value.items():
        if not isinstance(key, str):
            raise RefusedError(f"{shown(key)} is not a string, and so not a key")
        add(separator)
        separator = ","
        try:
            _write_str(key, depth, to)
            add(":")
            write(item, depth + 1, to)
        except RefusedError as refused:
            refused.steps.append(key_step(key))
            raise
    add("}" if separator == "," else "{}")


def _write_typed(value: Any, depth: int, to: Draft) -> None:
    import msgspec  # noqa: PLC0415 - only typed values need it

    try:
        plain = msgspec.to_builtins(value)
    except (TypeError, ValueError) as error:
        raise RefusedError(str(error)) from None
    except RecursionError:
        raise RefusedError(TOO_DEEP) from None
    except Exception as error:  # noqa: BLE001 - code of the value may run
        raise RefusedError(described(error)) from None
    write(plain, depth, to)


def _write_bool(value: object, depth: int, to: Draft) -> None:
    to.add("true" if value else "false")


def _write_null(value: None, depth: int, to: Draft) -> None:
    to.add("null")


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise RefusedError(TOO_DEEP)


_WRITERS: Final[dict[type, Callable[[Any, int, Draft], None]]] = {
    type(None): _write_null,
    bool: _write_bool,
    int: _write_int,
    float: _write_float,
    str: _write_str,
    list: _write_array,
    tuple: _write_array,
    dict: _write_object,
}


def _writer_for(value: object) -> Callable[[Any, int, Draft], None]:
    """Find the writer of a subclass of JSON's types, or of a typed object."""
    kind = type(value)
    if is_dataclass(kind) or hasattr(kind, "__struct_fields__"):
        return _write_typed
    if hasattr(kind, "__attrs_attrs__"):
        return _write_typed
    for base in kind.__mro__[1:]:
        if base in _WRITERS:
            return _WRITERS[base]
    if kind is CoroutineType:
        raise RefusedError(f"it is {shown(value)}; write await before that call")
    raise RefusedError(
        f"{type_name(kind)} is not a JSON type; convert it to one (str, int, "
        "float, bool, None, list, dict), use a dataclass, or settle by a handle that "
        "has the value's type, as in promise(id, Invoice)"
    )
