"""
Measures settles over HTTP beside a plain loop of commits on the same disk.

Usage: ``python benchmarks/bench_batch.py [--rounds 5] [--directory DIRECTORY]``

One ``dp serve --url sqlite:`` answers our client, which settles with 1 and with 64
tasks; and in turns with that, in the same run, a loop commits one row at a time by
SQLite with ``journal_mode = WAL`` and ``synchronous = FULL``. The goal is twice the
loop with 64 tasks, where the disk lets the loop make 3,600 a second. Printed are
medians of the ratios, and the CPU of a settle in the client and in the server, which
other programs on the machine disturb less than they do the wall clock.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Final

import anyio
import apsw
from _serving import cpu_seconds, serving

import dp_core as dp

TASKS: Final = {1: 400, 64: 12_000}
LOOP: Final = 1_000

numbers = itertools.count()


@dataclass(frozen=True)
class Cost:
    """Settles a second; microseconds of CPU for each, in the client and the server."""

    wall: float
    client: float
    server: float


async def settle(promises: dp.Promises, tasks: int, count: int) -> None:
    """Settle so many new promises by a number of tasks."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await promises.promise(f"promise-{next(numbers)}").resolve("Completed")

    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(work)


def loop(database: apsw.Connection) -> float:
    """Return how many rows a second are committed, one by one."""
    began = time.perf_counter()
    for _ in range(LOOP):
        row = (b"promise-%d" % next(numbers), b'"Completed"')
        database.execute("INSERT INTO t VALUES (?, ?)", row)
    return LOOP / (time.perf_counter() - began)


async def compare(root: str, rounds: int) -> None:
    """Measure in turns, and print what was found."""
    database = apsw.Connection(f"{root}/loop.db")
    database.pragma("journal_mode", "wal")
    database.pragma("synchronous", "full")
    database.execute("CREATE TABLE t (id BLOB PRIMARY KEY, value BLOB)")
    plain: list[float] = []
    found: dict[int, list[Cost]] = {tasks: [] for tasks in TASKS}
    with serving(f"sqlite:{root}/promises.db") as (url, pid):
        async with dp.connect(url) as promises:
            await settle(promises, 64, 1000)
            for _ in range(rounds):
                plain.append(loop(database))
                for tasks, count in TASKS.items():
                    began, cpu = time.perf_counter(), time.process_time()
                    theirs = cpu_seconds(pid)
                    await settle(promises, tasks, count)
                    found[tasks].append(
                        Cost(
                            count / (time.perf_counter() - began),
                            (time.process_time() - cpu) / count * 1e6,
                            (cpu_seconds(pid) - theirs) / count * 1e6,
                        )
                    )
    print(f"the loop commits {statistics.median(plain):,.0f}/s")
    for tasks, costs in found.items():
        ratio = statistics.median(c.wall / p for c, p in zip(costs, plain, strict=True))
        wall, client, server = (
            statistics.median(getattr(cost, name) for cost in costs)
            for name in ("wall", "client", "server")
        )
        print(
            f"{tasks:3} at once: {ratio:5.2f} of the loop ({wall:,.0f}/s; CPU "
            f"{client:,.0f} µs in the client, {server:,.0f} µs in the server)"
        )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="the median counts")
    parser.add_argument("--directory", help="on the disk to measure")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.directory) as root:
        anyio.run(compare, root, asked.rounds)


if __name__ == "__main__":
    main()
