"""What a call does in the thread for all: calls of its own, forks, and waits."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

import dp_core.sync as dp
from dp_core import Resolved, State
from dp_core.sync import _loop_thread, _run
from dp_core.sync._loop_thread import LoopThread
from support.core.five_methods import FiveMethods


class Nested(FiveMethods):
    """A backend that asks several promises itself, by the blocking interface."""

    async def peek(self, id: str) -> State[bytes]:
        inner = dp.Promises(self.inner, "test:inner")
        promises = [inner.promise("a"), inner.promise("b")]
        promises[1].resolve(2)
        with dp.as_settled(promises) as settled:
            assert (promises[1], dp.Resolved(2)) == next(settled)
            promises[0].resolve(1)
            assert [(promises[0], dp.Resolved(1))] == list(settled)
        return Resolved(b"0")


def test_a_block_within_a_call_is_run_in_its_thread() -> None:
    """A backend whose code blocks may wait for several promises; it hangs nobody."""
    promise = dp.Promises(Nested(), "test:nested").promise("x")
    assert dp.Resolved(0) == promise.peek()


class Forking(FiveMethods):
    """A backend that forks, in the thread in which it is called."""

    async def peek(self, id: str) -> State[bytes]:
        with warnings.catch_warnings():
            # From 3.12 on, of a fork with threads.
            warnings.simplefilter("ignore")
            child = os.fork()
        if not child:
            os._exit(0)
        _, code = os.waitpid(child, 0)  # noqa: ASYNC222 - the fact
        return Resolved(f"{code}".encode())


def test_a_call_may_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread for all does not wait for itself to stand still."""
    put = LoopThread.put

    def from_elsewhere(self: LoopThread, function: Callable[[], None]) -> bool:
        assert threading.current_thread() is not self._thread
        return put(self, function)

    monkeypatch.setattr(LoopThread, "put", from_elsewhere)
    assert dp.Resolved(0) == dp.Promises(Forking(), "test:fork").promise("x").peek()


def test_a_fork_does_not_wait_for_ever_for_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that waits for what the forking thread holds goes on afterwards."""
    begun, held = threading.Event(), threading.Event()

    class Waiting(FiveMethods):
        async def peek(self, id: str) -> State[bytes]:
            begun.set()
            assert held.wait(60)
            return Resolved(b"0")

    promise = dp.Promises(Waiting(), "test:held").promise("x")
    monkeypatch.setattr(_loop_thread, "_PATIENCE", 0.01)
    peeking = threading.Thread(target=promise.peek)
    peeking.start()
    assert begun.wait(60)
    _run._LOOPS[-1].rest(threading.Lock())
    held.set()
    peeking.join(60)
    assert not peeking.is_alive()


def test_a_block_that_cannot_be_entered_says_so() -> None:
    """Its error reaches who enters it, and the thread keeps nothing of it."""

    @asynccontextmanager
    async def failing() -> AsyncIterator[None]:
        raise dp.BackendUnavailableError("away")
        yield

    with pytest.raises(dp.BackendUnavailableError, match="away"):
        _run.hold("async with", failing())
    thread = _run._LOOPS[-1]._thread
    assert thread is not None
    assert not thread._calls
