"""How long after an acknowledgement a waiter in another process has its value."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Final

import anyio

import dp_core as dp

__all__ = ["wake"]

WAKES: Final = 200

WAITER: Final = """
import sys, time, anyio, dp_core as dp
async def main():
    async with dp.connect(sys.argv[1]) as promises:
        for number in range(int(sys.argv[2])):
            print(number, flush=True)
            await promises.promise(f"wake-{number}").get()
            print(time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)
anyio.run(main, backend=sys.argv[3])
"""


async def wake(url: str, loop: str) -> str:
    """Return what was measured from the acknowledgement to the value elsewhere."""
    pauses = []
    async with dp.connect(url) as promises:
        await promises.promise("warm").resolve(1)
        waiter = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs here
            [sys.executable, "-c", WAITER, url, str(WAKES), loop],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert waiter.stdout is not None
        for number in range(WAKES):
            waiter.stdout.readline()
            # Let it really wait: the benchmark is of waking, not of looking.
            await anyio.sleep(0.01)
            await promises.promise(f"wake-{number}").resolve(number)
            acknowledged = time.clock_gettime(time.CLOCK_MONOTONIC)
            pauses.append(float(waiter.stdout.readline()) - acknowledged)
        waiter.wait()
    quantiles = statistics.quantiles(pauses, n=100)
    return (
        f"median {quantiles[49] * 1e3:.2f} ms after the acknowledgement, 99 % within "
        f"{quantiles[98] * 1e3:.2f} ms"
    )
