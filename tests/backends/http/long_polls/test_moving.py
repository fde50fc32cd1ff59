"""Waiters that come later: their own requests, and the moves from one to another."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_backends.http import HttpBackend, _retry
from dp_backends.http._calling import WireClient
from dp_backends.http._peer import Peer
from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed
from dp_backends.http._url import parse_url
from dp_backends.http._waits import _long_poll
from dp_backends.http._waits._long_polls import LongPolls
from dp_core import Outcome, Resolved
from dp_core.wire import Wait
from support.http import (
    DONE,
    Server,
    eventually,
    has_waiters,
    http_answer,
    keep,
    keep_in,
    met,
    waiting,
)


async def test_a_waiter_that_comes_later_sends_a_request_of_its_own() -> None:
    """A request sent before it came may be answered by a generation it never knew."""
    kept: list[Outcome[bytes]] = []
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep, backend, "a", kept)
            await server.until(lambda server: server.waiting["a"] == 1)
            tasks.start_soon(keep, backend, "a", kept)
            await server.until(lambda server: server.waiting["a"] == 2)
            await server.backend.settle("a", DONE)

    assert [DONE] * 2 == kept
    assert [Wait("a")] * 2 == server.calls


async def test_those_who_came_one_by_one_end_up_on_one_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When its time is over, a request is given up for one that was sent later."""
    monkeypatch.setattr(_long_poll, "uniform", lambda low, high: 0)
    kept: list[Outcome[bytes]] = []
    scopes = [anyio.CancelScope() for _ in range(4)]
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        async with anyio.create_task_group() as tasks:
            for n, scope in enumerate(scopes):
                tasks.start_soon(keep_in, scope, backend, "a", kept)
                await server.until(partial(waiting, n + 1))
            server.slices = 0.05
            server.canned.extend([http_answer(202, b"null")] * 3)
            await server.hang_up()
            await eventually(lambda: backend.stats().polls == 1)
            for scope in scopes[1:]:
                scope.cancel()
            await eventually(partial(has_waiters, backend, 1))
            await server.backend.settle("a", DONE)

    assert [DONE] == kept
    assert 0 == backend.stats().polls


async def test_nobody_moves_to_a_request_sent_before_they_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer may be of a generation they never knew, so they ask once more."""
    monkeypatch.setattr(_long_poll, "uniform", lambda low, high: 0)
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.wait, "a")
            await server.until(partial(waiting, 1))
            server.canned.append(http_answer(202, b"null"))
            tasks.start_soon(backend.wait, "a")
            await server.until(partial(waiting, 2))
            tasks.cancel_scope.cancel()

    assert [Wait("a")] * 3 == server.calls


@dataclass(eq=False)
class Held:
    """A request that was sent; its response comes when the test gives it."""

    response: HttpResponse | None = None
    given: anyio.Event = field(default_factory=anyio.Event)

    def give(self, body: bytes) -> None:
        headers = {b"content-type": b"application/json"}
        self.response = HttpResponse(200, headers, body, reusable=True)
        self.given.set()

    async def receive_some(self) -> HttpResponse:
        await self.given.wait()
        assert self.response is not None
        return self.response

    def report(self, *args: object, **options: object) -> None:
        """Report nothing: there are no observers."""


class ByHand(WireClient):
    """A client without a server: the test decides what happens to each request."""

    def __init__(self) -> None:
        super().__init__(parse_url("http://h"))
        self.peer = Peer(answered=True)
        self.held: list[Held] = []
        self.gates: deque[anyio.Event] = deque()
        self.failures: deque[AttemptFailed] = deque()

    async def send(self, *args: object, **options: object) -> Any:
        if self.failures:
            raise self.failures.popleft()
        if self.gates:
            await self.gates.popleft().wait()
        self.held.append(Held())
        return self.held[-1]


async def sent(client: ByHand, polls: LongPolls, counts: tuple[int, int, int]) -> None:
    """Return when the polls' stats are *counts*, and time has gone on."""
    await eventually(lambda: counts == polls.stats())
    now = anyio.current_time()
    await eventually(lambda: anyio.current_time() > now)


async def test_a_poll_that_took_waiters_over_is_as_late_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    They may not move on to a request that was sent before they came.

    The first poll is sent again after the other two, so the third moves there.
    When its time is over, the second would suit those who came first, but not
    those who came with the third.
    """
    monkeypatch.setattr(_long_poll, "uniform", lambda low, high: 0)
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 0)
    client, gate = ByHand(), anyio.Event()
    client.failures.append(AttemptFailed("busy", reached=True))
    client.gates.append(gate)
    monkeypatch.setattr(client.pool, "release", lambda connection: None)
    polls, kept = LongPolls(client), list[Outcome[bytes]]()

    async def wait() -> None:
        kept.append(await polls.wait("a"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await eventually(lambda: not client.gates)
        tasks.start_soon(wait)
        await sent(client, polls, (2, 2, 1))
        tasks.start_soon(wait)
        await sent(client, polls, (3, 3, 2))
        gate.set()
        await sent(client, polls, (3, 3, 3))
        second, third, first = client.held
        third.give(b"null")
        await sent(client, polls, (3, 2, 2))
        first.give(b"null")
        await eventually(lambda: len(client.held) == 4)

        assert (3, 2, 2) == polls.stats()
        again = client.held[3]
        second.give(b"null")
        await sent(client, polls, (3, 1, 1))
        again.give(b'{"value":1}')

    assert [Resolved(b"1")] * 3 == kept
    assert (0, 0, 0) == polls.stats()


async def test_who_waits_again_at_once_is_not_forgotten() -> None:
    """The last waiter of a poll to leave does not make the next poll forgotten."""
    client = ByHand()
    client.pool.release = lambda connection: None  # type: ignore[method-assign] # a pool that loses
    polls, kept = LongPolls(client), list[Outcome[bytes]]()

    async def wait_twice() -> None:
        for _ in range(2):
            kept.append(await polls.wait("a"))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait_twice)
        await sent(client, polls, (3, 1, 1))
        client.held[0].give(b'{"value":1}')
        # On trio the order is chance, so they may come to one poll or to more; all
        # of these are known, and every request belongs to one of them.
        await eventually(
            lambda: (3, len(client.held) - 1, len(client.held) - 1) == polls.stats()
        )
        for held in client.held[1:]:
            held.give(b'{"value":2}')

    assert [Resolved(b"1")] * 3 + [Resolved(b"2")] * 3 == kept
    assert (0, 0, 0) == polls.stats()


@pytest.mark.parametrize("seed", range(3))
async def test_waiters_that_come_and_go_lose_nobody(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiters that stay get the outcome, however others join, leave and move."""
    monkeypatch.setattr(_long_poll, "uniform", lambda low, high: 0)
    random = Random(seed)  # noqa: S311 - no secret
    stays, goes = list[Outcome[bytes]](), list[Outcome[bytes]]()
    async with Server(slices=0.01).serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            leaving: list[anyio.CancelScope] = []
            for n in range(150):
                if n % 3:
                    leaving.append(anyio.CancelScope())
                    tasks.start_soon(keep_in, leaving[-1], backend, "a", goes)
                else:
                    tasks.start_soon(keep, backend, "a", stays)
                for _ in range(random.choice((0, 0, 1, 5, 20))):
                    await checkpoint()
                if len(leaving) > 5:
                    leaving.pop(random.randrange(6)).cancel()
            for scope in leaving:
                scope.cancel()
            await eventually(partial(has_waiters, backend, 50))
            await server.backend.settle("a", DONE)

    assert [DONE] * 50 == stays
    assert [] == goes
    assert (0, 0) == (backend.stats().polls, backend.stats().busy)
