"""`PromiseInfo`: all that a store knows about a promise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar, final

from dp_core._frozen import frozen
from dp_core._states import Pending, Rejected, State
from dp_core._terms._terms import Terms

__all__ = ["PromiseInfo", "StateName", "state_name"]

T_co = TypeVar("T_co", covariant=True)

StateName = Literal["pending", "resolved", "rejected"]
"""A state in one word."""


@final
@frozen
@dataclass(frozen=True, slots=True)
class PromiseInfo(Generic[T_co]):
    """
    All that a store knows about a promise.

    Attributes:
        id: The promise's id.
        state: Its state.
        terms: Its terms; None if it was not created.
        created_at: When it was created, as its creator's clock said; None if it was
            not.
        settled_at: When it was settled, as its settler's clock said; None if it is
            pending. Clocks differ, so it may be before ``created_at``.
        settled_by: Who settled it, as they said; None if nobody did, or did not say.
        expired: Whether its deadline settled it, and nobody else.
        cursor: Its place in the order of the store, for ``list(after=…)``; None if it
            is not listed, because it was neither created nor settled.
    """

    id: str
    state: State[T_co]
    terms: Terms[T_co] | None = None
    created_at: datetime | None = None
    settled_at: datetime | None = None
    settled_by: str | None = None
    expired: bool = False
    cursor: str | None = None


def state_name(state: State[object]) -> StateName:
    """Return a state in one word."""
    if isinstance(state, Pending):
        return "pending"
    return "rejected" if isinstance(state, Rejected) else "resolved"
