"""
The state machine of a durable promise: `TRANSITIONS` and `transition`.

Rule 1: everything that decides how a promise changes is in this file, and in
its table. Rule 2: this file knows no medium, no clock, no waiter and no I/O.

Theory of operation
===================

A promise is a *write-once register with a reset*. It is pending until it is
settled for the first time; that is its outcome for ever. RESOLVED and REJECTED
are *absorbing*: Resolve and Reject leave them as they are, and a late caller
gets the outcome of the first one. So an operation may be repeated until somebody
disposes of the promise: a caller that does not know whether its settle took effect
settles again.

Dispose is the only way out. It does not undo: it forgets. The id starts
afresh with a *next generation* that is pending and knows nothing of the
former one. The waiters of the former one get an error.

A promise may have *terms*, with a deadline. They add no state and no row: the
deadline is one more settler (`dp_core._terms`).

`TRANSITIONS` says all this as data. It can be printed, drawn and tested; the
memory backend runs it through `transition`; every other backend reaches the
same rows through one atomic "publish unless published" of its medium.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import (
    Any,
    Final,
    Generic,
    NoReturn,
    TypeAlias,
    TypeVar,
    Union,
    assert_never,
    final,
    overload,
)

from dp_core._errors import PromiseRejectedError
from dp_core._frozen import frozen
from dp_core._text import repr_of, shown

__all__ = [
    "SETTLED",
    "TRANSITIONS",
    "Command",
    "Dispose",
    "Outcome",
    "Pending",
    "Reject",
    "Rejected",
    "Resolve",
    "Resolved",
    "State",
    "settle_command",
    "transition",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def _field_repr(holder: Any) -> str:
    # A value may be an integer over 4,300 digits, whose repr raises.
    ((name, value),) = ((name, getattr(holder, name)) for name in holder.__match_args__)
    return f"{type(holder).__name__}({name}={repr_of(value)})"


def _has_no_truth(state: object) -> NoReturn:
    # `if await promise.peek():` would be true for ever, pending or not.
    raise TypeError(
        "a state is neither true nor false; to ask whether it is settled write "
        "'not isinstance(state, dp_core.Pending)', and to get at its value "
        "'match state: case dp_core.Resolved(value): …'"
    )


# States ---------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Pending:
    """The promise is not settled yet."""

    __bool__ = _has_no_truth


@final
@frozen
@dataclass(frozen=True, slots=True, repr=False)
class Resolved(Generic[T_co]):
    """
    The promise has a value, for ever.

    Attributes:
        value: The value; for a `Backend`, its JSON text as bytes.
        by: Who settled it, as they said; None where nobody said. No part of the
            equality.
    """

    value: T_co
    by: str | None = field(default=None, compare=False, kw_only=True)

    __repr__ = _field_repr
    __bool__ = _has_no_truth

    def unwrap(self) -> T_co:
        """Return the value."""
        return self.value


@final
@dataclass(frozen=True, slots=True, repr=False)
class Rejected:
    """
    The promise failed, for ever.

    Attributes:
        error: The message; possibly empty.
        by: Who settled it, as they said; None where nobody said. No part of the
            equality.
    """

    error: str
    by: str | None = field(default=None, compare=False, kw_only=True)

    __repr__ = _field_repr
    __bool__ = _has_no_truth

    def unwrap(self) -> NoReturn:
        """
        Raise the rejection.

        Raises:
            PromiseRejectedError: Always.
        """
        raise PromiseRejectedError(self.error)


# Unions and not base classes: nobody can add a third outcome, and a type checker
# knows when a `match` has an arm for each.

Outcome: TypeAlias = Union[Resolved[T], Rejected]
"""Outcome of a promise, for ever. Its ``unwrap()`` returns the value or raises."""

State: TypeAlias = Union[Pending, Resolved[T], Rejected]
"""State of a promise: pending, or settled to an outcome."""

SETTLED: Final = (Resolved, Rejected)
"""The classes of an `Outcome`, for ``isinstance(state, SETTLED)``."""


# Commands -------------------------------------------------------------------


@final
@frozen
@dataclass(frozen=True, slots=True, repr=False)
class Resolve(Generic[T_co]):
    """Settle the promise with a value."""

    value: T_co
    by: str | None = field(default=None, compare=False, kw_only=True)

    __repr__ = _field_repr


@final
@dataclass(frozen=True, slots=True, repr=False)
class Reject:
    """Settle the promise with an error message."""

    error: str
    by: str | None = field(default=None, compare=False, kw_only=True)

    __repr__ = _field_repr


@final
@dataclass(frozen=True, slots=True)
class Dispose:
    """Forget the promise; its id starts afresh."""


Command: TypeAlias = Union[Resolve[T], Reject, Dispose]


# The table ------------------------------------------------------------------

TRANSITIONS: Mapping[type[Any], Mapping[type[Any], type[Any]]] = MappingProxyType(
    {
        Pending: {Resolve: Resolved, Reject: Rejected, Dispose: Pending},
        Resolved: {Resolve: Resolved, Reject: Resolved, Dispose: Pending},
        Rejected: {Resolve: Rejected, Reject: Rejected, Dispose: Pending},
    }
)
"""
``{state: {command: next state}}``.

A row that leads back to its own state leaves it *unchanged*; ``Pending`` under
``Dispose`` is the next generation, which looks the same from outside.
"""


@overload
def transition(state: State[T], command: Resolve[T] | Reject) -> Outcome[T]: ...
@overload
def transition(state: State[T], command: Dispose) -> Pending: ...
@overload
def transition(state: State[T], command: Command[T]) -> State[T]: ...
def transition(state: State[T], command: Command[T]) -> State[T]:
    """
    Return the state that follows *state* under *command*.

    Pure and total: it changes nothing, and there is no illegal pair. Where the
    table leads back to the same state, *state* itself is returned.

    Raises:
        TypeError: *state* or *command* is not one of the machine's.
    """
    try:
        target = TRANSITIONS[type(state)][type(command)]
    except KeyError:
        raise TypeError(
            f"no transition from {shown(state)} by {shown(command)}"
        ) from None
    if target is type(state):
        return state
    # The table decides whether the state changes; a command carries exactly what
    # the new state holds.
    match command:
        case Resolve(value):
            return Resolved(value, by=command.by)
        case Reject(error):
            return Rejected(error, by=command.by)
        case Dispose():
            return Pending()
    assert_never(command)


def settle_command(outcome: Outcome[T]) -> Resolve[T] | Reject:
    """
    Return the command that settles a pending promise to *outcome*.

    Raises:
        TypeError: *outcome* is neither `Resolved` nor `Rejected`.
    """
    match outcome:
        case Resolved(value):
            return Resolve(value, by=outcome.by)
        case Rejected(error):
            return Reject(error, by=outcome.by)
        case _:
            # A caller without a type checker may hand over anything.
            raise TypeError(f"not an outcome: {shown(outcome)}")
