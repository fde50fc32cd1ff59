"""What type checkers must understand; never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

import dp_core as dp
from dp_core import wire
from dp_core.backend import Follower, LeaderFollowers, wait_or_peek
from dp_core.instrumentation import Finished, Started, observing


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
    await promise.resolve("text")  # type: ignore[arg-type] # the type checker must refuse it
    await promise.resolve()  # type: ignore[call-arg] # the type checker must refuse it
    await promise.reject(ValueError())  # type: ignore[arg-type] # the type checker must refuse it


async def untyped() -> None:
    """A promise without a type holds any JSON value."""
    promise = dp.connect().promise("id")

    assert_type(promise, dp.DurablePromise[Any])
    assert_type(dp.durable_promise("id", "memory:"), dp.DurablePromise[Any])
    assert_type(dp.durable_promise("id", type=int), dp.DurablePromise[int])


async def several(a: dp.DurablePromise[int], b: dp.DurablePromise[str]) -> None:
    """Several of one type have it; of several types, any."""
    assert_type(await dp.gather(a, a), list[int])
    assert_type(await dp.all_settled(a), list[dp.Resolved[int] | dp.Rejected])
    winner, outcome = await dp.race(a, a)
    assert_type(winner, dp.DurablePromise[int])
    assert_type(outcome, dp.Resolved[int] | dp.Rejected)
    async for promise, settled in dp.as_settled([a, a]):
        assert_type(promise, dp.DurablePromise[int])
        assert_type(settled, dp.Resolved[int] | dp.Rejected)
    assert_type(await dp.gather(a, a, timeout=5), list[int])
    assert_type(await dp.gather(a, b), list[Any])
    assert_type(await dp.gather(a, b, timeout=5), list[Any])
    # One after another, each has its own: a promise goes on whoever waits for it.
    assert_type((await a, await b), tuple[int, str])
    assert_type(await dp.all_settled(a, b), list[dp.Resolved[Any] | dp.Rejected])
    assert_type(dp.as_settled([a, b]), dp.AsSettled[Any])
    await dp.gather([a, b])  # type: ignore[call-overload] # the type checker must refuse it
    await dp.gather(a, 5)  # type: ignore[call-overload] # the type checker must refuse it
    await dp.gather("id")  # type: ignore[call-overload] # the type checker must refuse it


async def exhaustive(promise: dp.DurablePromise[int]) -> int:
    """A match over the three states is known to be complete: it needs no default."""
    match await promise.peek():
        case dp.Pending():
            return 0
        case dp.Resolved(value):
            return assert_type(value, int)
        case dp.Rejected(error):
            return len(assert_type(error, str))


def sealed(outcome: dp.Outcome[int], state: dp.State[int]) -> int:
    """An outcome is resolved or rejected, and what is not pending is an outcome."""
    if not isinstance(state, dp.Pending):
        assert_type(state, dp.Resolved[int] | dp.Rejected)
    if isinstance(state, dp.SETTLED):
        outcome = state
    match outcome:
        case dp.Resolved(value):
            return value
        case dp.Rejected(error):
            return len(error)


def machine(state: dp.State[bytes], outcome: dp.Outcome[bytes]) -> None:
    """Settling leads to an outcome, disposing to pending."""
    command = dp.settle_command(outcome)
    assert_type(dp.transition(state, command), dp.Resolved[bytes] | dp.Rejected)
    assert_type(dp.transition(state, dp.Dispose()), dp.Pending)


def answers(outcome: dp.Outcome[bytes]) -> None:
    """An answer has the type of its call."""
    settled = wire.read_answer(wire.Settle("id", outcome), 200, b"{}")
    assert_type(settled, dp.Resolved[bytes] | dp.Rejected)
    state = wire.read_answer(wire.Peek("id"), 200, b"null")
    assert_type(state, dp.Pending | dp.Resolved[bytes] | dp.Rejected)
    wire.read_answer(wire.Peek("id"), "200", b"null")  # type: ignore[call-overload] # the type checker must refuse it


async def for_backends(backend: dp.Backend) -> None:
    """The parts that backends share pass types on."""

    async def lead(leader: Follower[str, int]) -> None:
        leader.set_result(len(leader.request))

    group: LeaderFollowers[str, int] = LeaderFollowers(lead)
    assert_type(await Follower(group, "id").join(), int)
    state = await wait_or_peek(backend, "id", 1.5)
    assert_type(state, dp.Pending | dp.Resolved[bytes] | dp.Rejected)


class Counter:
    """An observer needs no base class."""

    seconds = 0.0

    def started(self, event: Started, /) -> None:
        """Count nothing."""

    def finished(self, event: Finished, /) -> None:
        """Count the time."""
        self.seconds += event.seconds


with observing(Counter()):
    pass


class Incomplete(dp.Backend):
    """Abstract means abstract."""

    async def peek(self, id: str) -> dp.State[bytes]:
        """Return a state."""
        return dp.Pending()


def open_incomplete() -> dp.Backend:
    """A backend without all five operations cannot be made."""
    return Incomplete()  # type: ignore[abstract] # the type checker must refuse it
