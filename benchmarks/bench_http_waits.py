"""
Costs of waiting over HTTP: memory for each waiter, CPU at rest, the time to be told.

Usage: ``python benchmarks/bench_http_waits.py [--waiters 100000] [--settle 10] [--trio]
[STORE ...]``

As many tasks as there are ids wait in ``get()`` of one client, before one ``dp serve``
on each store. Memory of the client is its resident set less that of as many tasks which
wait for nothing, and that of the server what its resident set has grown by; both a
waiter. CPU at rest is the time of both over ten seconds, *settle* seconds after they
came to rest. Then another process settles all promises in one sweep. The goals for
100,000: 3 KB in each, under 2 % of a core, all told within 10 seconds of the sweep.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import anyio
import trio
from _serving import cpu_seconds, serving

import dp_core as dp
from dp_backends.http import HttpBackend

_REST: Final = 10.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

SETTLER: Final = """
import sys, time, anyio, dp_core as dp
async def main():
    left = iter(range(int(sys.argv[2])))
    async with dp.connect(sys.argv[1]) as promises:
        async def settle():
            for n in left:
                await promises.promise(f"promise-{n}").resolve(n)
        async with anyio.create_task_group() as group:
            for _ in range(256):
                group.start_soon(settle)
    print(time.monotonic())
anyio.run(main)
"""


def resident(pid: int) -> int:
    """Return the size of the resident set of a process, in bytes."""
    gc.collect()
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE


async def used(seconds: float, *pids: int) -> float:
    """Return the part of a core that processes use for so long."""
    cpu, clock = cpu_seconds(*pids), time.perf_counter()
    await anyio.sleep(seconds)
    return (cpu_seconds(*pids) - cpu) / (time.perf_counter() - clock)


async def nothing() -> None:
    """Wait for nothing."""
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        await asyncio.get_running_loop().create_future()
    else:
        abort = trio.lowlevel.Abort.SUCCEEDED
        await trio.lowlevel.wait_task_rescheduled(lambda _: abort)


async def rest_of(*pids: int) -> None:
    """Return once processes do nothing."""
    while await used(2, *pids) > 0.1:  # of a core
        pass


async def measure_nothing(waiters: int) -> None:
    """Print what so many tasks add to this process that wait for nothing."""
    before = resident(os.getpid())
    async with anyio.create_task_group() as group:
        for _ in range(waiters):
            group.start_soon(nothing)
        await rest_of(os.getpid())
        print(resident(os.getpid()) - before)
        group.cancel_scope.cancel()


async def measure(store: str, base: int, waiters: int, settle: float) -> None:
    """Print what so many waiters cost, whose tasks cost *base*."""
    with serving(store) as (url, pid):
        async with dp.connect(url) as promises:
            await measure_waits(promises, pid, base, waiters, settle)


async def measure_waits(
    promises: dp.Promises, pid: int, base: int, waiters: int, settle: float
) -> None:
    """Print what so many waiters of a server cost."""
    me, backend = os.getpid(), promises.backend
    assert isinstance(backend, HttpBackend)
    handles = [promises.promise(f"promise-{n}") for n in range(waiters)]
    await promises.promise("other").resolve(None)
    ours, theirs = resident(me), resident(pid)
    began = time.monotonic()
    async with anyio.create_task_group() as group:
        for handle in handles:
            group.start_soon(handle.get)
        while backend.stats().watched < waiters:  # noqa: ASYNC110 - tells nobody
            await anyio.sleep(0.1)
        begun = time.monotonic() - began
        await rest_of(me, pid)
        size = resident(me) - ours - base
        grown = resident(pid) - theirs
        await anyio.sleep(settle)
        rest = await used(_REST, me, pid)
        swept = await anyio.to_thread.run_sync(sweep, promises.url, waiters)
    told = time.monotonic() - swept
    print(
        f"{size / waiters:7,.0f} bytes a waiter in the client, {grown / waiters:,.0f} "
        f"in the server; all begun within {begun:.1f} s; {rest:.2%} of a core at rest; "
        f"told {told:.1f} s after the sweep",
        flush=True,
    )


def sweep(url: str, count: int) -> float:
    """Settle all promises from another process; return when that was done."""
    done = subprocess.run(
        [sys.executable, "-c", SETTLER, url, str(count)],
        check=True,
        stdout=subprocess.PIPE,
    )
    return float(done.stdout)


def main() -> None:
    """Measure each store in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--waiters", type=int, default=100_000)
    parser.add_argument("--settle", type=float, default=10.0)
    parser.add_argument("--trio", action="store_true", help="in place of asyncio")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    parser.add_argument("stores", nargs="*")
    asked = parser.parse_args()
    loop = "trio" if asked.trio else "asyncio"
    match asked.part, asked.stores:
        case None, stores:
            measure_all(stores)
        case -1, _:
            anyio.run(measure_nothing, asked.waiters, backend=loop)
        case base, [store]:
            print(f"{store.partition(':')[0]:7} {loop:8}", end="", flush=True)
            anyio.run(measure, store, base, asked.waiters, asked.settle, backend=loop)


def measure_all(stores: list[str]) -> None:
    """Measure each store in a process of its own."""
    asked = [word for word in sys.argv[1:] if word not in stores]

    def run(*more: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, __file__, *asked, *more]
        return subprocess.run(command, check=True, text=True, **options)

    base = run("--part=-1", stdout=subprocess.PIPE).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        for store in stores or ["memory:", f"sqlite:{folder}/store.db"]:
            run(f"--part={base}", store)


if __name__ == "__main__":
    main()
