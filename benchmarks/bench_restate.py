"""
What promises cost on Restate, beside another service that speaks the same wire.

Starts a restate-server with our service, and measures, in turns within one run:
settles per second one by one and 64 at once, the time from a settle to the
waiter's value, and the CPU time of a settle in the service and in the server.
Restate is told before each turn which service to call.

    python benchmarks/bench_restate.py [--rounds 6] [--other http://127.0.0.1:9085]

The other one is the service of Restate's own example, running at that URL, or
anything like it. Without one, only ours is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import sys
import tempfile
import time
import urllib.request
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex
from statistics import median
from urllib.parse import urlsplit

import psutil

import dp_core as dp

ONE_BY_ONE = 60
AT_ONCE = 64
TOGETHER = 640
WAKES = 15

Figures = dict[str, float]


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(number)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


@asynccontextmanager
async def up() -> AsyncIterator[tuple[list[int], int]]:
    """Run a server with our service; return its ports, and its process."""
    ports = free_ports(4)
    names = ("--port", "--admin-port", "--node-port", "--service-port")
    with tempfile.TemporaryDirectory() as directory:
        arguments = [f"{name}={port}" for name, port in zip(names, ports, strict=True)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dp_core", "restate", "up"),
            *(f"--base-dir={directory}", *arguments),
            stdout=PIPE,
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                if found := re.search(rb"\(process (\d+)\)", line):
                    yield ports, int(found[1])
                    break
        finally:
            process.terminate()
            await process.communicate()


def call(admin: int, service: str) -> None:
    """Let Restate call this service from now on."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{admin}/v3/deployments",
        json.dumps({"uri": service, "force": True}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=60).close()  # noqa: S310 - as above


def listener(port: int) -> psutil.Process:
    """Return the process that listens at a port."""
    (found,) = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == "LISTEN" and connection.laddr.port == port
    }
    return psutil.Process(found)


def cpu(process: psutil.Process) -> float:
    """Return the CPU time of a process so far, in milliseconds."""
    times = process.cpu_times()
    return 1000 * float(times.user + times.system)


async def settles(url: str, number: int, at_once: int) -> float:
    """Return how many promises are settled in a second."""
    numbers = iter(range(number))
    run = token_hex(8)

    async def settle() -> None:
        for n in numbers:
            won = await promises.promise(f"{run}-{n}").resolve(n)
            assert won == dp.Resolved(n)

    async with dp.connect(url) as promises:
        start = time.perf_counter()
        await asyncio.gather(*(settle() for _ in range(at_once)))
        return number / (time.perf_counter() - start)


async def wake(url: str) -> float:
    """Return the time from the call of settle to the waiter's value, in ms."""
    seconds = []
    async with dp.connect(url) as here, dp.connect(url) as there:
        for _ in range(WAKES):
            id = token_hex(8)
            waiter = asyncio.create_task(here.promise(id).get())
            await asyncio.sleep(0.2)
            start = time.perf_counter()
            settling = asyncio.create_task(there.promise(id).resolve(1))
            await waiter
            seconds.append(time.perf_counter() - start)
            await settling
    return 1000 * median(seconds)


async def turn(url: str, service: psutil.Process, server: psutil.Process) -> Figures:
    """Measure one service once."""
    await settles(url, 30, 8)
    figures = {"settles/s, one by one": await settles(url, ONE_BY_ONE, 1)}
    before = cpu(service), cpu(server)
    figures[f"settles/s, {AT_ONCE} at once"] = await settles(url, TOGETHER, AT_ONCE)
    figures["ms CPU a settle, service"] = (cpu(service) - before[0]) / TOGETHER
    figures["ms CPU a settle, server"] = (cpu(server) - before[1]) / TOGETHER
    figures["ms from settle to waiter"] = await wake(url)
    return figures


async def main(rounds: int, other: str | None) -> None:
    """Measure in turns, and print medians and their ratios."""
    async with up() as ((ingress, admin, _, ours), pid):
        services = {"ours": f"http://127.0.0.1:{ours}"}
        if other is not None:
            services["other"] = other
        results: dict[str, list[Figures]] = defaultdict(list)
        for n in range(rounds):
            # There and back, so that no one always comes second.
            for name in sorted(services, reverse=bool(n % 2)):
                call(admin, services[name])
                process = listener(urlsplit(services[name]).port or 80)
                url = f"http://127.0.0.1:{ingress}"
                results[name].append(await turn(url, process, psutil.Process(pid)))
    title = f"median of {rounds} rounds"
    print(f"{title:<28}" + "".join(f"{name:>9}" for name in services) + "    ratio")
    for label in results["ours"][0]:
        row = [median(turn[label] for turn in results[name]) for name in services]
        columns = "".join(f"{figure:9.1f}" for figure in row)
        print(f"{label:<28}{columns}{row[0] / row[-1]:9.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--other", metavar="URL")
    asyncio.run(main(**vars(parser.parse_args())))
