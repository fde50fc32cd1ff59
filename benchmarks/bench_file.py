"""
Measures the cost of the file backend beyond the system calls it is made of.

Prints, from one run: how settling one promise after another compares with the
bare protocol in a plain loop, and with the bare protocol in a worker thread; how
long after the acknowledgement a waiter in another process has its value, and how
long 10,000 waiters on one promise take.

To leave the event loop free, a settle hops to a worker thread and back. That
takes about 0.1 ms, whatever the disk: the faster the disk, the more it shows.

    python benchmarks/bench_file.py [directory]
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import anyio
from _waking import wake

import dp_core as dp

ROUNDS = 60
SETTLES = 10
WAITERS = 10_000


def bare_settle(directory: str, name: str, data: bytes) -> None:
    """Do what the protocol needs, and nothing else."""
    temporary = f"{directory}/.t-{name}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)
    os.link(temporary, f"{directory}/{name}")
    fd = os.open(directory, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    Path(temporary).unlink()


async def settle(root: str, backend: str) -> None:
    """
    Compare settling with the bare protocol, in turns, in the same directories.

    In others it would not be the same: where ext4 puts a directory on the disk
    makes a difference of up to two.
    """
    store = f"{root}/settle-{backend}"
    data = b"x" * 300

    async def plain(number: int) -> None:
        bare_settle(
            f"{store}/p/{sha256(b'%d' % number).hexdigest()[:2]}", f"{number}", data
        )

    async def hopping(number: int) -> None:
        shard = f"{store}/p/{sha256(b'%d' % number).hexdigest()[:2]}"
        await anyio.to_thread.run_sync(bare_settle, shard, f"{number}", data)

    async def ours(number: int) -> None:
        await promises.promise(f"{number}").resolve("Completed by 12345")

    numbers = itertools.count()
    found: dict[Callable[[int], Awaitable[None]], list[float]] = {
        way: [] for way in (plain, hopping, ours)
    }
    async with dp.connect(f"file:{store}") as promises:
        for _ in range(256):
            await ours(next(numbers))
        for _ in range(ROUNDS):
            for way, times in found.items():
                start = time.perf_counter()
                for _ in range(SETTLES):
                    await way(next(numbers))
                times.append((time.perf_counter() - start) / SETTLES)
    took = {way: statistics.median(times) for way, times in found.items()}
    print(
        f"settle, {backend}: {took[plain] / took[ours]:.2f} of the bare protocol, "
        f"{took[hopping] / took[ours]:.2f} of it in a worker thread ("
        f"{', '.join(f'{way.__name__} {took[way] * 1e6:.0f} us' for way in took)})"
    )


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
