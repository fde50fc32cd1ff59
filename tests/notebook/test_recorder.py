"""What promises report, and how reports travel."""

from __future__ import annotations

import os
from collections.abc import Iterator

import anyio
import pytest

import dp_core as dp
from dp_core.notebook import Event
from dp_core.notebook._pipes import Pipes
from dp_core.notebook._recorder import Recorder


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops: promises report from either."""
    return str(request.param)


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """Return what the promises of this process report."""
    found: list[Event] = []
    recorder = Recorder("me", found.append)
    recorder.install()
    yield found
    recorder.uninstall()


def told(events: list[Event]) -> list[tuple[str, str, str]]:
    """Return what matters of events, and forget them."""
    found = [(event.kind, event.state, event.text) for event in events]
    events.clear()
    return found


async def test_who_was_first_and_who_was_not(events: list[Event], id: str) -> None:
    """A completion that stands is told apart from one that came too late."""
    promise = dp.durable_promise(id, "memory:")

    await promise.peek()
    await promise.resolve((1, 2))
    assert told(events) == [
        ("peeked", "pending", ""),
        ("settling", "", ""),
        ("won", "resolved", "[1,2]"),
    ]

    await promise.resolve([1, 2])
    await promise.resolve(3)
    await promise.reject("late")
    assert [kind for kind, _, _ in told(events)[1::2]] == ["won", "refused", "refused"]


async def test_waits_and_how_they_end(events: list[Event], id: str) -> None:
    """Value, rejection, time-out, cancellation and disposal are told apart."""
    promises = dp.connect("memory:")
    promise = promises.promise(id)

    with pytest.raises(dp.PromiseTimeoutError):
        await promise.get(timeout=0.01)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await promise
    await promise.dispose()
    assert [kind for kind, _, _ in told(events)] == [
        *("awaiting", "left", "awaiting", "left", "disposed")
    ]

    await promise.reject("no")
    with pytest.raises(dp.PromiseRejectedError):
        await promise
    assert told(events)[1:] == [
        ("won", "rejected", "no"),
        ("awaiting", "", ""),
        ("got", "rejected", "no"),
    ]


async def test_a_store_that_fails(events: list[Event], id: str) -> None:
    """A settle without an answer is told as that."""
    promises = dp.connect("memory:")
    promise = promises.promise(id)
    await promises.aclose()

    with pytest.raises(dp.BackendClosedError):
        await promise.resolve()

    assert [kind for kind, _, _ in told(events)] == ["settling", "failed"]


async def test_recording_ends_without_a_trace(id: str) -> None:
    """Uninstalled, the class is as it was before."""
    before = dict(vars(dp.DurablePromise))
    recorder = Recorder("me", lambda event: None)
    recorder.install()
    assert vars(dp.DurablePromise)["get"] is not before["get"]

    recorder.uninstall()

    assert before == dict(vars(dp.DurablePromise))


def test_reports_arrive_whole_or_not_at_all(tmp_path: object) -> None:
    """Lines arrive as events, also in pieces; what is no event is left out."""
    pipes = Pipes(str(tmp_path))
    heard: list[Event] = []
    _, reports = pipes.inherited
    try:
        os.write(
            reports, b'{"process": "a", "pid": 1, "kind": "won", "at": 1.0}\n{"pro'
        )
        pipes.drain(heard.append)
        os.write(
            reports, b'cess": "b", "pid": 2, "kind": "got", "at": 2.0}\nhalf a l\n'
        )
        pipes.drain(heard.append)
    finally:
        pipes.close()

    assert [(event.process, event.kind) for event in heard] == [
        ("a", "won"),
        ("b", "got"),
    ]
