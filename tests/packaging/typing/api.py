"""What type checkers must understand; never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never, assert_type

import dp_core as dp


@dataclass
class Invoice:
    """A value."""

    total: float


async def typed(promises: dp.Promises) -> None:
    """A promise with a type passes it on to everything it returns."""
    promise = promises.promise("id", Invoice)

    assert_type(promise, dp.DurablePromise[Invoice])
    assert_type(await promise, Invoice)
    assert_type(await promise.get(timeout=5), Invoice)
    assert_type(await promise.peek(), dp.Pending | dp.Resolved[Invoice] | dp.Rejected)
    assert_type(await promise.reject("no"), dp.Resolved[Invoice] | dp.Rejected)
    assert_type((await promise.resolve(Invoice(1))).unwrap(), Invoice)
    await promise.resolve("text")  # type: ignore[arg-type]
    await promise.reject(ValueError())  # type: ignore[arg-type]


async def untyped() -> None:
    """A promise without a type holds any JSON value."""
    promise = dp.connect().promise("id")

    assert_type(promise, dp.DurablePromise[Any])
    assert_type(dp.durable_promise("id", "memory:"), dp.DurablePromise[Any])
    assert_type(dp.durable_promise("id", type=int), dp.DurablePromise[int])


async def exhaustive(promise: dp.DurablePromise[int]) -> int:
    """A match over the three states is known to be complete."""
    match await promise.peek():
        case dp.Pending():
            return 0
        case dp.Resolved(value):
            return assert_type(value, int)
        case dp.Rejected(error):
            return len(assert_type(error, str))
        case never:
            assert_never(never)


class Incomplete(dp.Backend):
    """Abstract means abstract."""

    async def peek(self, id: str) -> dp.State[bytes]:
        """Return a state."""
        return dp.Pending()


def open_incomplete() -> dp.Backend:
    """A backend without all five operations cannot be made."""
    return Incomplete()  # type: ignore[abstract]
