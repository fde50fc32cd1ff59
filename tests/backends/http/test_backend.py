"""The HTTP backend: its operations, on a server like ours and on the reference."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from dp_backends.http import HttpBackend
from dp_core import (
    DurablePromiseError,
    Pending,
    PromiseDisposedError,
    Rejected,
    Resolved,
    connect,
)
from dp_core.wire import Wait
from support.http import Server, keep_error


@pytest.fixture(params=[float("inf"), None], ids=["ours", "restate"])
def server(request: pytest.FixtureRequest) -> Server:
    """Return a server like ours, and one like the reference."""
    return Server(slices=request.param)


@pytest.mark.parametrize("value", [None, False, 0, "", [], {"ü": [1.5, "☃\n"]}, 10**30])
async def test_values_arrive_as_they_were_sent(server: Server, value: Any) -> None:
    """Resolve, peek and get return the value that was resolved, null included."""
    async with server.serving(), connect(server.url) as promises:
        promise = promises.promise("a/../☃ %2F\n")

        assert Pending() == await promise.peek()
        assert Resolved(value) == await promise.resolve(value)
        assert Resolved(value) == await promise.peek()
        assert value == await promise.get()


async def test_the_first_outcome_wins(server: Server) -> None:
    """The second settle returns the first outcome, be it a value or an error."""
    async with server.serving(), connect(server.url) as promises:
        assert Rejected("no") == await promises.promise("a").reject("no")
        assert Rejected("no") == await promises.promise("a").resolve(1)
        assert Resolved(1) == await promises.promise("b").resolve(1)
        assert Resolved(1) == await promises.promise("b").reject("no")


async def test_get_waits_for_a_settle_by_another(server: Server) -> None:
    """A get that comes before the settle returns its value."""
    async with (
        server.serving(),
        connect(server.url) as promises,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(server.resolve_waited, "a")

        assert "done" == await promises.promise("a").get()


async def test_dispose_tells_those_who_wait(server: Server) -> None:
    """All in get() learn of the disposal, and the id is pending afterwards."""
    async with server.serving(), connect(server.url) as promises:
        promise = promises.promise("a")
        told: list[DurablePromiseError] = []
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(keep_error, promise.get, told)
            await server.until(lambda server: server.waiting["a"] > 0)
            await promise.dispose()

        assert [PromiseDisposedError] * 3 == [type(error) for error in told]
        assert 3 == len(set(map(id, told)))
        assert Pending() == await promise.peek()


async def test_get_after_our_own_dispose_starts_afresh() -> None:
    """Even while the news of the disposal is still under way to an older get()."""
    server = Server(hold=anyio.Event())
    async with server.serving(), connect(server.url) as promises:
        promise = promises.promise("a")
        told: list[DurablePromiseError] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_error, promise.get, told)
            await server.until(lambda server: server.waiting["a"] > 0)
            await promise.dispose()
            tasks.start_soon(server.resolve_waited, "a")
            tasks.start_soon(_let_go, server)

            assert "done" == await promise.get()

        assert isinstance(told[0], PromiseDisposedError)


async def _let_go(server: Server) -> None:
    await server.until(lambda server: server.calls.count(Wait("a")) == 2)
    assert server.hold is not None
    server.hold.set()


async def test_a_megabyte_travels_both_ways(server: Server) -> None:
    """A value at the limit, many times a socket's buffer, arrives whole."""
    value = "☃" * 300_000
    async with server.serving(), connect(server.url) as promises:
        assert Resolved(value) == await promises.promise("a").resolve(value)


async def test_a_prefix_stands_before_every_path() -> None:
    """The path of the store URL is where the wire's paths begin."""
    async with Server(prefix="/some/where").serving() as server:
        assert Pending() == await HttpBackend(f"{server.url}/some/where/").peek("a")
