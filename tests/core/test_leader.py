"""
The leader/followers primitive: everyone is cancelled at every moment.

A *moment* is before and after each checkpoint of each caller, and between any two
results that a leader hands out. The tests of this file run one small group of
callers again and again, and at each moment cancel each of them, from inside and
from outside, by anyio's scopes and by asyncio's own `Task.cancel`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import coroutine
from typing import Any, Final, TypeVar

import anyio
import pytest
from anyio import lowlevel

from dp_core.backend import Follower, LeaderFollowers, LoopLocal

TURNS: Final = 400
"""A group that needs more turns of the event loop than this has lost a wake-up."""

NEAR: Final = 4
"""The second of two is cancelled at most this many moments later, less one."""

Lead = Callable[["Run", Follower[int, int]], Awaitable[None]]
Cancel = tuple[int, int]
"""At which moment to cancel, and which caller."""


T = TypeVar("T")


@coroutine
def stepped(
    operation: Coroutine[Any, Any, T], moment: Callable[[], None]
) -> Generator[Any, Any, T]:
    """Await *operation*, calling *moment* before and after each of its checkpoints."""
    resume: Any = operation.send
    value: Any = None
    while True:
        try:
            trap = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        moment()
        try:
            value = yield trap
            resume = operation.send
        except BaseException as error:  # noqa: BLE001 - it is passed on
            value, resume = error, operation.throw
        moment()


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


# The interface ---------------------------------------------------------------


async def company(group: LeaderFollowers[Any, Any], size: int) -> None:
    """Return when so many have joined the group."""
    while len(group) < size:
        await lowlevel.checkpoint()


async def gathered(*calls: Awaitable[Any]) -> list[Any]:
    """Return what all calls came to, errors too, in their order."""
    found: dict[int, Any] = {}

    async def keep(number: int, call: Awaitable[Any]) -> None:
        try:
            found[number] = await call
        except ValueError as error:
            found[number] = error

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number, call in enumerate(calls):
                tasks.start_soon(keep, number, call)
                # Trio would start them in any order.
                await lowlevel.checkpoint()
    return [found[number] for number in range(len(calls))]


async def test_those_who_come_together_are_served_by_one_lead() -> None:
    """A hundred callers take one turn of work, not a hundred."""
    rounds = 0

    async def lead(leader: Follower[int, int]) -> None:
        nonlocal rounds
        rounds += 1
        await company(group, 100)
        for follower in group:
            follower.set_result(follower.request)

    group = LeaderFollowers(lead)

    assert list(range(100)) == await gathered(
        *(Follower(group, number).join() for number in range(100))
    )
    assert 1 == rounds


async def test_who_comes_later_is_served_by_the_next_lead() -> None:
    """A look that began before it came does not count for it."""
    questions = count(1)
    asked = anyio.Event()

    async def lead(leader: Follower[None, int]) -> None:
        question, batch = next(questions), list(group)
        asked.set()
        for _ in range(5):
            await lowlevel.checkpoint()
        for follower in batch:
            follower.set_result(question)

    async def late() -> int:
        await asked.wait()
        return await Follower(group, None).join()

    group = LeaderFollowers(lead)

    assert [1, 2] == await gathered(Follower(group, None).join(), late())


async def test_followers_take_no_turns_while_they_wait() -> None:
    """However long a leader works, a follower is run when it is served."""
    turns = 0

    def moment() -> None:
        nonlocal turns
        turns += 1

    async def lead(leader: Follower[str, int]) -> None:
        for _ in range(100):
            await lowlevel.checkpoint()
        for follower in list(group)[::-1]:
            follower.set_result(1)
            for _ in range(100):
                await lowlevel.checkpoint()

    group = LeaderFollowers(lead)
    first, second = Follower(group, "a"), Follower(group, "b")

    assert [1, 1] == await gathered(first.join(), stepped(second.join(), moment))
    assert 2 == turns


async def test_whoever_came_first_leads_next() -> None:
    """Leaders follow each other in the order in which they came."""
    leaders = []

    async def lead(leader: Follower[int, None]) -> None:
        leaders.append(leader.request)
        await company(group, 6 - len(leaders))
        leader.set_result(None)

    group = LeaderFollowers(lead)
    await gathered(*(Follower(group, number).join() for number in range(5)))

    assert list(range(5)) == leaders


async def test_an_error_of_the_lead_is_its_callers_own() -> None:
    """A failure while one caller leads reaches no other."""
    failures = [ValueError("mine")]

    async def lead(leader: Follower[int, int]) -> None:
        await company(group, 2)
        if failures:
            raise failures.pop()
        for follower in group:
            follower.set_result(1)

    group = LeaderFollowers(lead)
    found = await gathered(*(Follower(group, number).join() for number in range(3)))

    assert ["mine", "1", "1"] == [str(result) for result in found]


async def test_everybody_raises_an_error_of_its_own() -> None:
    """One error for all has its text and cause, and a traceback for each."""
    cause = OSError("below")

    async def lead(leader: Follower[int, int]) -> None:
        await company(group, 3)
        error = ValueError("for all")
        error.__cause__ = cause
        for follower in group:
            follower.set_exception(error)

    group = LeaderFollowers(lead)
    found = await gathered(*(Follower(group, number).join() for number in range(3)))

    assert ["for all"] * 3 == [str(error) for error in found]
    assert [cause] * 3 == [error.__cause__ for error in found]
    assert 3 == len({id(error) for error in found})


async def test_an_error_that_cannot_be_copied_is_raised_itself() -> None:
    """Not every exception can be made again from its arguments."""

    class StubbornError(ValueError):
        def __init__(self, text: str, more: str) -> None:
            super().__init__(text)

    error = StubbornError("no", "copy")

    async def lead(leader: Follower[int, int]) -> None:
        await lowlevel.checkpoint()
        leader.set_exception(error)

    assert [error] == await gathered(Follower(LeaderFollowers(lead), 0).join())


async def test_the_first_result_counts() -> None:
    """A later one, also for a caller that has gone, changes nothing."""

    async def lead(leader: Follower[int, int]) -> None:
        await lowlevel.checkpoint()
        leader.set_result(1)
        leader.set_result(2)
        leader.set_exception(ValueError("late"))

    group = LeaderFollowers(lead)
    follower = Follower(group, 0)

    assert 1 == await follower.join()
    follower.set_result(3)
    assert follower.is_done
    assert 0 == len(group)


async def test_a_result_may_be_none() -> None:
    """None is a result like any other."""

    async def lead(leader: Follower[int, None]) -> None:
        await lowlevel.checkpoint()
        leader.set_result(None)

    assert [None] == await gathered(Follower(LeaderFollowers(lead), 0).join())


async def test_a_group_lists_those_without_a_result_in_order() -> None:
    """The leader is among them; who has a result is not, even before it runs."""
    seen: list[tuple[int, list[int]]] = []

    async def lead(leader: Follower[int, int]) -> None:
        await company(group, 3)
        for follower in group:
            seen.append((len(group), [f.request for f in group]))
            follower.set_result(0)
            await lowlevel.checkpoint()

    group = LeaderFollowers(lead)
    await gathered(*(Follower(group, number).join() for number in range(3)))

    assert [(3, [0, 1, 2]), (2, [1, 2]), (1, [2])] == seen


async def test_who_was_moved_knows_where_it_waits() -> None:
    """A follower names its group, and is served there behind those who were there."""
    order: list[str] = []

    async def move(leader: Follower[str, str]) -> None:
        await company(old, 2)
        await company(new, 1)
        old.move_to(new)

    async def serve(leader: Follower[str, str]) -> None:
        await company(new, 3)
        order.extend(follower.request for follower in new)
        for follower in new:
            follower.set_result("new" if follower.group is new else "old")

    old, new = LeaderFollowers(move), LeaderFollowers(serve)
    callers = Follower(old, "a"), Follower(old, "b"), Follower(new, "c")

    assert ["new"] * 3 == await gathered(*(caller.join() for caller in callers))
    assert ["c", "a", "b"] == order


async def test_who_led_before_it_was_moved_takes_no_turns_either() -> None:
    """That it was woken once, to lead, does not keep it awake."""
    turns: list[int] = []

    async def lead(leader: Follower[str, str]) -> None:
        if leader.request == "a":
            await company(old, 2)
            leader.set_result("old")
        else:
            # Else it would lead there, too.
            await company(new, 1)
            old.move_to(new)

    async def serve(leader: Follower[str, str]) -> None:
        await company(new, 2)
        # What was woken by the move may sleep again.
        await lowlevel.checkpoint()
        before = len(turns)
        for _ in range(100):
            await lowlevel.checkpoint()
        for follower in new:
            follower.set_result(f"{len(turns) - before}")

    old, new = LeaderFollowers(lead), LeaderFollowers(serve)
    a, b, c = Follower(old, "a"), Follower(old, "b"), Follower(new, "c")

    assert ["old", "0", "0"] == await gathered(
        a.join(), stepped(b.join(), lambda: turns.append(1)), c.join()
    )


# A value for each event loop -------------------------------------------------


def test_each_event_loop_has_a_value_of_its_own(anyio_backend: str) -> None:
    """It is made once for each, and goes away with the loop."""
    made = count()
    local = LoopLocal(lambda: next(made))

    async def values() -> list[int]:
        return [local.get(), local.get()]

    found = [anyio.run(values, backend=anyio_backend) for _ in range(2)]

    assert [[0, 0], [1, 1]] == found


async def test_two_of_them_do_not_share() -> None:
    """Each `LoopLocal` has its own values."""
    assert (1, 2) == (LoopLocal(lambda: 1).get(), LoopLocal(lambda: 2).get())
