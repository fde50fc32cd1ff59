"""
The state machine of a durable promise.

Rule 1: everything that decides how a promise changes is in this file, and in
its table. Rule 2: this file knows no medium, no clock, no waiter and no I/O.

Theory of operation
===================

A promise is a *write-once register with a reset*. It is pending until the
first completion; that completion is its outcome for ever. RESOLVED and
REJECTED are *absorbing*: Resolve and Reject leave them as they are, and the
one who comes late is told what stands. This is what makes every operation
safe to repeat: whoever does not know whether a completion took effect sends
it again.

Dispose is the only way out. It does not undo: it forgets. The id starts
afresh with a *next generation* that is pending and knows nothing of the
former one. Whoever waited for the former one is told that it is gone.

`TRANSITIONS` says all this as data. It can be printed, drawn and tested; the
memory backend runs it through `transition`; every other backend reaches the
same rows through one atomic "publish unless published" of its medium.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar, Union, cast, final

from dp_core._errors import PromiseRejectedError

__all__ = [
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
    "completion",
    "transition",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


# States ---------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Pending:
    """Nobody has completed the promise yet."""


class Outcome(ABC, Generic[T_co]):
    """What a promise settled to: either `Resolved` or `Rejected`."""

    __slots__ = ()

    @abstractmethod
    def unwrap(self) -> T_co:
        """
        Return the value, or raise for a rejection.

        Raises:
            PromiseRejectedError: The promise was rejected.
        """


@final
@dataclass(frozen=True, slots=True)
class Resolved(Outcome[T_co]):
    """
    The promise has a value, for ever.

    Attributes:
        value: The value; for a `Backend`, its JSON text as bytes.
    """

    value: T_co

    def unwrap(self) -> T_co:
        return self.value


@final
@dataclass(frozen=True, slots=True)
class Rejected(Outcome[NoReturn]):
    """
    The promise failed, for ever.

    Attributes:
        error: The message; possibly empty.
    """

    error: str

    def unwrap(self) -> NoReturn:
        raise PromiseRejectedError(self.error)


# A union beside the base class, so that `match` can be checked for
# exhaustiveness.
State: TypeAlias = Union[Pending, Resolved[T], Rejected]


# Commands -------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Resolve(Generic[T_co]):
    """Complete the promise with a value."""

    value: T_co


@final
@dataclass(frozen=True, slots=True)
class Reject:
    """Complete the promise with an error message."""

    error: str


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


def transition(state: State[T], command: Command[T]) -> State[T]:
    """
    Return the state that follows *state* under *command*.

    Pure and total: it changes nothing, and there is no illegal pair. Where the
    table leads back to the same state, *state* itself is returned.

    Raises:
        TypeError: *state* or *command* is none of the machine's.
    """
    try:
        target = TRANSITIONS[type(state)][type(command)]
    except KeyError:
        raise TypeError(f"no transition from {state!r} by {command!r}") from None
    if target is type(state):
        return state
    # A command carries exactly what the state it leads to holds.
    held = (getattr(command, name) for name in command.__match_args__)
    return cast("State[T]", target(*held))


def completion(outcome: Outcome[T]) -> Command[T]:
    """
    Return the command that completes a pending promise with *outcome*.

    Raises:
        TypeError: *outcome* is neither `Resolved` nor `Rejected`.
    """
    match outcome:
        case Resolved(value):
            return Resolve(value)
        case Rejected(error):
            return Reject(error)
        case _:
            raise TypeError(f"not an outcome: {outcome!r}")
