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
import statistics
import tempfile

import anyio
import apsw
from _settling import (
    ROUNDS,
    TASKS,
    Rate,
    full,
    numbers,
    peeking,
    rate,
    settling,
    shown,
    together,
)
from _waking import wake

import dp_core as dp


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
        peeks = await peeking(promises.backend)
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
            urls = f"sqlite:{root}/full.db", f"sqlite:{root}/empty.db"
            anyio.run(full, *urls, arguments.full)


if __name__ == "__main__":
    main()
