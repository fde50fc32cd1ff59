"""
How many requests a second the HTTP backend makes, beside aiohttp.

Usage: ``python benchmarks/bench_http_client.py [--requests 2000] [--rounds 5]``

One ``dp serve`` over a memory store answers all of them, in turns and in one
run: the backend on asyncio, the backend on trio, and aiohttp, which is an
upper bound, since it only posts a body and reads what comes back. A ratio is
that of the medians; the goal is about 1. CPU is the client's own time, which
other programs on the machine disturb less than they do the wall clock.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Final

import anyio
from _serving import serving

from dp_backends.http import HttpBackend

CONCURRENT: Final = (1, 64)

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Rate:
    """Requests a second, and microseconds of the client's CPU for each."""

    wall: float
    cpu: float


async def measure(ask: Ask, concurrent: int, requests: int) -> Rate:
    """Make *requests*, so many at a time, after a tenth as many to warm up."""

    async def work(count: int) -> None:
        for _ in range(count):
            await ask()

    async def spread(count: int) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(concurrent):
                tasks.start_soon(work, count // concurrent)

    await spread(max(requests // 10, concurrent))
    began, cpu = time.perf_counter(), time.process_time()
    await spread(requests)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    made = requests // concurrent * concurrent
    return Rate(made / wall, cpu / made * 1e6)


async def ours(url: str, concurrent: int, requests: int) -> Rate:
    """Peek through the backend."""
    backend = HttpBackend(url)
    rate = await measure(partial(backend.peek, "a"), concurrent, requests)
    await backend.aclose()
    return rate


async def aiohttps(url: str, concurrent: int, requests: int) -> Rate:
    """Post the same request with aiohttp."""
    import aiohttp  # noqa: PLC0415 - only where installed

    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def ask() -> None:
            path = f"{url}/promise/peek"
            async with session.post(path, data=b'{"promiseId":"a"}') as response:
                assert await response.read() == b"null"

        return await measure(ask, concurrent, requests)


def main() -> None:
    """Measure in turns and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    clients = {
        "ours, asyncio": (ours, "asyncio"),
        "ours, trio": (ours, "trio"),
        "aiohttp": (aiohttps, "asyncio"),
    }
    if find_spec("aiohttp") is None:
        print("aiohttp is not installed: nothing to compare with")
        del clients["aiohttp"]
    rates: defaultdict[tuple[int, str], list[Rate]] = defaultdict(list)
    with serving("memory:") as (url, _):
        for _ in range(options.rounds):
            for concurrent in CONCURRENT:
                for name, (client, loop) in clients.items():
                    rate = anyio.run(
                        client, url, concurrent, options.requests, backend=loop
                    )
                    rates[concurrent, name].append(rate)
    for (concurrent, name), measured in rates.items():
        wall = median(rate.wall for rate in measured)
        line = f"{concurrent:3} at once  {name:14}{wall:8,.0f}/s"
        line += f"{median(rate.cpu for rate in measured):8.0f} µs CPU"
        if others := rates.get((concurrent, "aiohttp")):
            line += f"   ratio {wall / median(rate.wall for rate in others):.2f}"
        print(line)


if __name__ == "__main__":
    main()
