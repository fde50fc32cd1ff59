"""Waits at a server that is away or silent: who goes on, and who is told."""

from __future__ import annotations

from collections import deque
from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_backends.http import HttpBackend, _retry
from dp_core import (
    BackendUnavailableError,
    DurablePromiseError,
    Outcome,
    Promises,
    PromiseTimeoutError,
    connect,
)
from dp_core.wire import Peek
from support.http import DONE, Server, eventually, keep, keep_error, met, waiting

# Outages --------------------------------------------------------------------


async def test_a_wait_outlives_the_server(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Once a server has answered, a wait without a deadline never gives up.

    The outage is logged once, whatever it lasts and however many wait.
    """
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 0.01)
    server, kept = Server(), list[Outcome[bytes]]()
    failing = Server(canned=deque([None] * 20))
    async with anyio.create_task_group() as tasks:
        async with server.serving():
            backend = HttpBackend(f"{server.url}?retry=0.001")
            with anyio.fail_after(30):
                await met(backend, server)
            for id in "aab":
                tasks.start_soon(keep, backend, id, kept)
            await server.until(lambda server: server.waiting.total() == 2)
        async with failing.serving(port=server.port):
            await failing.until(lambda failing: not failing.canned)
        async with server.serving(port=server.port):
            for id in "ab":
                await server.resolve_waited(id)
            await eventually(lambda: len(kept) == 3)

    assert 1 == len(caplog.records)
    assert server.url.removeprefix("http://") in caplog.text
    assert [DONE] * 3 == kept


@pytest.mark.parametrize("ids", [1, 100])
async def test_an_outage_is_asked_about_by_one_of_a_hundred(
    ids: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Two hundred callers together ask a server that does not answer one question.

    When it is back, each asks once more at most, and everybody gets the outcome.
    """
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 0.001)
    server, kept = Server(), list[object]()
    silent = Server(mute=True)
    async with anyio.create_task_group() as tasks:
        async with server.serving():
            backend = HttpBackend(f"{server.url}?retry=600")
            await met(backend, server)
            for n in range(100):
                tasks.start_soon(keep, backend, str(n % ids), kept)
            await server.until(lambda server: server.waiting.total() == ids)
        async with silent.serving(port=server.port):
            await silent.until(lambda silent: bool(silent.calls))
            # Who comes now stands in the same line.
            for n in range(100):
                tasks.start_soon(_settle, backend, f"late-{n}", kept)
            for _ in range(2000):
                await checkpoint()
        back = Server(backend=server.backend)
        async with back.serving(port=server.port):
            for n in range(ids):
                await server.backend.settle(str(n), DONE)
            await eventually(lambda: len(kept) == 200)

    assert 1 == silent.connections == len(silent.calls)
    # The question, which may have been repeated; then settles and waits.
    assert len(back.calls) <= 2 + 100 + ids
    assert back.connections <= len(back.calls)
    assert [DONE] * 200 == kept


async def _settle(backend: HttpBackend, id: str, kept: list[object]) -> None:
    kept.append(await backend.settle(id, DONE))


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


# Pending, and who says so ---------------------------------------------------


@pytest.mark.parametrize("knows", [True, False])
async def test_a_pending_promise_is_a_timeout_and_no_failure(knows: bool) -> None:
    """The server has called it pending, so that is what the caller is told."""
    async with Server().serving() as server, connect(server.url) as promises:
        if knows:
            await promises.promise("met").peek()
        with pytest.raises(PromiseTimeoutError):
            await promises.promise("a").get(timeout=2)


@pytest.mark.parametrize("knows", [True, False])
async def test_a_silent_server_has_not_said_that_a_promise_is_pending(
    knows: bool,
) -> None:
    """A server that does not answer is a failure, and no promise that is pending."""
    async with Server().serving() as server, connect(server.url) as promises:
        if knows:
            await promises.promise("met").peek()
        server.mute = True
        with pytest.raises(BackendUnavailableError, match=r"no answer .* in 0.2 s"):
            await promises.promise("a").get(timeout=0.2)


async def test_who_joins_a_wait_that_is_known_to_be_pending_was_told_nothing() -> None:
    """Others were told, before it came: a server may have died since."""
    told: list[DurablePromiseError] = []
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        get = Promises(backend, server.url).promise("a").get
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.wait, "a")
            await server.until(partial(waiting, 1))
            server.mute = True
            await keep_error(partial(get, timeout=0.2), told)
            tasks.cancel_scope.cancel()

    assert [BackendUnavailableError] == [type(error) for error in told]


async def test_a_server_that_goes_away_is_not_pending_in_the_end() -> None:
    """What it said before does not count any more once it cannot be asked."""
    told: list[DurablePromiseError] = []
    async with anyio.create_task_group() as tasks:
        async with Server().serving() as server:
            backend = HttpBackend(server.url)
            get = Promises(backend, server.url).promise("a").get
            tasks.start_soon(keep_error, partial(get, timeout=3), told)
            await server.until(partial(waiting, 1))
        await eventually(lambda: bool(told))

    assert [BackendUnavailableError] == [type(error) for error in told]
    assert "refused" in str(told[0])
