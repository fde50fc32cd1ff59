"""`gather`, `all_settled`, `race` and `as_settled`, blocking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, final, overload

from dp_core import _combinators as several
from dp_core._mismatch import BLOCKING_ITERATOR, Refused
from dp_core._states import Rejected, Resolved
from dp_core._text import shown
from dp_core.sync._ahead import Ahead
from dp_core.sync._promise import DurablePromise
from dp_core.sync._run import call, hold
from dp_core.sync._with_block import Block

__all__ = ["AsSettled", "all_settled", "as_settled", "gather", "race"]

T = TypeVar("T")

_RUN: Final = partial(call, "async for promise, outcome in dp.as_settled(…)")


# Promises of several types are those of any: `DurablePromise` is invariant.
@overload
def gather(*promises: DurablePromise[T], timeout: float | None = None) -> list[T]: ...
@overload
def gather(
    *promises: DurablePromise[Any], timeout: float | None = None
) -> list[Any]: ...
def gather(*promises: DurablePromise[Any], timeout: float | None = None) -> list[Any]:
    """
    Wait for all of some promises; return their values, in the order of the arguments.

    The promises may be of any stores; those of one are waited for as one. Without
    promises, it is ``[]``.

    Args:
        promises: The promises. Where they are of several types, the list is of Any: ask
            them one by one where each value is to keep its own.
        timeout: The longest wait for all of them in seconds; None for as long as it
            takes. With 0 they are looked at once.

    Raises:
        PromiseRejectedError: One was rejected: the first that is seen. The others go
            on as they are.
        PromiseDisposedError: One was disposed of meanwhile.
        PromiseTimeoutError: One is still pending after *timeout*.
        InvalidTimeoutError: *timeout* is not a number of seconds, 0 or more.
        ValueMismatchError: The value of one is not of its handle's type.
        BackendError: A store could not be asked.
    """
    handles = (promise._promise for promise in _checked("gather", promises))
    return call("await dp.gather(…)", several.gather, *handles, timeout=timeout)


@overload
def all_settled(
    *promises: DurablePromise[T], timeout: float | None = None
) -> list[Resolved[T] | Rejected]: ...
@overload
def all_settled(
    *promises: DurablePromise[Any], timeout: float | None = None
) -> list[Resolved[Any] | Rejected]: ...
def all_settled(
    *promises: DurablePromise[Any], timeout: float | None = None
) -> list[Resolved[Any] | Rejected]:
    """
    Wait for all of some promises; return their outcomes, in the order of the arguments.

    Args:
        promises: The promises.
        timeout: The longest wait for all of them in seconds; None for as long as it
            takes. With 0 they are looked at once.

    Raises:
        PromiseDisposedError: One was disposed of meanwhile.
        PromiseTimeoutError: One is still pending after *timeout*.
        InvalidTimeoutError: *timeout* is not a number of seconds, 0 or more.
        ValueMismatchError: The value of one is not of its handle's type.
        BackendError: A store could not be asked.
    """
    handles = (promise._promise for promise in _checked("all_settled", promises))
    return call(
        "await dp.all_settled(…)", several.all_settled, *handles, timeout=timeout
    )


@overload
def race(
    *promises: DurablePromise[T], timeout: float | None = None
) -> tuple[DurablePromise[T], Resolved[T] | Rejected]: ...
@overload
def race(
    *promises: DurablePromise[Any], timeout: float | None = None
) -> tuple[DurablePromise[Any], Resolved[Any] | Rejected]: ...
def race(
    *promises: DurablePromise[Any], timeout: float | None = None
) -> tuple[DurablePromise[Any], Resolved[Any] | Rejected]:
    """
    Wait for the first of some promises to settle; return it, and its outcome.

    Of those that are settled already it is the first argument. The others are not
    touched: they go on as they are.

    Args:
        promises: The promises.
        timeout: The longest wait for the first in seconds; None for as long as it
            takes. With 0 they are looked at once.

    Raises:
        ValueError: There are no promises.
        PromiseDisposedError: One was disposed of before any was settled.
        PromiseTimeoutError: All are still pending after *timeout*.
        InvalidTimeoutError: *timeout* is not a number of seconds, 0 or more.
        ValueMismatchError: The value is not of the handle's type.
        BackendError: A store could not be asked.
    """
    handles = _by_identity(_checked("race", promises))
    asked = (promise._promise for promise in promises)
    winner, outcome = call("await dp.race(…)", several.race, *asked, timeout=timeout)
    return handles[id(winner)], outcome


@overload
def as_settled(
    promises: Iterable[DurablePromise[T]], *, timeout: float | None = None
) -> AsSettled[T]: ...
@overload
def as_settled(
    promises: Iterable[DurablePromise[Any]], *, timeout: float | None = None
) -> AsSettled[Any]: ...
def as_settled(
    promises: Iterable[DurablePromise[Any]], *, timeout: float | None = None
) -> AsSettled[Any]:
    """
    Iterate over promises and their outcomes, as they are settled.

    .. code-block:: python

        for promise, outcome in dp.as_settled([a, b, c]):
            ...

    Those that are settled already come first, in the order of the argument.

    Args:
        promises: The promises, of any stores. One that comes twice is told twice.
        timeout: The longest wait for all of them in seconds, from when the first is
            asked for; None for as long as it takes.

    Raises:
        InvalidTimeoutError: *timeout* is not a number of seconds, 0 or more.
    """
    return AsSettled(_checked("as_settled", tuple(promises)), timeout)


@final
class AsSettled(Iterator[tuple[DurablePromise[T], Resolved[T] | Rejected]], Generic[T]):
    """
    The iterator of `as_settled`.

    It waits only while it is asked: who leaves the loop leaves nothing behind. So it
    looks at all that are left each time. Where they are thousands, let it watch them
    from one time to the next, as a context manager:

    .. code-block:: python

        with dp.as_settled(promises) as settled:
            for promise, outcome in settled:
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

    __slots__ = ("_block", "_handles", "_pairs", "_settled")

    def __init__(
        self, promises: Sequence[DurablePromise[T]], timeout: float | None = None
    ) -> None:
        self._handles = _by_identity(promises)
        settled = self._settled = several.AsSettled(
            [p._promise for p in promises], timeout
        )
        # Not in a cycle: who is forgotten within a block is left at once.
        self._pairs = Ahead(settled, lambda: bool(settled._news), _RUN)
        self._block: Block | None = None

    if not TYPE_CHECKING:
        __aenter__, __aexit__ = Refused("async with", "with dp.as_settled(…)"), None
        __aiter__ = BLOCKING_ITERATOR

    def __enter__(self) -> Self:
        self._block = hold("async with dp.as_settled(…)", self._settled)
        if self._block is not None:
            self._pairs.run = self._block.run
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block, self._block = self._block, None
        self._pairs.run = _RUN
        if block is not None:
            block.leave()

    def __next__(self) -> tuple[DurablePromise[T], Resolved[T] | Rejected]:
        if self._block is not None and not self._block.is_here():
            # The task that watches is in the process that this one was forked from.
            self._block = self._settled._watch = None
            self._pairs.run = _RUN
        promise, outcome = next(self._pairs)
        return self._handles[id(promise)], outcome


def _by_identity(
    promises: Sequence[DurablePromise[T]],
) -> dict[int, DurablePromise[T]]:
    """Return handles by the identity of what they wrap."""
    return {id(promise._promise): promise for promise in promises}


def _checked(
    name: str, promises: Sequence[DurablePromise[T]]
) -> Sequence[DurablePromise[T]]:
    for promise in promises:
        if not isinstance(promise, DurablePromise):
            raise TypeError(
                f"{name}() takes durable promises of dp_core.sync, not {shown(promise)}"
            )
    return promises
