"""`FoundPromises`: the promises that a query finds, page by page."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar, final

from dp_core._errors import BackendError, InvalidQueryError
from dp_core._mismatch import ASYNC_ITERATOR
from dp_core._observation import OBSERVERS, Observation
from dp_core._outbox import without_deliveries
from dp_core._terms import Page, PromiseInfo, Query, is_text
from dp_core._text import quoted, shown
from dp_core.backend import Registry

__all__ = ["Failure", "FoundPromises", "raise_first"]

T = TypeVar("T")

Failure = tuple[str, BackendError]
"""The id of a promise that cannot be read, and why not."""

_LIMIT: Final = 1000
"""The most promises to ask for at once."""


@final
class FoundPromises(Generic[T]):
    """
    An iterator over all promises that a query finds, page by page.

    It is not a generator, so who leaves it in the middle leaves nothing to be ended,
    which on trio would be warned of.

    Args:
        registry: The store.
        query: The query.
        after: As for `Registry.list`.
        read: Makes an info of the store's.
        url: The store's URL, for observers; None where they are told of more than this.

    Raises:
        InvalidQueryError: *after* is not a cursor.
    """

    def __init__(
        self,
        registry: Registry,
        query: Query,
        after: str | None,
        read: Callable[[PromiseInfo[bytes]], Awaitable[PromiseInfo[T]]],
        url: str | None = None,
    ) -> None:
        if not (after is None or (isinstance(after, str) and is_text(after))):
            raise InvalidQueryError(f"{shown(after)} is not the cursor of a promise")
        self._registry = registry
        self._query = query
        self._after = after
        self._read = read
        self._url = url
        self._infos: deque[PromiseInfo[bytes]] = deque()
        self._raises = True
        self._failures: list[Failure] = []
        self._has_more = True

    if not TYPE_CHECKING:
        __iter__ = ASYNC_ITERATOR

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PromiseInfo[T]:
        """
        Return the next promise.

        Raises:
            BackendError: The store could not be asked; or, after all others were
                told, some promises cannot be read.
        """
        while not self._infos:
            if not self._has_more:
                if self._raises:
                    failures, self._failures = self._failures, []
                    raise_first(failures)
                raise StopAsyncIteration
            await self._turn()
        return await self._read(self._infos.popleft())

    def put_failures(self, into: list[Failure]) -> None:
        """Put what cannot be read into a list, and raise nothing of it at the end."""
        self._raises = False
        self._failures = into

    def is_ready(self) -> bool:
        """Tell whether the next promise needs no question to the store."""
        return bool(self._infos)

    async def aclose(self) -> None:
        """End it, for whoever does so with each iterator; there is nothing to do."""
        self._infos.clear()
        self._failures = []
        self._has_more = False

    async def _turn(self) -> None:
        """Ask for the next page."""
        if not OBSERVERS or self._url is None:
            page = await self._ask()
        else:
            with Observation("list", "", self._url) as observed:
                page = await self._ask()
                observed.count = len(page.infos)
        self._infos.extend(page.infos)
        self._failures += page.failures
        self._after, self._has_more = page.after, page.after is not None

    async def _ask(self) -> Page:
        page = await self._registry.list(self._query, self._after, _LIMIT)
        if page.after is not None and page.after == self._after:
            raise BackendError(
                f"the store's listing does not go on after {quoted(page.after)}; it is "
                "at fault, or what answers in its place"
            )
        return without_deliveries(self._query, page)


def raise_first(failures: Sequence[Failure]) -> None:
    """
    Raise the first of what cannot be read, with the number of the others.

    Raises:
        BackendError: There is one.
    """
    if not failures:
        return
    (name, error), *others = failures
    more = f"{len(others):,} other{'' if len(others) == 1 else 's'}"
    also = f", nor can {more}" if others else ""
    raise type(error)(f"promise {quoted(name)} cannot be read{also}: {error.reason}")
