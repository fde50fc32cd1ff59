"""`HttpBackend` on Restate's ingress, where it behaves as on a server of ours."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import anyio
import pytest
from anyio import to_thread
from anyio.abc import ByteStream, SocketAttribute

import dp_core as dp
from support.restate import RestateServer, eventually


@pytest.fixture(params=["", "/restate/call"])
def url(restate: RestateServer, request: Any) -> str:
    """Return a URL by which users name the store: either form of Restate's paths."""
    return restate.url + request.param


async def until_waiting(restate: RestateServer, id: str) -> None:
    """Wait until a promise has a waiter."""
    await to_thread.run_sync(eventually, lambda: restate.waiters(id) > 0, "it waits")


@pytest.mark.parametrize(
    "value", [None, False, 0, "", [], {"a": [1, 2.5]}, "☃", 2**80, "x" * 100_000]
)
async def test_a_value_comes_back_as_it_went(url: str, value: object) -> None:
    """Every JSON value is unchanged for the winner, a later settle and a reader."""
    async with dp.connect(url) as promises:
        promise = promises.promise(f"ä/{token_hex(8)} ?")
        assert dp.Pending() == await promise.peek()

        assert dp.Resolved(value) == await promise.resolve(value)
        assert dp.Resolved(value) == await promise.reject("too late")
        assert dp.Resolved(value) == await promise.peek()
        assert value == await promise.get()


async def test_a_rejection_is_an_error_with_its_message(url: str) -> None:
    """A rejection raises for later readers too, also with an empty message."""
    async with dp.connect(url) as promises:
        promise = promises.promise(token_hex(8))

        assert dp.Rejected("") == await promise.reject("")
        with pytest.raises(dp.PromiseRejectedError):
            await promise.get()


async def test_a_deadline_ends_a_wait(quiet: RestateServer) -> None:
    """A wait that times out leaves nothing on Restate; one may wait again."""
    id = token_hex(8)
    async with dp.connect(quiet.url) as promises:
        promise = promises.promise(id)
        await promise.peek()
        for _ in range(3):
            with pytest.raises(dp.PromiseTimeoutError):
                await promise.get(timeout=0.5)
        await to_thread.run_sync(
            eventually,
            lambda: not quiet.invocations("promise/await"),
            "their waits are over",
        )
        await to_thread.run_sync(
            eventually, lambda: not quiet.state(id), "its waiters are forgotten"
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(promise.get)
            await until_waiting(quiet, id)
            await promise.resolve(1)


async def test_dispose_wakes_waiters(url: str, restate: RestateServer) -> None:
    """Waiters get `PromiseDisposedError`, and the id starts a new generation."""
    id = token_hex(8)

    async def wait(errors: list[BaseException]) -> None:
        with pytest.raises(dp.PromiseDisposedError) as caught:
            await promise.get()
        errors.append(caught.value)

    async with dp.connect(url) as promises:
        promise = promises.promise(id)
        errors: list[BaseException] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, errors)
            await until_waiting(restate, id)
            await promise.dispose()

        assert 1 == len(errors)
        assert dp.Pending() == await promise.peek()
        assert dp.Resolved("new") == await promise.resolve("new")


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[RecordingProxy]:
    """Run a proxy before a port, until the block ends."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        here = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no database
        proxy = RecordingProxy(port, here)
        tasks.start_soon(listener.serve, proxy.connect)
        yield proxy
        tasks.cancel_scope.cancel()


@dataclass
class RecordingProxy:
    """A TCP proxy that keeps all bytes, and can cut its connections."""

    target: int
    port: int
    bytes_seen: bytearray = field(default_factory=bytearray)
    connections: list[anyio.CancelScope] = field(default_factory=list)

    async def connect(self, client: ByteStream) -> None:
        with anyio.CancelScope() as scope:
            self.connections.append(scope)
            async with (
                client,
                await anyio.connect_tcp("127.0.0.1", self.target) as server,
                anyio.create_task_group() as both,
            ):
                both.start_soon(self.pump, client, server)
                both.start_soon(self.pump, server, client)

    async def pump(self, here: ByteStream, there: ByteStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                data = await here.receive()
                self.bytes_seen += data
                await there.send(data)

    def cut(self) -> None:
        """End all connections."""
        for connection in self.connections:
            connection.cancel()
        self.connections.clear()


async def test_a_wait_that_is_cut_again_and_again_is_one_invocation(
    quiet: RestateServer,
) -> None:
    """A wait is repeated under one Idempotency-Key, and asks for minutes each time."""
    id = token_hex(8)
    got: list[object] = []

    async def wait(promise: dp.DurablePromise[object]) -> None:
        got.append(await promise.get())

    async with proxy_to(quiet.node.ingress) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with dp.connect(url) as promises, anyio.create_task_group() as tasks:
            tasks.start_soon(wait, promises.promise(id))
            await until_waiting(quiet, id)
            for times in range(2, 6):
                proxy.cut()
                asked = b"POST /promise/await"
                while proxy.bytes_seen.count(asked) < times:  # noqa: ASYNC110 - the peer's
                    await anyio.sleep(0.01)
            begun = quiet.invocations("promise/await")
            await promises.promise(id).resolve("at last")

    assert 1 == len(begun)
    assert ["at last"] == got
    keys = re.findall(rb"Idempotency-Key: (\w{32})\r\n", proxy.bytes_seen)
    assert 5 <= len(keys)
    assert 1 == len(set(keys))
    seconds = [int(n) for n in re.findall(rb"Prefer: wait=(\d+)\r\n", proxy.bytes_seen)]
    assert 300 <= min(seconds)


async def test_clients_that_settle_at_once_agree(url: str) -> None:
    """Of many settles one wins, and all return its outcome."""
    id = token_hex(8)
    won: list[object] = []

    async def settle(n: int) -> None:
        async with dp.connect(url) as promises:
            won.append(await promises.promise(id).resolve(n))

    async with anyio.create_task_group() as tasks:
        for n in range(16):
            tasks.start_soon(settle, n)

    assert 16 == len(won)
    assert 1 == len(set(won))
