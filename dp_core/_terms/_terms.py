"""
`Terms` of a promise, and `expiry`, the rule of deadlines.

Rule 1: terms are given to a generation once; the first ones stand.

Rule 2: a deadline is one more settler. Whoever looks at a pending promise after its
deadline settles it with ``otherwise``, by the same door as everybody, and only then
answers. So the first outcome wins here, too: a clock decides when, never what.

`expiry` is the only place that compares a deadline with a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar, final

from dp_core._errors import InvalidTermsError
from dp_core._frozen import frozen
from dp_core._states import SETTLED, Outcome, Rejected
from dp_core._terms._callbacks import Callback, check_callbacks
from dp_core._terms._moments import moment_after, whole_moment
from dp_core._terms._tags import check_tags
from dp_core._text import shown

__all__ = ["DEADLINE_PASSED", "Terms", "expiry"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DEADLINE_PASSED: Final = Rejected("deadline passed")
"""The outcome of a promise after its deadline where its terms name no other."""


@final
@frozen
@dataclass(frozen=True, slots=True)
class Terms(Generic[T_co]):
    """
    Deadline, tags, data and callbacks that a promise was created with.

    For a `Backend`, ``data`` and the value of ``otherwise`` are JSON text as bytes.

    Attributes:
        deadline: When it settles by itself, in UTC, whole milliseconds (rounded up);
            None for never.
        otherwise: What it settles to then, by default `DEADLINE_PASSED`; None
            without a deadline.
        tags: What it can be found by: at most 32, see `check_tags`.
        data: JSON for whoever settles it; None if there is none.
        notify: Who is told once it is settled, in the order of their URLs.
        within: How far away the deadline was when it was asked for; None where a
            moment was named, and in terms that stand. No part of the equality.
        is_first: Whether the create that returned them has given them; None where the
            store does not say, and in all other terms. No part of the equality. After
            an answer was lost and the create repeated it may be False, though the
            first attempt has given them.

    Raises:
        InvalidTermsError: They cannot be the terms of a promise.
    """

    deadline: datetime | None = None
    otherwise: Outcome[T_co] | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    data: Any = field(default=None, hash=False)
    notify: tuple[Callback, ...] = field(default=(), kw_only=True)
    within: timedelta | None = field(default=None, compare=False, kw_only=True)
    is_first: bool | None = field(default=None, compare=False, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if self.deadline is not None:
            object.__setattr__(self, "deadline", whole_moment(self.deadline))
            if self.otherwise is None:
                object.__setattr__(self, "otherwise", DEADLINE_PASSED)
        elif self.otherwise is not None or self.within is not None:
            raise InvalidTermsError(
                "'otherwise' is for after the deadline, and there is none; give one, "
                "such as deadline=timedelta(days=3)"
            )
        if not isinstance(self.otherwise, (*SETTLED, type(None))):
            raise InvalidTermsError(
                f"'otherwise' is not an outcome: {shown(self.otherwise)}; write "
                "dp_core.Rejected('too late') or dp_core.Resolved(value)"
            )
        object.__setattr__(self, "tags", check_tags(self.tags))
        if self.notify:
            object.__setattr__(self, "notify", check_callbacks(self.notify))

    def given_at(self, moment: datetime) -> Terms[T_co]:
        """
        Return them as they stand after a store gave them, at *moment* of its clock.

        Raises:
            InvalidTermsError: The deadline is out of the calendar.
        """
        if self.within is None:
            return self
        return replace(self, deadline=moment_after(moment, self.within), within=None)


def expiry(terms: Terms[T] | None, now: datetime) -> Outcome[T] | None:
    """
    Return what a pending promise settles to by its deadline; None if it does not yet.

    Args:
        terms: The terms that stand; None if it was not created.
        now: The time, see `dp_core.backend.now`.
    """
    if terms is None or terms.deadline is None or now < terms.deadline:
        return None
    return terms.otherwise
