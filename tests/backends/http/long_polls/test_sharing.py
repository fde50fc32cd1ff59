"""Shared long polls: many waiters, one request, whoever leaves."""

from __future__ import annotations

from functools import partial
from threading import Thread

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_backends.http import HttpBackend, HttpStats
from dp_core import DurablePromiseError, Outcome, ProtocolError
from dp_core.wire import Peek, Wait
from support.http import (
    DONE,
    Server,
    eventually,
    failure,
    has_waiters,
    keep,
    keep_error,
    keep_in,
    met,
)

MANY = 1000


async def test_a_thousand_waiters_of_one_id_are_one_request() -> None:
    """They share one connection and one long poll, and all get the outcome."""
    kept: list[Outcome[bytes]] = []
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            for _ in range(MANY):
                tasks.start_soon(keep, backend, "a", kept)
            await server.until(lambda server: server.waiting["a"] > 0)
            await eventually(partial(has_waiters, backend, MANY))
            await server.backend.settle("a", DONE)

    assert [DONE] * MANY == kept
    assert [Peek("a"), Wait("a")] == server.calls
    assert 1 == server.connections


@pytest.mark.parametrize("leaves", ["leader", "follower"])
async def test_cancelling_one_waiter_disturbs_no_other(leaves: str) -> None:
    """The rest stay on the very same request, whoever leaves first."""
    kept: list[Outcome[bytes]] = []
    scopes = [anyio.CancelScope() for _ in range(4)]
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)

        async with anyio.create_task_group() as tasks:
            # Only those who come together share a request.
            for scope in scopes:
                tasks.start_soon(keep_in, scope, backend, "a", kept)
            await eventually(partial(has_waiters, backend, 4))
            await server.until(lambda server: server.waiting["a"] == 1)
            leaving = scopes[:3] if leaves == "leader" else scopes[:0:-1]
            for n, scope in enumerate(leaving):
                scope.cancel()
                await eventually(partial(has_waiters, backend, 3 - n))
            await server.backend.settle("a", DONE)

    assert [DONE] == kept
    assert [Wait("a")] == server.calls


async def test_the_server_learns_that_nobody_waits_any_more() -> None:
    """When the last waiter is cancelled, the request goes, and nothing is left."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(backend.wait, "a")
            await server.until(lambda server: server.waiting["a"] == 1)
            tasks.cancel_scope.cancel()
        await server.until(lambda server: server.waiting["a"] == 0)

        assert HttpStats(waiters=0, polls=0, held=0, busy=0, idle=0) == backend.stats()


@pytest.mark.parametrize("known", [True, False])
async def test_a_leader_may_leave_at_any_step(known: bool) -> None:
    """Whether it connects, asks or listens: the next in line takes over."""
    async with Server().serving() as server:
        for steps in range(40):
            backend, kept = HttpBackend(server.url), list[Outcome[bytes]]()
            if known:
                await met(backend, server)
            id = f"{steps}"
            async with anyio.create_task_group() as tasks:
                scope = anyio.CancelScope()
                tasks.start_soon(keep_in, scope, backend, id, [])
                await eventually(partial(has_waiters, backend, 1))
                tasks.start_soon(keep, backend, id, kept)
                for _ in range(steps):
                    await checkpoint()
                scope.cancel()
                await server.resolve_waited(id)

            assert [DONE] == kept
            assert 0 == backend.stats().busy
            await backend.aclose()


async def test_what_ends_a_wait_for_good_is_told_to_all() -> None:
    """Every waiter gets the error, and each an instance of its own."""
    told: list[DurablePromiseError] = []
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        server.hold = anyio.Event()
        server.canned.append(failure(400))
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(keep_error, partial(backend.wait, "a"), told)
            await eventually(partial(has_waiters, backend, 3))
            server.hold.set()

    assert [ProtocolError] * 3 == [type(error) for error in told]
    assert 3 == len(set(map(id, told)))
    assert 1 == len(server.calls)


def test_event_loops_have_polls_of_their_own() -> None:
    """A leader in one could not wake a follower in another."""

    async def wait() -> None:
        kept.append(await backend.wait("a"))
        stats.append(backend.stats())

    kept, stats = list[Outcome[bytes]](), list[HttpStats]()
    with Server.elsewhere() as server:
        backend = HttpBackend(server.url)
        anyio.run(backend.peek, "met")
        threads = [
            Thread(target=anyio.run, args=(wait,), kwargs={"backend": loop})
            for loop in ("asyncio", "trio")
        ]
        for thread in threads:
            thread.start()
        anyio.run(eventually, lambda: server.waiting["a"] == 2, 0.001)
        anyio.run(backend.settle, "a", DONE)
        for thread in threads:
            thread.join()
        anyio.run(backend.aclose)

    assert [DONE] * 2 == kept
    assert [(0, 0)] * 2 == [(here.waiters, here.polls) for here in stats]
    assert [Wait("a")] * 2 == [call for call in server.calls if call == Wait("a")]
