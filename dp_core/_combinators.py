"""`gather`, `all_settled`, `race` and `as_settled`: several promises at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, final, overload

from anyio.lowlevel import checkpoint

from dp_core._errors import PromiseDisposedError, PromiseRejectedError
from dp_core._joint_watch import JointWatch, News, watching
from dp_core._promise import DurablePromise
from dp_core._refused import ASYNC_ITERATOR, Refused
from dp_core._safe_text import shown
from dp_core._states import Rejected, Resolved

__all__ = ["AsSettled", "all_settled", "as_settled", "gather", "race"]

T = TypeVar("T")


# Promises of several types are those of any: `DurablePromise` is invariant.
@overload
async def gather(*promises: DurablePromise[T]) -> list[T]: ...
@overload
async def gather(*promises: DurablePromise[Any]) -> list[Any]: ...
async def gather(*promises: DurablePromise[Any]) -> list[Any]:
    """
    Wait for all of some promises; return their values, in the order of the arguments.

    The promises may be of any stores; those of one are waited for as one. Without
    promises, it is ``[]``.

    Raises:
        PromiseRejectedError: One was rejected: the first that is seen. The others go
            on as they are.
        PromiseDisposedError: One was disposed of meanwhile.
        ValueMismatchError: The value of one is not of its handle's type.
        BackendError: A store could not be asked.
    """
    values: dict[int, Any] = {}
    async with AsSettled(_checked("gather", promises)) as settled:
        while len(values) < len(promises):
            position, outcome = await settled._next()
            if isinstance(outcome, Rejected):
                raise PromiseRejectedError(outcome.error, promises[position].id)
            values[position] = outcome.value
    return [values[position] for position in range(len(promises))]


@overload
async def all_settled(
    *promises: DurablePromise[T],
) -> list[Resolved[T] | Rejected]: ...
@overload
async def all_settled(
    *promises: DurablePromise[Any],
) -> list[Resolved[Any] | Rejected]: ...
async def all_settled(
    *promises: DurablePromise[Any],
) -> list[Resolved[Any] | Rejected]:
    """
    Wait for all of some promises; return their outcomes, in the order of the arguments.

    Raises:
        PromiseDisposedError: One was disposed of meanwhile.
        ValueMismatchError: The value of one is not of its handle's type.
        BackendError: A store could not be asked.
    """
    outcomes: dict[int, Resolved[Any] | Rejected] = {}
    async with AsSettled(_checked("all_settled", promises)) as settled:
        while len(outcomes) < len(promises):
            position, outcome = await settled._next()
            outcomes[position] = outcome
    return [outcomes[position] for position in range(len(promises))]


@overload
async def race(
    *promises: DurablePromise[T],
) -> tuple[DurablePromise[T], Resolved[T] | Rejected]: ...
@overload
async def race(
    *promises: DurablePromise[Any],
) -> tuple[DurablePromise[Any], Resolved[Any] | Rejected]: ...
async def race(
    *promises: DurablePromise[Any],
) -> tuple[DurablePromise[Any], Resolved[Any] | Rejected]:
    """
    Wait for the first of some promises to settle; return it, and its outcome.

    Of those that are settled already it is the first argument. The others are not
    touched: they go on as they are.

    Raises:
        ValueError: There are no promises.
        PromiseDisposedError: One was disposed of before any was settled.
        ValueMismatchError: The value is not of the handle's type.
        BackendError: A store could not be asked.
    """
    if not promises:
        raise ValueError("race() without promises has no winner: name one or more")
    async with AsSettled(_checked("race", promises)) as settled:
        return await anext(settled)


@overload
def as_settled(promises: Iterable[DurablePromise[T]]) -> AsSettled[T]: ...
@overload
def as_settled(promises: Iterable[DurablePromise[Any]]) -> AsSettled[Any]: ...
def as_settled(promises: Iterable[DurablePromise[Any]]) -> AsSettled[Any]:
    """
    Iterate over promises and their outcomes, as they are settled.

    .. code-block:: python

        async for promise, outcome in dp.as_settled([a, b, c]):
            ...

    Those that are settled already come first, in the order of the argument.

    Args:
        promises: The promises, of any stores. One that comes twice is told twice.
    """
    return AsSettled(_checked("as_settled", tuple(promises)))


@final
class AsSettled(Generic[T]):
    """
    The iterator of `as_settled`.

    It waits only while it is asked: who leaves the loop leaves nothing behind. So it
    looks at all that are left each time. Where they are thousands, let it watch them
    from one time to the next, as a context manager:

    .. code-block:: python

        async with dp.as_settled(promises) as settled:
            async for promise, outcome in settled:
                ...

    An error is that of one promise, and the iterator goes on with the others; or it is
    of a store.

    Raises:
        PromiseDisposedError: A promise was disposed of while it was watched.
        ValueMismatchError: The value of one is not of its handle's type.
        BackendError: A store could not be asked.
    """

    __slots__ = ("_block", "_left", "_news", "_promises", "_watch")

    def __init__(self, promises: Sequence[DurablePromise[T]]) -> None:
        self._promises = promises
        self._left = dict(enumerate(promises))
        self._news: deque[News] = deque()
        self._block: AbstractAsyncContextManager[JointWatch] | None = None
        self._watch: JointWatch | None = None

    if not TYPE_CHECKING:
        __enter__, __exit__ = Refused("with", "async with dp.as_settled(…)"), None
        __iter__ = ASYNC_ITERATOR

    async def __aenter__(self) -> Self:
        self._block = watching(self._left)
        self._watch = await self._block.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block, self._block, self._watch = self._block, None, None
        if block is not None:
            await block.__aexit__(exc_type, exc, traceback)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[DurablePromise[T], Resolved[T] | Rejected]:
        if not self._left:
            await checkpoint()
            raise StopAsyncIteration
        position, outcome = await self._next()
        return self._promises[position], outcome

    async def _next(self) -> tuple[int, Resolved[T] | Rejected]:
        """Return the position and the outcome of the next promise; there is one."""
        if self._news:
            # Before it is taken: a cancellation here loses nothing.
            await checkpoint()
        elif self._watch is not None:
            self._news = await self._watch.news()
        else:
            async with watching(self._left) as watch:
                self._news = await watch.news()
        position, told = self._news.popleft()
        promise = self._left.pop(position)
        if isinstance(told, PromiseDisposedError):
            raise PromiseDisposedError(promise.id)
        return position, await promise._codec.decode_outcome(promise.id, told)


def _checked(
    name: str, promises: Sequence[DurablePromise[T]]
) -> Sequence[DurablePromise[T]]:
    for promise in promises:
        if not isinstance(promise, DurablePromise):
            raise TypeError(f"{name}() takes durable promises, not {shown(promise)}")
    return promises
