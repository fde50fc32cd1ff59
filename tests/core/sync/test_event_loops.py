"""Threads whose event loop runs: a call is an error that says what to write there."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest

import dp_core.sync as dp
from dp_core import Backend, Outcome, State

CALLS: dict[str, Callable[[dp.Promises], object]] = {
    "await promise.peek()": lambda p: p.promise("x").peek(),
    "await promise.get()": lambda p: p.promise("x").get(),
    "await promise.resolve(…)": lambda p: p.promise("x").resolve(1),
    "await promise.reject(…)": lambda p: p.promise("x").reject("no"),
    "await promise.info()": lambda p: p.promise("x").info(),
    "await promise.dispose()": lambda p: p.promise("x").dispose(),
    "await promises.create(…)": lambda p: p.create("x"),
    "await promises.prune(…)": lambda p: p.prune(settled_before=timedelta(0)),
    "await promises.aclose()": lambda p: p.close(),
    "async for info in promises.list(…)": lambda p: next(iter(p.list())),
    "await dp.gather(…)": lambda p: dp.gather(p.promise("x")),
    "await dp.all_settled(…)": lambda p: dp.all_settled(p.promise("x")),
    "await dp.race(…)": lambda p: dp.race(p.promise("x")),
    "async for promise, outcome in dp.as_settled(…)": lambda p: next(
        dp.as_settled([p.promise("x")])
    ),
    "async with dp.as_settled(…)": lambda p: dp.as_settled(
        [p.promise("x")]
    ).__enter__(),
}


@pytest.mark.parametrize("written", CALLS)
async def test_a_call_says_what_to_write(written: str) -> None:
    """In a coroutine, on asyncio and trio, and nothing has happened."""
    promises = dp.connect(f"memory:{written}")
    with pytest.raises(dp.EventLoopRunningError) as caught:
        CALLS[written](promises)
    assert written == caught.value.written
    assert f"`{written}`" in str(caught.value)
    assert "import dp_core, without .sync" in str(caught.value)
    found = await anyio.to_thread.run_sync(lambda: [i.id for i in promises.list()])
    assert [] == found


async def test_the_first_error_of_a_block_is_the_one_that_is_seen() -> None:
    """It says how to write that call; the end of the block cannot close the handle."""
    running = dp.EventLoopRunningError
    with pytest.raises(running, match="peek") as caught, dp.connect("memory:") as made:
        made.promise("x").peek()
    assert caught.value.__context__ is None

    cause = KeyError("cause")
    with pytest.raises(ValueError, match="mine") as other, dp.connect("memory:"):
        raise ValueError("mine") from cause
    assert other.value.__cause__ is cause

    with pytest.raises(running, match="aclose"), dp.connect("memory:"):
        pass


def test_a_callback_is_in_the_loop_too() -> None:
    """There is no task there, and a blocking call would stop the loop all the same."""
    promise = dp.connect("memory:").promise("callback")
    raised: list[BaseException] = []

    def call() -> None:
        try:
            promise.peek()
        except dp.EventLoopRunningError as error:
            raised.append(error)

    async def main() -> None:
        asyncio.get_running_loop().call_soon(call)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert 1 == len(raised)


async def test_worker_threads_may_call() -> None:
    """No event loop runs in them, whoever started them."""
    promise = dp.connect("memory:worker").promise("x")
    await anyio.to_thread.run_sync(promise.resolve, 1)
    assert 1 == await anyio.to_thread.run_sync(promise.get)


class Interrupted(Backend):
    """A backend that is interrupted by a signal while it is asked for a promise."""

    def __init__(self) -> None:
        self.inner = dp.connect("memory:interrupted").backend

    async def peek(self, id: str) -> State[bytes]:
        if id == "interrupted":
            signal.raise_signal(signal.SIGUSR1)
        return await self.inner.peek(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        return await self.inner.settle(id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        return await self.inner.wait(id)

    async def dispose(self, id: str) -> None:
        await self.inner.dispose(id)

    async def aclose(self) -> None:
        await self.inner.aclose()


def test_a_signal_handler_may_call_in_the_middle_of_a_call() -> None:
    """A worker says by a promise that it was asked to stop, whatever it was doing."""
    promises = dp.Promises(Interrupted(), "test:interrupted")
    last = promises.promise("last")
    said: list[object] = []
    before = signal.signal(
        signal.SIGUSR1, lambda *_: said.append(last.resolve("stopped"))
    )
    try:
        assert dp.Pending() == promises.promise("interrupted").peek()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [dp.Resolved("stopped")] == said
    assert "stopped" == last.get()


class Collecting(Interrupted):
    """A backend in whose event loop the collector finds what a program has left."""

    async def peek(self, id: str) -> State[bytes]:
        gc.collect()
        return await self.inner.peek(id)


class Left:
    """Something of a program that settles a promise when it is deleted."""

    def __init__(self, promise: dp.DurablePromise[str], said: list[object]) -> None:
        self.itself = self
        self.promise = promise
        self.said = said

    def __del__(self) -> None:
        self.said.append(self.promise.resolve("left"))
        self.said += dp.gather(self.promise)


def test_what_is_collected_in_the_thread_for_all_may_call() -> None:
    """Nobody chooses in which thread the collector calls `__del__`."""
    promises = dp.Promises(Collecting(), "test:collecting")
    said: list[object] = []
    gc.disable()
    try:
        Left(promises.promise("left", str), said)
        assert dp.Pending() == promises.promise("x").peek()
    finally:
        gc.enable()
    assert [dp.Resolved("left"), "left"] == said
