"""The HTTP backend's waits: shared, sliced, handed over, and patient."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random
from typing import cast

import anyio
import pytest
from anyio.lowlevel import EventLoopToken, checkpoint, current_token

import dp_backends.http
from dp_backends.http import HttpBackend, _retry
from dp_backends.http._connection import Connection
from dp_backends.http._long_polls import LongPoll, LongPolls, PollWaiter
from dp_backends.http._pool import Pool
from dp_backends.http._url import ServerUrl
from dp_core import (
    BackendUnavailableError,
    DurablePromiseError,
    Outcome,
    Promises,
    PromiseTimeoutError,
    ProtocolError,
    Resolved,
    connect,
)
from dp_core.wire import Peek, Wait
from support.http_faults import Server, eventually, http_answer, keep_error

MANY = 1000
DONE = Resolved(b'"done"')


async def keep(backend: HttpBackend, id: str, kept: list[Outcome[bytes]]) -> None:
    """Wait for a promise and append its outcome."""
    kept.append(await backend.wait(id))


async def met(backend: HttpBackend, server: Server) -> None:
    """Let the backend know the server, so that its waits begin with a wait."""
    await backend.peek("met")
    server.calls.clear()


def waiters(backend: HttpBackend, id: str) -> int:
    """Return how many wait for *id* here."""
    polls = backend._long_polls._long_polls.get(id, set())
    return sum(len(poll.waiters) for poll in polls)


# Sharing --------------------------------------------------------------------


async def test_a_thousand_waiters_of_one_id_are_one_request() -> None:
    """They share one connection and one long poll, and all get the outcome."""
    kept: list[Outcome[bytes]] = []
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            for _ in range(MANY):
                tasks.start_soon(keep, backend, "a", kept)
            await server.until(lambda server: server.waiting["a"] > 0)
            await eventually(lambda: waiters(backend, "a") == MANY)
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
                tasks.start_soon(_keep_in, scope, backend, "a", kept)
            await eventually(partial(_has_seats, backend, 4))
            await server.until(lambda server: server.waiting["a"] == 1)
            leaving = scopes[:3] if leaves == "leader" else scopes[:0:-1]
            for n, scope in enumerate(leaving):
                scope.cancel()
                await eventually(partial(_has_seats, backend, 3 - n))
            await server.backend.settle("a", DONE)

    assert [DONE] == kept
    assert [Wait("a")] == server.calls


def _has_seats(backend: HttpBackend, count: int) -> bool:
    return waiters(backend, "a") == count


async def _keep_in(
    scope: anyio.CancelScope, backend: HttpBackend, id: str, kept: list[Outcome[bytes]]
) -> None:
    with scope:
        await keep(backend, id, kept)


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

        assert {} == backend._long_polls._long_polls
        assert set() == backend._pool._busy
        assert 0 == len(backend._pool._idle)


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
                tasks.start_soon(_keep_in, scope, backend, id, [])
                await eventually(lambda: waiters(backend, id) == 1)  # noqa: B023
                tasks.start_soon(keep, backend, id, kept)
                for _ in range(steps):
                    await checkpoint()
                scope.cancel()
                await server.resolve_waited(id)

            assert [DONE] == kept
            assert set() == backend._pool._busy
            await backend.aclose()


async def test_what_ends_a_wait_for_good_is_told_to_all() -> None:
    """Every waiter gets the error, and each an instance of its own."""
    told: list[DurablePromiseError] = []
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        server.hold = anyio.Event()
        server.canned.append(http_answer(404, b'{"message":"because"}'))
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(keep_error, partial(backend.wait, "a"), told)
            await eventually(lambda: waiters(backend, "a") == 3)
            server.hold.set()

    assert [ProtocolError] * 3 == [type(error) for error in told]
    assert 3 == len(set(map(id, told)))
    assert 1 == len(server.calls)


# Slices ---------------------------------------------------------------------


async def test_a_wait_is_asked_again_slice_by_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 202 is followed by the next request, on the same connection."""
    monkeypatch.setattr(dp_backends.http, "uniform", lambda low, high: 0)
    async with (
        Server(slices=0.02).serving() as server,
        connect(server.url) as promises,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_resolve_after, server, Wait("a"), 3)

        assert "done" == await promises.promise("a").get()

    assert 3 <= server.calls.count(Wait("a"))
    assert 1 == server.connections
    preferred = {
        int(head[b"prefer"][5:]) for head in server.headers if b"prefer" in head
    }
    assert preferred <= set(range(25, 36))


async def _resolve_after(server: Server, call: Wait, times: int) -> None:
    await server.until(lambda server: server.calls.count(call) == times)
    await server.backend.settle(call.id, DONE)


async def test_a_server_that_does_not_hold_waits_is_not_run_hot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where every 202 comes at once, there is a pause before the next question."""
    pauses: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        pauses.append((low, high))
        return 0

    monkeypatch.setattr(dp_backends.http, "uniform", uniform)
    async with (
        Server(slices=0).serving() as server,
        connect(server.url) as promises,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_resolve_after, server, Wait("a"), 3)
        await promises.promise("a").get()

    assert [(0.5, 2.0)] * 2 == pauses[:2]


async def test_a_wait_whose_answer_is_overdue_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server known to keep to slices has lost the request when it is silent."""
    monkeypatch.setattr(dp_backends.http, "_SLICE", (0, 0))
    monkeypatch.setattr(dp_backends.http, "_GRACE", 0.05)
    monkeypatch.setattr(dp_backends.http, "uniform", lambda low, high: 0)
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        server.canned.append(http_answer(202, b"null"))
        server.mute = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.wait, "a")
            await server.until(lambda server: server.calls.count(Wait("a")) == 3)
            tasks.cancel_scope.cancel()


async def test_a_server_without_slices_may_be_silent_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reference holds a wait as long as it takes: it is asked once."""
    monkeypatch.setattr(dp_backends.http, "_SLICE", (0, 0))
    monkeypatch.setattr(dp_backends.http, "_GRACE", 0.0)
    async with Server(slices=None).serving() as server, connect(server.url) as promises:
        with pytest.raises(PromiseTimeoutError):
            await promises.promise("a").get(timeout=0.3)

    assert [Peek("a"), Wait("a")] == server.calls


# Outages --------------------------------------------------------------------


async def test_a_wait_outlives_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """
    Once a server has answered, a wait without a deadline never gives up.

    The outage is logged once, whatever it lasts and however many wait.
    """
    server, kept = Server(), list[Outcome[bytes]]()
    async with anyio.create_task_group() as tasks:
        async with server.serving():
            backend = HttpBackend(server.url)
            await met(backend, server)
            backend._url = replace(backend._url, retry=0.001)
            for id in "aab":
                tasks.start_soon(keep, backend, id, kept)
            await server.until(lambda server: server.waiting.total() == 2)
        for id in "ab":
            await eventually(partial(_failed_often, backend, id))
        async with server.serving(port=server.port):
            for id in "ab":
                await server.resolve_waited(id)
            await eventually(lambda: len(kept) == 3)

    assert 1 == len(caplog.records)
    assert server.url.removeprefix("http://") in caplog.text
    assert [DONE] * 3 == kept


def _failed_often(backend: HttpBackend, id: str) -> bool:
    (poll,) = backend._long_polls._long_polls[id]
    return poll.attempts.count > 2


async def test_a_wait_at_a_wrong_port_is_no_silent_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    A server that never answered gets as long as for any other operation.

    The time is counted for each waiter, and not once more for each new leader.
    """
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 60)
    async with Server(mute=True).serving() as server:
        backend = HttpBackend(f"{server.url}?retry=1")
        told: list[DurablePromiseError] = []
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(keep_error, partial(backend.wait, "a"), told)

    assert [BackendUnavailableError] * 100 == [type(error) for error in told]
    assert [Peek("a")] == server.calls


async def test_who_has_less_time_leaves_the_others_waiting() -> None:
    """A deadline that an outage outlasts ends the wait of its owner only."""
    server, kept = Server(), list[Outcome[bytes]]()
    told: list[DurablePromiseError] = []
    async with anyio.create_task_group() as tasks:
        async with server.serving():
            backend = HttpBackend(server.url)
            get = Promises(backend, server.url).promise("a").get
            tasks.start_soon(keep_error, partial(get, timeout=2), told)
            await server.until(lambda server: server.waiting["a"] == 1)
            tasks.start_soon(keep, backend, "a", kept)
        await eventually(lambda: bool(told))
        async with server.serving(port=server.port):
            await server.resolve_waited("a")
            await eventually(lambda: bool(kept))

    assert isinstance(told[0], BackendUnavailableError | PromiseTimeoutError)
    assert [DONE] == kept


@pytest.mark.parametrize("mute", [True, False])
async def test_a_pending_promise_is_a_timeout_and_no_failure(mute: bool) -> None:
    """Where the server is only slow, or the promise only pending, time is over."""
    async with Server(mute=mute).serving() as server, connect(server.url) as promises:
        with pytest.raises(PromiseTimeoutError):
            await promises.promise("a").get(timeout=0.1)


async def test_a_waiter_that_comes_later_asks_a_question_of_its_own() -> None:
    """What was asked before it came may be answered by a promise it never knew."""
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
    """When its time is over, a question is given up for one that was asked later."""
    monkeypatch.setattr(dp_backends.http, "uniform", lambda low, high: 0)
    kept: list[Outcome[bytes]] = []
    scopes = [anyio.CancelScope() for _ in range(4)]
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        async with anyio.create_task_group() as tasks:
            for n, scope in enumerate(scopes):
                tasks.start_soon(_keep_in, scope, backend, "a", kept)
                await server.until(partial(_waiting, n + 1))
            server.slices = 0.05
            server.canned.extend([http_answer(202, b"null")] * 3)
            await server.hang_up()
            await eventually(lambda: len(backend._long_polls._long_polls["a"]) == 1)
            for scope in scopes[1:]:
                scope.cancel()
            await eventually(partial(_has_seats, backend, 1))
            await server.backend.settle("a", DONE)

    assert [DONE] == kept
    assert {} == backend._long_polls._long_polls


async def test_nobody_changes_to_a_question_asked_before_they_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer may be of a promise they never knew, so they ask once more."""
    monkeypatch.setattr(dp_backends.http, "uniform", lambda low, high: 0)
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.wait, "a")
            await server.until(partial(_waiting, 1))
            server.canned.append(http_answer(202, b"null"))
            tasks.start_soon(backend.wait, "a")
            await server.until(partial(_waiting, 2))
            tasks.cancel_scope.cancel()

    assert [Wait("a")] * 3 == server.calls


async def test_a_change_suits_all_who_changed_before() -> None:
    """Who has changed counts as come when the question they changed to was asked."""
    pool = Pool(ServerUrl("http", "h", 1))
    polls, token = LongPolls(pool), current_token()

    def poll(closed_at: float, asked: float, *, on_its_way: bool) -> LongPoll:
        made = LongPoll(pool, token, closed_at, asked=asked)
        if on_its_way:
            made.connection = cast("Connection", object())
        polls._long_polls.setdefault("a", set()).add(made)
        return made

    middle = poll(12, 12, on_its_way=True)
    early, late = poll(10, 20, on_its_way=True), poll(15, 15, on_its_way=False)
    here = PollWaiter(late)
    late.waiters[here] = None

    assert polls.change("a", late)
    assert early is here.poll
    early.connection = None
    assert not polls.change("a", early)
    assert {early, middle} == polls._long_polls["a"]


async def test_flights_of_another_event_loop_are_left_alone() -> None:
    """Nobody joins one, or changes to one: its leader could not call them."""
    pool = Pool(ServerUrl("http", "h", 1))
    polls, token = LongPolls(pool), current_token()
    foreign = LongPoll(pool, EventLoopToken(token.backend_class, object()))
    polls._long_polls["a"] = {foreign}
    ours = polls._joinable("a")
    foreign.asked, foreign.connection = 1, cast("Connection", object())
    ours.closed_at = 0

    assert ours is not foreign
    assert not polls.change("a", ours)


@pytest.mark.parametrize("seed", range(3))
async def test_waiters_that_come_and_go_lose_nobody(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However polls are joined, left and changed: who stays gets the outcome."""
    monkeypatch.setattr(dp_backends.http, "uniform", lambda low, high: 0)
    random = Random(seed)  # noqa: S311 - no secret
    stays, goes = list[Outcome[bytes]](), list[Outcome[bytes]]()
    async with Server(slices=0.01).serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            leaving: list[anyio.CancelScope] = []
            for n in range(150):
                if n % 3:
                    leaving.append(anyio.CancelScope())
                    tasks.start_soon(_keep_in, leaving[-1], backend, "a", goes)
                else:
                    tasks.start_soon(keep, backend, "a", stays)
                for _ in range(random.choice((0, 0, 1, 5, 20))):
                    await checkpoint()
                if len(leaving) > 5:
                    leaving.pop(random.randrange(6)).cancel()
            for scope in leaving:
                scope.cancel()
            await eventually(partial(_has_seats, backend, 50))
            await server.backend.settle("a", DONE)

    assert [DONE] * 50 == stays
    assert [] == goes
    assert {} == backend._long_polls._long_polls
    assert set() == backend._pool._busy


def _waiting(count: int, server: Server) -> bool:
    return server.waiting["a"] == count
