"""`Recorder` turns operations into events of the journal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_core._observation import Observation
from dp_core.instrumentation import observing
from dp_core.notebook import JournalEvent
from dp_core.notebook._recorder import Recorder


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops: promises report from either."""
    return str(request.param)


@pytest.fixture
def events() -> list[JournalEvent]:
    """Return the list to which the promises of this process report."""
    return []


@pytest.fixture
def recorder(events: list[JournalEvent]) -> Iterator[Recorder]:
    """Record the promises of this process."""
    recorder = Recorder("me", events.append)
    with observing(recorder):
        yield recorder


pytestmark = pytest.mark.usefixtures("recorder")


def taken(events: list[JournalEvent]) -> list[tuple[str, str, str]]:
    """Return kind, state and text of events, and forget them."""
    found = [(event.kind, event.state, event.text) for event in events]
    events.clear()
    return found


async def test_what_a_server_does_for_clients_is_theirs(
    recorder: Recorder, events: list[JournalEvent], id: str
) -> None:
    """An operation that a client has reported is in no lane twice."""
    for served in (True, False):
        with Observation("peek", id, "memory:", served=served) as seen:
            seen.state = dp.Pending()

    assert ["peeked"] == [event.kind for event in events]
    for served in (True, False):
        with Observation("get", id, "memory:", served=served) as seen:
            seen.state = dp.Resolved(b"1")
    assert ["peeked", "awaiting", "got"] == [event.kind for event in events]


async def test_who_was_first_and_who_was_not(
    events: list[JournalEvent], id: str
) -> None:
    """A settle that won is distinguished from one that came too late."""
    promise = dp.durable_promise(id, "memory:")

    await promise.peek()
    await promise.resolve((1, 2))
    assert ("me", id, "memory:") == (
        events[-1].process,
        events[-1].id,
        events[-1].store,
    )
    assert [
        ("peeked", "pending", ""),
        ("settling", "", ""),
        ("won", "resolved", "[1,2]"),
    ] == taken(events)

    await promise.resolve([1, 2])
    await promise.resolve(3)
    await promise.reject("late")
    assert ["won", "refused", "refused"] == [kind for kind, _, _ in taken(events)[1::2]]


async def test_waits_and_how_they_end(events: list[JournalEvent], id: str) -> None:
    """Value, rejection, time-out, cancellation and disposal are distinguished."""
    promises = dp.connect("memory:")
    promise = promises.promise(id)

    with pytest.raises(dp.PromiseTimeoutError):
        await promise.get(timeout=0.01)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await promise
    await promise.dispose()
    assert ["awaiting", "left", "awaiting", "left", "disposed"] == [
        kind for kind, _, _ in taken(events)
    ]

    await promise.reject("no")
    with pytest.raises(dp.PromiseRejectedError):
        await promise
    assert [
        ("won", "rejected", "no"),
        ("awaiting", "", ""),
        ("got", "rejected", "no"),
    ] == taken(events)[1:]


async def test_terms_and_who_settled(events: list[JournalEvent], id: str) -> None:
    """A create and an info report the terms, a settle who says so."""
    promises = dp.connect("memory:")
    promise = await promises.create(
        id,
        deadline=datetime(9000, 1, 1, tzinfo=UTC),
        tags={"order": "17", "kind": "approval"},
    )
    await promise.resolve("yes", by="alice")
    await promise.info()

    terms = ("9000-01-01T00:00:00.000Z", "kind=approval, order=17")
    assert [
        ("created", "", "", *terms),
        ("settling", "", "", "", ""),
        ("won", "resolved", "alice", "", ""),
        ("peeked", "resolved", "alice", *terms),
    ] == [(e.kind, e.state, e.by, e.deadline, e.tags) for e in events]


async def test_a_deadline_that_settled(events: list[JournalEvent], id: str) -> None:
    """An info reports that the deadline settled it; a create that failed is none."""
    promises = dp.connect("memory:")
    promise = await promises.create(id, deadline=timedelta(seconds=-1))
    with pytest.raises(dp.InvalidTermsError):
        await promises.create(id, otherwise=dp.Rejected("late"))
    await promise.info()

    assert [("created", "", False), ("peeked", "rejected", True)] == [
        (event.kind, event.state, event.expired) for event in events
    ]


async def test_a_store_that_fails(events: list[JournalEvent], id: str) -> None:
    """A settle without an answer is reported as failed, a peek not at all."""
    promises = dp.connect("memory:")
    promise = promises.promise(id)
    await promises.aclose()

    with pytest.raises(dp.BackendClosedError):
        await promise.resolve()
    with pytest.raises(dp.BackendClosedError):
        await promise.peek()
    with pytest.raises(dp.BackendClosedError):
        await promise.dispose()

    assert ["settling", "failed"] == [event.kind for event in events]


async def test_a_value_of_another_type(events: list[JournalEvent], id: str) -> None:
    """A value that does not fit the reader's type was settled and seen all the same."""
    await dp.durable_promise(id, "memory:").resolve([1])
    typed: dp.DurablePromise[Any] = dp.durable_promise(id, "memory:", type=str)
    events.clear()

    for operation in (typed.get, typed.peek, lambda: typed.resolve("x")):
        with pytest.raises(dp.ValueMismatchError):
            await operation()

    assert [
        ("awaiting", "", ""),
        ("got", "resolved", "[1]"),
        ("peeked", "resolved", "[1]"),
        ("settling", "", ""),
        ("refused", "resolved", "[1]"),
    ] == taken(events)


async def test_a_value_that_is_refused(events: list[JournalEvent], id: str) -> None:
    """A settle that never got to the store has failed."""
    with pytest.raises(dp.InvalidValueError):
        await dp.durable_promise(id, "memory:").resolve(object())

    assert ["settling", "failed"] == [event.kind for event in events]


async def test_the_last_known_state(recorder: Recorder, id: str) -> None:
    """The state that any handle of this process has seen last is remembered."""
    promise, key = dp.durable_promise(id, "memory:"), ("memory:", id)
    assert None is recorder.last_known(key)

    await promise.resolve(1)
    with pytest.raises(dp.InvalidValueError):
        await promise.resolve(object())
    known = recorder.last_known(key)
    assert known is not None
    assert ("resolved", "1") == (known.state, known.text)

    await promise.dispose()
    known = recorder.last_known(key)
    assert known is not None
    assert "pending" == known.state


def test_no_class_is_changed(events: list[JournalEvent]) -> None:
    """Another recorder leaves the class of promises as it is."""
    before = dict(vars(dp.DurablePromise))
    with observing(Recorder("another", events.append)):
        assert before == dict(vars(dp.DurablePromise))

    assert before == dict(vars(dp.DurablePromise))


async def test_the_journal_is_about_promises(
    events: list[JournalEvent], id: str
) -> None:
    """A listing is not in it; of a prune, each disposal is."""
    store = dp.connect(f"memory:{id}")
    await store.promise(id).resolve([True])
    await store.promise(id).resolve([1])
    assert ["won", "refused"] == [kind for kind, *_ in taken(events) if kind[0] != "s"]

    assert [id] == [info.id async for info in store.list()]
    assert [] == events
    await store.prune(settled_before=timedelta())
    assert ["disposed"] == [kind for kind, *_ in taken(events)]
