"""`frozen`: a generic dataclass that stays frozen where its type is named in a call."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any, NoReturn, TypeVar

__all__ = ["frozen"]

T = TypeVar("T")


def frozen(kind: type[T]) -> type[T]:
    """
    Let ``Kind[int](...)`` make an instance of a frozen dataclass with slots.

    `typing` sets an attribute of what such a call made, and takes an AttributeError for
    a no. Up to Python 3.11 the method that `dataclasses` writes raises a TypeError
    instead, as with slots it is that of another class.
    """
    type.__setattr__(kind, "__setattr__", _refuse)
    return kind


def _refuse(self: object, name: str, value: Any) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")
