"""Typed values: `decode_as` reads JSON text as an instance of a type."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from dp_core._errors import ValueMismatchError
from dp_core._safe_text import described, type_name
from dp_core.values._read import decode

__all__ = ["decode_as"]

T = TypeVar("T")


def decode_as(text: bytes, type_: type[T]) -> T:
    """
    Return the value of JSON text as an instance of *type_*.

    Args:
        text: JSON text.
        type_: A dataclass, TypedDict, msgspec Struct, or any type that
            ``msgspec.convert`` knows; ``Any`` leaves the value as it is.

    Raises:
        InvalidValueError: *text* is not JSON.
        ValueMismatchError: The value does not fit; the error says where.
    """
    value = decode(text)
    if cast("Any", type_) is Any:
        return cast("T", value)
    import msgspec  # noqa: PLC0415 - only typed values need it

    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise ValueMismatchError(type_name(type_), str(error)) from None
    except Exception as error:  # noqa: BLE001 - code of the type runs, and may do anything
        raise ValueMismatchError(
            type_name(type_), f"this type cannot be decoded: {described(error)}"
        ) from None
