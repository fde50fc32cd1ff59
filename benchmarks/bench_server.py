"""
What a peek costs over HTTP, beside a constant answer of the same server.

Usage: ``python benchmarks/bench_server.py [--seconds 2] [--rounds 5]``

One process serves both, the constant by a plain Starlette route
without middleware. Both are measured in turns, in one run, by a client that
keeps 64 connections busy; the ratio is that of the medians. The goal is a
ratio of at most 2. CPU is the server's own time, which other programs on the
machine disturb less than they do the wall clock.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from statistics import median
from typing import Final

import anyio
from _serving import cpu_seconds
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dp_core import connect
from dp_core.server import Settings, app
from dp_core.server._listening import HttpServer, reserve

CONNECTIONS: Final = 64


# The server -----------------------------------------------------------------


class Both:
    """The promises, and beside them a constant."""

    def __init__(self, url: str) -> None:
        self.promises = app(connect(url).backend)
        self.constant = Starlette(routes=[Route("/constant", null, methods=["POST"])])
        self.asking = self.promises.asking
        self.look = self.promises.look
        self.stop = self.promises.stop
        self.sweep = self.promises.sweep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        constant = scope["path"] == "/constant"
        await (self.constant if constant else self.promises)(scope, receive, send)


async def null(request: object) -> Response:
    """Answer what a pending promise answers."""
    return Response(b"null", media_type="application/json")


async def run(url: str) -> None:
    """Serve until killed; print the port."""
    with await reserve("127.0.0.1", 0, token=False) as held:
        port = held.getsockname()[1]
        server = HttpServer(Both(url), held, Settings(), 1000)
        await server.run(lambda: print(port, flush=True), anyio.Event())


# The client -----------------------------------------------------------------


class Caller(asyncio.Protocol):
    """Asks again as soon as it is answered."""

    def __init__(self, request: bytes, counts: list[int]) -> None:
        self.request = request
        self.counts = counts
        self.missing = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # asyncio asks for less
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        # Short answers; head and body arrive together, or the body follows.
        self.missing += data
        if self.missing.endswith(b"\r\n\r\n"):
            return
        assert self.missing.startswith(b"HTTP/1.1 200 "), self.missing
        self.missing = b""
        self.counts[0] += 1
        self.transport.write(self.request)


@dataclass(frozen=True)
class Cost:
    """What one request costs, in microseconds."""

    wall: float
    cpu: float


async def measure(port: int, pid: int, request: bytes, seconds: float) -> Cost:
    """Ask for *seconds* over all connections."""
    loop = asyncio.get_running_loop()
    counts = [0]
    made = [
        await loop.create_connection(lambda: Caller(request, counts), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds / 4)
    counts[0], began, cpu = 0, time.perf_counter(), cpu_seconds(pid)
    await asyncio.sleep(seconds)
    count, wall = counts[0], time.perf_counter() - began
    cpu = cpu_seconds(pid) - cpu
    for transport, _ in made:
        transport.abort()
    return Cost(wall / count * 1e6, cpu / count * 1e6)


def post(port: int, path: str, body: bytes) -> bytes:
    """Return the bytes of a request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def compare(url: str, seconds: float, rounds: int) -> None:
    """Measure one store, and print what was found."""
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        pending = post(port, "/promise/peek", b'{"promiseId":"a-pending-promise"}')
        constant = post(port, "/constant", b'{"promiseId":"a-pending-promise"}')
        settle = post(port, "/promises/settled/resolve", b'{"amount": 5}')
        settled = post(port, "/promise/peek", b'{"promiseId":"settled"}')
        asyncio.run(measure(port, process.pid, settle, 0.2))
        costs: dict[str, list[Cost]] = {}
        for _ in range(rounds):
            for name, request in [
                ("constant", constant),
                ("peek, pending", pending),
                ("peek, settled", settled),
            ]:
                cost = asyncio.run(measure(port, process.pid, request, seconds))
                costs.setdefault(name, []).append(cost)
        process.terminate()
    print(url.partition(":")[0])
    base = costs["constant"]
    for name, found in costs.items():
        wall, cpu = median(c.wall for c in found), median(c.cpu for c in found)
        print(
            f"  {name:14} {1e6 / wall:7,.0f}/s"
            f"   wall {wall:6.0f} µs, ratio {wall / median(c.wall for c in base):.2f}"
            f"   cpu {cpu:6.0f} µs, ratio {cpu / median(c.cpu for c in base):.2f}"
        )


def main() -> None:
    """Measure every store, or be the server of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="the median counts")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(run(asked.serve))
        return
    with tempfile.TemporaryDirectory() as directory:
        for url in ("memory:", f"file:{directory}/promises"):
            compare(url, asked.seconds, asked.rounds)


if __name__ == "__main__":
    main()
