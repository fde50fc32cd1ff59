"""Errors of values: `CodecError` and its kinds."""

from __future__ import annotations

from dp_core._errors._base import DurablePromiseError
from dp_core._text import quoted

__all__ = ["CodecError", "InvalidValueError", "ValueMismatchError"]


class CodecError(DurablePromiseError, ValueError):
    """A value could not be turned into JSON text, or back."""


class InvalidValueError(CodecError):
    """
    The value is not strict JSON (RFC 8259, and the limits of `dp_core`).

    Attributes:
        place: Where in the value, as a JSONPath (RFC 9535): ``$`` is the
            value itself, ``$.items[3]`` the fourth item of its "items".
        reason: What is wrong there, and what to do about it.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        return f"not a JSON value at {self.place}: {self.reason}"


class ValueMismatchError(CodecError):
    """
    A value does not fit the type its promise was given.

    Attributes:
        type_name: The type that was asked for.
        reason: What did not fit, and where.
        id: The promise that holds the value; None where the value was offered
            to `resolve`, so that nothing has happened.
    """

    def __init__(self, type_name: str, reason: str, id: str | None = None) -> None:
        super().__init__(type_name, reason, id)
        self.type_name = type_name
        self.reason = reason
        self.id = id

    def __str__(self) -> str:
        if self.id is None:
            return f"the value is not a valid {self.type_name}: {self.reason}"
        return (
            f"promise {quoted(self.id)} holds a value that is not a valid "
            f"{self.type_name}: {self.reason}; open it without a type to see it"
        )
