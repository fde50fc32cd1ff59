"""Event streams of the app, on both event loops: many promises, one request."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from dp_core import BackendUnavailableError, Resolved, State
from dp_core.server import App, Settings, app
from support.server.asgi_driver import Request, Spy, ask


@pytest.fixture
def spy(request: pytest.FixtureRequest) -> Spy:
    """A backend that nobody else uses, and that makes a wait for each id."""
    return Spy(request.node.nodeid)


@pytest.fixture(params=["a wait for each", "as one"])
def promises(spy: Spy, request: pytest.FixtureRequest) -> App:
    """An app on a backend that watches promises as one, or makes a wait for each."""
    return app(spy if request.param == "a wait for each" else spy.inner)


@asynccontextmanager
async def limited() -> AsyncIterator[TaskGroup]:
    """A task group that gives up where something hangs."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            yield group


def watch(*ids: str, **more: Any) -> Request:
    """Return a request for an event stream."""
    return Request("/watch", json.dumps({"promiseIds": ids}).encode(), **more)


def told(request: Request) -> dict[str, Any]:
    """Return the events of a stream, by their ids."""
    events = [
        json.loads(line.removeprefix(b"data: "))
        for line in request.body.splitlines()
        if line.startswith(b"data: ")
    ]
    assert len(events) == len({event["promiseId"] for event in events})
    return {event.pop("promiseId"): event for event in events}


async def test_a_stream_tells_each_outcome_once_and_ends(promises: App) -> None:
    """What is settled already and what is settled later, by value, error, disposal."""
    await ask(promises, "/promise/resolve", {"promiseId": "before", "value": [1]})
    stream = watch("value", "before", "error", "gone", "long")
    async with limited() as group:
        group.start_soon(stream.run, promises)
        await stream.until(b"before")
        assert {"before": {"value": [1]}} == told(stream)
        await ask(promises, "/promise/resolve", {"promiseId": "value", "value": None})
        await stream.until(b"null")
        await ask(promises, "/promise/dispose", {"promiseId": "gone"})
        await ask(
            promises, "/promise/reject", {"promiseId": "error", "errorMessage": "no"}
        )
        await ask(
            promises, "/promise/resolve", {"promiseId": "long", "value": "x" * 65_536}
        )

    assert {
        "before": {"value": [1]},
        "value": {"value": None},
        "gone": {"disposed": True},
        "error": {"error": "no"},
        "long": {"ask": True},
    } == told(stream)
    assert 200 == stream.status
    assert stream.is_whole
    assert stream.body.startswith(b":\n\n")
    assert "text/event-stream" == stream.headers["content-type"]
    assert "no-store" == stream.headers["cache-control"]
    assert "no" == stream.headers["x-accel-buffering"]
    assert "content-length" not in stream.headers


async def test_a_stream_can_be_asked_for_by_get(promises: App) -> None:
    """By at most fifty ids of a query."""
    await ask(promises, "/promise/resolve", {"promiseId": "é 1", "value": 1})
    stream = await ask(
        promises, "/watch", method="GET", query="promiseId=%C3%A9+1", headers=[]
    )
    late = await ask(
        promises,
        "/watch",
        method="GET",
        query="&".join(f"promiseId={n}" for n in range(51)),
    )

    assert {"é 1": {"value": 1}} == told(stream)
    assert 400 == late.status


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"promiseIds": []},
        {"promiseIds": ["x", "x"]},
        {"promiseIds": [""]},
        {"promiseIds": [1]},
        {"promiseIds": [str(n) for n in range(10_001)]},
        {"promiseIds": ["x"], "since": 1},
    ],
    ids=lambda body: json.dumps(body)[:40],
)
async def test_a_stream_asked_for_wrongly_is_refused(body: object, spy: Spy) -> None:
    """As a whole, by 400 and the wire's form of a failure."""
    answer = await ask(app(spy), "/watch", body)

    assert 400 == answer.status
    assert 400 == answer.json()["code"]
    assert "application/json" == answer.headers["content-type"]


async def test_a_stream_has_two_methods(promises: App) -> None:
    """GET and POST; others change nothing and are told so."""
    for method in ("HEAD", "PUT", "DELETE"):
        assert 405 == (await ask(promises, "/watch", method=method)).status


class Gated(Spy):
    """A backend that is slow to look at the promise ``slow``."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.looks = anyio.Event()
        self.gate = anyio.Event()

    async def peek(self, id: str) -> State[bytes]:
        if id == "slow":
            self.looks.set()
            await self.gate.wait()
        return await super().peek(id)


async def test_the_first_comment_says_that_all_are_watched(
    request: pytest.FixtureRequest,
) -> None:
    """Nothing is sent before, so that whoever hears it knows."""
    gated = Gated(request.node.nodeid)
    stream = watch("fast", "slow")
    async with limited() as group:
        group.start_soon(stream.run, app(gated))
        await gated.looks.wait()
        before = stream.status, stream.body
        gated.gate.set()
        await stream.until(b":")
        running = dict(gated.waiting)
        stream.disconnect()

    assert (None, b"") == before
    assert {"fast": 1, "slow": 1} == running


async def test_a_stream_speaks_in_its_silence(
    promises: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment comes again and again, so that no proxy takes it for dead."""
    monkeypatch.setattr("dp_core.server._waiting._streams.COMMENT_SECONDS", 0.01)
    stream = watch("x")
    async with limited() as group:
        group.start_soon(stream.run, promises)
        await stream.until(b":\n\n" * 4)
        stream.disconnect()

    assert {} == told(stream)


async def test_a_stream_ends_with_its_client(spy: Spy) -> None:
    """When the client goes away all its waits are over."""
    stream = watch("x", "y")
    async with limited() as group:
        group.start_soon(stream.run, app(spy))
        await spy.until_waiting(1, "y")
        stream.disconnect()
        await stream.ended.wait()

    assert {"x": 0, "y": 0} == spy.waiting


async def test_streams_are_among_those_that_wait(spy: Spy) -> None:
    """Past the bound of held requests the oldest ends: a stream, or a wait."""
    bounded = app(spy, Settings(max_waiters=2))
    streams = [watch("x", "y") for _ in range(3)]
    wait = Request("/promise/await", b'{"promiseId":"x"}')
    async with limited() as group:
        for stream in streams:
            group.start_soon(stream.run, bounded)
            await stream.until(b":")
        await streams[0].ended.wait()
        group.start_soon(wait.run, bounded)
        await streams[1].ended.wait()
        assert not streams[2].ended.is_set()
        streams[2].disconnect()
        await ask(bounded, "/promise/resolve", {"promiseId": "x", "value": 1})

    assert {b":\n\n"} == {stream.body for stream in streams}
    assert {"value": 1} == wait.json()


async def test_ids_on_streams_are_bounded(spy: Spy) -> None:
    """Past the bound the oldest streams end, and one over it alone is refused."""
    bounded = app(spy, Settings(max_watched=4))
    first, second, third = watch("a", "b"), watch("c", "d"), watch("e", "f", "g")
    over = watch("1", "2", "3", "4", "5")
    async with limited() as group:
        for stream in (first, second, third):
            group.start_soon(stream.run, bounded)
            await stream.until(b":")
        await first.ended.wait()
        await second.ended.wait()
        await over.run(bounded)

    assert third.ended.is_set()
    assert 503 == over.status
    assert "1" == over.headers["retry-after"]
    assert [200, 200, 200] == [s.status for s in (first, second, third)]


async def test_a_stop_ends_all_streams(promises: App) -> None:
    """Whole, so that clients ask again, and no new ones begin."""
    streams = [watch(str(n)) for n in range(20)]
    async with limited() as group:
        for stream in streams:
            group.start_soon(stream.run, promises)
        for stream in streams:
            await stream.until(b":")
        promises.stop()
    late = await ask(promises, "/watch", {"promiseIds": ["x"]})

    assert {(200, b":\n\n")} == {(stream.status, stream.body) for stream in streams}
    assert 503 == late.status


async def test_no_stream_is_held_for_ever(
    promises: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an hour it ends, whole."""
    monkeypatch.setattr("dp_core.server._waiting._holding.HELD_SECONDS", 0.01)
    stream = await ask(promises, "/watch", {"promiseIds": ["x"]})

    assert (200, b":\n\n") == (stream.status, stream.body)


class Deaf(Request):
    """
    A request whose client reads so many messages, and no more.

    Args:
        reads: How many.
    """

    def __init__(self, reads: int, *ids: str) -> None:
        super().__init__("/watch", json.dumps({"promiseIds": ids}).encode())
        self.reads = reads
        self.hears = anyio.Event()

    async def _send(self, message: Any) -> None:
        self.reads -= 1
        if self.reads < 0:
            await self.hears.wait()
        await super()._send(message)


async def test_who_does_not_read_is_given_up(spy: Spy) -> None:
    """After a while its waits are over, and nothing more is sent."""
    deaf = Deaf(1, "x", "y")
    async with limited() as group:
        group.start_soon(deaf.run, app(spy, Settings(send_seconds=0.01)))
        await deaf.ended.wait()

    assert {"x": 0, "y": 0} == spy.waiting
    assert b"" == deaf.body


async def test_who_reads_slowly_costs_a_bounded_buffer(promises: App) -> None:
    """Outcomes past the buffer are to be asked for; none is lost."""
    ids = [f"{n}" for n in range(40)]
    deaf = Deaf(3, "first", "gone", *ids)
    async with limited() as group:
        group.start_soon(deaf.run, promises)
        await deaf.until(b":")
        await ask(promises, "/promise/resolve", {"promiseId": "first", "value": 1})
        await deaf.until(b"first")
        for id in ids:
            value = "x" * 40_000
            await ask(promises, "/promise/resolve", {"promiseId": id, "value": value})
        await ask(promises, "/promise/dispose", {"promiseId": "gone"})
        await anyio.wait_all_tasks_blocked()
        deaf.hears.set()

    # Who asks for that would not learn of it.
    assert {"disposed": True} == told(deaf).pop("gone")
    short = [id for id, event in told(deaf).items() if event == {"ask": True}]
    assert {"first", "gone", *ids} == set(told(deaf))
    assert 20 < len(short) < 40


async def test_a_store_that_fails_at_once_is_a_failure(
    spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a stream was sent, so it is answered as other calls are."""

    def fails(ids: object) -> object:
        raise BackendUnavailableError("/secret is away")

    monkeypatch.setattr(type(spy), "watch", staticmethod(fails), raising=False)
    answer = await ask(app(spy), "/watch", {"promiseIds": ["x", "y"]})

    assert 503 == answer.status
    assert "the server's store failed for 2 promises" in answer.json()["message"]
    assert b"secret" not in answer.body


class Failing(Spy):
    """A backend whose wait for ``bad`` fails."""

    async def wait(self, id: str) -> Any:
        if id == "bad":
            raise BackendUnavailableError("/secret is away")
        return await super().wait(id)


async def test_a_store_that_fails_later_ends_the_stream(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole, with what was told before; the log says why."""
    failing = Failing(request.node.nodeid)
    await failing.settle("x", Resolved(b"1"))
    with caplog.at_level(logging.ERROR):
        stream = await ask(app(failing), "/watch", {"promiseIds": ["x", "bad"]})

    assert {"x": {"value": 1}} == told(stream)
    assert ["watch of 2 promises failed: '/secret is away'"] == caplog.messages


async def test_a_stream_asks_for_the_token(spy: Spy) -> None:
    """As every other request does, before anything is read."""
    guarded = app(spy, Settings(token="s" * 32))
    refused = await ask(guarded, "/watch", {"promiseIds": ["x"]})
    also = await ask(guarded, "/watch", method="GET", query="promiseId=x")

    assert 401 == refused.status == also.status
    assert {} == spy.waiting
