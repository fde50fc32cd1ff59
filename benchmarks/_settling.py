"""Rates of settles, of tasks that settle together, and of a store that is full."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio

import dp_core as dp
from dp_core.backend import Backend

__all__ = [
    "ROUNDS",
    "TASKS",
    "Rate",
    "full",
    "numbers",
    "peeking",
    "rate",
    "settling",
    "shown",
    "together",
]

ROUNDS: Final = 5
TASKS: Final = {1: 300, 64: 6_000, 1024: 20_000}
PEEKS: Final = 20_000

numbers = itertools.count()


@dataclass(frozen=True)
class Rate:
    """Calls a second, and microseconds of CPU for each."""

    wall: float
    cpu: float


async def rate(count: int, work: Callable[[], Awaitable[object]]) -> Rate:
    """Return how fast *work* does a number of calls."""
    start, cpu = time.perf_counter(), time.process_time()
    await work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return Rate(count / seconds, cpu / count * 1e6)


async def together(
    tasks: int, count: int, call: Callable[[], Awaitable[object]]
) -> None:
    """Make calls by a number of tasks."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await call()

    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(work)


def settling(backend: Backend) -> Callable[[], Awaitable[object]]:
    """Return a call that settles a new promise."""
    outcome = dp.Resolved(b'"Completed"')
    return lambda: backend.settle(f"promise-{next(numbers)}", outcome)


async def peeking(backend: Backend) -> Rate:
    """Return how fast 64 tasks look at a promise that is settled."""
    await backend.settle("settled", dp.Resolved(b"1"))
    call = lambda: backend.peek("settled")  # noqa: E731 - one line
    return await rate(PEEKS, lambda: together(64, PEEKS, call))


def shown(rates: list[Rate], base: list[Rate]) -> str:
    """Return the median of some rates, and of their ratios to others."""
    ratio = statistics.median(r.wall / b.wall for r, b in zip(rates, base, strict=True))
    wall = statistics.median(r.wall for r in rates)
    cpu = statistics.median(r.cpu for r in rates)
    return f"{ratio:6.2f} times as fast  ({wall:,.0f}/s, {cpu:.0f} us of CPU each)"


async def full(large_url: str, empty_url: str, count: int) -> None:
    """Compare a store of many promises with an empty one; fill it first."""
    # A lone look goes to a thread and back, which takes 40 us on one core and 120 us
    # between two; which it is, the scheduler decides for each store anew.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    async with dp.connect(large_url) as large, dp.connect(empty_url) as empty:
        filled = await rate(
            count, lambda: together(1024, count, settling(large.backend))
        )
        print(f"filled with {count:,} promises at {filled.wall:,.0f}/s")
        await together(64, 2_000, settling(empty.backend))
        infos = [info async for info in _first(large)]
        known = infos[len(infos) // 2].id

        async def page(promises: dp.Promises) -> None:
            await promises.backend.list(dp.Query(), None, 1000)  # type: ignore[attr-defined]

        ways: dict[str, tuple[int, Callable[[dp.Promises], Awaitable[object]]]] = {
            "one settle after another": (
                300,
                lambda p: together(1, 300, settling(p.backend)),
            ),
            "settles, 64 tasks": (
                6_000,
                lambda p: together(64, 6_000, settling(p.backend)),
            ),
            "a peek": (300, lambda p: together(1, 300, lambda: p.backend.peek(known))),
            "a page of 1,000": (1, page),
        }
        for name, (calls, way) in ways.items():
            ratios = []
            for _ in range(ROUNDS):
                there = await rate(calls, lambda w=way: w(empty))
                here = await rate(calls, lambda w=way: w(large))
                ratios.append(there.wall / here.wall)
            print(
                f"  {name}: takes {statistics.median(ratios):.2f} of an empty store's"
            )


async def _first(promises: dp.Promises):  # noqa: ANN202 - a generator of infos
    count = 0
    async for info in promises.list():
        yield info
        count += 1
        if count == 1000:
            return
