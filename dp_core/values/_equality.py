"""`say_the_same`: whether two texts of JSON are one value."""

from __future__ import annotations

from typing import Any

from dp_core.values._read_json import decode

__all__ = ["say_the_same"]


def say_the_same(one: bytes, other: bytes) -> bool:
    """
    Tell whether two texts of JSON say the same value.

    The order of an object's keys does not count, nor how a string or a number is
    spelled: ``1``, ``1.0`` and ``10e-1`` are one number, which is compared exactly.

    Raises:
        InvalidValueError: They differ, and one of them is not JSON.
    """
    return one == other or _are_equal(decode(one), decode(other))


def _are_equal(one: Any, other: Any) -> bool:
    match one, other:
        # In Python, true is 1.
        case (bool(), _) | (_, bool()):
            return one is other
        case dict(), dict():
            return one.keys() == other.keys() and all(
                _are_equal(value, other[key]) for key, value in one.items()
            )
        case list(), list():
            return len(one) == len(other) and all(map(_are_equal, one, other))
    return bool(one == other)
