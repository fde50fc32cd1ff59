"""Spans of a server: one a request, with the operations of the store inside."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import anyio
import pytest
from opentelemetry import baggage
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
    PARENT,
    Spans,
    attribute,
    collecting,
    seen,
    traceparent,
)

TOKEN: Final = "t" * 32
VALUE: Final = "a value that nobody else reads"
Headers = list[tuple[bytes, bytes]]

BROKEN: Final[dict[str, Headers]] = {
    "not one": [(b"traceparent", b"hello")],
    "too short": [(b"traceparent", PARENT[:-1].encode())],
    "too long": [(b"traceparent", PARENT.encode() + b"0")],
    "zeros": [(b"traceparent", b"00-" + b"0" * 32 + b"-" + b"cd" * 8 + b"-01")],
    "a version that is none": [(b"traceparent", b"ff" + PARENT[2:].encode())],
    "twice": [(b"traceparent", PARENT.encode())] * 2,
    "two in one": [(b"traceparent", f"{PARENT},{PARENT}".encode())],
    "oversized": [(b"traceparent", PARENT.encode() + b"-" + b"x" * 60_000)],
    "controls": [(b"traceparent", b"\x1b[2J\x9b31m")],
    "bytes": [(b"traceparent", bytes(range(128, 256)))],
    "empty": [(b"traceparent", b"")],
}
"""What nobody sends in good faith."""


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


async def test_the_span_of_who_asks_is_above(spans: Spans) -> None:
    """It has their trace, and carries their state and baggage."""
    carried: list[object] = []

    class Listening:
        def started(self, event: Any) -> None:
            carried.append(baggage.get_baggage("who"))

        def finished(self, event: Finished) -> None: ...

    headers = [
        (b"traceparent", PARENT.encode()),
        (b"tracestate", b"a=1"),
        (b"tracestate", b"b=2"),
        (b"baggage", b"who=me"),
    ]
    with observing(Listening()):
        await ask(served(), "/promise/peek", {"promiseId": "id"}, headers=headers)

    request, operation = spans.all()
    assert request.parent is not None
    assert request.parent.is_remote
    assert int("ab" * 16, 16) == request.context.trace_id == operation.context.trace_id
    assert int("cd" * 8, 16) == request.parent.span_id
    assert {"a": "1", "b": "2"} == dict(request.context.trace_state)
    assert ["me"] == carried


@pytest.mark.parametrize("headers", BROKEN.values(), ids=BROKEN)
async def test_a_broken_parent_counts_for_nothing(
    headers: Headers, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is answered as ever, in a trace of its own, and nothing is logged."""
    server = served()
    plain = await ask(server, "/promise/peek", {"promiseId": "id"})
    odd = await ask(server, "/promise/peek", {"promiseId": "id"}, headers=headers)

    assert (plain.status, plain.body) == (odd.status, odd.body)
    assert [None, None] == [s.parent for s in spans.all() if s.kind is SpanKind.SERVER]
    assert [] == [r for r in caplog.records if r.levelno >= logging.ERROR]
    json.loads(odd.body)


async def test_a_broken_state_leaves_the_parent(spans: Spans) -> None:
    """What a vendor has written wrongly is left out."""
    for state in (b"\x9b", b"no pairs", b"a=1,a=2", b"a=" + b"x" * 60_000):
        headers = [(b"traceparent", PARENT.encode()), (b"tracestate", state)]
        await ask(served(), "/promise/peek", {"promiseId": "id"}, headers=headers)

    for span in spans.all():
        assert int("ab" * 16, 16) == span.context.trace_id
        assert not span.context.trace_state


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


async def test_inside_of_an_app_with_spans_it_is_one_more(spans: Spans) -> None:
    """The span of the app around has the same parent; this one is inside of it."""
    with spans.own("around") as around:
        headers = [(b"traceparent", f"{traceparent(around)}01".encode())]
        await ask(served(), "/promise/peek", {"promiseId": "a"})
        await ask(served(), "/promise/peek", {"promiseId": "b"}, headers=headers)
        headers = [(b"traceparent", PARENT.encode())]
        await ask(served(), "/promise/peek", {"promiseId": "c"}, headers=headers)

    assert ["POST /promise/peek", "POST /promise/peek'"] == [*spans.tree()["around"]]
    kinds = [s.kind for s in spans.all() if s.name == "POST /promise/peek"]
    assert [SpanKind.INTERNAL, SpanKind.INTERNAL, SpanKind.SERVER] == kinds


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
