"""
The leader/followers primitive: everyone is cancelled at every moment.

A *moment* is before and after each checkpoint of each caller, and between any two
results that a leader hands out. The tests of this file run one small group of
callers again and again, and at each moment cancel each of them, from inside and
from outside, by anyio's scopes and by asyncio's own `Task.cancel`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import anyio
import pytest
from anyio import lowlevel

from dp_core.backend import Follower, LeaderFollowers
from support.core.checkpoints import stepped

TURNS: Final = 400
"""A group that needs more turns of the event loop than this has lost a wake-up."""

NEAR: Final = 4
"""The second of two is cancelled at most this many moments later, less one."""

Lead = Callable[["Run", Follower[int, int]], Awaitable[None]]
Cancel = tuple[int, int]
"""At which moment to cancel, and which caller."""


@dataclass
class Run:
    """
    One run of a group of callers, some of whom are cancelled.

    Attributes:
        lead: What leaders do.
        native: Whether to cancel by asyncio's own means.
        cancels: Whom to cancel when.
        moments: How many there have been.
        is_led: Whether somebody is in the lead function.
        results: What the callers have got.
        ended: Those who have a result, an error, or were cancelled.
    """

    lead: Lead
    native: bool = False
    cancels: tuple[Cancel, ...] = ()
    moments: int = 0
    is_led: bool = False
    results: dict[int, int | str] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.group = LeaderFollowers[int, int](self._lead)
        self.other = LeaderFollowers[int, int](partial(batches, self))
        self.news = anyio.Event()
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._tasks: dict[int, asyncio.Task[Any] | None] = {}

    async def _lead(self, leader: Follower[int, int]) -> None:
        assert not self.is_led, "two lead at once"
        assert not leader.is_done, "who has a result need not lead"
        self.is_led = True
        try:
            await self.lead(self, leader)
        finally:
            self.is_led = False

    def moment(self) -> None:
        """Cancel those whose time has come."""
        self.moments += 1
        for when, caller in self.cancels:
            if when == self.moments and caller not in self.ended:
                if not self.native:
                    self._scopes[caller].cancel()
                elif (task := self._tasks.get(caller)) is not None:
                    task.cancel()

    async def call(self, caller: int, arrival: int) -> None:
        """Join the group, and note what comes of it."""
        try:
            with self._scopes[caller]:
                for _ in range(arrival):
                    await lowlevel.checkpoint()
                await self.join(caller)
        finally:
            self.ended.add(caller)

    async def join(self, caller: int) -> None:
        if self.native:
            self._tasks[caller] = asyncio.current_task()
        try:
            follower = Follower(self.group, caller)
            self.results[caller] = await stepped(follower.join(), self.moment)
        except ValueError as error:
            self.results[caller] = str(error)
        except asyncio.CancelledError:
            if not self.native:
                raise
        finally:
            self._tasks[caller] = None
        if self.native:
            await uncancelled()

    async def play(self, arrivals: tuple[int, ...]) -> None:
        """Let all callers come, and check that nobody is forgotten."""
        self._scopes = {n: anyio.CancelScope() for n in range(len(arrivals))}
        async with anyio.create_task_group() as tasks:
            for caller, arrival in enumerate(arrivals):
                tasks.start_soon(self.call, caller, arrival)
            tasks.start_soon(self.settle)
            for _ in range(TURNS):
                if len(self.ended) == len(arrivals):
                    break
                await lowlevel.checkpoint()
            forgotten = set(range(len(arrivals))) - self.ended
            tasks.cancel_scope.cancel()

        assert set() == forgotten, self
        assert (0, 0) == (len(self.group), len(self.other))
        with anyio.fail_after(10):
            # Nobody who has left still counts as the leader.
            assert 70 == await Follower(self.group, 7).join()

    async def settle(self) -> None:
        """Bring about, after a while, what `watches` waits for."""
        for _ in range(5):
            await lowlevel.checkpoint()
        self.news.set()


async def uncancelled() -> None:
    """Let a native cancellation that came too late go by."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


async def batches(run: Run, leader: Follower[int, int]) -> None:
    """Do what a batch of reads does: all who are here are served by one hop."""
    await lowlevel.checkpoint()
    batch = list(leader.group)
    await lowlevel.checkpoint()
    for follower in batch:
        follower.set_result(follower.request * 10)
        run.moment()


async def single(run: Run, leader: Follower[int, int]) -> None:
    """Serve one at a time, and the leader last."""
    await lowlevel.checkpoint()
    last = list(leader.group)[-1]
    last.set_result(last.request * 10)


async def watches(run: Run, leader: Follower[int, int]) -> None:
    """Do what a watch does: wait for news, however many lead meanwhile."""
    if not run.news.is_set():
        await run.news.wait()
    await batches(run, leader)


async def fails(run: Run, leader: Follower[int, int]) -> None:
    """Fail for the second caller, whenever it leads."""
    await lowlevel.checkpoint()
    if leader.request == 1:
        raise ValueError("the second's own")
    leader.set_result(leader.request * 10)


async def fails_all(run: Run, leader: Follower[int, int]) -> None:
    """Give everybody an error."""
    await lowlevel.checkpoint()
    for follower in leader.group:
        if leader.request != 7:
            follower.set_exception(ValueError("everybody's"))
        follower.set_result(follower.request * 10)
        run.moment()


async def moves(run: Run, leader: Follower[int, int]) -> None:
    """Move all who are here to another group, where others may be."""
    await lowlevel.checkpoint()
    run.group.move_to(run.other)
    run.moment()
    await lowlevel.checkpoint()


LEADS: Final = (batches, single, watches, fails, fails_all, moves)


def expected(lead: Lead, caller: int) -> tuple[int | str, ...]:
    """Return what a caller may get that is not cancelled."""
    if lead is fails and caller == 1:
        # Its own failure; nobody else serves it.
        return ("the second's own",)
    return ("everybody's",) if lead is fails_all else (caller * 10,)


def single_cancels(moments: int) -> Iterator[tuple[Cancel, ...]]:
    """Cancel each caller at each moment."""
    for when in range(1, moments + 1):
        for caller in range(4):
            yield ((when, caller),)


def double_cancels(moments: int) -> Iterator[tuple[Cancel, ...]]:
    """Cancel two callers, at the same moment or soon after each other."""
    for ((when, caller),) in single_cancels(moments):
        for later in range(when, when + NEAR):
            for other in range(4):
                if other != caller:
                    yield (when, caller), (later, other)


# The turns of the event loop that pass before each caller joins; the ways to cancel.
ARRIVALS: Final = {
    (0, 0, 0, 0): (single_cancels, double_cancels),
    (0, 1, 2, 3): (single_cancels, double_cancels),
    (3, 2, 0, 0): (single_cancels,),
    (0, 3, 6, 9): (single_cancels,),
}


async def check_all(lead: Lead, *, native: bool) -> None:
    """Run the group once for every way to cancel its callers."""
    for arrivals, ways in ARRIVALS.items():
        plain = Run(lead, native)
        await plain.play(arrivals)
        assert set(range(4)) == set(plain.results)
        for cancels in (c for way in ways for c in way(plain.moments)):
            run = Run(lead, native, cancels)
            await run.play(arrivals)
            spared = set(range(4)) - {caller for _, caller in cancels}
            assert spared <= set(run.results), run
            for caller, result in run.results.items():
                assert result in expected(lead, caller), run


@pytest.mark.slow
@pytest.mark.parametrize("lead", LEADS, ids=lambda lead: lead.__name__)
async def test_whoever_is_cancelled_at_any_moment_the_others_are_served(
    lead: Lead,
) -> None:
    """One or two leave, leading or following, and nobody else notices."""
    await check_all(lead, native=False)


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("lead", LEADS, ids=lambda lead: lead.__name__)
async def test_so_they_are_when_asyncio_itself_cancels(
    lead: Lead, anyio_backend: str
) -> None:
    """`Task.cancel`, which knows no scopes and comes once, does no more harm."""
    await check_all(lead, native=True)
