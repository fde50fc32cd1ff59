"""Observers of requests: each is told, for whom it is sent and how it has ended."""

from __future__ import annotations

import contextvars
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import anyio
import pytest

import dp_core as dp
from dp_core._observation import OBSERVERS
from dp_core._observed_requests import REQUEST_OBSERVERS
from dp_core.backend import observe_request, operation_under_way
from dp_core.instrumentation import (
    Finished,
    RequestFinished,
    RequestStarted,
    Started,
    add_observer,
    observing,
    remove_observer,
)
from support.http import Server, keep_error, together
from support.wire.watching import Watching


@pytest.fixture
def watching() -> Iterator[Watching]:
    """Observe this process."""
    watching = Watching({"traceparent": "here"})
    with observing(watching):
        yield watching


async def test_a_request_is_told_inside_of_its_operation(watching: Watching) -> None:
    """Both have a beginning and an end, and the request says for which it is sent."""
    async with (
        Server(prefix="/dp").serving() as server,
        dp.connect(f"{server.url}/dp") as promises,
    ):
        await promises.promise("a/b").peek()

    began, asked, answered, ended = cast("list[Any]", watching.events)
    assert ("peek", "peek") == (began.operation, ended.operation)
    expected = RequestStarted(
        number=asked.number,
        side="client",
        method="POST",
        route="/dp/promise/peek",
        path="/dp/promise/peek",
        scheme="http",
        host="127.0.0.1",
        port=server.port,
        operations=(began.number,),
    )
    assert expected == asked
    assert RequestFinished(asked.number, "client", 200) == answered
    assert b"here" == server.headers[0][b"traceparent"]


async def test_a_batch_is_told_with_all_its_operations(watching: Watching) -> None:
    """One request, and the numbers of all that wait for it."""
    async with (
        Server().serving() as server,
        dp.connect(server.url) as promises,
    ):
        await together(*(promises.promise(str(n)).peek for n in range(5)))

    (asked,) = watching.of(RequestStarted)
    assert "/batch" == asked.route
    assert {e.number for e in watching.of(Started)} == set(asked.operations)
    assert 5 == len(asked.operations)


async def test_ids_and_queries_are_in_no_route(watching: Watching) -> None:
    """What a request is counted by has few values; a query is nowhere."""
    async with Server().serving() as server, dp.connect(server.url) as promises:
        server.canned.append(None)
        async for _ in promises.list(prefix="secret", tags={"a": "secret"}):
            pass
    asked = watching.of(RequestStarted)
    assert {("GET", "/promises", "/promises")} == {
        (event.method, event.route, event.path) for event in asked
    }
    assert "secret" not in repr(asked)


async def test_what_is_cut_is_told_and_told_again(watching: Watching) -> None:
    """Each attempt is a request, and the one that failed says why."""
    async with Server().serving() as server, dp.connect(server.url) as promises:
        server.canned.append(None)
        await promises.promise("id").resolve(1)

    first, second = watching.of(RequestFinished)
    assert isinstance(first.error, dp.BackendUnavailableError)
    assert "cut the connection" in str(first.error)
    assert (None, False) == (first.status, first.cancelled)
    assert (200, None) == (second.status, second.error)
    assert 1 == len({e.operations for e in watching.of(RequestStarted)})


async def test_nobody_there_is_told(watching: Watching) -> None:
    """A request that was never sent has an end, too."""
    async with Server().serving() as server:
        url = server.url
    with anyio.CancelScope() as scope:
        watching.then = scope.cancel
        async with dp.connect(url) as promises:
            await promises.promise("id").peek()

    (asked,), (ended,) = watching.of(RequestStarted), watching.of(RequestFinished)
    assert asked.number == ended.number
    assert isinstance(ended.error, dp.BackendUnavailableError)
    assert not ended.cancelled


@pytest.mark.slow
async def test_an_answer_that_does_not_come_is_a_failure(watching: Watching) -> None:
    """The client gave up, and not its caller; of a call alone, and of a batch."""
    kept: list[dp.DurablePromiseError] = []
    async with (
        Server(pause=anyio.Event()).serving() as server,
        dp.connect(f"{server.url}?retry=0.2") as promises,
    ):
        for calls in (1, 3):
            await together(
                *(
                    partial(keep_error, promises.promise(str(n)).peek, kept)
                    for n in range(calls)
                )
            )
        with pytest.raises(dp.BackendUnavailableError):
            await anext(promises.list())

    ended = watching.of(RequestFinished)
    assert 4 == len(kept)
    assert 3 <= len(ended)
    assert all(isinstance(e.error, dp.BackendUnavailableError) for e in ended)
    assert not any(e.cancelled for e in ended)


async def test_a_connection_that_nobody_takes_is_a_failure(watching: Watching) -> None:
    """Also where connecting takes longer than the time for it; alone and in a batch."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.settimeout(0)
            each.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}?retry=0.2"
        async with dp.connect(url) as promises:
            for calls in (1, 3):
                names = [promises.promise(str(n)).peek for n in range(calls)]
                await together(*(partial(keep_error, name, []) for name in names))
        for each in waiting:
            each.close()

    ended = watching.of(RequestFinished)
    assert {"BackendUnavailableError"} == {type(e.error).__name__ for e in ended}
    assert {False} == {e.cancelled for e in ended}


async def test_a_poll_is_told_with_all_that_share_it(watching: Watching) -> None:
    """Several waits for a promise are one request, and one look before it."""
    async with (
        Server().serving() as server,
        dp.connect(server.url) as promises,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(3):
            tasks.start_soon(promises.promise("a").get)
        await server.until(lambda server: server.waiting["a"] > 0)
        await server.backend.settle("a", dp.Resolved(b"1"))

    begun = {event.number for event in watching.of(Started)}
    look, poll = watching.of(RequestStarted)
    assert begun == set(look.operations) == set(poll.operations)


async def test_an_operation_that_is_dropped_is_not_another_one(
    watching: Watching,
) -> None:
    """The collector ends it in the middle of another operation, which goes on."""
    promises = dp.connect("memory:dropped")
    dropped = promises.promise("a").get().__await__()
    # Begun elsewhere, so that it is not under way here.
    contextvars.copy_context().run(dropped.send, None)
    under_way: list[int | None] = []

    class Dropping(Watching):
        def started(self, event: Started) -> None:
            dropped.close()
            under_way.append(operation_under_way())

    with observing(Dropping()):
        await promises.promise("b").peek()

    _, second = watching.of(Started)
    assert [second.number] == under_way


async def test_a_wait_that_is_left_is_no_failure(watching: Watching) -> None:
    """Its request is cancelled with it."""
    async with (
        Server().serving() as server,
        dp.connect(server.url) as promises,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(promises.promise("id").get)
        await server.until(lambda server: server.waiting["id"] > 0)
        tasks.cancel_scope.cancel()

    look, wait = watching.of(RequestFinished)
    assert (200, False) == (look.status, look.cancelled)
    assert (None, None, True) == (wait.status, wait.error, wait.cancelled)


def test_observers_come_and_go_in_threads() -> None:
    """Whoever adds and removes one at the same moment, none is left."""
    watching = Watching()

    def work() -> None:
        for _ in range(3_000):
            with observing(watching):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not any(watching is each.observer for each in cast("Any", OBSERVERS))
    assert not any(watching is each.observer for each in cast("Any", REQUEST_OBSERVERS))


async def test_an_observer_that_fails_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its exceptions are logged once, and what it returns is looked at."""

    class Failing(Watching):
        def request_started(self, event: RequestStarted) -> Any:
            return 5

        def request_finished(self, event: RequestFinished) -> None:
            raise RuntimeError("no")

    async with Server().serving() as server, dp.connect(server.url) as promises:
        with observing(Failing()):
            assert dp.Pending() == await promises.promise("id").peek()
            assert dp.Pending() == await promises.promise("id").peek()
    assert 1 == len(caplog.records)
    assert logging.ERROR == caplog.records[0].levelno


async def test_an_observer_of_operations_gets_no_requests() -> None:
    """It need not have the methods, and who goes is forgotten whole."""

    class Plain:
        def started(self, event: Started) -> None: ...
        def finished(self, event: Finished) -> None: ...

    with observing(Plain()):
        assert not REQUEST_OBSERVERS
        assert None is observe_request(
            method="GET",
            route="/",
            path="/",
            scheme="http",
            host="h",
            port=1,
            operations=(),
        )
    watching = Watching()
    add_observer(watching)
    add_observer(watching)
    remove_observer(watching)
    assert 1 == len(REQUEST_OBSERVERS)
    remove_observer(watching)
    remove_observer(watching)
    assert not REQUEST_OBSERVERS


async def test_the_operation_under_way_is_that_of_the_task() -> None:
    """Nested ones come back to the outer one, and without observers there is none."""
    numbers: list[int | None] = []

    class Asking(dp.Backend):
        async def peek(self, id: str) -> dp.State[bytes]:
            numbers.append(operation_under_way())
            if id == "outer":
                await dp.Promises(self, "asking:").promise("inner").peek()
                numbers.append(operation_under_way())
            return dp.Pending()

        async def settle(self, id: str, outcome: Any) -> Any: ...
        async def wait(self, id: str) -> Any: ...
        async def dispose(self, id: str) -> None: ...
        async def aclose(self) -> None: ...

    promise = dp.Promises(Asking(), "asking:").promise("outer")
    await promise.peek()
    assert [None, None, None] == numbers
    numbers.clear()
    with observing(Watching()):
        await promise.peek()
    outer, inner, again = numbers
    assert outer == again != inner
    assert None is operation_under_way()
