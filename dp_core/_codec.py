"""
What may be written: values and error messages, and their one JSON form.

Disk and wire carry the same bytes: JSON text (RFC 8259) in UTF-8 without
superfluous white space. Python's own ``json`` is wider than JSON (NaN,
Infinity, keys that are not strings, lone surrogates) and keeps the last of
two equal keys; all of these would read differently in another language, so
they are refused, and the error names the place.

Numbers are kept exactly: integers of any size, and floats by their shortest
round-trip form. A tuple is written as an array and comes back as a list.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, Final, NoReturn

from dp_core._bigints import int_from_text, int_to_text
from dp_core._errors import (
    InvalidValueError,
    quoted,
)

__all__ = [
    "MAX_DEPTH",
    "MAX_VALUE_BYTES",
    "check_message",
    "check_text",
    "decode",
    "encode",
    "split_object",
    "type_name",
]

MAX_VALUE_BYTES: Final = 1024 * 1024
"""The default limit of a value's JSON text, in bytes of UTF-8."""

MAX_DEPTH: Final = 128
"""How deep arrays and objects may nest."""

_MAX_PLACE: Final = 200
_TOO_DEEP: Final = f"it nests deeper than {MAX_DEPTH} levels, or holds itself"
_SURROGATES: Final = "a lone surrogate is not Unicode text; remove it"


def check_message(error: str, limit: int = MAX_VALUE_BYTES) -> str:
    """
    Return *error* if it can be the message of a rejection.

    Raises:
        InvalidValueError: Not a string, not Unicode, or too long.
    """
    if not isinstance(error, str):
        raise InvalidValueError(
            "$", f"an error message is a string, not {type_name(type(error))}"
        )
    encode(error, limit)
    return error


# Writing --------------------------------------------------------------------


class _RefusedError(Exception):
    """What was wrong; the place is collected while the error travels up."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str] = []

    def at(self, step: str) -> NoReturn:
        self.steps.append(step)
        raise self

    def public(self) -> InvalidValueError:
        place = "$" + "".join(reversed(self.steps))
        if len(place) > _MAX_PLACE:
            place = f"{place[: _MAX_PLACE // 2]}…{place[-_MAX_PLACE // 2 :]}"
        return InvalidValueError(place, self.reason)


def encode(value: object, limit: int = MAX_VALUE_BYTES) -> bytes:
    """
    Return the JSON text of *value*.

    Besides JSON's own types, dataclasses, msgspec Structs and attrs classes
    are written as objects.

    Raises:
        InvalidValueError: Something in it is not strict JSON, it nests deeper
            than `MAX_DEPTH`, or its text is longer than *limit* bytes.
    """
    chunks: list[str] = []
    try:
        _write(value, 0, chunks.append)
    except _RefusedError as refused:
        raise refused.public() from None
    except RecursionError:
        raise InvalidValueError("$", _TOO_DEEP) from None
    text = "".join(chunks).encode()
    _check_size(text, limit)
    return text


def _check_size(text: bytes, limit: int) -> None:
    if len(text) > limit:
        raise InvalidValueError(
            "$",
            f"its JSON text has {len(text):,} bytes, over the limit of "
            f"{limit:,}; store the bulk elsewhere and settle with a reference",
        )


_Emit = Callable[[str], object]


def _write(value: Any, depth: int, emit: _Emit) -> None:
    writer = _WRITERS.get(type(value)) or _writer_for(value)
    writer(value, depth, emit)


def _write_str(value: str, depth: int, emit: _Emit) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _RefusedError(_SURROGATES) from None
    emit(encode_basestring(value))


def _write_int(value: int, depth: int, emit: _Emit) -> None:
    emit(int_to_text(value))


def _write_float(value: float, depth: int, emit: _Emit) -> None:
    if not isfinite(value):
        raise _RefusedError(f"JSON has no {value}; use null or a string")
    emit(float.__repr__(value))


def _write_array(value: Any, depth: int, emit: _Emit) -> None:
    _check_depth(depth)
    separator = "["
    for index, item in enumerate(value):
        emit(separator)
        separator = ","
        try:
            _write(item, depth + 1, emit)
        except _RefusedError as refused:
            refused.at(f"[{index}]")
    emit("]" if separator == "," else "[]")


def _write_object(value: Mapping[Any, Any], depth: int, emit: _Emit) -> None:
    _check_depth(depth)
    separator = "{"
    for key, item in value.items():
        if not isinstance(key, str):
            raise _RefusedError(f"{_shown(key)} is no string, and so no key")
        emit(separator)
        separator = ","
        try:
            _write_str(key, depth, emit)
            emit(":")
            _write(item, depth + 1, emit)
        except _RefusedError as refused:
            refused.at(_key_step(key))
    emit("}" if separator == "," else "{}")


def _write_typed(value: Any, depth: int, emit: _Emit) -> None:
    import msgspec  # noqa: PLC0415 - only typed values need it

    try:
        plain = msgspec.to_builtins(value)
    except (TypeError, ValueError) as error:
        raise _RefusedError(str(error)) from None
    except RecursionError:
        raise _RefusedError(_TOO_DEEP) from None
    _write(plain, depth, emit)


def _write_bool(value: object, depth: int, emit: _Emit) -> None:
    emit("true" if value else "false")


def _write_null(value: None, depth: int, emit: _Emit) -> None:
    emit("null")


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise _RefusedError(_TOO_DEEP)


def _shown(key: object) -> str:
    try:
        return quoted(key if isinstance(key, str) else repr(key))
    except Exception:  # noqa: BLE001 - a repr may do anything, or be too long
        return f"a key of type {type_name(type(key))}"


def _key_step(key: str) -> str:
    return f".{key}" if key.isidentifier() else f"[{quoted(key)}]"


_WRITERS: Final[dict[type, Callable[[Any, int, _Emit], None]]] = {
    type(None): _write_null,
    bool: _write_bool,
    int: _write_int,
    float: _write_float,
    str: _write_str,
    list: _write_array,
    tuple: _write_array,
    dict: _write_object,
}


def _writer_for(value: object) -> Callable[[Any, int, _Emit], None]:
    """Find the writer of a subclass of JSON's types, or of a typed object."""
    kind = type(value)
    if is_dataclass(kind) or hasattr(kind, "__struct_fields__"):
        return _write_typed
    if hasattr(kind, "__attrs_attrs__"):
        return _write_typed
    for base in kind.__mro__[1:]:
        if base in _WRITERS:
            return _WRITERS[base]
    raise _RefusedError(
        f"{type_name(kind)} is no JSON type; convert it to one (str, int, "
        "float, bool, None, list, dict) or use a dataclass"
    )


# Reading --------------------------------------------------------------------


def decode(text: bytes) -> Any:
    """
    Return the Python value of JSON text.

    Raises:
        InvalidValueError: *text* is not one JSON value in UTF-8, has a key
            twice in one object, or nests too deep to be read.
    """
    return _loads(text, _DECODER)


def check_text(text: bytes, limit: int = MAX_VALUE_BYTES) -> bytes:
    """
    Return foreign JSON text in the form in which it is kept.

    The text must be what `encode` could have written, white space and the
    spelling of numbers and strings aside. These spellings are kept, white
    space is not: a number passes through with every digit it came with.

    Raises:
        InvalidValueError: As for `encode` and `decode`.
    """
    value = _loads(text, _CHECKER)
    try:
        _write(value, 0, lambda chunk: None)
    except _RefusedError as refused:
        raise refused.public() from None
    compact = _WHITE_SPACE.sub(rb"\1", text)
    _check_size(compact, limit)
    return compact


# Strings are matched first, so that white space inside them is kept.
_WHITE_SPACE: Final = re.compile(rb'("(?:[^"\\]|\\.)*+")|[ \t\r\n]++')


def split_object(text: bytes) -> dict[str, bytes]:
    """
    Return the members of a JSON object, each value as the text it came with.

    Raises:
        InvalidValueError: *text* is no JSON object, or has a key twice.
    """
    pairs: list[tuple[str, Any]] = []
    with _json_errors():
        source = text.decode()
        _CHECKER.decode(source)
        place = _skip(source, 0)
        if source[place] != "{":
            raise InvalidValueError("$", "it is no object")
        place = _skip(source, place + 1)
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
    """Return the place of the next character that is no white space."""
    while source[place] in " \t\r\n":
        place += 1
    return place


def _loads(text: bytes, decoder: json.JSONDecoder) -> Any:
    with _json_errors():
        return decoder.decode(text.decode())


@contextmanager
def _json_errors() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise InvalidValueError("$", f"not UTF-8: {error.reason}") from None
    except json.JSONDecodeError as error:
        raise InvalidValueError(
            "$", f"{error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except RecursionError:
        raise InvalidValueError("$", _TOO_DEEP) from None


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


def type_name(type_: Any) -> str:
    """Return what a message calls a type."""
    return getattr(type_, "__qualname__", None) or str(type_)
