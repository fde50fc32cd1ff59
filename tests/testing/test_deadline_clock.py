"""Tests with deadlines that take no time, as those who use the library write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import anyio
import pytest
import time_machine

import dp_core as dp
from dp_core.testing import DeadlineClock

STORES = count()
DAYS = timedelta(days=3)


@pytest.fixture(params=["memory", "file", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a store of this process, each kind in turn."""
    if request.param != "memory":
        return f"{request.param}:{tmp_path}/promises"
    return f"memory:clock-{next(STORES)}"


async def test_days_pass_in_no_time(deadline_clock: DeadlineClock, url: str) -> None:
    """Waiters are told at once when the clock is moved past their deadline."""
    promises = dp.connect(url)
    promise = await promises.create("a", deadline=DAYS)
    told: list[str] = []

    async def wait() -> None:
        with pytest.raises(dp.PromiseRejectedError, match="deadline passed"):
            await promise.get()
        told.append("a")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            deadline_clock.advance(DAYS - timedelta(minutes=1))
            assert dp.Pending() == await promise.peek()
            assert [] == told
            deadline_clock.advance(timedelta(minutes=1))

    assert ["a"] == told
    assert (await promise.info()).expired


async def test_another_clock_of_tests_is_followed(url: str) -> None:
    """Who has time-machine moves the clock by that."""
    promise = await dp.connect(url).create("a", deadline=DAYS)
    assert dp.Pending() == await promise.peek()

    with time_machine.travel(datetime.now(UTC) + DAYS + timedelta(seconds=1)):
        assert dp.Rejected("deadline passed") == await promise.peek()
    assert (await promise.info()).expired


async def test_what_was_settled_stays_though_the_clock_goes_back(
    deadline_clock: DeadlineClock, url: str
) -> None:
    """A clock decides when, never what."""
    promises = dp.connect(url)
    over = await promises.create("a", deadline=timedelta(seconds=1))
    early = await promises.create("b", deadline=timedelta(seconds=1))
    await early.resolve("in time")
    deadline_clock.advance(timedelta(hours=1))

    assert dp.Rejected("deadline passed") == await over.peek()
    deadline_clock.advance(-timedelta(days=1))
    assert dp.Rejected("deadline passed") == await over.resolve("again")
    assert dp.Resolved("in time") == await early.peek()


def test_the_clock_is_the_systems_again() -> None:
    """Nothing moves it outside of its block, whatever happens inside."""
    clock = DeadlineClock()

    def fail() -> None:
        with clock:
            clock.advance(DAYS)
            assert timedelta(hours=1) < clock.now - datetime.now(UTC)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert abs(clock.now - datetime.now(UTC)) < timedelta(hours=1)
    with pytest.raises(RuntimeError, match="in its block"):
        clock.advance(DAYS)


def test_a_number_is_no_length_of_time(deadline_clock: DeadlineClock) -> None:
    """The error says what to write, and the clock stays where it was."""
    before = deadline_clock.now
    with pytest.raises(TypeError, match=r"3 is not .* write a timedelta"):
        deadline_clock.advance(3)  # type: ignore[arg-type]
    assert deadline_clock.now - before < DAYS


def test_blocks_may_be_nested() -> None:
    """The inner one ends where it began."""
    with DeadlineClock() as outer:
        outer.advance(DAYS)
        with DeadlineClock() as inner:
            inner.advance(DAYS)
        assert timedelta(days=2) < inner.now - datetime.now(UTC) < timedelta(days=4)
