"""
`check`: decides whether a concurrent history of one promise is linearizable.

A history is *linearizable* if every operation can be given one moment between
its begin and its end, so that the answers are those of a promise that does the
operations one by one at these moments (Herlihy and Wing, 1990). The search is
that of Wing and Gong (1993) with the memory of Lowe (2017): try every
operation that may come next, and never try the same rest twice. Promises do
not affect each other, so each is checked on its own.

The model is a register that is pending or has an outcome, and has terms or not. It
shares nothing with `dp_core.transition` and `dp_core.backend.expiry`.

========= =============================== ==================================
operation changes the register            its answer is possible
========= =============================== ==================================
settle    to the outcome, if pending      if it is the register afterwards
peek      no                              if it is the register
wait      no                              if it is the register, not pending;
                                          or `DISPOSED`, if there was a
                                          disposal since it began
dispose   to pending, without terms       always
create    to its terms, if it has none;   if it is the terms afterwards
          and to what they say, if
          pending and their deadline is
          over
info      no                              if its state is the register, and
                                          its terms are those that it has
========= =============================== ==================================

A deadline in a history is over before it, or far away: then no clock is in it.

An operation that was cancelled, or did not end, has an unknown effect: it may
take effect at any time after it began, or never.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Final, NamedTuple, final

from dp_core._states import SETTLED
from dp_core._terms import PromiseInfo, Terms
from dp_core.testing.kit import (
    CANCELLED,
    DISPOSED,
    PENDING,
    RUNNING,
    BackendCall,
    CallResult,
    Given,
    LawBrokenError,
    Span,
    render,
    shown,
)

__all__ = ["Event", "Operation", "Verdict", "check", "event_of", "refute", "shortest"]

_LIMIT: Final = 200_000


class Verdict(Enum):
    """The result of the search."""

    POSSIBLE = "linearizable"
    IMPOSSIBLE = "not linearizable"
    UNDECIDED = "not decided: too many orders to try"


@final
@dataclass(frozen=True, slots=True)
class Operation:
    """
    One operation on one promise.

    Attributes:
        operation: "settle", "peek", "wait", "dispose", "create" or "info".
        answer: Its result; `CANCELLED` for an unknown effect.
        began: When it was called.
        ended: When it returned; infinity if it did not.
        given: The outcome to settle with, or the terms to create with.
        call: The call that it was made from, to print it.
    """

    operation: str
    answer: CallResult
    began: float
    ended: float
    given: Given | None = None
    call: BackendCall | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether its effect is unknown."""
        return self.ended == math.inf

    def span(self) -> Span:
        """Return the operation as a part of a history that is printed."""
        given = "" if self.given is None else shown(self.given)
        what = str(self.call) if self.call else f"{self.operation}({given})"
        return Span(self.began, self.ended, what, shown(self.answer))


Event = Operation
"""The former name of `Operation`."""


def event_of(call: BackendCall) -> Operation:
    """Return *call* as an operation; one that failed has an unknown effect."""
    unknown = call.failed or call.result in (CANCELLED, RUNNING)
    return Operation(
        call.operation,
        CANCELLED if unknown else call.result,
        call.began or math.inf,
        math.inf if unknown else call.ended,
        call.given,
        call,
    )


class _SinglePromise(NamedTuple):
    """The state of the model."""

    outcome: CallResult = PENDING
    terms: Terms[bytes] | None = None

    def explains(self, operation: Operation) -> bool:
        """Tell whether an operation that changes nothing is answered so."""
        answer = operation.answer
        if isinstance(answer, PromiseInfo):
            return answer.state == self.outcome and answer.terms == self.terms
        if operation.operation == "create":
            # One that is told its own terms may have to be the first.
            return answer == self.terms and answer != operation.given
        return answer == self.outcome

    def after(self, operation: Operation) -> _SinglePromise | None:
        """Return the register after an operation; None if the answer is another."""
        given = operation.given
        if not operation.is_unknown and operation.answer != given:
            return None
        if isinstance(given, Terms):
            if self.terms is not None:
                return self if self.terms == given else None
            if given.otherwise is None or not self._is_over(given):
                return _SinglePromise(self.outcome, given)
            return _SinglePromise(given.otherwise, given)
        if isinstance(given, SETTLED) and self.outcome == PENDING:
            return _SinglePromise(given, self.terms)
        return None

    def _is_over(self, given: Terms[bytes]) -> bool:
        """Tell whether the deadline of terms settles it at once."""
        deadline = given.deadline
        is_over = deadline is not None and deadline < datetime.now(UTC)
        return is_over and self.outcome == PENDING


def check(history: Sequence[Operation], limit: int = _LIMIT) -> Verdict:
    """
    Decide whether *history*, of one promise, is linearizable.

    Args:
        history: The operations, in any order.
        limit: How many situations to try before giving up.
    """
    # A read without an answer constrains nothing.
    operations = [e for e in history if not (e.is_unknown and e.operation in _READS)]
    start = frozenset(range(len(operations)))
    todo: list[tuple[frozenset[int], _SinglePromise]] = [(start, _SinglePromise())]
    seen = set(todo)
    while todo:
        left, register = todo.pop()
        left = _without_readers(operations, left, register)
        if all(operations[n].is_unknown for n in left):
            return Verdict.POSSIBLE
        for after in _next(operations, left, register):
            if after not in seen:
                seen.add(after)
                todo.append(after)
        if len(seen) > limit:
            return Verdict.UNDECIDED
    return Verdict.IMPOSSIBLE


_READS: Final = ("peek", "wait", "info")


def _candidates(operations: Sequence[Operation], left: frozenset[int]) -> list[int]:
    """Return the operations that may come next: they began before any other ended."""
    horizon = min((operations[n].ended for n in left), default=0)
    return [n for n in left if operations[n].began < horizon]


def _without_readers(
    operations: Sequence[Operation], left: frozenset[int], register: _SinglePromise
) -> frozenset[int]:
    # A read that may come next may as well come at once: it changes nothing, so
    # every order of the others that was possible remains possible.
    while True:
        reads = {
            n for n in _candidates(operations, left) if register.explains(operations[n])
        }
        if not reads:
            return left
        left -= reads


def _next(
    operations: Sequence[Operation], left: frozenset[int], register: _SinglePromise
) -> Iterator[tuple[frozenset[int], _SinglePromise]]:
    ready = _candidates(operations, left)
    for n in ready:
        operation = operations[n]
        if operation.operation == "dispose":
            waiters = {m for m in ready if operations[m].answer is DISPOSED}
            yield left - {n} - waiters, _SinglePromise()
        elif (after := register.after(operation)) is not None:
            yield left - {n}, after


def shortest(history: Sequence[Operation]) -> list[Operation]:
    """
    Return a short part of an impossible history that is impossible by itself.

    Left out is only what cannot make a possible history impossible: its end,
    reads, what no other operation was told of, and operations
    that may as well have had an unknown effect.
    """
    part = list(history)
    for moment in sorted(operation.ended for operation in history):
        cut = [
            _as_of(operation, moment)
            for operation in history
            if operation.began < moment
        ]
        if check(cut) is Verdict.IMPOSSIBLE:
            part = cut
            break
    # Reads first: an outcome that they returned keeps its settle in the history.
    for operation in sorted(part, key=lambda e: (e.operation not in _READS, -e.began)):
        without = [other for other in part if other is not operation]
        weaker = replace(operation, answer=CANCELLED, ended=math.inf)
        if _is_told_of(operation, without):
            continue
        if check([*without, weaker]) is Verdict.IMPOSSIBLE:
            part = without
    return sorted(part, key=lambda operation: operation.began)


def _is_told_of(operation: Operation, others: Iterable[Operation]) -> bool:
    """Tell whether the effect of an operation is in the answer of another one."""
    given = operation.given
    effects: list[object] = [DISPOSED if operation.operation == "dispose" else given]
    if isinstance(given, Terms) and given.otherwise is not None:
        effects.append(given.otherwise)
    for other in others:
        answer = other.answer
        told = (
            (answer.state, answer.terms)
            if isinstance(answer, PromiseInfo)
            else (answer,)
        )
        if any(part in effects for part in told if part is not None):
            return True
    return False


def _as_of(operation: Operation, moment: float) -> Operation:
    if operation.ended <= moment:
        return operation
    return replace(operation, answer=RUNNING, ended=math.inf)


def refute(calls: Iterable[BackendCall]) -> LawBrokenError | None:
    """Return the error that *calls*, all on one promise, are not linearizable."""
    history = [event_of(call) for call in calls]
    verdict = check(history)
    if verdict is Verdict.POSSIBLE:
        return None
    if verdict is Verdict.IMPOSSIBLE:
        history = shortest(history)
        reason = "no order of these calls explains their results"
    else:
        reason = f"{verdict.value}, of {len(history)} calls"
    return LawBrokenError(reason, render(operation.span() for operation in history))
