"""
Measures the cost of the file backend beyond the system calls it is made of.

Prints, from one run and for both event loops: how settling one promise after another
compares with the bare protocol in a plain loop, and with the bare protocol in a worker
thread; how 64 tasks compare with the bare protocol in 8 threads, by the number of
threads that a handle may have; how long after the acknowledgement a waiter in another
process has its value, and how long 10,000 waiters on one promise take. Rounds take
turns, in the same directories; figures are medians.

To leave the event loop free, a settle hops to a worker thread and back: the faster the
disk, the more it shows. So look at it on a disk, and on a tmpfs, where nothing waits.

On ext4 take a new file system, on which nothing was removed: inodes that were freed in
the last minutes are not used again, and the search for others took half of all CPU, of
the bare protocol as well, on a disk of temporary files.

    mkfs.ext4 disk.img 4G && mount -o loop disk.img mnt
    python benchmarks/bench_file.py [directory]
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final
from unittest.mock import patch

import anyio
from _waking import wake

import dp_core as dp
from dp_backends import file

ROUNDS: Final = 7
SETTLES: Final = 100
TASKS: Final = 64
BARE_THREADS: Final = 8
THREADS: Final = (1, 2, 4, 8, 16, 32)
TOGETHER: Final = 1_000
WAITERS: Final = 10_000

numbers = itertools.count()


@dataclass(frozen=True)
class Cost:
    """Microseconds of a settle, by the clock and of the processor."""

    wall: float
    cpu: float


async def cost(count: int, work: Callable[[], Awaitable[object]]) -> Cost:
    """Return what a settle costs, of a number of them."""
    start, cpu = time.perf_counter(), time.process_time()
    await work()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    return Cost(wall / count * 1e6, cpu / count * 1e6)


def bare_settle(store: str, number: int) -> None:
    """Do what the protocol needs, and nothing else."""
    directory = f"{store}/p/{sha256(b'%d' % number).hexdigest()[:2]}"
    temporary = f"{directory}/.t-{number}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, b"x" * 300)
    os.fsync(fd)
    os.close(fd)
    os.link(temporary, f"{directory}/{number}")
    fd = os.open(directory, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    Path(temporary).unlink()


async def turns(
    ways: dict[str, tuple[int, Callable[[], Awaitable[object]]]],
) -> dict[str, list[Cost]]:
    """Return what each way costs, again and again."""
    found: dict[str, list[Cost]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, (count, work) in ways.items():
            found[way].append(await cost(count, work))
    return found


def ratio(base: list[Cost], ours: list[Cost]) -> float:
    """Return the median of how many settles there are for one of the base's."""
    return statistics.median(b.wall / o.wall for b, o in zip(base, ours, strict=True))


def shown(costs: list[Cost]) -> str:
    """Return medians of costs."""
    wall = statistics.median(c.wall for c in costs)
    cpu = statistics.median(c.cpu for c in costs)
    return f"{1e6 / wall:,.0f}/s, {cpu:.0f} us of CPU each"


async def one_after_another(store: str, promises: dp.Promises) -> None:
    """Compare settling one promise after another with the bare protocol."""

    async def plain() -> None:
        for _ in range(SETTLES):
            bare_settle(store, next(numbers))

    async def hopping() -> None:
        for _ in range(SETTLES):
            await anyio.to_thread.run_sync(bare_settle, store, next(numbers))

    async def ours() -> None:
        for _ in range(SETTLES):
            await promises.promise(f"{next(numbers)}").resolve("Completed by 12345")

    found = await turns({f.__name__: (SETTLES, f) for f in (plain, hopping, ours)})
    for way, costs in found.items():
        print(f"  {way:>8}: {shown(costs)}")
    print(
        f"  one after another: {ratio(found['plain'], found['ours']):.2f} of the bare "
        f"protocol, {ratio(found['hopping'], found['ours']):.2f} of it after a hop"
    )


def bare_threads(store: str) -> None:
    """Settle in several threads."""
    left = iter(range(TOGETHER))

    def work() -> None:
        for _ in left:
            bare_settle(store, next(numbers))

    threads = [threading.Thread(target=work) for _ in range(BARE_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def together(store: str, url: str) -> None:
    """Compare many tasks with a few bare threads, by the threads of a handle."""

    async def bare() -> None:
        bare_threads(store)

    async def ours(threads: int) -> None:
        left = iter(range(TOGETHER))

        async def work() -> None:
            for _ in left:
                await promises.promise(f"{next(numbers)}").resolve("Completed by 12345")

        with patch.object(file, "_WRITERS", threads):
            async with dp.connect(url) as promises, anyio.create_task_group() as tasks:
                for _ in range(TASKS):
                    tasks.start_soon(work)

    ways = {"bare": (TOGETHER, bare)}
    ways |= {f"{n}": (TOGETHER, partial(ours, n)) for n in THREADS}
    found = await turns(ways)
    print(f"  {BARE_THREADS} bare threads: {shown(found['bare'])}")
    for threads in THREADS:
        costs = found[f"{threads}"]
        print(
            f"  {TASKS} tasks, {threads:2} threads of a handle: "
            f"{ratio(found['bare'], costs):.2f} of them ({shown(costs)})"
        )


async def settle(root: str, backend: str) -> None:
    """
    Compare settling with the bare protocol, in turns, in the same directories.

    In others it would not be the same: where ext4 puts a directory on the disk
    makes a difference of up to two.
    """
    store = f"{root}/settle-{backend}"
    print(f"settles, {backend}")
    async with dp.connect(f"file:{store}") as promises:
        for _ in range(256):
            await promises.promise(f"{next(numbers)}").resolve("Completed by 12345")
        await one_after_another(store, promises)
    await together(store, f"file:{store}")


async def wake_up(root: str, backend: str) -> None:
    """Measure from the acknowledgement to the value in another process."""
    measured = await wake(f"file:{root}/wake-{backend}", backend)
    print(f"wake-up in another process, {backend}: {measured}")


async def crowd(root: str, backend: str) -> None:
    """Wake 10,000 waiters on one promise."""
    woken: list[float] = []

    async def wait(promise: dp.DurablePromise[int]) -> None:
        await promise.get()
        woken.append(time.perf_counter())

    async with dp.connect(f"file:{root}/crowd-{backend}") as promises:
        promise = promises.promise("x", int)
        async with anyio.create_task_group() as tasks:
            for _ in range(WAITERS):
                tasks.start_soon(wait, promise)
            # Settle when all have looked: a look takes milliseconds.
            await anyio.sleep(5)
            settled = time.perf_counter()
            await promise.resolve(1)
    print(
        f"{WAITERS:,} waiters on one promise, {backend}: all awake "
        f"{max(woken) - settled:.2f} s after the settle began"
    )


def main() -> None:
    """Run everything on both event loops."""
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    for backend in ("asyncio", "trio"):
        with tempfile.TemporaryDirectory(dir=parent) as root:
            anyio.run(settle, root, backend, backend=backend)
            anyio.run(wake_up, root, backend, backend=backend)
            anyio.run(crowd, root, backend, backend=backend)


if __name__ == "__main__":
    main()
