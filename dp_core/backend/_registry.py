"""`Registry`: the protocol of backends that keep terms, and can find promises."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from dp_core._states import Outcome, Pending, Rejected, State
from dp_core._terms import Page, PromiseInfo, Query, Terms

__all__ = ["PAGE_BYTES", "Registry", "size_of"]

PAGE_BYTES: Final = 4 * 1024 * 1024
"""The most that a `Page` holds of values and terms, in bytes; one promise at least."""


@runtime_checkable
class Registry(Protocol):
    """
    Optional protocol of backends that keep terms, and can find what they hold.

    What such a backend guarantees besides the contract of `dp_core.Backend`:

    1. Terms are given to a generation once. The first ones stand, whether the promise
       is pending or settled; they are durable before they are returned, and before
       anything is settled by them. `dispose` forgets them.
    2. `peek`, `settle`, `wait`, `info` and `list` show nobody a promise pending whose
       deadline is over by the store's clock: they settle it first, with what its terms
       say, as anybody would. So once anybody was shown an outcome, all are.
    3. A wait is told within a second of a deadline, also of one that was set after the
       wait began, and also if nobody else acts.
    4. A settle that begins after the deadline, and after `create` has returned, loses.

    Whether a deadline is over is said by `dp_core.backend.expiry` alone, at the time
    that `dp_core.backend.now` returns, or at that of the server that keeps the store.
    """

    async def create(self, id: str, terms: Terms[bytes]) -> Terms[bytes]:
        """
        Give the promise its terms, unless it has some; return those that stand.

        Returns once they are durable. Losing to earlier terms is not an error. What
        stands is what `Terms.given_at` returns for the time of the store's clock, which
        is ``created_at`` from then on.

        Raises:
            NotSupportedError: The store keeps no terms.
        """

    async def info(self, id: str) -> PromiseInfo[bytes]:
        """
        Return all that is known about the promise, without waiting for anybody.

        Raises:
            NotSupportedError: The store keeps no terms.
        """

    async def list(self, query: Query, after: str | None, limit: int) -> Page:
        """
        Return promises that were created or settled, a page of them.

        They come in the order in which their generations were first heard of, which
        stays: what was there the whole time is neither missed nor returned twice,
        whatever else happens meanwhile. A store whose writers share nothing but a
        directory knows that order by their clocks.

        Args:
            query: Which promises.
            after: ``Page.after`` of the page before, or a ``PromiseInfo.cursor``; None
                for the first page.
            limit: How many to return at most; there may be fewer, or none, although
                more follow.

        Raises:
            InvalidQueryError: *after* was not returned by this store.
            NotSupportedError: The store cannot be listed.
        """

    async def sweep(self, limit: int) -> float | None:
        """
        Settle promises whose deadlines are over, whether anybody asks for them or not.

        Args:
            limit: How many to settle at most.

        Returns:
            In how many seconds the next look is due, at most 1.0 as long as others may
            create promises; None where nothing that is pending has a deadline.
        """


def size_of(info: PromiseInfo[bytes]) -> int:
    """Return how much of a `Page` a promise takes, in bytes."""
    size = 2 * len(info.id) + _bytes_of(info.state)
    if info.terms is not None:
        size += len(info.terms.data or b"") + _bytes_of(info.terms.otherwise)
        size += sum(map(len, (*info.terms.tags, *info.terms.tags.values())))
        size += sum(len(each.url) for each in info.terms.notify)
    return size


def _bytes_of(state: State[bytes] | Outcome[bytes] | None) -> int:
    if state is None or isinstance(state, Pending):
        return 0
    return len(state.error if isinstance(state, Rejected) else state.value)
