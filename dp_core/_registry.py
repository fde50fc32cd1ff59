"""`ask_terms`, `FoundPromises` and what else `Promises` needs to use a `Registry`."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeAlias, TypeVar, final

from dp_core._clock import now
from dp_core._codec import Codec
from dp_core._errors import (
    BackendError,
    InvalidLinkError,
    InvalidQueryError,
    NotSupportedError,
)
from dp_core._notify import ask_callbacks
from dp_core._observation import OBSERVERS, Observation
from dp_core._outbox import without_deliveries
from dp_core._refused import ASYNC_ITERATOR
from dp_core._states import SETTLED, Outcome, Resolved
from dp_core._terms import (
    Page,
    PromiseInfo,
    Query,
    Terms,
    is_text,
    moment_after,
    refuse_reserved,
)
from dp_core._text import quoted, shown, without_password
from dp_core.backend import Backend, Registry, in_thread
from dp_core.values import say_the_same, takes_long

__all__ = [
    "Deadline",
    "FoundPromises",
    "are_equal",
    "ask_terms",
    "dispose_of_settled",
    "info_of",
    "moment_before",
    "moment_later",
    "registry_of",
]

T = TypeVar("T")

Deadline: TypeAlias = timedelta | datetime
"""A time from now by the clock of the store, or a moment with a time zone."""

_ROUNDING: Final = timedelta(milliseconds=2)

_LIMIT: Final = 1000
"""The most promises to ask for at once."""


def registry_of(backend: Backend, url: str) -> Registry:
    """
    Return a backend as one that keeps terms.

    Raises:
        NotSupportedError: It is not one.
    """
    if isinstance(backend, Registry):
        return backend
    raise NotSupportedError(
        f"the store {quoted(without_password(url))} keeps outcomes only: no terms, and "
        "no list of its promises; peek, get, resolve, reject and dispose work"
    )


async def info_of(backend: Backend, id: str) -> PromiseInfo[bytes]:
    """Return all that a store knows of a promise; its state, if it keeps no terms."""
    if isinstance(backend, Registry):
        try:
            return await backend.info(id)
        except NotSupportedError:
            # A server that keeps outcomes only.
            pass
    return PromiseInfo(id, await backend.peek(id))


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


def moment_later(expires: Deadline) -> datetime:
    """
    Return the moment that is so far from now, or that moment itself.

    Raises:
        InvalidLinkError: It is not a moment.
    """
    if isinstance(expires, timedelta):
        try:
            return now() + expires
        except OverflowError:
            raise InvalidLinkError(
                "a link expires within the years 1 to 9999; give it less time"
            ) from None
    if isinstance(expires, datetime) and expires.utcoffset() is not None:
        return expires
    raise InvalidLinkError(
        f"{shown(expires)} is not a valid time; write timedelta(days=3), or a datetime "
        "with a time zone"
    )


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
        self._failures: list[tuple[str, BackendError]] = []
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
                self._tell_failures()
                raise StopAsyncIteration
            await self._turn()
        return await self._read(self._infos.popleft())

    def is_ready(self) -> bool:
        """Tell whether the next promise needs no question to the store."""
        return bool(self._infos)

    async def aclose(self) -> None:
        """End it, for whoever does so with each iterator; there is nothing to do."""
        self._infos.clear()
        self._failures.clear()
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

    def _tell_failures(self) -> None:
        if not self._failures:
            return
        (name, error), *others = self._failures
        self._failures = []
        also = f", nor can {len(others)} others" if others else ""
        raise type(error)(
            f"promise {quoted(name)} cannot be read{also}: {error.reason}"
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
