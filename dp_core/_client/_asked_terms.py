"""`ask_terms`: terms as a user asks for them, made what a backend is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from dp_core._clock import now
from dp_core._codec import Codec
from dp_core._states import SETTLED, Outcome, Resolved
from dp_core._terms import Terms, ask_callbacks, moment_after, refuse_reserved
from dp_core.backend import Registry, in_thread
from dp_core.values import say_the_same, takes_long

__all__ = ["Deadline", "are_equal", "ask_terms"]

Deadline: TypeAlias = timedelta | datetime
"""A time from now by the clock of the store, or a moment with a time zone."""

_ROUNDING: Final = timedelta(milliseconds=2)


async def ask_terms(  # noqa: PLR0913, PLR0917 - each is one of the terms
    codec: Codec[Any],
    deadline: Deadline | None,
    otherwise: Outcome[Any] | None,
    tags: Mapping[str, str] | None,
    data: object,
    notify: Iterable[str] | None,
) -> Terms[bytes]:
    """
    Return terms as a backend is asked for them.

    Raises:
        InvalidTermsError: No promise can have them.
        InvalidValueError: A value is not strict JSON, or too large.
        ValueMismatchError: The value of *otherwise* is not of the type.
    """
    within: timedelta | None = None
    if isinstance(deadline, timedelta):
        within, deadline = deadline, moment_after(now(), deadline)
    # All but the values is checked before the work on these.
    terms: Terms[Any] = Terms(
        deadline=deadline,
        otherwise=otherwise,
        tags={} if tags is None else tags,
        within=within,
        notify=ask_callbacks(notify),
    )
    refuse_reserved(terms.tags)
    return Terms(
        deadline=terms.deadline,
        otherwise=(
            await codec.encode_outcome(terms.otherwise)
            if isinstance(terms.otherwise, SETTLED)
            else None
        ),
        tags=terms.tags,
        data=None if data is None else await codec.encode_plain(data),
        within=within,
        notify=terms.notify,
    )


async def are_equal(
    registry: Registry, id: str, asked: Terms[bytes], standing: Terms[bytes]
) -> bool:
    """
    Tell whether the terms that stand are what was asked for, now or before.

    A deadline that was asked for as a time from now is compared as that: a program that
    died may ask again, later. Values are compared as what they say, not as text: who
    asks again may have built them in another order. Callbacks are compared by their
    URLs: whoever repeats a create has minted other deliveries.
    """
    if await _are_same(asked, standing):
        return True
    if asked.within is None or standing.deadline is None:
        return False
    created_at = (await registry.info(id)).created_at
    if created_at is None:
        return False
    then = asked.given_at(created_at)
    # Stores differ in how they round the time.
    if then.deadline is None or abs(then.deadline - standing.deadline) > _ROUNDING:
        return False
    return await _are_same(replace(then, deadline=standing.deadline), standing)


async def _are_same(one: Terms[bytes], other: Terms[bytes]) -> bool:
    """Tell whether terms are equal, whatever the spelling of their values."""
    return (
        (one.deadline, one.tags, one.notify)
        == (other.deadline, other.tags, other.notify)
        and await _say_the_same(one.data, other.data)
        and await _end_the_same(one.otherwise, other.otherwise)
    )


async def _end_the_same(
    one: Outcome[bytes] | None, other: Outcome[bytes] | None
) -> bool:
    match one, other:
        case Resolved(text), Resolved(another):
            return await _say_the_same(text, another)
    return one == other


async def _say_the_same(one: bytes | None, other: bytes | None) -> bool:
    if one is None or other is None:
        return one is other
    if takes_long(one) or takes_long(other):
        return await in_thread(say_the_same, one, other)
    return say_the_same(one, other)
