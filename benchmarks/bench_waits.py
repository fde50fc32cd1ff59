"""
Costs of waiting: memory for each waiter, and CPU at rest.

Usage: ``python benchmarks/bench_waits.py [--waiters 20000] [--settle 60] [URL ...]``

As many tasks as there are ids wait in ``get()``. Memory is the resident set of the
process less that of as many tasks on a bare future, per waiter; CPU at rest is the
process's own time over ten seconds, after *settle* seconds in which it came to rest.
Each store has a process of its own.
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
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import dp_core as dp

_REST: Final = 10.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Return the size of the resident set, in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE


async def bare() -> None:
    """Wait for a future."""
    await asyncio.get_running_loop().create_future()


async def begin(waits: list[Awaitable[Any]]) -> tuple[float, list[asyncio.Task[Any]]]:
    """Start tasks; return what each has added to the resident set, in bytes."""
    before = resident()
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    waits.clear()
    # Until this process has nothing to do.
    busy = 1.0
    while busy > 0.2:  # of a core
        cpu = time.process_time()
        await asyncio.sleep(1)
        busy = time.process_time() - cpu
    return (resident() - before) / len(tasks), tasks


async def measure(url: str, waiters: int, settle: float) -> None:
    """Print what so many waiters of a store cost."""
    base, futures = await begin([bare() for _ in range(waiters)])
    for future in futures:
        future.cancel()
    await asyncio.wait(futures)
    futures.clear()
    async with dp.connect(url) as promises:
        handles = [promises.promise(f"promise-{n}") for n in range(waiters)]
        await promises.promise("other").resolve(None)
        size, tasks = await begin([handle.get() for handle in handles])
        await asyncio.sleep(settle)
        cpu, clock = time.process_time(), time.perf_counter()
        await asyncio.sleep(_REST)
        rest = (time.process_time() - cpu) / (time.perf_counter() - clock)
        line = f"{url.partition(':')[0]:8}{size - base:7,.0f} bytes a waiter"
        print(f"{line}   {rest:6.2%} of a core at rest", flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def main() -> None:
    """Measure each store in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--waiters", type=int, default=20_000)
    parser.add_argument("--settle", type=float, default=60.0)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("urls", nargs="*")
    options = parser.parse_args()
    if options.here:
        (url,) = options.urls
        asyncio.run(measure(url, options.waiters, options.settle))
        return
    with tempfile.TemporaryDirectory() as folder:
        urls = options.urls or [
            "memory:",
            f"file:{folder}/store",
            f"sqlite:{folder}/store.db",
        ]
        numbers = [f"--waiters={options.waiters}", f"--settle={options.settle}"]
        for url in urls:
            subprocess.run(
                [sys.executable, __file__, "--here", *numbers, url], check=True
            )


if __name__ == "__main__":
    main()
