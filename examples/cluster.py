"""
Promises on three servers, one of which dies.

This starts three restate-servers, each with a directory and ports of its own, and
the service that keeps promises on them. Each acknowledged promise is on two of the
three. While waiters wait, one server is killed and its directory erased. You see that
all acknowledged promises are still there, that waiters get their values, and that
new promises settle.

    python examples/cluster.py [--port 8080] [--promises 30]

It needs `pip install 'durable-promises[restate]'` and restate-server (`dp
restate up` says how to get it). The ports from 8080 to 8091 must be free.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dp_core as dp

NODES = 3
START = time.monotonic()


def say(text: str) -> None:
    """Print what happened, and when."""
    print(f"{time.monotonic() - START:6.2f} s  {text}", flush=True)


@asynccontextmanager
async def cluster(directory: Path, port: int) -> AsyncIterator[list[tuple[str, int]]]:
    """Run the servers; return the store URL and the process id of each."""
    names = ("--port", "--admin-port", "--node-port", "--service-port")
    ports = (f"{name}={port + n * NODES}" for n, name in enumerate(names))
    up = ("-m", "dp_core", "restate", "up", f"--nodes={NODES}", *ports)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *up, f"--base-dir={directory}", stdout=PIPE
    )
    assert process.stdout is not None
    nodes: list[tuple[str, int]] = []
    try:
        while len(nodes) < NODES and (line := await process.stdout.readline()):
            if found := re.search(r"at (http:\S+) \(process (\d+)\)", line.decode()):
                nodes.append((found[1], int(found[2])))
        if len(nodes) < NODES:
            sys.exit("the servers do not start")
        yield nodes
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def settle(stores: list[dp.Promises], name: str, number: int) -> None:
    """Settle promises, through one server after the other."""
    for n in range(number):
        await stores[n % len(stores)].promise(f"{name}-{n}").resolve(n)


async def read(stores: list[dp.Promises], name: str, number: int) -> None:
    """Read promises, each through another server than it was settled through."""
    for n in range(number):
        promise = stores[(n + 1) % len(stores)].promise(f"{name}-{n}")
        assert n == await promise.get(timeout=60)


async def run(directory: Path, port: int, number: int) -> None:
    """Settle, wait, kill one server, and read everything from the others."""
    async with cluster(directory, port) as nodes:
        urls = [url for url, _ in nodes]
        say(f"{NODES} servers run: {', '.join(urls)}")
        # A server that has just lost another one needs some seconds to answer.
        stores = [dp.connect(f"{url}?retry=60") for url in urls]
        await settle(stores, "before", number)
        await read(stores, "before", number)
        say(f"{number} promises: settled through one server, read through another")

        victim, survivors = nodes[1], [stores[0], stores[2]]
        waits = asyncio.gather(
            *(survivors[n % 2].promise(f"awaited-{n}").get() for n in range(number))
        )
        await settle(stores, "meanwhile", number)
        os.kill(victim[1], signal.SIGKILL)
        shutil.rmtree(directory / "node-2")
        killed = time.monotonic()
        say(f"{victim[0]} is killed (kill -9) and its directory erased")

        await read(survivors, "before", 1)
        say(f"The others answer again after {time.monotonic() - killed:.1f} s")
        await read(survivors, "before", number)
        await read(survivors, "meanwhile", number)
        say(f"{2 * number} acknowledged promises are all there")
        await settle(survivors[::-1], "awaited", number)
        assert [*range(number)] == await waits
        say(f"{number} waiters have got their values")
        await settle(survivors, "after", number)
        await read(survivors, "after", number)
        say(f"{number} new promises are settled and read")
        for store in stores:
            await store.aclose()
    say("Done.")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Promises on three servers.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--promises", dest="number", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    # SIGTERM ends the example as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with tempfile.TemporaryDirectory() as name:
        try:
            asyncio.run(run(Path(name), **vars(arguments())))
        except dp.DurablePromiseError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            sys.exit(130)
