"""
Measures calls of `dp_core.sync` against the same calls of `dp_core`.

Prints, from one run: how long a lone call takes by the blocking and by the async
class, on each kind of store; how many promises 64 threads settle, against 64 tasks;
and the cost of a thousand blocked threads at rest. Rounds take turns; figures are
medians.

    python benchmarks/bench_sync.py [directory]
"""

from __future__ import annotations

import asyncio
import itertools
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from _serving import serving

import dp_core
import dp_core.sync

ROUNDS: Final = 9
CALLS: Final = 100
TASKS: Final = 64
BLOCKED: Final = 1_000
REST: Final = 10.0

ids = itertools.count()

OPERATIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "peek": lambda promises: promises.promise(f"p{next(ids)}").peek(),
    "peek, settled": lambda promises: promises.promise("settled").peek(),
    "get, settled": lambda promises: promises.promise("settled").get(),
    "resolve": lambda promises: promises.promise(f"p{next(ids)}").resolve(1),
}


def blocking(operation: Callable[[Any], Any], promises: dp_core.sync.Promises) -> float:
    """Return the microseconds of a call, one after another."""
    begun = time.perf_counter()
    for _ in range(CALLS):
        operation(promises)
    return (time.perf_counter() - begun) / CALLS * 1e6


async def awaiting(
    operation: Callable[[Any], Any], promises: dp_core.Promises
) -> float:
    """Return the same for the async class."""
    begun = time.perf_counter()
    for _ in range(CALLS):
        await operation(promises)
    return (time.perf_counter() - begun) / CALLS * 1e6


def threads(promises: dp_core.sync.Promises) -> float:
    """Return how many promises many threads settle in a second."""

    def work() -> None:
        for _ in range(CALLS // 5):
            promises.promise(f"p{next(ids)}").resolve(1)

    begun = time.perf_counter()
    workers = [threading.Thread(target=work) for _ in range(TASKS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return TASKS * (CALLS // 5) / (time.perf_counter() - begun)


async def tasks(promises: dp_core.Promises) -> float:
    """Return how many promises as many tasks settle in a second."""

    async def work() -> None:
        for _ in range(CALLS // 5):
            await promises.promise(f"p{next(ids)}").resolve(1)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(TASKS)))
    return TASKS * (CALLS // 5) / (time.perf_counter() - begun)


def measure(name: str, url: str, loop: asyncio.AbstractEventLoop) -> None:
    """Print the figures of one store."""
    ours, theirs = dp_core.sync.connect(url), dp_core.connect(url)
    ours.promise("settled").resolve("value")
    for what, operation in OPERATIONS.items():
        both: tuple[list[float], list[float]] = [], []
        for _ in range(ROUNDS):
            both[0].append(loop.run_until_complete(awaiting(operation, theirs)))
            both[1].append(blocking(operation, ours))
        waited, blocked = map(statistics.median, both)
        print(
            f"{name:8} {what:14} async {waited:7.0f} µs   blocking {blocked:7.0f} µs"
            f"   {blocked / waited:5.2f}"
        )
    rates: tuple[list[float], list[float]] = [], []
    for _ in range(ROUNDS // 3):
        rates[0].append(loop.run_until_complete(tasks(theirs)))
        rates[1].append(threads(ours))
    many, together = map(statistics.median, rates)
    print(
        f"{name:8} {TASKS} settle      tasks {many:7.0f} /s"
        f"   threads  {together:7.0f} /s"
        f"   {together / many:5.2f}"
    )
    loop.run_until_complete(theirs.aclose())
    ours.close()


def rest(url: str) -> None:
    """Print the cost of blocked threads."""
    promises = dp_core.sync.connect(url)
    waits = [
        threading.Thread(target=promises.promise(f"blocked {n}").get, daemon=True)
        for n in range(BLOCKED)
    ]
    for wait in waits:
        wait.start()
    time.sleep(2)
    used = time.process_time()
    time.sleep(REST)
    busy = (time.process_time() - used) / REST
    print(f"{BLOCKED} blocked threads: {threading.active_count()} threads in all,")
    files = len(list(Path("/proc/self/fd").iterdir()))
    print(f"  {files} files open, {busy:.2%} of a core,")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"  {memory / 1024:.0f} MB at most in all of this process")
    for n in range(BLOCKED):
        promises.promise(f"blocked {n}").resolve(n)
    settled = time.perf_counter()
    for wait in waits:
        wait.join()
    told = time.perf_counter() - settled
    print(f"  all told {told:.2f} s after the last settle")
    promises.close()


def main() -> None:
    """Measure, in a directory that is removed."""
    loop = asyncio.new_event_loop()
    base = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=base) as directory:
        measure("memory", "memory:", loop)
        measure("file", f"file:{directory}/promises", loop)
        measure("sqlite", f"sqlite:{directory}/promises.db", loop)
        with serving(f"sqlite:{directory}/served.db") as (url, _):
            measure("http", url, loop)
        rest(f"file:{directory}/promises")
    loop.close()


if __name__ == "__main__":
    main()
