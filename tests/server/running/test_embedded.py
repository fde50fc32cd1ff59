"""A server that runs as a task of this process, over a backend of this test."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import pytest
from anyio.abc import SocketStream, TaskGroup

import dp_core as dp
from dp_core import Backend, Outcome, Promises, State
from dp_core.server import Settings, serve
from support.http import eventually

AWAIT: Final = "/promise/await"
X: Final = b'{"promiseId":"x"}'
TIMEOUT: Final = 60

# Where Granian runs.
ON_ASYNCIO: Final = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Slow(Backend):
    """A backend that completes when it is let."""

    def __init__(self, name: str) -> None:
        self.inner = dp.connect(f"memory:{name}").backend
        self.entered = anyio.Event()
        self.let = anyio.Event()
        self.closed = False

    async def peek(self, id: str) -> State[bytes]:
        return await self.inner.peek(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        self.entered.set()
        await self.let.wait()
        return await self.inner.settle(id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        self.entered.set()
        return await self.inner.wait(id)

    async def dispose(self, id: str) -> None:
        await self.inner.dispose(id)

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
async def slow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Slow:
    """A slow backend, which the server takes for every store."""
    slow = Slow(request.node.nodeid)
    monkeypatch.setattr(
        "dp_core.server._listening._run.connect", lambda url: Promises(slow, "slow:")
    )
    return slow


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[tuple[TaskGroup, int]]:
    """Run a server in this process; give its task group and its port."""
    lines, line = anyio.create_memory_object_stream[str](10)
    with anyio.fail_after(TIMEOUT), lines, line:
        async with anyio.create_task_group() as group:
            asked = Settings(grace_seconds=30, **settings)
            arguments = ("slow:", "127.0.0.1", 0, asked, lines.send_nowait)
            group.start_soon(serve, *arguments)
            port = int((await line.receive()).rpartition(":")[2])
            yield group, port


async def request(port: int, path: str, body: bytes) -> SocketStream:
    """Send a request; the answer is for `answered`."""
    stream = await anyio.connect_tcp("127.0.0.1", port)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    await stream.send(head.encode() + body)
    return stream


async def answered(stream: SocketStream) -> bytes:
    """Return all that is answered until the connection is closed."""
    parts = [part async for part in stream]
    await stream.aclose()
    return b"".join(parts)


@ON_ASYNCIO
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /promise/peek HTTP/1.1\r\nHost: ",
        b"POST /promise/peek HTTP/1.1\r\nContent-Length: 9\r\nHost: a\r\n\r\n".replace(
            b"Host: a", b"Host: localhost:PORT"
        ),
        b"POST /promises/x/peek HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "a request"],
)
async def test_a_silent_client_is_not_kept(slow: Slow, sent: bytes) -> None:
    """Whatever a client did not finish saying, its connection is closed."""
    async with served(idle_seconds=0.2, body_seconds=0.2) as (group, port):
        stream = await anyio.connect_tcp("127.0.0.1", port)
        if sent:
            await stream.send(sent.replace(b"PORT", str(port).encode()))
        answer = await answered(stream)
        group.cancel_scope.cancel()

    assert answer.endswith(b"null") == sent.startswith(b"POST /promises/")


@ON_ASYNCIO
async def test_a_waiting_client_may_be_silent(slow: Slow) -> None:
    """Who has said all there is to say is kept for as long as it takes."""
    async with served(idle_seconds=0.1) as (group, port):
        waiting = await request(port, AWAIT, X)
        await slow.entered.wait()
        # Closed by the timer that would have closed the waiting one.
        silent = await anyio.connect_tcp("127.0.0.1", port)
        assert b"" == await answered(silent)
        await slow.inner.settle("x", dp.Resolved(b"1"))
        answer = await answered(waiting)
        group.cancel_scope.cancel()

    assert answer.endswith(b'{"value":1}')


@ON_ASYNCIO
async def test_a_stop_lets_a_running_completion_finish(slow: Slow) -> None:
    """What was begun is completed and acknowledged before the server exits."""
    async with served() as (_, port):
        settling = await request(port, "/promises/x/resolve", b"1")
        await slow.entered.wait()
        waiting = await request(port, AWAIT, X)
        peeking = await request(port, "/promises/x/peek", b"")
        assert b"null" in await peeking.receive()
        await peeking.aclose()
        signal.raise_signal(signal.SIGTERM)
        waited = await answered(waiting)
        slow.let.set()
        settled = await answered(settling)

    assert waited.startswith(b"HTTP/1.1 503 ")
    assert settled.startswith(b"HTTP/1.1 200 ")
    assert settled.endswith(b'{"value":1}')
    assert slow.closed


@ON_ASYNCIO
async def test_cancelling_it_stops_it_like_a_signal(slow: Slow) -> None:
    """A program that runs a server as a task may cancel it: nothing is left."""
    before = signal.getsignal(signal.SIGTERM)
    async with served() as (group, port):
        waiting = await request(port, AWAIT, X)
        await slow.entered.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            waited = await answered(waiting)

    assert waited.startswith(b"HTTP/1.1 503 ")
    assert slow.closed
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), TIMEOUT)


# Descriptors -----------------------------------------------------------------


async def serve_once(ask: str = "nobody asks") -> int:
    """Run a server until it was asked, or is there; return its port."""
    async with served() as (group, port):
        if ask == "somebody asks":
            stream = await request(port, "/promises/x/peek", b"")
            assert b"null" in await stream.receive()
            await stream.aclose()
        group.cancel_scope.cancel()
    return port


def descriptors() -> int:
    """Return how many descriptors this process has, but for garbage."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number


@ON_ASYNCIO
@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
@pytest.mark.parametrize("ask", ["nobody asks", "somebody asks"])
async def test_a_server_that_has_ended_leaves_no_descriptor(
    slow: Slow, ask: str
) -> None:
    """Ten servers, one after the other, leave a process with what it had open."""
    await serve_once(ask)
    before = descriptors()
    for _ in range(10):
        await serve_once(ask)

    # Granian gives back those of its own thread a moment later.
    await eventually(lambda: descriptors() <= before, 0.01)


@ON_ASYNCIO
@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
async def test_servers_at_once_leave_none_either(slow: Slow) -> None:
    """Each closes its own sockets, and none of another server that still runs."""
    await serve_once("somebody asks")
    before = descriptors()
    async with served() as (outer, port):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(serve_once, "somebody asks")
        stream = await request(port, "/promises/x/peek", b"")
        assert b"null" in await stream.receive()
        await stream.aclose()
        outer.cancel_scope.cancel()

    await eventually(lambda: descriptors() <= before, 0.01)


@ON_ASYNCIO
async def test_the_port_of_a_server_that_has_ended_is_free(slow: Slow) -> None:
    """Who asks for the port alone, without sharing it, gets it."""
    port = await serve_once()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
