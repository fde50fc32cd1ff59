"""`dispose_of_settled`: the promises that were settled long ago, pruned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from dp_core._client._asked_terms import Deadline
from dp_core._client._listing import FoundPromises
from dp_core._clock import now
from dp_core._errors import InvalidQueryError
from dp_core._observation import Observation
from dp_core._terms import PromiseInfo, Query
from dp_core._text import shown
from dp_core.backend import Registry

__all__ = ["dispose_of_settled", "moment_before"]


def moment_before(age: Deadline) -> datetime:
    """
    Return the moment that is so long ago, or that moment itself.

    Raises:
        InvalidQueryError: It is not a moment.
    """
    if isinstance(age, timedelta):
        try:
            return now() - age
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
    if isinstance(age, datetime) and age.utcoffset() is not None:
        return age
    raise InvalidQueryError(
        f"{shown(age)} is not a valid age; write timedelta(days=90) for all that is "
        "older, or a datetime with a time zone"
    )


async def dispose_of_settled(
    registry: Registry,
    query: Query,
    before: datetime,
    dispose: Callable[[str], Awaitable[None]],
    observed: Observation,
) -> int:
    """Dispose of what a query finds that was settled before a moment; say how many."""
    count = observed.count = 0
    async for info in FoundPromises(registry, query, None, _as_it_is):
        if info.settled_at is None or info.settled_at >= before:
            continue
        # A page may be old by now, and its promise made anew.
        if (await registry.info(info.id)).settled_at == info.settled_at:
            await dispose(info.id)
            count += 1
            observed.count = count
    return count


async def _as_it_is(info: PromiseInfo[bytes]) -> PromiseInfo[bytes]:
    return info
