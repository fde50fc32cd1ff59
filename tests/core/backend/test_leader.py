"""The leader/followers primitive: who leads, who is served, and what each gets."""

from __future__ import annotations

from collections.abc import Awaitable
from itertools import count
from typing import Any

import anyio
from anyio import lowlevel

from dp_core.backend import Follower, LeaderFollowers
from support.core.checkpoints import stepped


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
