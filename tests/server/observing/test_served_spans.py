"""Spans of a server: one a request, with the operations of the store inside."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import anyio
import pytest
from opentelemetry.trace import SpanKind, StatusCode

import dp_core as dp
from dp_core.instrumentation import (
    Finished,
    LoggingObserver,
    RequestFinished,
    RequestStarted,
    Started,
    observing,
)
from dp_core.server import App, Settings, app
from support.server.asgi_driver import Request, ask
from support.wire.spans.kept import (
    Spans,
    attribute,
    collecting,
    seen,
)
from support.wire.watching import Watching

TOKEN: Final = "t" * 32
VALUE: Final = "a value that nobody else reads"


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Keep the spans of this process."""
    with collecting() as spans:
        yield spans


def served(**settings: Any) -> App:
    """Return an app with a store of its own."""
    return app(dp.connect(f"memory:{uuid4()}").backend, Settings(**settings))


class Begun:
    """An observer that keeps, of each operation, whether it is done for a client."""

    def __init__(self) -> None:
        self.served: list[bool] = []

    def started(self, event: Started) -> None:
        self.served.append(event.served)

    def finished(self, event: Finished) -> None: ...


async def test_an_operation_for_a_client_says_so() -> None:
    """Observers tell what clients ask for from what a process does by itself."""
    begun, app = Begun(), served()
    with observing(begun):
        await ask(app, "/promises/a/resolve", 1)
        await ask(app, "/promises/a/await")
        await dp.durable_promise("a", f"memory:{uuid4()}").peek()

    assert [True, True, False] == begun.served


async def test_a_request_is_a_span_with_its_operation_inside(spans: Spans) -> None:
    """It is named by its route, and has the attributes of HTTP."""
    agent = [(b"user-agent", b"a\xff\x1bgent" + b"x" * 1000)]
    await ask(
        served(), "/promises/a%2Fb/resolve", VALUE, headers=agent, query="x=secret"
    )

    assert {"POST /promises/{id}/resolve": {"promise resolve": {}}} == spans.tree()
    request, operation = spans.all()
    assert SpanKind.SERVER is request.kind
    found = seen(request)
    assert found.pop("user_agent.original").startswith("aÿ\\u001bgentxxx")
    assert {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/promises/{id}/resolve",
        "url.path": "/promises/a%2Fb/resolve",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": 80,
        "client.address": "127.0.0.1",
    } == found
    assert ("a/b", "resolved") == (
        attribute(operation, "dp.promise.id"),
        attribute(operation, "dp.result"),
    )
    assert VALUE not in spans.text()
    assert "secret" not in spans.text()


async def test_every_operation_is_told(spans: Spans) -> None:
    """Those of a call, of a batch, of a wait, and of a page of a list."""
    server = served()
    for name, more in {
        "create": {"tags": {"a": "b"}},
        "peek": {},
        "resolve": {"value": VALUE},
        "reject": {"errorMessage": "late"},
        "await": {},
        "info": {},
        "dispose": {},
    }.items():
        answer = await ask(server, f"/promise/{name}", {"promiseId": "id", **more})
        assert answer.status in (200, 201)
    await ask(server, "/promises", method="GET")
    calls = [{"op": "peek", "promiseId": id} for id in "xyz"]
    await ask(server, "/batch", calls)

    tree = spans.tree()
    assert {"promise peek": {}, "promise peek'": {}, "promise peek''": {}} == tree.pop(
        "POST /batch"
    )
    assert {"promise list": {}} == tree.pop("GET /promises")
    inside = {name.rpartition("/")[2]: [*below] for name, below in tree.items()}
    assert {"await": ["promise get"]} | {
        name: [f"promise {name}"]
        for name in ("create", "peek", "resolve", "reject", "info", "dispose")
    } == inside
    results = {s.name: attribute(s, "dp.result") for s in spans.all()}
    assert "created" == results["promise create"]
    assert "resolved" == results["promise reject"] == results["promise info"]
    assert "disposed" == results["promise dispose"]
    assert VALUE not in spans.text()


async def test_failures_have_their_status(spans: Spans) -> None:
    """What a client does wrong is no error of the server."""
    server = served(token=TOKEN)
    await ask(server, "/promise/peek", {"promiseId": "id"})
    await ask(server, f"/p/{'x' * 3000}", method="GET", query=f"token={TOKEN}")
    await ask(server, "/nothing/secret-\udcff", method="GET")
    await ask(server, "/promise/peek", method="DELETE")
    await ask(server, "/promise/peek", method="sPY\x1b" * 100)

    assert [
        ("POST /promise/peek", 401),
        ("GET /p/{id}", 400),
        ("GET", 401),
        ("DELETE /promise/peek", 401),
        ("HTTP /promise/peek", 401),
    ] == [(s.name, attribute(s, "http.response.status_code")) for s in spans.all()]
    assert [] == spans.failed()
    assert "_OTHER" == attribute(spans.all()[-1], "http.request.method")
    original = attribute(spans.all()[-1], "http.request.method_original")
    assert len(original) < 100
    assert original.isprintable()
    assert all(len(attribute(s, "url.path")) <= 2000 for s in spans.all())
    assert TOKEN not in spans.text()


async def test_a_store_that_fails_is_an_error(spans: Spans) -> None:
    """The operation says why, the request its status."""

    class Broken(dp.Backend):
        async def peek(self, id: str) -> dp.State[bytes]:
            raise dp.BackendUnavailableError("the disk is away")

        async def settle(self, id: str, outcome: Any) -> Any: ...
        async def wait(self, id: str) -> Any: ...
        async def dispose(self, id: str) -> None: ...
        async def aclose(self) -> None: ...

    await ask(app(Broken()), "/promise/peek", {"promiseId": "id"})

    request, operation = spans.all()
    assert ("503", StatusCode.ERROR) == (
        attribute(request, "error.type"),
        request.status.status_code,
    )
    assert "the disk is away" in str(operation.status.description)


async def test_a_client_that_goes_is_no_error(spans: Spans) -> None:
    """Its wait is cancelled, and there is no status."""
    server = served()
    request = Request("/promise/await", b'{"promiseId": "id"}')
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request.run, server)
        while not server._places.waiters:
            await anyio.lowlevel.checkpoint()
        request.disconnect()

    assert {"POST /promise/await": {"promise get": {}}} == spans.tree()
    assert "cancelled" == attribute(spans.one("promise get"), "dp.result")
    assert [] == spans.failed()
    assert "" == attribute(
        spans.one("POST /promise/await"), "http.response.status_code"
    )


async def test_a_stream_is_a_span_until_it_begins(spans: Spans) -> None:
    """It may go on for hours, for the waits of many; nothing is left current."""
    server = served()
    request = Request("/watch", b'{"promiseIds": ["a"]}')
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request.run, server)
        await request.until(b":")
        assert ["POST /watch"] == [span.name for span in spans.all()]
        await ask(server, "/promise/resolve", {"promiseId": "a", "value": 1})

    assert 200 == attribute(spans.one("POST /watch"), "http.response.status_code")
    assert ["POST /watch", "POST /promise/resolve"] == [*spans.tree()]


async def test_probes_make_no_spans(spans: Spans) -> None:
    """Machines ask them every few seconds."""
    server = served()
    assert 200 == (await ask(server, "/health", method="GET")).status
    assert 200 == (await ask(server, "/metrics", method="GET")).status
    assert [] == spans.all()


async def test_headers_with_tokens_are_for_no_observer() -> None:
    """And a port that a server does not know as a number is none."""
    watching = Watching()
    request = Request(
        "/promise/peek",
        b'{"promiseId": "id"}',
        headers=[
            (b"authorization", b"Bearer x"),
            (b"cookie", b"x"),
            (b"x-other", b"y"),
        ],
    )
    request._scope["server"] = ("127.0.0.1", "80")
    with observing(watching):
        await request.run(served())

    assert 200 == request.status
    (begun,) = watching.of(RequestStarted)
    assert {b"host", b"x-other", b"content-type"} == {name for name, _ in begun.headers}
    assert begun.port is None


async def test_an_observer_that_fails_changes_no_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its exceptions are logged once."""

    class Failing:
        def started(self, event: object) -> None:
            raise RuntimeError("no")

        finished = started

        def request_started(self, event: RequestStarted) -> dict[str, str]:
            raise RuntimeError("no")

        def request_finished(self, event: RequestFinished) -> None:
            raise RuntimeError("no")

    server = served()
    with observing(Failing()):
        for _ in range(3):
            answer = await ask(server, "/promise/peek", {"promiseId": "id"})
            assert (200, b"null") == (answer.status, answer.body)
    assert 1 == sum(record.levelno == logging.ERROR for record in caplog.records)


async def test_other_observers_are_told_of_a_servers_operations(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A line in the log for each, with the store as the server has it."""
    caplog.set_level(logging.INFO)
    with observing(LoggingObserver()):
        await ask(served(), "/promise/reject", {"promiseId": "id", "errorMessage": "x"})
    (record,) = caplog.records
    assert record.getMessage().startswith("reject 'id' at 'memory:")
    assert ": rejected in " in record.getMessage()
