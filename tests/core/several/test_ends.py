"""How a wait for several promises ends early: errors, and cancellation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

import dp_core as dp
from support.core.checkpoints import stepped
from support.core.five_methods import FiveMethods
from support.core.several import LIMIT, Cancelling, OneWatch, handle, is_left, later

# Errors ---------------------------------------------------------------------


@pytest.mark.parametrize("wait", [dp.gather, dp.all_settled, dp.race])
async def test_a_disposal_is_an_error_of_each(
    promises: dp.Promises, backend: FiveMethods, wait: Any
) -> None:
    """It names the promise."""
    a, b = map(promises.promise, "ab")
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, b.dispose)
            with pytest.raises(dp.PromiseDisposedError) as caught:
                await wait(a, b)
    assert "b" == caught.value.id
    assert not is_left(backend)


async def test_an_iterator_goes_on_after_an_error_of_one_promise(
    backend: FiveMethods,
) -> None:
    """A disposal, or a value that is not of the handle's type."""
    promises = handle(backend)
    a, b, c = promises.promise("a", int), *map(promises.promise, "bc")
    await promises.promise("a").resolve("text")
    await c.resolve(3)
    settled = dp.as_settled([a, b, c])
    with pytest.raises(dp.ValueMismatchError, match="'a'"):
        await anext(settled)
    assert (c, dp.Resolved(3)) == await anext(settled)
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, b.dispose)
            with pytest.raises(dp.PromiseDisposedError):
                await anext(settled)
    with pytest.raises(StopAsyncIteration):
        await anext(settled)


@pytest.mark.parametrize("wait", [dp.gather, dp.all_settled, dp.race])
async def test_a_store_that_fails_ends_the_call(wait: Any) -> None:
    """With its error as it is; nothing waits in the other store."""
    right, wrong = OneWatch(), FiveMethods()
    wrong.damaged = "x"
    with pytest.raises(dp.CorruptPromiseError, match="damaged"):
        await wait(handle(right).promise("a"), handle(wrong).promise("x"))
    assert not is_left(right)


async def test_closing_a_handle_ends_the_wait(
    promises: dp.Promises, backend: FiveMethods
) -> None:
    """As that of any other."""
    other = handle(OneWatch())
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, promises.aclose)
            with pytest.raises(dp.BackendClosedError):
                await dp.gather(other.promise("a"), promises.promise("b"))


async def first(*promises: dp.DurablePromise[Any]) -> object:
    """Return what `as_settled` tells first."""
    return await anext(dp.as_settled(promises))


async def get(promise: dp.DurablePromise[Any], *_: object) -> object:
    """Wait for the first argument alone."""
    return await promise


@pytest.mark.parametrize("wait", [get, dp.gather, dp.all_settled, dp.race, first])
@pytest.mark.parametrize("kind", ["memory", "file", "sqlite"])
async def test_closing_a_handle_ends_waits_alike_on_every_store(
    kind: str, wait: Any, tmp_path: Path
) -> None:
    """For one promise or several; who begins to wait afterwards is told the same."""
    promises = dp.connect(f"{kind}:{tmp_path}/store")
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, promises.aclose)
            with pytest.raises(dp.BackendClosedError):
                await wait(*map(promises.promise, "ab"))
        with pytest.raises(dp.BackendClosedError):
            await wait(*map(promises.promise, "ab"))


@pytest.mark.parametrize("wait", [dp.gather, dp.all_settled, dp.race])
async def test_what_is_not_a_promise_is_refused(wait: Any) -> None:
    """A list of promises, above all."""
    with pytest.raises(TypeError, match="takes durable promises, not"):
        await wait([dp.connect("memory:").promise("a")])
    with pytest.raises(TypeError, match="as_settled"):
        dp.as_settled(["id"])  # type: ignore[arg-type] # the point


# Cancellation ---------------------------------------------------------------


@pytest.mark.parametrize("wait", ["gather", "all_settled", "race", "as_settled"])
async def test_whoever_is_cancelled_leaves_nothing(wait: str) -> None:
    """At each moment before and after each checkpoint."""
    backends = FiveMethods(), OneWatch()
    here, there = map(handle, backends)
    for at in count(1):
        a, b, c = here.promise("a"), there.promise("b"), here.promise("c")
        calls: dict[str, Callable[[], Any]] = {
            "gather": lambda: dp.gather(a, b, c),  # noqa: B023 - called at once
            "all_settled": lambda: dp.all_settled(a, b, c),  # noqa: B023
            "race": lambda: dp.race(a, b),  # noqa: B023
            "as_settled": lambda: _all(dp.as_settled([a, b, c])),  # noqa: B023
        }
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as scope:
                    cancelling = Cancelling(scope, at)
                    tasks.start_soon(
                        later,
                        lambda: c.resolve(3),  # noqa: B023
                        lambda: b.resolve(2),  # noqa: B023
                        lambda: a.resolve(1),  # noqa: B023
                    )
                    await stepped(calls[wait](), cancelling.moment)
                assert not any(map(is_left, backends))
        for promise in (a, b, c):
            await promise.dispose()
        if cancelling.moments < at:
            break
    assert at > 8


async def _all(settled: dp.AsSettled[Any]) -> None:
    async for _ in settled:
        await checkpoint()
