"""`gather`, `all_settled`, `race` and `as_settled`: several promises at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

from dp_core._combinators._as_settled import AsSettled
from dp_core._errors import PromiseRejectedError
from dp_core._promise import DurablePromise
from dp_core._states import Rejected, Resolved
from dp_core._text import shown

__all__ = ["all_settled", "as_settled", "gather", "race"]

T = TypeVar("T")


# Promises of several types are those of any: `DurablePromise` is invariant.
@overload
async def gather(
    *promises: DurablePromise[T], timeout: float | None = None
) -> list[T]: ...
@overload
async def gather(
    *promises: DurablePromise[Any], timeout: float | None = None
) -> list[Any]: ...
async def gather(
    *promises: DurablePromise[Any], timeout: float | None = None
) -> list[Any]:
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
    values: dict[int, Any] = {}
    async with AsSettled(_checked("gather", promises), timeout) as settled:
        while len(values) < len(promises):
            position, outcome = await settled._next()
            if isinstance(outcome, Rejected):
                raise PromiseRejectedError(outcome.error, promises[position].id)
            values[position] = outcome.value
    return [values[position] for position in range(len(promises))]


@overload
async def all_settled(
    *promises: DurablePromise[T], timeout: float | None = None
) -> list[Resolved[T] | Rejected]: ...
@overload
async def all_settled(
    *promises: DurablePromise[Any], timeout: float | None = None
) -> list[Resolved[Any] | Rejected]: ...
async def all_settled(
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
    outcomes: dict[int, Resolved[Any] | Rejected] = {}
    async with AsSettled(_checked("all_settled", promises), timeout) as settled:
        while len(outcomes) < len(promises):
            position, outcome = await settled._next()
            outcomes[position] = outcome
    return [outcomes[position] for position in range(len(promises))]


@overload
async def race(
    *promises: DurablePromise[T], timeout: float | None = None
) -> tuple[DurablePromise[T], Resolved[T] | Rejected]: ...
@overload
async def race(
    *promises: DurablePromise[Any], timeout: float | None = None
) -> tuple[DurablePromise[Any], Resolved[Any] | Rejected]: ...
async def race(
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
    if not promises:
        raise ValueError("race() without promises has no winner: name one or more")
    async with AsSettled(_checked("race", promises), timeout) as settled:
        return await anext(settled)


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

        async for promise, outcome in dp.as_settled([a, b, c]):
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


def _checked(
    name: str, promises: Sequence[DurablePromise[T]]
) -> Sequence[DurablePromise[T]]:
    for promise in promises:
        if not isinstance(promise, DurablePromise):
            raise TypeError(f"{name}() takes durable promises, not {shown(promise)}")
    return promises
