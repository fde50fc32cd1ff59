"""
Costs of promises on Restate, of our service and of another one with the same wire.

This starts a restate-server with our service, and measures, in turns within one
run: settles per second one by one and 64 at once, the time from a settle to the
waiter's value, and the CPU time of a settle in the service and in the server.
Before each turn, the service to call is registered with Restate. With --crowd, so
many waiters wait for one promise at the end. The KB that the servers write for each
would grow with the number of waiters if each waiter rewrote the others.

    python benchmarks/bench_restate.py [--rounds 6] [--nodes 1] [--crowd 2000]
        [--other http://127.0.0.1:9085]

The other service is that of Restate's example, running at that URL, or one with the
same wire. Without it, only ours is measured. With three nodes, every record is
written to two of them, and requests go to all in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
import urllib.request
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from secrets import token_hex
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import psutil

import dp_core as dp

PORT = 28080
ONE_BY_ONE = 60
AT_ONCE = 64
TOGETHER = 640
WAKES = 30

Figures = dict[str, float]


@asynccontextmanager
async def up(nodes: int) -> AsyncIterator[tuple[list[str], list[psutil.Process]]]:
    """Run servers with our service; return the URLs of stores and the processes."""
    names = ("--port", "--admin-port", "--node-port", "--service-port")
    ports = [f"{name}={PORT + n * nodes}" for n, name in enumerate(names)]
    with tempfile.TemporaryDirectory() as directory:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dp_core", "restate", "up", f"--nodes={nodes}"),
            *(f"--base-dir={directory}", *ports),
            stdout=PIPE,
        )
        assert process.stdout is not None
        found: list[tuple[str, int]] = []
        try:
            while len(found) < nodes and (line := await process.stdout.readline()):
                if match := re.search(
                    r"at (http:\S+) \(process (\d+)\)", line.decode()
                ):
                    found.append((match[1], int(match[2])))
            yield [url for url, _ in found], [psutil.Process(pid) for _, pid in found]
        finally:
            process.terminate()
            await process.communicate()


def post(admin: int, path: str, body: dict[str, Any]) -> Any:
    """Make a request to Restate's admin API."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{admin}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        return json.load(answer)


def call(admin: int, service: str) -> None:
    """Let Restate call this service from now on."""
    post(admin, "/v3/deployments", {"uri": service, "force": True})


def listener(port: int) -> psutil.Process:
    """Return the process that listens at a port."""
    (found,) = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == "LISTEN" and connection.laddr.port == port
    }
    return psutil.Process(found)


def cpu(processes: list[psutil.Process]) -> float:
    """Return the CPU time of processes so far, in milliseconds."""
    times = [process.cpu_times() for process in processes]
    return 1000 * sum(float(time.user + time.system) for time in times)


def disk(processes: list[psutil.Process]) -> float:
    """Return the KB that processes have written to disk so far."""
    written = [process.io_counters().write_bytes for process in processes]
    return float(sum(written)) / 1000


async def settles(urls: list[str], number: int, at_once: int) -> float:
    """Return the number of promises settled in a second."""
    numbers = iter(range(number))
    run = token_hex(8)

    async def settle() -> None:
        for n in numbers:
            store = stores[n % len(stores)]
            won = await store.promise(f"{run}-{n}").resolve(n)
            assert dp.Resolved(n) == won

    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(dp.connect(url)) for url in urls]
        start = time.perf_counter()
        await asyncio.gather(*(settle() for _ in range(at_once)))
        return number / (time.perf_counter() - start)


async def wake(urls: list[str]) -> float:
    """Return the time from the call of settle to the waiter's value, in ms."""
    seconds = []
    async with dp.connect(urls[0]) as here, dp.connect(urls[-1]) as there:
        for _ in range(WAKES):
            id = token_hex(8)
            waiter = asyncio.create_task(here.promise(id).get())
            await asyncio.sleep(0.1)
            start = time.perf_counter()
            settling = asyncio.create_task(there.promise(id).resolve(1))
            await waiter
            seconds.append(time.perf_counter() - start)
            await settling
    return 1000 * median(seconds)


async def waiter(port: int, id: str) -> float:
    """Wait for a promise, on a connection of its own; return the time of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"promiseId": id})
    writer.write(
        f"POST /promise/await HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        f"{body}".encode()
    )
    answer = await reader.read()
    writer.close()
    assert answer.endswith(b'{"value":1}'), answer
    return time.perf_counter()


def waiting(admin: int, id: str) -> int:
    """Return the number of awakeables in the state of a promise."""
    sql = f"SELECT key, value_utf8 FROM state WHERE service_key = '{id}'"  # noqa: S608 - an id of ours
    rows = post(admin, "/query", {"query": sql})["rows"]
    listeners = [json.loads(r["value_utf8"]) for r in rows if r["key"] == "listeners"]
    others = [r for r in rows if r["key"].startswith("waiter/")]
    return sum(map(len, listeners)) + len(others)


async def crowd(
    urls: list[str], admin: int, servers: list[psutil.Process], number: int
) -> Figures:
    """Let many wait for one promise, and settle it."""
    id = token_hex(8)
    port = urlsplit(urls[0]).port or 80
    start, written = time.perf_counter(), disk(servers)
    waits = []
    for n in range(number):
        waits.append(asyncio.create_task(waiter(port, id)))
        if n % 100 == 99:
            # Leave time to accept the connections.
            await asyncio.sleep(0.05)
    while await asyncio.to_thread(waiting, admin, id) < number:  # noqa: ASYNC110 - Restate's
        await asyncio.sleep(0.5)
    all_wait = time.perf_counter()
    async with dp.connect(urls[-1]) as store:
        await store.promise(id).resolve(1)
    settled = time.perf_counter()
    woken = await asyncio.gather(*waits)
    return {
        f"s until {number} wait": all_wait - start,
        f"ms to settle for {number}": 1000 * (settled - all_wait),
        f"s until {number} are woken": max(woken) - all_wait,
        f"KB on disk each of {number}": (disk(servers) - written) / number,
    }


async def turn(
    urls: list[str], service: list[psutil.Process], servers: list[psutil.Process]
) -> Figures:
    """Measure one service once."""
    await settles(urls, 30, 8)
    figures = {"settles/s, one by one": await settles(urls, ONE_BY_ONE, 1)}
    before = cpu(service), cpu(servers)
    figures[f"settles/s, {AT_ONCE} at once"] = await settles(urls, TOGETHER, AT_ONCE)
    figures["ms CPU a settle, service"] = (cpu(service) - before[0]) / TOGETHER
    figures["ms CPU a settle, servers"] = (cpu(servers) - before[1]) / TOGETHER
    figures["ms from settle to waiter"] = await wake(urls)
    return figures


async def main(rounds: int, nodes: int, crowded: int, other: str | None) -> None:
    """Measure in turns, and print medians and their ratios."""
    services = {"ours": f"http://127.0.0.1:{PORT + 3 * nodes}"}
    if other is not None:
        services["other"] = other
    results: dict[str, list[Figures]] = defaultdict(list)
    async with up(nodes) as (urls, servers):
        for n in range(rounds):
            # In alternating order, so that none is always second.
            for name in sorted(services, reverse=bool(n % 2)):
                call(PORT + nodes, services[name])
                service = listener(urlsplit(services[name]).port or 80)
                results[name].append(await turn(urls, [service], servers))
        crowds: dict[str, Figures] = {name: {} for name in services}
        for name in services if crowded else ():
            call(PORT + nodes, services[name])
            for number in (crowded // 4, crowded):
                crowds[name] |= await crowd(urls, PORT + nodes, servers, number)
    heads = "".join(f"{name:>9}" for name in services)
    print(f"{f'median of {rounds} rounds':<30}{heads}    ratio")
    for label in results["ours"][0]:
        show(label, [median(one[label] for one in results[name]) for name in services])
    for label in crowds["ours"]:
        show(label, [crowds[name][label] for name in services])


def show(label: str, row: list[float]) -> None:
    """Print a row of the table, and the ratio of its first to its last."""
    columns = "".join(f"{figure:9.1f}" for figure in row)
    print(f"{label:<30}{columns}{row[0] / row[-1]:9.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Costs of promises on Restate.")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--crowd", dest="crowded", type=int, default=0)
    parser.add_argument("--other", metavar="URL")
    asyncio.run(main(**vars(parser.parse_args())))
