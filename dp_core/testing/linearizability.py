"""
Could these answers have come from one promise, one operation after another?

A history is *linearizable* when every operation can be given one moment
between its begin and its end, such that the answers are those of a promise
that did the operations one by one at these moments (Herlihy and Wing, 1990).
The search is that of Wing and Gong (1993) with the memory of Lowe (2017): try
every operation that may come next, never try the same rest twice. Promises do
not touch each other, so each is checked on its own.

The model here is independent of `dp_core.transition`: a register that is
pending or has an outcome.

========= =============================== ==================================
operation changes the register            its answer is possible
========= =============================== ==================================
settle    to the outcome, if pending      if it is what stands afterwards
peek      no                              if it is what stands
wait      no                              if it is the outcome that stands;
                                          or `DISPOSED`, if there was a
                                          disposal since it began
dispose   to pending                      always
========= =============================== ==================================

An operation that was cancelled, or never ended, has an unknown outcome: it
may take effect at any time after it began, or never.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, final

from dp_core._states import Outcome
from dp_core.testing._calls import (
    CANCELLED,
    DISPOSED,
    PENDING,
    RUNNING,
    Answer,
    Call,
    shown,
)
from dp_core.testing._report import LawBrokenError
from dp_core.testing._story import Span, tell

__all__ = ["Event", "Verdict", "check", "event_of", "refute", "shortest"]

_LIMIT: Final = 200_000


class Verdict(Enum):
    """What is known about a history."""

    POSSIBLE = "linearizable"
    IMPOSSIBLE = "not linearizable"
    UNDECIDED = "not decided: too many orders to try"


@final
@dataclass(frozen=True, slots=True)
class Event:
    """
    One operation on one promise.

    Attributes:
        operation: "settle", "peek", "wait" or "dispose".
        answer: What it told; for an unknown outcome, `CANCELLED`.
        began: When it was called.
        ended: When it returned; infinity where it did not.
        given: What it was to settle with.
        call: The call it was made of, for showing it.
    """

    operation: str
    answer: Answer
    began: float
    ended: float
    given: Outcome[bytes] | None = None
    call: Call | None = None

    @property
    def is_unknown(self) -> bool:
        return self.ended == math.inf

    def span(self) -> Span:
        """Return the event as a part of a history that is shown."""
        given = "" if self.given is None else shown(self.given)
        what = str(self.call) if self.call else f"{self.operation}({given})"
        return Span(self.began, self.ended, what, shown(self.answer))


def event_of(call: Call) -> Event:
    """Return *call* as an event; one that failed has an unknown outcome."""
    unknown = call.failed or call.answer in (CANCELLED, RUNNING)
    return Event(
        call.operation,
        CANCELLED if unknown else call.answer,
        call.began or math.inf,
        math.inf if unknown else call.ended,
        call.given,
        call,
    )


def check(history: Sequence[Event], limit: int = _LIMIT) -> Verdict:
    """
    Say whether *history*, of one promise, is linearizable.

    Args:
        history: The events, in any order.
        limit: How many situations to look at before giving up.
    """
    # Reading without an answer constrains nothing.
    events = [e for e in history if not (e.is_unknown and e.operation in _READS)]
    start = frozenset(range(len(events)))
    todo: list[tuple[frozenset[int], Answer]] = [(start, PENDING)]
    seen = set(todo)
    while todo:
        left, stands = todo.pop()
        left = _without_readers(events, left, stands)
        if all(events[n].is_unknown for n in left):
            return Verdict.POSSIBLE
        for after in _next(events, left, stands):
            if after not in seen:
                seen.add(after)
                todo.append(after)
        if len(seen) > limit:
            return Verdict.UNDECIDED
    return Verdict.IMPOSSIBLE


_READS: Final = ("peek", "wait")


def _candidates(events: Sequence[Event], left: frozenset[int]) -> list[int]:
    """Return those that may come next: all that began before another ended."""
    horizon = min((events[n].ended for n in left), default=0)
    return [n for n in left if events[n].began < horizon]


def _without_readers(
    events: Sequence[Event], left: frozenset[int], stands: Answer
) -> frozenset[int]:
    # What changes nothing and may come next may as well come at once: whatever
    # order of the others was possible remains possible.
    while True:
        told = {n for n in _candidates(events, left) if events[n].answer == stands}
        if not told:
            return left
        left -= told


def _next(
    events: Sequence[Event], left: frozenset[int], stands: Answer
) -> Iterator[tuple[frozenset[int], Answer]]:
    ready = _candidates(events, left)
    for n in ready:
        event = events[n]
        if event.operation == "dispose":
            waiters = {m for m in ready if events[m].answer is DISPOSED}
            yield left - {n} - waiters, PENDING
        elif event.operation == "settle" and event.given is not None:
            told = event.given if event.is_unknown else event.answer
            if stands == PENDING and told == event.given:
                yield left - {n}, event.given


def shortest(history: Sequence[Event]) -> list[Event]:
    """
    Return a short part of an impossible history that is impossible already.

    Only what cannot make a possible history impossible is left out: the end,
    readers, settlers whose outcome nobody was told, and what may as well have
    had an unknown outcome.
    """
    part = list(history)
    for moment in sorted(event.ended for event in history):
        cut = [_as_of(event, moment) for event in history if event.began < moment]
        if check(cut) is Verdict.IMPOSSIBLE:
            part = cut
            break
    # Readers first: what they were told keeps others from being left out.
    for event in sorted(part, key=lambda e: (e.operation not in _READS, -e.began)):
        without = [other for other in part if other is not event]
        told = DISPOSED if event.operation == "dispose" else event.given
        weaker = replace(event, answer=CANCELLED, ended=math.inf)
        if any(other.answer == told for other in without):
            continue
        if check([*without, weaker]) is Verdict.IMPOSSIBLE:
            part = without
    return sorted(part, key=lambda event: event.began)


def _as_of(event: Event, moment: float) -> Event:
    if event.ended <= moment:
        return event
    return replace(event, answer=RUNNING, ended=math.inf)


def refute(calls: Iterable[Call]) -> LawBrokenError | None:
    """Return what is wrong with the answers of *calls*, all on one promise."""
    history = [event_of(call) for call in calls]
    verdict = check(history)
    if verdict is Verdict.POSSIBLE:
        return None
    if verdict is Verdict.IMPOSSIBLE:
        history = shortest(history)
        reason = "no order of these calls explains what they told"
    else:
        reason = f"{verdict.value}, of {len(history)} calls"
    return LawBrokenError(reason, tell(event.span() for event in history))
