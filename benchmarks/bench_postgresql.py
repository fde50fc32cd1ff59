"""
Measures the PostgreSQL store beside what people write by hand with asyncpg.

Usage: ``python benchmarks/bench_postgresql.py [--full 1000000] [--waits 10000]``

Starts a server of its own in a temporary directory, with ``fsync`` as it is by default.
Prints, from one run and for both event loops: settles a second of 64 and of 1,024
tasks, as ratios to a pool of 64 connections of asyncpg that settles one promise at a
time (`_asyncpg_loop`); one settle after another; the CPU of a settle in this process;
peeks of settled promises; how long after the acknowledgement a waiter in another
process has its value; how a store that is full compares with an empty one; and what
many waits cost while nothing happens, here and in the server. Rounds take turns;
figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Final

import anyio
import psutil
from _asyncpg_loop import asyncpg_settles
from _settling import (
    ROUNDS,
    TASKS,
    Rate,
    full,
    peeking,
    rate,
    settling,
    shown,
    together,
)
from _waking import wake
from anyio import to_thread

import dp_core as dp

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.postgresql.server import PostgresServer, find_programs

SECONDS: Final = 2.0
"""For how long asyncpg settles in each round."""

REST: Final = 20.0
"""Seconds of waiting at rest that are measured."""

# Those of the tests are for servers that come and go.
SETTINGS: Final = {
    "autovacuum": "on",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "max_connections": "100",
}


async def speed(server: PostgresServer, loop: str) -> None:
    """Compare settles with asyncpg's, in turns."""
    by_hand: list[Rate] = []
    found: dict[int, list[Rate]] = {tasks: [] for tasks in TASKS}
    dsn = server.url()
    async with dp.connect(server.url(schema=server.new_schema())) as promises:
        call = settling(promises.backend)
        await call()
        for _ in range(ROUNDS):
            wall = await to_thread.run_sync(asyncpg_settles, dsn, SECONDS)
            by_hand.append(Rate(wall, 0.0))
            for tasks, count in TASKS.items():
                found[tasks].append(
                    await rate(count, lambda t=tasks, n=count: together(t, n, call))
                )
        peeks = await peeking(promises.backend)
    wall = statistics.median(r.wall for r in by_hand)
    print(f"{loop}: a pool of 64 by hand settles {wall:,.0f}/s")
    for tasks in TASKS:
        print(f"  settles, {tasks:5} tasks: {shown(found[tasks], by_hand)}")
    print(
        f"  peeks,      64 tasks: {peeks.wall:,.0f}/s, {peeks.cpu:.0f} us of CPU each"
    )


async def rest(server: PostgresServer, waits: int) -> None:
    """Measure what many waits cost while nothing happens."""
    processes = psutil.Process(server.pid)

    def used() -> tuple[float, float]:
        there = (processes, *processes.children(recursive=True))
        return time.process_time(), sum(sum(p.cpu_times()[:2]) for p in there)

    async with (
        dp.connect(server.url(schema=server.new_schema())) as promises,
        anyio.create_task_group() as group,
    ):
        for number in range(waits):
            group.start_soon(promises.promise(f"wait-{number}").get)
        await promises.promise("settled").resolve(1)
        await anyio.sleep(3.0)
        before = used()
        await anyio.sleep(REST)
        here, there = (now - then for now, then in zip(used(), before, strict=True))
        group.cancel_scope.cancel()
    print(
        f"{waits:,} waits at rest: {here / REST:.2%} of a core here, "
        f"{there / REST:.2%} in the server"
    )


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--full", type=int, default=1_000_000, help="0: not tried")
    parser.add_argument("--waits", type=int, default=10_000, help="0: not tried")
    arguments = parser.parse_args()
    if find_programs() is None:
        print("not measured: no PostgreSQL is installed")
        return
    server = PostgresServer(**SETTINGS)
    try:
        server.create()
        for loop in ("asyncio", "trio"):
            anyio.run(speed, server, loop, backend=loop)
            url = server.url(schema=server.new_schema())
            print(f"  wake-up in another process: {anyio.run(wake, url, loop)}")
        if arguments.full:
            urls = [server.url(schema=server.new_schema()) for _ in range(2)]
            anyio.run(full, *urls, arguments.full)
        if arguments.waits:
            anyio.run(rest, server, arguments.waits)
    finally:
        server.close()


if __name__ == "__main__":
    main()
