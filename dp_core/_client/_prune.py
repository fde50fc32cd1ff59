"""`dispose_of_settled`: the promises that were settled long ago, pruned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from dp_core._client._asked_terms import Deadline
from dp_core._client._listing import Failure, FoundPromises, raise_first
from dp_core._clock import now
from dp_core._errors import CorruptPromiseError, InvalidQueryError
from dp_core._observation import Observation
from dp_core._promise import DurablePromise
from dp_core._registry import registry_of
from dp_core._terms import PromiseInfo, Query
from dp_core._text import shown
from dp_core.backend import Backend

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


class PrunedStore(Protocol):
    """A handle on a store, as far as a prune uses it: `dp_core.Promises`."""

    backend: Backend
    url: str

    def promise(self, id: str, /) -> DurablePromise[Any]:
        """Return a promise of it."""
        ...


async def dispose_of_settled(
    promises: PrunedStore,
    query: Query,
    before: datetime,
    failures: list[Failure] | None = None,
) -> int:
    """
    Dispose of what a query finds that was settled before a moment; say how many.

    Args:
        promises: The store.
        query: The query.
        before: The moment.
        failures: Where to put what cannot be read; None to raise it at the end.

    Raises:
        NotSupportedError: The store cannot be listed.
        BackendError: The store could not be asked; or, after all others were disposed
            of, some promises cannot be read.
    """
    registry = registry_of(promises.backend, promises.url)
    unread: list[Failure] = [] if failures is None else failures
    found = FoundPromises(registry, query, None, _as_it_is)
    found.put_failures(unread)
    with Observation("prune", "", promises.url) as observed:
        observed.count = 0
        async for info in found:
            if info.settled_at is None or info.settled_at >= before:
                continue
            try:
                # A page may be old by now, and its promise made anew.
                now_there = await registry.info(info.id)
            except CorruptPromiseError as error:
                unread.append((info.id, error))
                continue
            if now_there.settled_at == info.settled_at:
                await promises.promise(info.id).dispose()
                observed.count += 1
        if failures is None:
            raise_first(unread)
        return observed.count


async def _as_it_is(info: PromiseInfo[bytes]) -> PromiseInfo[bytes]:
    return info
