"""Observers of requests: told of each, and heard as far as their headers are valid."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, cast

import anyio
import pytest

import dp_core as dp
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

SMUGGLED: Final[tuple[dict[str, str], ...]] = (
    {"traceparent": "a\r\nHost: evil"},
    {"traceparent": "a\nb"},
    {"traceparent": "a\0b"},
    {"traceparent": "ä"},
    {"traceparent": "\u010d\u010a"},
    {"traceparent": ""},
    {"traceparent": " a"},
    {"trace parent": "a"},
    {"traceparent:": "a"},
    {"a\r\nb": "a"},
    {"": "a"},
    {"Host": "evil"},
    {"content-LENGTH": "0"},
    {"transfer-encoding": "chunked"},
    {"authorization": "Bearer mine"},
    {"baggage": "x" * 1024},
)
"""Headers that no request may have of an observer."""


class Watching:
    """Keeps all events, and asks for headers."""

    def __init__(self, headers: Mapping[str, str] = {}) -> None:
        self.headers = headers
        self.then: Callable[[], object] = list
        self.events: list[Started | Finished | RequestStarted | RequestFinished] = []

    def started(self, event: Started) -> None:
        self.events.append(event)

    def finished(self, event: Finished) -> None:
        self.events.append(event)

    def request_started(self, event: RequestStarted) -> Mapping[str, str]:
        self.events.append(event)
        return self.headers

    def request_finished(self, event: RequestFinished) -> None:
        self.events.append(event)
        self.then()

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


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


@pytest.mark.parametrize("headers", SMUGGLED, ids=repr)
async def test_no_header_is_smuggled(
    headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """What is not one plain header, or the request's own, is left out, and logged."""
    good = {"x-one": "a  b\tc"}
    async with Server().serving() as server, dp.connect(server.url) as promises:
        await promises.promise("id").peek()
        with observing(Watching(good | headers)):
            await promises.promise("id").peek()
            await promises.promise("id").peek()

    plain, *others = server.headers
    assert [plain | {b"x-one": b"a  b\tc"}] * 2 == others
    assert 1 == len(caplog.records)
    assert "cannot be sent" in caplog.text


async def test_of_two_observers_one_has_a_name(watching: Watching) -> None:
    """No header comes twice, in whatever spelling."""
    async with Server().serving() as server, dp.connect(server.url) as promises:
        with observing(Watching({"TraceParent": "other", "x": "y"})):
            await promises.promise("id").peek()

    assert b"other" == server.headers[0][b"traceparent"]
    assert b"y" == server.headers[0][b"x"]


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
