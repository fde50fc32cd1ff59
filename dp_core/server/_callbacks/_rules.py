"""
Rules of callbacks, pure: which deliveries count, what an answer means, when to repeat.

A delivery says which promise and URL it is for, and anybody with access to the store
could write one. So `judge` believes only the terms that stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final, final

from dp_core._outbox import named_by
from dp_core._states import Outcome, Pending, Rejected, Resolved
from dp_core._terms import PromiseInfo
from dp_core.values import encode

__all__ = [
    "LONGEST_PAUSE",
    "Answer",
    "DeliveryState",
    "ended_by",
    "is_given_up",
    "judge",
    "pause_after",
]

LONGEST_PAUSE: Final = 3600.0
"""The longest time between two attempts, in seconds."""

TRIED_FOR: Final = timedelta(days=3)
"""The time for which a callback is tried, from when its promise was settled."""

TRIED_HERE: Final = timedelta(hours=1)
"""The shortest time for which a server tries what it has found, however old that is."""

UNASKED_FOR: Final = timedelta(hours=1)
"""The age of a delivery that no terms name, from which it is given up."""

SEEN_FOR: Final = timedelta(seconds=10)
"""The time for which a server has known such a delivery: clocks may differ.

It is longer than a create takes that does not look at its deliveries again
(`_PATIENCE` of `dp_core._outbox`).
"""

_GONE: Final = 410


class DeliveryState(Enum):
    """State of a delivery, from which follows what to do."""

    OVER = auto()
    """It is finished, or gone."""

    TO_COME = auto()
    """Its promise is pending."""

    UNNAMED = auto()
    """The terms do not name it, or not yet."""

    NOT_ASKED_FOR = auto()
    """No terms will name it."""

    DUE = auto()
    """Its promise is settled."""


def judge(
    delivery: PromiseInfo[bytes],
    promise: PromiseInfo[bytes] | None,
    now: datetime,
    seen: datetime,
    *,
    was_named: bool,
) -> DeliveryState:
    """
    Return the state of a delivery.

    Args:
        delivery: What the store knows of the delivery.
        promise: What it knows of the promise that the delivery says it is of; None
            where it says none.
        now: The time.
        seen: Since when this server knows the delivery.
        was_named: Whether the terms have named it before.
    """
    if delivery.terms is None or not isinstance(delivery.state, Pending):
        return DeliveryState.OVER
    if promise is not None and delivery.id in named_by(promise.terms):
        return (
            DeliveryState.TO_COME
            if isinstance(promise.state, Pending)
            else DeliveryState.DUE
        )
    made = min(delivery.created_at or seen, seen)
    is_old = now - made >= UNASKED_FOR and now - seen >= SEEN_FOR
    return DeliveryState.NOT_ASKED_FOR if was_named or is_old else DeliveryState.UNNAMED


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """
    Result of an attempt.

    Attributes:
        status: The status of the answer; None where there was none.
        reason: Why there was none, or what else is to be said.
        retry_after: The value of ``Retry-After``.
    """

    status: int | None
    reason: str = ""
    retry_after: str | None = None

    def __str__(self) -> str:
        return f"status {self.status}" if self.status is not None else self.reason


def ended_by(answer: Answer) -> Outcome[bytes] | None:
    """Return the outcome of a delivery after an answer; None if it goes on."""
    if answer.status is None:
        return None
    if 200 <= answer.status < 300:
        return Resolved(encode({"status": answer.status}))
    if answer.status == _GONE:
        return Rejected("the receiver wants no more: status 410")
    return None


def pause_after(
    failures: int, answer: Answer | None = None, now: datetime | None = None
) -> float:
    """
    Return the seconds until the next attempt: 1, 2, 4 and so on, up to an hour.

    Args:
        failures: How many attempts have failed, at least 1.
        answer: What the last one was answered; it may ask for a longer pause.
        now: The time.
    """
    pause = min(2.0 ** min(failures - 1, 20), LONGEST_PAUSE)
    if answer is None or answer.retry_after is None:
        return pause
    asked = _seconds(answer.retry_after, now or datetime.now(UTC))
    return min(max(pause, asked), LONGEST_PAUSE)


def _seconds(text: str, now: datetime) -> float:
    """Return what ``Retry-After`` says (RFC 9110 §10.2.3); 0 where it is not valid."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:_DIGITS]) if len(text) <= _DIGITS else LONGEST_PAUSE
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - now).total_seconds()
    except (ValueError, OverflowError):
        return 0.0


_DIGITS: Final = 9


def is_given_up(settled_at: datetime | None, seen: datetime, now: datetime) -> bool:
    """
    Tell whether a callback that has failed again is not tried any more.

    Args:
        settled_at: When its promise was settled, by its settler's clock.
        seen: Since when this server has tried.
        now: The time.
    """
    begin = min(settled_at or seen, seen)
    return now >= max(begin + TRIED_FOR, seen + TRIED_HERE)
