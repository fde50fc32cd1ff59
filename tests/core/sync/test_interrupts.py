"""Ctrl-C, and whatever else a signal handler raises, in the middle of a call."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

import dp_core.sync as dp
from dp_core import Backend, Outcome, State

MAIN = threading.main_thread()


class Endless(Backend):
    """A backend that answers no question, and interrupts who asks."""

    def __init__(self) -> None:
        self.inner = dp.connect(f"memory:{uuid4()}").backend
        self.signal = signal.SIGINT
        self.is_endless = True
        self.ended = 0

    async def _sleep(self) -> None:
        # In the next turn of the loop, when its thread or that of the caller sleeps.
        timer = asyncio.get_running_loop().call_later(0.02, self._interrupt)
        try:
            await asyncio.Event().wait()
        finally:
            timer.cancel()
            self.ended += 1

    def _interrupt(self) -> None:
        assert MAIN.ident is not None
        signal.pthread_kill(MAIN.ident, self.signal)

    async def peek(self, id: str) -> State[bytes]:
        if id == "endless":
            await self._sleep()
        return await self.inner.peek(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        if id == "endless":
            await self._sleep()
        return await self.inner.settle(id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        if id == "waiting" and self.is_endless:
            await self._sleep()
        return await self.inner.wait(id)

    async def dispose(self, id: str) -> None:
        await self.inner.dispose(id)

    async def aclose(self) -> None:
        await self.inner.aclose()


class AlarmError(Exception):
    """Raised by a signal handler of the program."""


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Let Ctrl-C be heard, though these tests may run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def backend() -> Endless:
    """A backend of a test's own."""
    return Endless()


@pytest.fixture
def promises(backend: Endless) -> dp.Promises:
    """A handle on it."""
    return dp.Promises(backend, "test:endless")


@pytest.fixture(params=[KeyboardInterrupt, AlarmError])
def error(request: pytest.FixtureRequest, backend: Endless) -> Iterator[Any]:
    """The error of Ctrl-C, or of a handler of the program's own."""

    def alarm(*_: object) -> None:
        raise AlarmError

    backend.signal = (
        signal.SIGINT if request.param is KeyboardInterrupt else signal.SIGUSR1
    )
    before = signal.signal(signal.SIGUSR1, alarm)
    try:
        yield request.param
    finally:
        signal.signal(signal.SIGUSR1, before)


def block(promise: dp.DurablePromise[Any]) -> None:
    """Wait in a block that watches."""
    with dp.as_settled([promise]) as settled:
        next(settled)


WAITS: dict[str, Callable[[dp.DurablePromise[Any]], object]] = {
    "get": dp.DurablePromise.get,
    "timed": lambda promise: promise.get(60),
    "gather": dp.gather,
    "all_settled": dp.all_settled,
    "race": dp.race,
    "as_settled": lambda promise: next(dp.as_settled([promise])),
    "block": block,
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_is_interrupted(
    promises: dp.Promises, backend: Endless, name: str, error: type[BaseException]
) -> None:
    """It is cancelled, has ended when the error is raised, and the next one works."""
    with pytest.raises(error):
        WAITS[name](promises.promise("waiting"))
    while name == "block" and not backend.ended:
        # Between `__enter__` and the block, Python leaves it to `__del__` to leave it.
        promises.promise("x").peek()
    assert 1 == backend.ended
    promises.promise("x").resolve(1)
    assert [1] == dp.gather(promises.promise("x"))


@pytest.mark.parametrize("operation", ["peek", "resolve"])
def test_a_call_is_interrupted(
    promises: dp.Promises,
    backend: Endless,
    operation: str,
    error: type[BaseException],
) -> None:
    """It is cancelled, has ended when the error is raised, and the next one works."""
    with pytest.raises(error):
        getattr(promises.promise("endless"), operation)(
            *["value"] * (operation == "resolve")
        )
    assert 1 == backend.ended
    assert dp.Resolved(1) == promises.promise("x").resolve(1)


def test_an_interrupted_iterator_loses_nothing(
    promises: dp.Promises, backend: Endless
) -> None:
    """The next call waits for what is left."""
    a, b = promises.promise("a"), promises.promise("waiting")
    settled = dp.as_settled([a, b])
    a.resolve(1)
    assert (a, dp.Resolved(1)) == next(settled)
    with pytest.raises(KeyboardInterrupt):
        next(settled)
    backend.is_endless = False
    b.resolve(2)
    assert [(b, dp.Resolved(2))] == list(settled)
