"""Errors of stores: `BackendError` and its kinds."""

from __future__ import annotations

from dp_core._errors._base import DurablePromiseError

__all__ = [
    "AccessDeniedError",
    "BackendClosedError",
    "BackendError",
    "BackendUnavailableError",
    "CorruptPromiseError",
    "NotSupportedError",
    "OutcomeUnknownError",
    "ProtocolError",
]


class BackendError(DurablePromiseError):
    """
    The store failed, or its server did; every outcome is as it was.

    Attributes:
        reason: What failed and what to do, in words for a person.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BackendUnavailableError(BackendError):
    """The backend could not be reached or used; the promise is untouched."""


class OutcomeUnknownError(BackendError):
    """
    An operation was interrupted after it may have taken effect.

    Repeat it: the first settle wins, so the repetition returns the outcome, unless
    somebody has disposed of the promise: then it settles the next one.
    """


class CorruptPromiseError(BackendError):
    """The record of a promise is damaged; it is never taken for a value."""


class AccessDeniedError(BackendError):
    """Access denied: credentials are missing, wrong, or not sufficient."""


class BackendClosedError(BackendError):
    """The handle was used after ``aclose()``."""


class NotSupportedError(BackendError):
    """The store does not have it: terms, a list of what it holds, or event streams."""


class ProtocolError(BackendError):
    """
    A peer did not speak the wire of durable promises.

    Attributes:
        status: The HTTP status that says so.
        reason: What was wrong, in words for a person.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.args = (status, reason)
        self.status = status

    def __str__(self) -> str:
        return f"{self.reason} (HTTP {self.status})"
