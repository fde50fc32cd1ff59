"""Requests that wait, on both event loops: what no client can see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import TaskGroup

from dp_core.server import App, Settings, app
from support.server.asgi_driver import Request, Spy, ask

X = {"promiseId": "x"}


@pytest.fixture
def spy(request: pytest.FixtureRequest) -> Spy:
    """A backend that nobody else uses."""
    return Spy(request.node.nodeid)


@pytest.fixture
def promises(spy: Spy) -> App:
    """An app on it."""
    return app(spy)


@asynccontextmanager
async def limited() -> AsyncIterator[TaskGroup]:
    """A task group that gives up where something hangs."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            yield group


async def test_a_wait_ends_with_its_client(promises: App, spy: Spy) -> None:
    """When the client goes away the backend's wait is cancelled, unanswered."""
    request = Request("/promise/await", b'{"promiseId":"x"}')
    async with limited() as group:
        group.start_soon(request.run, promises)
        await spy.until_waiting(1)
        request.disconnect()
        await spy.until_waiting(0)

    assert request.status is None


async def test_other_waits_go_on_when_one_ends(promises: App, spy: Spy) -> None:
    """A client that goes away takes nobody with it."""
    gone, stays = (Request("/promise/await", b'{"promiseId":"x"}') for _ in "ab")
    async with limited() as group:
        group.start_soon(gone.run, promises)
        group.start_soon(stays.run, promises)
        await spy.until_waiting(2)
        gone.disconnect()
        await spy.until_waiting(1)
        await ask(promises, "/promise/resolve", {**X, "value": [1]})

    assert 200 == stays.status
    assert {"value": [1]} == stays.json()


async def test_a_wait_for_what_is_settled_starts_no_wait(
    promises: App, spy: Spy
) -> None:
    """An outcome that is there is answered at once, however many wait."""
    full = app(spy, Settings(max_waiters=0))
    await ask(promises, "/promise/reject", {**X, "errorMessage": "no"})
    answer = await ask(full, "/promise/await", X)

    assert 200 == answer.status
    assert {"error": "no"} == answer.json()
    assert 0 == spy.waits


async def test_waiters_are_bounded_and_nothing_else_is(spy: Spy) -> None:
    """Past the bound who waited longest is told to come back; all else goes on."""
    bounded = app(spy, Settings(max_waiters=2))
    first, second, third = (
        Request("/promise/await", b'{"promiseId":"x"}') for _ in range(3)
    )
    async with limited() as group:
        for number, request in enumerate((first, second), 1):
            group.start_soon(request.run, bounded)
            await spy.until_waiting(number)
        async with anyio.create_task_group() as refused:
            refused.start_soon(first.ended.wait)
            group.start_soon(third.run, bounded)
        await spy.until_waiting(2)
        peeked = await ask(bounded, "/promise/peek", X)
        settled = await ask(bounded, "/promise/resolve", {**X, "value": 1})

    assert 503 == first.status
    assert "1" == first.headers["retry-after"]
    assert 503 == first.json()["code"]
    assert peeked.status == settled.status == 200
    assert [200, 200] == [request.status for request in (second, third)]

    await ask(bounded, "/promise/dispose", X)
    async with limited() as group:
        again = Request("/promise/await", b'{"promiseId":"x"}')
        group.start_soon(again.run, bounded)
        await spy.until_waiting(1)
        again.disconnect()


async def test_who_comes_last_is_never_refused_for_those_who_wait(spy: Spy) -> None:
    """However many come, each gets a place, and only the oldest give theirs."""
    bounded = app(spy, Settings(max_waiters=3))
    requests = [Request("/promise/await", b'{"promiseId":"x"}') for _ in range(20)]
    async with limited() as group:
        for number, request in enumerate(requests):
            group.start_soon(request.run, bounded)
            if number >= 3:
                await requests[number - 3].ended.wait()
            else:
                await spy.until_waiting(number + 1)
        await spy.until_waiting(3)
        await ask(bounded, "/promise/resolve", {**X, "value": 1})

    assert [503] * 17 + [200] * 3 == [request.status for request in requests]


@pytest.mark.parametrize("prefer", [None, b"wait=100000"])
async def test_no_request_is_held_for_ever(
    promises: App, spy: Spy, monkeypatch: pytest.MonkeyPatch, prefer: bytes | None
) -> None:
    """After an hour a wait is answered 503, also one that asked for more."""
    monkeypatch.setattr("dp_core.server._waiting._holding.HELD_SECONDS", 0.01)
    headers = [] if prefer is None else [(b"prefer", prefer)]
    answer = await ask(promises, "/promise/await", X, headers=headers)

    assert 503 == answer.status
    assert "1" == answer.headers["retry-after"]
    assert 0 == spy.waiting["x"]


async def test_a_stop_answers_all_waiters(promises: App, spy: Spy) -> None:
    """Told to stop, the app answers waiters 503, and takes no new ones."""
    requests = [Request("/promise/await", b'{"promiseId":"x"}') for _ in range(100)]
    async with limited() as group:
        for request in requests:
            group.start_soon(request.run, promises)
        await spy.until_waiting(100)
        promises.stop()
    late = await ask(promises, "/promise/await", X)

    assert {503} == {request.status for request in [*requests, late]}
    assert {"1"} == {request.headers["retry-after"] for request in [*requests, late]}
    assert 0 == spy.waiting["x"]
    assert 200 == (await ask(promises, "/promise/peek", X)).status


async def test_a_wait_can_have_an_end(promises: App, spy: Spy) -> None:
    """When the time of ``Prefer`` is over the answer is 202, and it says so."""
    answer = await ask(
        promises, "/promise/await", X, headers=[(b"prefer", b"foo, wait=0")]
    )

    assert 202 == answer.status
    assert b"null" == answer.body
    assert "wait=0" == answer.headers["preference-applied"]
    assert 0 == spy.waiting["x"]


async def test_a_wait_with_an_end_gets_what_comes_before(
    promises: App, spy: Spy
) -> None:
    """An outcome in time is answered 200, as without a preference."""
    request = Request(
        "/promise/await", b'{"promiseId":"x"}', headers=[(b"prefer", b"wait=1000")]
    )
    async with limited() as group:
        group.start_soon(request.run, promises)
        await spy.until_waiting(1)
        await ask(promises, "/promise/resolve", {**X, "value": None})

    assert 200 == request.status
    assert {"value": None} == request.json()
    assert "preference-applied" not in request.headers


async def test_a_disposal_is_told_to_those_who_wait(promises: App, spy: Spy) -> None:
    """Who waits when a promise is disposed of is answered 410."""
    request = Request("/promise/await", b'{"promiseId":"x"}')
    async with limited() as group:
        group.start_soon(request.run, promises)
        await spy.until_waiting(1)
        disposed = await ask(promises, "/promise/dispose", X)

    assert 200 == disposed.status
    assert b"" == disposed.body
    assert "content-type" not in disposed.headers
    assert 410 == request.status
    assert "PromiseDisposedError" == request.json()["type"]


async def test_a_cancelled_request_leaves_no_wait(promises: App, spy: Spy) -> None:
    """A server that cancels a request cancels what the app does for it."""
    async with limited() as group:
        request = Request("/promise/await", b'{"promiseId":"x"}')
        group.start_soon(request.run, promises)
        await spy.until_waiting(1)
        group.cancel_scope.cancel()

    assert 0 == spy.waiting["x"]
    assert request.status is None
