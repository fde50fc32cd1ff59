"""
Measures the SQLite store beside a plain loop of commits with the same driver.

Usage: ``python benchmarks/bench_sqlite.py [--full 1000000] [--directory DIRECTORY]``

Prints, from one run and for both event loops: settles a second, one after another and
with 64 and 1,024 tasks, as ratios to a loop that commits one row at a time with
``journal_mode = WAL`` and ``synchronous = FULL``; the CPU of a settle; peeks of
settled promises; how long after the acknowledgement a waiter in another process has its
value; and how a store that is full compares with an empty one. Rounds take turns, so
that whatever else the machine does meets all of them; figures are medians.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio
import apsw
from _waking import wake

import dp_core as dp
from dp_core.backend import Backend

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


class Loop:
    """The plain loop: a row, a commit, and the next."""

    def __init__(self, path: str) -> None:
        self._database = apsw.Connection(path)
        self._database.pragma("journal_mode", "wal")
        self._database.pragma("synchronous", "full")
        self._database.execute("CREATE TABLE t (id BLOB PRIMARY KEY, value BLOB)")

    async def run(self, count: int) -> None:
        for _ in range(count):
            row = (b"promise-%d" % next(numbers), b'"Completed"')
            self._database.execute("INSERT INTO t VALUES (?, ?)", row)


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


def shown(rates: list[Rate], base: list[Rate]) -> str:
    """Return the median of some rates, and of their ratios to others."""
    ratio = statistics.median(r.wall / b.wall for r, b in zip(rates, base, strict=True))
    wall = statistics.median(r.wall for r in rates)
    cpu = statistics.median(r.cpu for r in rates)
    return f"{ratio:6.2f} of the loop  ({wall:,.0f}/s, {cpu:.0f} us of CPU each)"


async def speed(root: str, loop: str) -> None:
    """Compare settles with the loop, in turns."""
    plain = Loop(f"{root}/loop.db")
    found: dict[int, list[Rate]] = {tasks: [] for tasks in (0, *TASKS)}
    async with dp.connect(f"sqlite:{root}/promises.db") as promises:
        call = settling(promises.backend)
        await call()
        for _ in range(ROUNDS):
            count = TASKS[1]
            found[0].append(await rate(count, lambda: plain.run(TASKS[1])))
            for tasks, count in TASKS.items():
                found[tasks].append(
                    await rate(count, lambda t=tasks, n=count: together(t, n, call))
                )
        peek = lambda: promises.backend.peek("promise-0")  # noqa: E731 - one line
        await promises.backend.settle("promise-0", dp.Resolved(b"1"))
        peeks = await rate(PEEKS, lambda: together(64, PEEKS, peek))
    print(
        f"{loop}: the loop commits {statistics.median(r.wall for r in found[0]):,.0f}/s"
    )
    for tasks in TASKS:
        print(f"  settles, {tasks:5} tasks: {shown(found[tasks], found[0])}")
    print(
        f"  peeks,      64 tasks: {peeks.wall:,.0f}/s, {peeks.cpu:.0f} us of CPU each"
    )


async def wake_up(root: str, loop: str) -> None:
    """Measure from the acknowledgement to the value in another process."""
    measured = await wake(f"sqlite:{root}/wake.db", loop)
    print(f"  wake-up in another process: {measured}")


async def full(root: str, count: int) -> None:
    """Compare a store of many promises with an empty one."""
    async with (
        dp.connect(f"sqlite:{root}/full.db") as large,
        dp.connect(f"sqlite:{root}/empty.db") as empty,
    ):
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


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--full", type=int, default=1_000_000, help="0: not tried")
    parser.add_argument("--directory", help="on the disk to measure")
    arguments = parser.parse_args()
    for loop in ("asyncio", "trio"):
        with tempfile.TemporaryDirectory(dir=arguments.directory) as root:
            anyio.run(speed, root, loop, backend=loop)
            anyio.run(wake_up, root, loop, backend=loop)
    if arguments.full:
        with tempfile.TemporaryDirectory(dir=arguments.directory) as root:
            anyio.run(full, root, arguments.full)


if __name__ == "__main__":
    main()
