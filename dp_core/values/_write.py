"""
Values as JSON text: `encode`, and the walk that refuses what JSON cannot hold.

Python's own ``json`` is wider than JSON (NaN, Infinity, keys that are not
strings, lone surrogates). All of these would read differently in another
language, so `write` refuses them, and the error names the place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, Final, NoReturn

from dp_core._errors import InvalidValueError
from dp_core._safe_text import quoted, type_name
from dp_core.values._bigints import int_to_text
from dp_core.values._limits import MAX_DEPTH, MAX_VALUE_BYTES, TOO_DEEP, check_size

__all__ = ["RefusedError", "check_message", "encode", "write"]

_MAX_PLACE: Final = 200
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


class RefusedError(Exception):
    """
    A value was refused; the place is collected while the error travels up.

    Attributes:
        reason: What is wrong with it.
        steps: The way to it as parts of a JSONPath, innermost first.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str] = []

    def at(self, step: str) -> NoReturn:
        """Add the step to this item, and raise on."""
        self.steps.append(step)
        raise self

    def public(self) -> InvalidValueError:
        """Return the error for users, with the place as a JSONPath (RFC 9535)."""
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
        write(value, 0, chunks.append)
    except RefusedError as refused:
        raise refused.public() from None
    except RecursionError:
        raise InvalidValueError("$", TOO_DEEP) from None
    text = "".join(chunks).encode()
    check_size(text, limit)
    return text


_Emit = Callable[[str], object]


def write(value: Any, depth: int, emit: _Emit) -> None:
    """
    Write a value, item by item.

    Args:
        value: The value.
        depth: How many arrays and objects are around it.
        emit: Called with each piece of the text.

    Raises:
        RefusedError: Something in it is not strict JSON.
    """
    writer = _WRITERS.get(type(value)) or _writer_for(value)
    writer(value, depth, emit)


def _write_str(value: str, depth: int, emit: _Emit) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RefusedError(_SURROGATES) from None
    emit(encode_basestring(value))


def _write_int(value: int, depth: int, emit: _Emit) -> None:
    emit(int_to_text(value))


def _write_float(value: float, depth: int, emit: _Emit) -> None:
    if not isfinite(value):
        raise RefusedError(f"JSON has no {value}; use null or a string")
    emit(float.__repr__(value))


def _write_array(value: Any, depth: int, emit: _Emit) -> None:
    _check_depth(depth)
    separator = "["
    for index, item in enumerate(value):
        emit(separator)
        separator = ","
        try:
            write(item, depth + 1, emit)
        except RefusedError as refused:
            refused.at(f"[{index}]")
    emit("]" if separator == "," else "[]")


def _write_object(value: Mapping[Any, Any], depth: int, emit: _Emit) -> None:
    _check_depth(depth)
    separator = "{"
    for key, item in value.items():
        if not isinstance(key, str):
            raise RefusedError(f"{_shown(key)} is not a string, and so not a key")
        emit(separator)
        separator = ","
        try:
            _write_str(key, depth, emit)
            emit(":")
            write(item, depth + 1, emit)
        except RefusedError as refused:
            refused.at(_key_step(key))
    emit("}" if separator == "," else "{}")


def _write_typed(value: Any, depth: int, emit: _Emit) -> None:
    import msgspec  # noqa: PLC0415 - only typed values need it

    try:
        plain = msgspec.to_builtins(value)
    except (TypeError, ValueError) as error:
        raise RefusedError(str(error)) from None
    except RecursionError:
        raise RefusedError(TOO_DEEP) from None
    write(plain, depth, emit)


def _write_bool(value: object, depth: int, emit: _Emit) -> None:
    emit("true" if value else "false")


def _write_null(value: None, depth: int, emit: _Emit) -> None:
    emit("null")


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise RefusedError(TOO_DEEP)


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
    raise RefusedError(
        f"{type_name(kind)} is not a JSON type; convert it to one (str, int, "
        "float, bool, None, list, dict) or use a dataclass"
    )
