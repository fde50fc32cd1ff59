"""Async handles used as blocking ones, and the other way round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import pytest

import dp_core
import dp_core.sync

# As programs have them that no type checker has seen.
ASYNC: Any = dp_core.connect("memory:")
BLOCKING: Any = dp_core.sync.connect("memory:")


def with_(manager: Any) -> None:
    """Enter it."""
    with manager:
        pass


def for_(items: Any) -> None:
    """Begin to iterate."""
    for _ in items:
        pass


async def async_with(manager: Any) -> None:
    """Enter it."""
    async with manager:
        pass


async def async_for(items: Any) -> None:
    """Begin to iterate."""
    async for _ in items:
        pass


async def await_(promise: Any) -> None:
    """Wait for it."""
    await promise


IN_SCRIPTS: dict[str, Callable[[], None]] = {
    "async with dp.connect(…)": lambda: with_(ASYNC),
    "async with dp.as_settled(…)": lambda: with_(dp_core.as_settled([])),
    "async for": lambda: for_(ASYNC.list()),
    "async for ": lambda: for_(dp_core.as_settled([])),
}
IN_COROUTINES: dict[str, Callable[[], Any]] = {
    "with dp.connect(…)": lambda: async_with(BLOCKING),
    "with dp.as_settled(…)": lambda: async_with(dp_core.sync.as_settled([])),
    "for": lambda: async_for(BLOCKING.list()),
    "for ": lambda: async_for(dp_core.sync.as_settled([])),
    "promise.get()": lambda: await_(BLOCKING.promise("x")),
}


@pytest.mark.parametrize("written", IN_SCRIPTS)
def test_an_async_handle_where_code_is_not(written: str) -> None:
    """The error says what to write, and what to import otherwise."""
    with pytest.raises(dp_core.AsyncMismatchError) as caught:
        IN_SCRIPTS[written]()
    assert f"write `{written.strip()}` in a coroutine" in str(caught.value)
    assert "elsewhere import dp_core.sync" in str(caught.value)
    assert caught.value.used in {"with", "for"}


@pytest.mark.parametrize("written", IN_COROUTINES)
def test_a_blocking_handle_where_code_is_async(written: str) -> None:
    """The error says what to import, and what to write otherwise."""
    with pytest.raises(dp_core.AsyncMismatchError) as caught:
        asyncio.run(IN_COROUTINES[written]())
    assert "import dp_core, without .sync" in str(caught.value)
    assert f"elsewhere write `{written.strip()}`" in str(caught.value)


def test_frameworks_that_look_are_not_misled() -> None:
    """Who asks `isinstance`, or tries `iter` first, finds the right form."""
    assert not isinstance(ASYNC, AbstractContextManager)
    assert not isinstance(dp_core.as_settled([]), AbstractContextManager)
    assert not isinstance(BLOCKING, AbstractAsyncContextManager)
    assert not isinstance(dp_core.sync.as_settled([]), AbstractAsyncContextManager)
    # As Django does with what a view streams.
    with pytest.raises(TypeError):
        iter(ASYNC.list())


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_an_await_that_was_forgotten() -> None:
    """Whoever gets the coroutine in the place of what it returns says so."""
    promise = ASYNC.promise("x")
    with pytest.raises(TypeError, match=r"not <Promises\.create\(…\) without await>"):
        await dp_core.gather(ASYNC.create("y"))
    with pytest.raises(dp_core.InvalidValueError, match="write await before that call"):
        await promise.resolve(promise.peek())
