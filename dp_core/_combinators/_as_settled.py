"""`AsSettled`: promises and their outcomes, as they are settled."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar, final

from anyio.lowlevel import checkpoint

from dp_core._combinators._joint_watch import JointWatch, News, watching
from dp_core._combinators._time_limit import TimeLimit
from dp_core._errors import PromiseDisposedError
from dp_core._mismatch import ASYNC_ITERATOR, Refused
from dp_core._promise import DurablePromise
from dp_core._states import Rejected, Resolved

__all__ = ["AsSettled"]

T = TypeVar("T")


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
        PromiseTimeoutError: Those that are left are pending, and the time is over.
            Whoever asks again is told what is settled by then.
        ValueMismatchError: The value of one is not of its handle's type.
        BackendError: A store could not be asked.
    """

    __slots__ = ("_block", "_left", "_limit", "_news", "_promises", "_watch")

    def __init__(
        self, promises: Sequence[DurablePromise[T]], timeout: float | None = None
    ) -> None:
        self._limit = TimeLimit.of(timeout)
        self._promises = promises
        self._left = dict(enumerate(promises))
        self._news: deque[News] = deque()
        self._block: AbstractAsyncContextManager[JointWatch] | None = None
        self._watch: JointWatch | None = None

    if not TYPE_CHECKING:
        __enter__, __exit__ = Refused("with", "async with dp.as_settled(…)"), None
        __iter__ = ASYNC_ITERATOR

    async def __aenter__(self) -> Self:
        self._block = watching(self._left, self._limit)
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
            async with watching(self._left, self._limit) as watch:
                self._news = await watch.news()
        position, told = self._news.popleft()
        promise = self._left.pop(position)
        if isinstance(told, PromiseDisposedError):
            raise PromiseDisposedError(promise.id)
        return position, await promise._codec.decode_outcome(promise.id, told)
