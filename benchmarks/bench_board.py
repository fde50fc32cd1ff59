"""
Settles beside a board that is looked at: the part of their rate that is left.

Usage: ``python benchmarks/bench_board.py [--viewers 1000] [--rounds 5] [URL ...]``

A server is asked to settle by 64 tasks for some seconds, in turns: nobody looks at the
board; as many event streams as there are viewers are open; and each of these loads its
page again when told to, as the script of the board does. A process of its own has the
streams. The goal is 0.9 with streams. CPU is the server's own for each settle, which
other programs on the machine disturb less than they do the wall clock.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final
from urllib.parse import urlsplit

import anyio
from _serving import cpu_seconds, serving
from _settling import settling, together

import dp_core as dp

TASKS: Final = 64
SECONDS: Final = 6.0
KINDS: Final = ("nobody", "streams", "viewers")


# Those who look -----------------------------------------------------------------


async def look(host: str, port: int, *, loads: bool) -> None:
    """Hold a stream, and load the page again when told to."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request(host, port, "/board/changes?seen=0"))
    loading: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        if line.startswith(b":"):
            print("open", flush=True)
        if loads and line.startswith(b"data:"):
            pause = random.random() * int(line[5:]) / 1000
            task = asyncio.create_task(load(host, port, pause))
            loading.add(task)
            task.add_done_callback(loading.discard)


async def load(host: str, port: int, pause: float) -> None:
    """Load the page, some time from now."""
    await asyncio.sleep(pause)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request(host, port, "/", "Connection: close"))
    while await reader.read(65536):
        pass
    writer.close()


def request(host: str, port: int, target: str, *headers: str) -> bytes:
    """Return a request of a browser."""
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}:{port}",
        "Accept: text/html",
        *headers,
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


async def crowd(url: str, viewers: int, kind: str) -> None:
    """Be those who look, until killed."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    async with asyncio.TaskGroup() as tasks:
        for number in range(viewers):
            tasks.create_task(look(host, port, loads=kind == "viewers"))
            if number % 50 == 49:
                await asyncio.sleep(0.05)


@contextmanager
def looking(url: str, viewers: int, kind: str) -> Iterator[None]:
    """Let a process look at the board until the block ends."""
    if kind == "nobody":
        yield
        return
    command = [sys.executable, __file__, "--crowd", kind, "--viewers", str(viewers)]
    with subprocess.Popen([*command, url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            for _ in range(viewers):
                assert process.stdout.readline() == b"open\n"
            yield
        finally:
            process.kill()


# The settles --------------------------------------------------------------------


@dataclass(frozen=True)
class Left:
    """Settles a second, and the server's CPU for each, in microseconds."""

    rate: float
    cpu: float


async def measure(url: str, server: int) -> Left:
    """Settle by some tasks for some seconds."""
    count = 0
    async with dp.connect(url) as promises:
        call = settling(promises.backend)
        await together(TASKS, 500, call)
        began, cpu = time.perf_counter(), cpu_seconds(server)
        end = began + SECONDS

        async def work() -> None:
            nonlocal count
            while time.perf_counter() < end:
                await call()
                count += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(TASKS):
                tasks.start_soon(work)
        seconds, cpu = time.perf_counter() - began, cpu_seconds(server) - cpu
    return Left(count / seconds, cpu / count * 1e6)


async def run(store: str, viewers: int, rounds: int) -> None:
    """Measure a store in turns, and print the ratios."""
    print(f"{store.partition(':')[0]}: with {viewers:,} viewers")
    found: dict[str, list[Left]] = {kind: [] for kind in KINDS}
    with serving(store) as (url, server):
        await measure(url, server)
        for _ in range(rounds):
            for kind in KINDS:
                with looking(url, viewers, kind):
                    found[kind].append(await measure(url, server))
    base = found["nobody"]
    for kind, rates in found.items():
        ratio = median(one.rate / b.rate for one, b in zip(rates, base, strict=True))
        rate, cpu = median(r.rate for r in rates), median(r.cpu for r in rates)
        print(f"  {kind:8} {ratio:5.2f} of the rate  ({rate:,.0f}/s, {cpu:.0f} us)")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--crowd", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.crowd:
        asyncio.run(crowd(asked.urls[0], asked.viewers, asked.crowd))
        return
    with tempfile.TemporaryDirectory() as folder:
        for url in asked.urls or ("memory:", f"sqlite:{folder}/promises.db"):
            anyio.run(run, url, asked.viewers, asked.rounds)


if __name__ == "__main__":
    main()
