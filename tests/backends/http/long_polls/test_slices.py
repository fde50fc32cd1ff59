"""Slices: a wait is asked again, and what ends it on the way ends a slice."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import anyio
import pytest

from dp_backends.http import HttpBackend, _peer, _retry
from dp_backends.http._route import Slices
from dp_backends.http._waits import _long_poll
from dp_core import BackendUnavailableError, PromiseTimeoutError, connect
from dp_core.instrumentation import RequestFinished, observing
from dp_core.wire import Wait
from support.http import DONE, Server, http_answer, met, page
from support.wire.watching import Watching

# Slices ---------------------------------------------------------------------


async def test_a_wait_is_asked_again_slice_by_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 202 is followed by the next request, on the same connection."""
    monkeypatch.setattr(_long_poll, "uniform", lambda low, high: 0)
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
    """There is a pause before the next request if every 202 comes at once."""
    pauses: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        pauses.append((low, high))
        return 0

    monkeypatch.setattr(_long_poll, "uniform", uniform)
    async with (
        Server(slices=0).serving() as server,
        connect(server.url) as promises,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_resolve_after, server, Wait("a"), 3)
        await promises.promise("a").get()

    assert [(0.5, 2.0)] * 2 == pauses[:2]


def keys(server: Server) -> list[bytes]:
    """Return the Idempotency-Keys of the waits that a server got, in their order."""
    name = b"idempotency-key"
    return [headers[name] for headers in server.headers if name in headers]


@pytest.mark.parametrize("slices", [0, None], ids=["keeps to slices", "holds for ever"])
async def test_a_wait_whose_answer_is_overdue_is_asked_anew(
    slices: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first one on, a silent wait is lost, and not gone on with by its key."""
    monkeypatch.setattr(_peer, "_HOLD_SECONDS", (0, 0))
    monkeypatch.setattr(_long_poll, "_OVERDUE_SECONDS", 0.05)
    monkeypatch.setattr(_long_poll, "uniform", lambda low, high: 0)
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 0)
    async with Server(slices=slices).serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        server.hold = anyio.Event()
        watching = Watching()
        async with anyio.create_task_group() as tasks:
            with observing(watching):
                tasks.start_soon(backend.wait, "a")
                await server.until(lambda server: server.calls.count(Wait("a")) == 4)
                tasks.cancel_scope.cancel()

    assert 4 == len(set(keys(server)))
    # For observers they have failed, but for the last one, which was left.
    lost = [end for end in watching.of(RequestFinished) if end.status is None]
    assert [True] * 3 == [
        isinstance(end.error, BackendUnavailableError) and not end.cancelled
        for end in lost[:3]
    ]


@pytest.mark.parametrize("overdue", [0.0, 60.0])
async def test_a_wait_that_is_cut_again_and_again_is_lost_at_last(
    overdue: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait's age counts, not its connection's; until it is lost, it is one wait."""
    monkeypatch.setattr(_peer, "_HOLD_SECONDS", (0, 0))
    monkeypatch.setattr(_long_poll, "_OVERDUE_SECONDS", overdue)
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 0)
    pending, gateway = http_answer(200, b"null"), page(504)
    # Before each wait but the first, it is asked whether it is there.
    canned = [pending, None, pending, gateway, pending, None]
    async with Server(canned=deque(canned)).serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.wait, "a")
            await server.until(lambda server: server.calls.count(Wait("a")) == 4)
            tasks.cancel_scope.cancel()

    assert (4 if overdue == 0 else 1) == len(set(keys(server)))


# Cut by something on the way ------------------------------------------------


@dataclass(eq=False)
class Gateway:
    """
    The end of each wait that a server holds for longer than a gateway lets it.

    Attributes:
        limit: The seconds after which it ends a wait.
        says: What it says then; None to cut the connection.
        ended: How many waits it has ended.
    """

    limit: float
    says: bytes | None
    ended: int = 0

    async def before(self, server: Server) -> None:
        """Stand before *server*: it answers as this does, once a wait is too old."""
        while True:
            await server.until(lambda server: server.waiting["a"] > 0)
            held = server.calls.count(Wait("a"))
            with anyio.move_on_after(self.limit) as scope:
                await server.until(lambda server: server.waiting["a"] == 0)
            if scope.cancelled_caught and held == server.calls.count(Wait("a")):
                self.ended += 1
                await server.cut_short(self.says)
                await server.until(lambda server: server.waiting["a"] == 0)


CLOSE = b"Connection: close"
ENDS = {
    "504": page(504, "504 Gateway Time-out", CLOSE),
    "504 as JSON": http_answer(504, b'{"message":"Request timed out"}', CLOSE),
    "408": page(408, "408 Request Time-out", CLOSE),
    "cut": None,
}


@pytest.mark.parametrize("end", ENDS)
async def test_the_end_of_a_silent_wait_is_the_end_of_a_slice(
    end: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever ends it: no pause, no failure, nothing in the log, and shorter slices.

    When the caller's time is over, its promise is pending.
    """
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 1000)
    gateway = Gateway(2.5, ENDS[end])
    async with (
        Server().serving() as server,
        connect(server.url) as promises,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(gateway.before, server)
        with pytest.raises(PromiseTimeoutError):
            await promises.promise("a").get(timeout=9)
        tasks.cancel_scope.cancel()

    assert [] == caplog.messages
    assert 1 == gateway.ended
    slices = [int(head[b"prefer"][5:]) for head in server.headers if b"prefer" in head]
    assert len(slices) >= 3
    assert all(seconds <= gateway.limit for seconds in slices[1:])


def test_a_wait_that_outlived_the_limit_shows_that_there_is_none() -> None:
    """It was an outage that had cut the other one; of no cut nothing is learnt."""
    nothing = Slices()
    assert nothing is nothing.after_held(100)
    assert nothing == nothing.after_cut(10).after_held(11)


def test_after_many_waits_that_were_held_a_longer_one_is_tried() -> None:
    """A limit that was there once may be gone; one that was seen often stays."""
    once = often = Slices().after_cut(10)
    for _ in range(5):
        often = often.after_cut(10)
    before = once.longest
    for _ in range(20):
        once, often = once.after_held(5), often.after_held(5)
    assert before < once.longest
    assert before == often.longest
