"""Deliveries that count, at which addresses, and where something fails on the way."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends.memory import MemoryBackend
from dp_core._outbox import terms_of_delivery
from dp_core.backend import Page
from dp_core.server._callbacks import Callbacks, _callbacks, _finding, _watches
from dp_core.server._observing import Notices
from dp_core.testing import DeadlineClock
from support.server.calling import SECRET, Calls, calling, deliveries, until
from support.server.receivers import Received, receiving

pytestmark = pytest.mark.usefixtures("at_once")

HOUR = timedelta(hours=1)


async def test_disposal_ends_what_is_unfinished(url: str) -> None:
    """A promise that was disposed of before it was settled is told to nobody."""
    with receiving() as receiver:
        async with calling(url) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.dispose()
            again = await calls.promises.create("a", notify=[receiver.url])
            await again.resolve(2)
            request = await calls.next(receiver)
            states = [each.state for each in await deliveries(calls.promises)]

        assert 2 == request.json()["value"]
        assert dp.Rejected("its promise was disposed of") in states
        assert receiver.received.empty()


async def test_disposal_during_an_attempt(memory: str) -> None:
    """It is told, as it was settled, and its delivery stays rejected."""
    told, disposed = anyio.Event(), anyio.Event()

    def answer(request: Received) -> tuple[int, dict[str, str]]:
        anyio.from_thread.run_sync(told.set, token=token)
        anyio.from_thread.run(disposed.wait, token=token)
        return 204, {}

    token = anyio.lowlevel.current_token()
    with receiving(answer=answer) as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            await told.wait()
            await promise.dispose()
            disposed.set()
            await until(lambda: not calls.callbacks.pending)
            (delivery,) = await deliveries(calls.promises)

    assert dp.Rejected("its promise was disposed of") == delivery.state


async def test_disposal_by_somebody_who_knows_no_callbacks(memory: str) -> None:
    """A server that has seen them rejects them itself."""
    with receiving() as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await deliveries(calls.promises)
            while not any(job.was_named for job in calls.callbacks._jobs.of("a")):
                # It was found, and is looked at when there is news.
                calls.callbacks._told("a")
                await anyio.sleep(0.001)
            await calls.promises.backend.dispose("a")
            (outcome,) = await calls.finished("a")
            await promise.resolve(1)

        assert dp.Rejected("its promise was disposed of") == outcome
        assert receiver.received.empty()


async def test_disposal_takes_finished_deliveries_along(url: str) -> None:
    """Nothing is left of a promise whose callbacks were made."""
    with receiving() as receiver:
        async with calling(url) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            await calls.next(receiver)
            await calls.finished("a")
            await promise.dispose()

            assert [] == await deliveries(calls.promises)
            assert [] == [info async for info in calls.promises.list()]


@pytest.mark.parametrize("of", ["a", "another", "never created"])
async def test_a_forged_delivery_is_not_made(
    url: str, clock: DeadlineClock, of: str
) -> None:
    """Who writes a delivery into the store is not obeyed, and told after an hour."""
    with receiving() as receiver:
        async with calling(url) as calls:
            registry: Any = calls.promises.backend
            await calls.promises.promise("another").resolve(1)
            await registry.create("forged", terms_of_delivery(of, receiver.url))
            promise = await calls.promises.create("a", notify=[receiver.url + "/a"])
            await promise.resolve(1)
            request = await calls.next(receiver)
            await until(lambda: calls.callbacks._jobs.has("forged"))
            before = await registry.peek("forged")
            clock.advance(timedelta(hours=2))
            outcome = await registry.wait("forged")

        assert "/hook/a" == request.path
        assert dp.Pending() == before
        assert dp.Rejected("not asked for") == outcome
        assert receiver.received.empty()


@pytest.mark.parametrize(
    "data", [None, b"{}", b'"x"', b'{"of":1,"to":2}', b'{"of":"a","to":"b"}']
)
async def test_a_delivery_that_says_nothing_is_ended(
    memory: str, clock: DeadlineClock, data: bytes | None
) -> None:
    """The tag alone, or with data that do not fit, is not asked for by anybody."""
    async with calling(memory) as calls:
        registry: Any = calls.promises.backend
        await registry.create("x", dp.Terms(tags={"dp.kind": "delivery"}, data=data))
        await until(lambda: calls.callbacks.pending)
        clock.advance(2 * HOUR)

        assert dp.Rejected("not asked for") == await registry.wait("x")


# Addresses, and several servers ----------------------------------------


async def test_a_name_that_leads_inside_is_not_called(
    memory: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The address is looked at when the connection is made."""

    async def inside(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "127.0.0.1"]

    with receiving() as receiver, caplog.at_level(logging.WARNING):
        async with calling(memory, "*", resolve=inside) as calls:
            promise = await calls.promises.create(
                "a", notify=[f"http://hooks.example.com:{receiver.port}/"]
            )
            await promise.resolve(1)
            await until(lambda: "does not call" in caplog.text)

        assert receiver.received.empty()


async def test_a_name_is_resolved_once(memory: str) -> None:
    """The connection goes to the address that was looked at, whatever DNS says next."""
    asked = []

    async def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        # The second answer would be the one that is connected to.
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with receiving() as receiver:
        async with calling(memory, "hooks.test", resolve=changing) as calls:
            promise = await calls.promises.create(
                "a", notify=[f"http://HOOKS.test.:{receiver.port}/x"]
            )
            await promise.resolve(1)
            request = await calls.next(receiver)
            await calls.finished("a")

    assert ["hooks.test"] == asked
    assert f"hooks.test:{receiver.port}" == request.headers["host"]


async def test_a_host_that_is_not_allowed_any_more_is_not_called(
    memory: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was created elsewhere, or before, is looked at again; and it is not lost."""
    with receiving() as receiver, caplog.at_level(logging.WARNING):
        async with calling(memory, "example.com") as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            await until(lambda: "does not call" in caplog.text)
            (delivery,) = await deliveries(calls.promises)

        assert dp.Pending() == delivery.state
        assert receiver.received.empty()
        assert "--notify-allow" in caplog.text


async def test_another_server_may_have_been_faster(url: str) -> None:
    """Who comes second finds the delivery finished, and calls nobody."""
    if url.startswith("memory"):
        pytest.skip("other servers have another memory")
    with receiving() as receiver:
        async with calling(url) as one, calling(url) as other:
            other.callbacks._watches._told = lambda promise: None
            promise = await one.promises.create("a", notify=[receiver.url])
            await until(lambda: other.callbacks.pending)
            await promise.resolve(1)
            await one.next(receiver)
            await one.finished("a")
            (job,) = other.callbacks._jobs
            other.callbacks._put(job, 0)
            await until(lambda: not other.callbacks.pending)

        assert receiver.received.empty()


# What fails on the way ------------------------------------------------------------


@asynccontextmanager
async def calling_from(backend: MemoryBackend) -> AsyncIterator[Calls]:
    """Make the callbacks of a backend until the block ends."""

    async def known() -> Sequence[str]:
        return [SECRET]

    callbacks = Callbacks(backend, ["127.0.0.1"], known, Notices(), None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(callbacks.run)
        try:
            yield Calls(dp.Promises(backend, backend.location), callbacks)
        finally:
            tasks.cancel_scope.cancel()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the pauses after what has failed."""
    monkeypatch.setattr(_callbacks, "pause_after", lambda *_: 0.01)
    monkeypatch.setattr(_watches, "_AGAIN_SECONDS", 0.01)


@pytest.mark.usefixtures("soon")
async def test_an_answer_that_cannot_be_kept_is_kept_later(
    memory: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The store was away when the receiver had answered: it is not called again."""
    fails = [dp.BackendUnavailableError("away"), RuntimeError("a bug")]

    class Away(MemoryBackend):
        async def settle(
            self, id: str, outcome: dp.Outcome[bytes]
        ) -> dp.Outcome[bytes]:
            if id != "a" and fails:
                raise fails.pop()
            return await super().settle(id, outcome)

    with receiving() as receiver, caplog.at_level(logging.WARNING):
        async with calling_from(Away(memory)) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            await calls.next(receiver)
            (outcome,) = await calls.finished("a")

    assert dp.Resolved(b'{"status":204}') == outcome
    assert receiver.received.empty()
    assert "a bug" in caplog.text


async def test_a_look_that_fails_is_told_and_made_again(
    memory: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that cannot be listed for a while hides no callback for ever."""
    fails = [dp.BackendUnavailableError("away"), RuntimeError("a bug")]

    class Away(MemoryBackend):
        async def list(self, query: dp.Query, after: str | None, limit: int) -> Page:
            if fails:
                raise fails.pop()
            return await super().list(query, after, limit)

    with receiving() as receiver, caplog.at_level(logging.ERROR):
        backend = Away(memory)
        promises = dp.Promises(backend, memory)
        for id in "abcde":
            await (await promises.create(id, notify=[receiver.url])).resolve(1)
        async with calling_from(backend) as calls:
            told = [(await calls.next(receiver)).json()["promiseId"] for _ in "abcde"]

    assert [*"abcde"] == sorted(told)
    assert "callbacks are not found: 'a bug'" in caplog.text


async def test_a_look_goes_through_all_pages(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few deliveries a store tells at once, one look finds all of them."""
    monkeypatch.setattr(_finding, "_PAUSES", (1000.0, 1000.0))

    class Short(MemoryBackend):
        async def list(self, query: dp.Query, after: str | None, limit: int) -> Page:
            return await super().list(query, after, min(limit, 2))

    backend = Short(memory)
    promises = dp.Promises(backend, memory)
    for id in "abcde":
        await promises.create(id, notify=["http://127.0.0.1:1/"])
    async with calling_from(backend) as calls:
        await until(lambda: 5 == calls.callbacks.pending)


@pytest.mark.usefixtures("soon")
async def test_a_promise_that_is_damaged_holds_up_no_other(memory: str) -> None:
    """Nor does a watch that fails: those that can be read are watched again."""
    fails = [RuntimeError("a bug")]
    damaged: set[str] = set()

    class Damaged(MemoryBackend):
        async def peek(self, id: str) -> dp.State[bytes]:
            if id in damaged:
                raise dp.CorruptPromiseError("it is damaged")
            return await super().peek(id)

        async def info(self, id: str) -> dp.PromiseInfo[bytes]:
            if id in damaged:
                raise dp.CorruptPromiseError("it is damaged")
            return await super().info(id)

        @asynccontextmanager
        async def watch(self, ids: Collection[str]) -> AsyncIterator[Any]:
            if fails:
                raise fails.pop()
            if damaged.intersection(ids):
                raise dp.CorruptPromiseError("it is damaged")
            async with super().watch(ids) as told:
                yield told

    with receiving() as receiver:
        async with calling_from(Damaged(memory)) as calls:
            for id in ("damaged", "a"):
                await calls.promises.create(id, notify=[receiver.url])
            damaged.add("damaged")
            await until(lambda: 2 == calls.callbacks.pending)
            await until(lambda: not fails)
            await calls.promises.promise("a").resolve(1)
            request = await calls.next(receiver)

    assert "a" == request.json()["promiseId"]


async def test_the_end_of_a_store_ends_its_callbacks(memory: str) -> None:
    """Nothing goes on for a handle that was closed."""
    backend = MemoryBackend(memory)
    async with calling_from(backend) as calls:
        await calls.promises.create("a", notify=["http://127.0.0.1:1/"])
        await until(lambda: calls.callbacks.pending)
        await until(lambda: calls.callbacks._watches._groups)
        await backend.aclose()
        await until(lambda: not calls.callbacks._watches._groups)


async def test_the_addresses_of_a_name_are_tried_in_turn(memory: str) -> None:
    """As browsers do: one of them may lead nowhere."""

    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    with receiving() as receiver:
        async with calling(memory, "hooks.test", resolve=two) as calls:
            promise = await calls.promises.create(
                "a", notify=[f"http://hooks.test:{receiver.port}/x"]
            )
            await promise.resolve(1)
            request = await calls.next(receiver)

    assert "/x" == request.path
