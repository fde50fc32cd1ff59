"""Long polls: shared, repeated, handed over, and moved."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from random import Random
from threading import Thread
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_backends.http import HttpBackend, HttpStats, _long_polls, _peer, _retry
from dp_backends.http._long_polls import LongPolls
from dp_backends.http._peer import Peer
from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed
from dp_backends.http._url import parse_url
from dp_backends.http._wire_client import WireClient
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
from support.http_faults import (
    Server,
    eventually,
    failure,
    http_answer,
    keep_error,
    page,
)

MANY = 1000
DONE = Resolved(b'"done"')


async def keep(backend: HttpBackend, id: str, kept: list[Any]) -> None:
    """Wait for a promise and append its outcome."""
    kept.append(await backend.wait(id))


async def met(backend: HttpBackend, server: Server) -> None:
    """Let the backend know the server, so that its waits begin with a wait."""
    await backend.peek("met")
    server.calls.clear()


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
            await eventually(partial(_has_waiters, backend, MANY))
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
            await eventually(partial(_has_waiters, backend, 4))
            await server.until(lambda server: server.waiting["a"] == 1)
            leaving = scopes[:3] if leaves == "leader" else scopes[:0:-1]
            for n, scope in enumerate(leaving):
                scope.cancel()
                await eventually(partial(_has_waiters, backend, 3 - n))
            await server.backend.settle("a", DONE)

    assert [DONE] == kept
    assert [Wait("a")] == server.calls


def _has_waiters(backend: HttpBackend, count: int) -> bool:
    return backend.stats().waiters == count


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
                tasks.start_soon(_keep_in, scope, backend, id, [])
                await eventually(partial(_has_waiters, backend, 1))
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
            await eventually(partial(_has_waiters, backend, 3))
            server.hold.set()

    assert [ProtocolError] * 3 == [type(error) for error in told]
    assert 3 == len(set(map(id, told)))
    assert 1 == len(server.calls)


# Slices ---------------------------------------------------------------------


async def test_a_wait_is_asked_again_slice_by_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 202 is followed by the next request, on the same connection."""
    monkeypatch.setattr(_long_polls, "uniform", lambda low, high: 0)
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

    monkeypatch.setattr(_long_polls, "uniform", uniform)
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
    monkeypatch.setattr(_long_polls, "_OVERDUE_SECONDS", 0.05)
    monkeypatch.setattr(_long_polls, "uniform", lambda low, high: 0)
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 0)
    async with Server(slices=slices).serving() as server:
        backend = HttpBackend(server.url)
        await met(backend, server)
        server.hold = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.wait, "a")
            await server.until(lambda server: server.calls.count(Wait("a")) == 4)
            tasks.cancel_scope.cancel()

    assert 4 == len(set(keys(server)))


@pytest.mark.parametrize("overdue", [0.0, 60.0])
async def test_a_wait_that_is_cut_again_and_again_is_lost_at_last(
    overdue: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait's age counts, not its connection's; until it is lost, it is one wait."""
    monkeypatch.setattr(_peer, "_HOLD_SECONDS", (0, 0))
    monkeypatch.setattr(_long_polls, "_OVERDUE_SECONDS", overdue)
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
            await server.until(partial(_waiting, 1))
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
            await server.until(partial(_waiting, 1))
        await eventually(lambda: bool(told))

    assert [BackendUnavailableError] == [type(error) for error in told]
    assert "refused" in str(told[0])


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
    monkeypatch.setattr(_long_polls, "uniform", lambda low, high: 0)
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
            await eventually(lambda: backend.stats().polls == 1)
            for scope in scopes[1:]:
                scope.cancel()
            await eventually(partial(_has_waiters, backend, 1))
            await server.backend.settle("a", DONE)

    assert [DONE] == kept
    assert 0 == backend.stats().polls


async def test_nobody_moves_to_a_request_sent_before_they_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer may be of a generation they never knew, so they ask once more."""
    monkeypatch.setattr(_long_polls, "uniform", lambda low, high: 0)
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


@dataclass(eq=False)
class Held:
    """A request that was sent; its response comes when the test gives it."""

    response: HttpResponse | None = None
    given: anyio.Event = field(default_factory=anyio.Event)

    def give(self, body: bytes) -> None:
        headers = {b"content-type": b"application/json"}
        self.response = HttpResponse(200, headers, body, reusable=True)
        self.given.set()

    async def receive(self) -> HttpResponse:
        await self.given.wait()
        assert self.response is not None
        return self.response


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
    monkeypatch.setattr(_long_polls, "uniform", lambda low, high: 0)
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


@pytest.mark.parametrize("seed", range(3))
async def test_waiters_that_come_and_go_lose_nobody(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiters that stay get the outcome, however others join, leave and move."""
    monkeypatch.setattr(_long_polls, "uniform", lambda low, high: 0)
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
            await eventually(partial(_has_waiters, backend, 50))
            await server.backend.settle("a", DONE)

    assert [DONE] * 50 == stays
    assert [] == goes
    assert (0, 0) == (backend.stats().polls, backend.stats().busy)


def _waiting(count: int, server: Server) -> bool:
    return server.waiting["a"] == count
