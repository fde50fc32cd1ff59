"""`ValueType`: the type of a promise's values, as they are written and read."""

from __future__ import annotations

from typing import Protocol, TypeVar

from dp_core.values._write_json import Draft

__all__ = ["NotTakenError", "ValueType"]

T = TypeVar("T")


class ValueType(Protocol[T]):
    """A type whose values can be written as JSON, and read again."""

    def draft(self, value: T, limit: int) -> Draft:
        """
        Return the text of *value* without the digits of its longest numbers.

        What can be written is not always what can be read; only `read` and `check`
        say so.

        Raises:
            InvalidValueError: Something in it is not strict JSON, or too large.
            ValueMismatchError: It cannot be a value of the type.
        """

    def check(self, value: T, back: T) -> None:
        """
        Refuse a value that would be read as something else.

        Args:
            value: The value that was written.
            back: What was read of its text.

        Raises:
            ValueMismatchError: A part would be of another type; the error says which.
        """

    def read(self, text: bytes) -> T:
        """
        Return the value of JSON text.

        Raises:
            InvalidValueError: *text* is not strict JSON.
            ValueMismatchError: The value does not fit; the error says where.
        """


class NotTakenError(Exception):
    """
    A library cannot read or write a type.

    Attributes:
        reason: Why, in words for a person.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
