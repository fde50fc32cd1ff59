"""Uses of handles that type checkers must refuse; never run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import dp_core
import dp_core.sync


def blocking(promises: dp_core.Promises, promise: dp_core.DurablePromise[int]) -> None:
    """An async handle is of no use without `async`."""
    with promises:  # type: ignore[attr-defined] # the type checker must refuse it
        pass
    with dp_core.as_settled([promise]):  # type: ignore[attr-defined] # the type checker must refuse it
        pass
    for _ in promises.list():  # type: ignore[attr-defined] # the type checker must refuse it
        pass
    for _ in dp_core.as_settled([promise]):  # type: ignore[attr-defined] # the type checker must refuse it
        pass
    promises.create("x").id.upper()  # type: ignore[attr-defined] # the type checker must refuse it


async def awaiting(
    promises: dp_core.sync.Promises, promise: dp_core.sync.DurablePromise[int]
) -> None:
    """A blocking handle is of no use with it."""
    async with promises:  # type: ignore[attr-defined] # the type checker must refuse it
        pass
    async with dp_core.sync.as_settled([promise]):  # type: ignore[attr-defined] # the type checker must refuse it
        pass
    async for _ in promises.list():  # type: ignore[attr-defined] # the type checker must refuse it
        pass
    async for _ in dp_core.sync.as_settled([promise]):  # type: ignore[attr-defined] # the type checker must refuse it
        pass
    await promise  # type: ignore[misc] # the type checker must refuse it
    await promise.resolve(1)  # type: ignore[misc] # the type checker must refuse it


async def forgotten(
    promises: dp_core.Promises, promise: dp_core.DurablePromise[int]
) -> None:
    """A call without `await` does nothing."""
    promise.resolve(1)  # type: ignore[unused-coroutine] # the type checker must refuse it
    promises.create("x")  # type: ignore[unused-coroutine] # the type checker must refuse it
