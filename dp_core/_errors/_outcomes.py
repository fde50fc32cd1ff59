"""Errors of waiting and creating: what became of a promise, or was before."""

from __future__ import annotations

from dp_core._errors._base import DurablePromiseError
from dp_core._text import quoted

__all__ = [
    "PromiseDisposedError",
    "PromiseExistsError",
    "PromiseRejectedError",
    "PromiseTimeoutError",
]


class PromiseRejectedError(DurablePromiseError):
    """
    The promise was rejected, and its value was asked for.

    Attributes:
        error: The message the promise was rejected with, unchanged.
        id: The promise's id; None where only the outcome is known.
    """

    def __init__(self, error: str, id: str | None = None) -> None:
        super().__init__(error, id)
        self.error = error
        self.id = id
        if id is not None:
            # The text is the message, for people; a traceback names the promise, too.
            self.add_note(f"promise {quoted(id)} was rejected with this message")

    def __str__(self) -> str:
        return self.error


class PromiseDisposedError(DurablePromiseError):
    """
    The promise was disposed of while somebody waited for it.

    Its id starts afresh as a pending promise: call ``get`` again to wait for
    that one.

    Attributes:
        id: The promise's id.
    """

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return (
            f"promise {quoted(self.id)} was disposed of while you waited; "
            "its id is pending again, call get() to wait anew"
        )


class PromiseTimeoutError(DurablePromiseError, TimeoutError):
    """
    The promise was still pending when the caller's time was over.

    The promise is untouched, and one may wait again.

    Attributes:
        id: The promise's id.
        seconds: How long the caller waited, in seconds.
    """

    def __init__(self, id: str, seconds: float) -> None:
        super().__init__(id, seconds)
        self.id = id
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"promise {quoted(self.id)} is still pending after "
            f"{self.seconds:g} s; it can be awaited again"
        )


class PromiseExistsError(DurablePromiseError):
    """
    The promise has other terms already, and ``exist_ok=False`` was given.

    Attributes:
        id: The promise's id.
    """

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return (
            f"promise {quoted(self.id)} was created with other terms; take another id, "
            "or exist_ok=True to use it as it is"
        )
