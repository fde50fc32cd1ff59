"""Spans of OpenTelemetry: one an operation, one a request, each inside of its own."""

from __future__ import annotations

import contextvars
import gc
import logging
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any, Final

import anyio
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

import dp_core as dp
import dp_core.sync
from dp_core.instrumentation import observing
from dp_core.otel import OpenTelemetryObserver
from support.http import Server, http_answer, together
from support.wire.spans.kept import Spans, attribute, collecting, seen, traceparent

NAMES: Final = (f"memory:spans-{number}" for number in count())
VALUE: Final = "a value that nobody else reads"
LOGIN: Final = "me:hunter2"


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Keep the spans of this process."""
    with collecting() as spans:
        yield spans


@pytest.fixture
def promises() -> dp.Promises:
    """Return a store that no other test uses."""
    return dp.connect(next(NAMES))


# Operations -------------------------------------------------------------------


async def test_each_operation_is_a_span(spans: Spans, promises: dp.Promises) -> None:
    """It says what was asked of which promise, and what came of it."""
    promise = await promises.create("id", deadline=timedelta(days=1))
    await promise.peek()
    await promise.resolve(VALUE)
    await promise.reject(VALUE)
    await promise
    await promise.info()
    assert 1 == len([info async for info in promises.list()])
    await promise.dispose()
    await promises.prune(settled_before=timedelta())

    assert [
        ("promise create", "id", "created"),
        ("promise peek", "id", "pending"),
        ("promise resolve", "id", "resolved"),
        ("promise reject", "id", "resolved"),
        ("promise get", "id", "resolved"),
        ("promise info", "id", "resolved"),
        ("promise list", "", "listed"),
        ("promise dispose", "id", "disposed"),
        ("promise prune", "", "pruned"),
    ] == [
        (s.name, attribute(s, "dp.promise.id"), attribute(s, "dp.result"))
        for s in spans.all()
    ]
    assert {
        "dp.operation": "list",
        "dp.store": promises.url,
        "dp.result": "listed",
        "dp.count": 1,
    } == seen(spans.one("promise list"))
    assert {SpanKind.INTERNAL} == {span.kind for span in spans.all()}
    assert [] == spans.failed()
    assert VALUE not in spans.text()


async def test_a_rejection_and_a_left_wait_are_no_errors(
    spans: Spans, promises: dp.Promises
) -> None:
    """The first is an outcome, and the second is the caller's own affair."""
    promise = promises.promise("id")
    with anyio.move_on_after(0):
        await promise
    await promise.reject(VALUE)
    with pytest.raises(dp.PromiseRejectedError):
        await promise

    first, _, last = spans.all()
    assert "cancelled" == attribute(first, "dp.result")
    assert "rejected" == attribute(last, "dp.result")
    assert [] == spans.failed()
    assert not any(span.events for span in spans.all())
    assert VALUE not in spans.text()


async def test_an_error_is_told_without_values_and_passwords(
    spans: Spans, promises: dp.Promises
) -> None:
    """Its class, and its text if that can have no part of a value."""
    await promises.promise("text").resolve(VALUE)
    with pytest.raises(dp.ValueMismatchError):
        await promises.promise("text", int)
    with pytest.raises(dp.PromiseTimeoutError):
        await promises.promise("id").get(timeout=0)

    class Leaking(dp.BackendUnavailableError):
        pass

    class Failing(dp.Backend):
        async def peek(self, id: str) -> dp.State[bytes]:
            url = f"x://{LOGIN}@host/{'y' * 1000}"
            raise Leaking(f"not reached\n{url}") from ValueError(url)

        async def settle(self, id: str, outcome: Any) -> Any: ...
        async def wait(self, id: str) -> Any: ...
        async def dispose(self, id: str) -> None: ...
        async def aclose(self) -> None: ...

    with pytest.raises(Leaking):
        await dp.Promises(Failing(), f"x://{LOGIN}@host").promise("id").peek()

    _, mismatch, timeout, failure = spans.all()
    assert "dp_core.ValueMismatchError" == attribute(mismatch, "error.type")
    assert "ValueMismatchError" == mismatch.status.description
    assert "dp_core.PromiseTimeoutError" == attribute(timeout, "error.type")
    assert "still pending after 0 s" in str(timeout.status.description)
    assert StatusCode.ERROR is failure.status.status_code
    assert "not reached x://…@host/yyy" in str(failure.status.description)
    assert len(str(failure.status.description)) <= 300
    (event,) = failure.events
    assert ("exception", failure.status.description) == (
        event.name,
        (event.attributes or {})["exception.message"],
    )
    assert "x://…@host" == attribute(failure, "dp.store")
    assert LOGIN not in spans.text()
    assert VALUE not in spans.text()


async def test_an_answer_that_is_none_is_not_quoted(spans: Spans) -> None:
    """It may have a value in it, or whatever a proxy on the way says."""
    answer = http_answer(200, b'{"value": "%b", "more": 1}' % VALUE.encode())
    async with Server().serving() as server, dp.connect(server.url) as promises:
        server.canned.append(answer)
        with pytest.raises(dp.ProtocolError, match=VALUE):
            await promises.promise("id").peek()

    assert "ProtocolError" == spans.one("promise peek").status.description
    assert VALUE not in spans.text()


async def test_spans_are_inside_of_what_is_current(
    spans: Spans, promises: dp.Promises
) -> None:
    """A prune has its disposals in it, and afterwards all is as it was."""
    await promises.promise("a").resolve(1)
    with spans.own("mine") as mine:
        await promises.prune(settled_before=timedelta(seconds=-1))
        assert mine is trace.get_current_span()

    assert {"promise prune": {"promise dispose": {}}} == spans.tree()["mine"]


async def test_waits_for_several_are_siblings(
    spans: Spans, promises: dp.Promises
) -> None:
    """They end in any order, and none of them is current for the others."""
    for id in "abc":
        await promises.promise(id).resolve(1)
    with spans.own("mine") as mine:
        await dp.gather(*(promises.promise(id) for id in "abc"))
        winner, _ = await dp.race(promises.promise("a"), promises.promise("never"))
        assert mine is trace.get_current_span()

    assert "a" == winner.id
    assert {f"promise get{n * chr(39)}": {} for n in range(5)} == spans.tree()["mine"]
    results = [attribute(span, "dp.result") for span in spans.all()]
    assert 1 == results.count("cancelled")
    assert [] == spans.failed()


@pytest.mark.slow
async def test_a_coroutine_that_is_dropped_harms_no_other(
    spans: Spans, promises: dp.Promises, caplog: pytest.LogCaptureFixture
) -> None:
    """The collector ends it, in the middle of somebody else's span."""
    dropped = promises.promise("id").get()
    before = trace.get_current_span()
    step = dropped.__await__()
    # Begun elsewhere, so that nothing of it is current here.
    contextvars.copy_context().run(step.send, None)
    assert before is trace.get_current_span()
    with spans.own("mine") as mine:
        step.close()
        del step, dropped
        gc.collect()
        assert mine is trace.get_current_span()
    assert "cancelled" == attribute(spans.one("promise get"), "dp.result")
    assert [] == caplog.records


def test_without_async_a_span_is_inside_of_the_callers(spans: Spans) -> None:
    """Though the operation runs in another thread."""
    with dp_core.sync.connect(next(NAMES)) as promises, spans.own("mine"):
        promises.promise("id").resolve(1)

    assert {"mine": {"promise resolve": {}}} == spans.tree()


async def test_odd_ids_are_attributes_as_they_are(
    spans: Spans, promises: dp.Promises
) -> None:
    """No name of a span has an id in it."""
    ids = ("a\nb\x1b[31m\x7f", "☃\u202e\U0001f600", "{id}", "x" * 1024)
    for id in ids:
        await promises.promise(id).peek()

    assert {"promise peek"} == {span.name for span in spans.all()}
    assert list(ids) == [attribute(span, "dp.promise.id") for span in spans.all()]


async def test_a_processor_that_fails_breaks_nothing(
    promises: dp.Promises, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither at the beginning nor at the end of a span."""

    class Failing(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise RuntimeError("start")

        def on_end(self, span: Any) -> None:
            raise RuntimeError("end")

    for failing in ("on_start", "on_end"):
        spans = Spans()
        processor = Failing()
        setattr(processor, "on_end" if failing == "on_start" else "on_start", print)
        setattr(processor, failing, getattr(Failing(), failing))
        spans.provider.add_span_processor(processor)
        before = trace.get_current_span()
        with observing(OpenTelemetryObserver(spans.provider)):
            for _ in range(3):
                await promises.promise("id").peek()
        assert before is trace.get_current_span()
    assert 2 == sum(record.levelno == logging.ERROR for record in caplog.records)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what installs it, and nothing else needs it."""
    for name in [*sys.modules]:
        if name.startswith("opentelemetry"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "dp_core.otel")
    with pytest.raises(ModuleNotFoundError, match=r"durable-promises\[otel\]"):
        import dp_core.otel  # noqa: F401, PLC0415


# Requests ---------------------------------------------------------------------


async def test_a_request_is_a_span_that_goes_along(spans: Spans) -> None:
    """It is of the kind, names and attributes of HTTP, and its server is told of it."""
    async with (
        Server(prefix="/dp").serving() as server,
        dp.connect(f"{server.url}/dp?retry=5") as promises,
    ):
        await promises.promise("id").resolve(VALUE)

    assert {"promise resolve": {"POST /dp/promise/resolve": {}}} == spans.tree()
    request = spans.one("POST /dp/promise/resolve")
    assert SpanKind.CLIENT is request.kind
    assert {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "url.full": f"{server.url}/dp/promise/resolve",
        "url.template": "/dp/promise/resolve",
    } == seen(request)
    (headers,) = server.headers
    assert headers[b"traceparent"].decode().startswith(traceparent(request))
    assert VALUE not in spans.text()


async def test_state_and_baggage_go_along(spans: Spans) -> None:
    """What the propagators of the process carry is carried, while there is room."""
    state = trace.TraceState([("vendor", "opaque")])
    above = trace.NonRecordingSpan(
        trace.SpanContext(1, 2, True, trace.TraceFlags(1), state)  # noqa: FBT003
    )
    token = context.attach(
        baggage.set_baggage("who", "å\r\nb", trace.set_span_in_context(above))
    )
    try:
        async with Server().serving() as server, dp.connect(server.url) as promises:
            await promises.promise("id").peek()
    finally:
        context.detach(token)

    (headers,) = server.headers
    assert b"vendor=opaque" == headers[b"tracestate"]
    assert headers[b"traceparent"].startswith(b"00-%032x-" % 1)
    assert b"who=%C3%A5%0D%0Ab" == headers[b"baggage"]


async def test_a_batch_is_linked_with_all_that_wait_for_it(spans: Spans) -> None:
    """It is inside of one of them, and each of the others leads to it and back."""
    async with Server().serving() as server, dp.connect(server.url) as promises:
        await together(*(partial(promises.promise(id).resolve, VALUE) for id in "abcd"))

    request = spans.one("POST /batch")
    inside = [span for span in spans.all() if span.name == "promise resolve"]
    (above,) = (s for s in inside if s.context.span_id == request.parent.span_id)  # type: ignore[union-attr]
    others = [span for span in inside if span is not above]
    assert sorted(
        f"promise resolve {attribute(span, 'dp.promise.id')}" for span in others
    ) == spans.links(request)
    assert [["POST /batch "]] * 3 == [spans.links(span) for span in others]
    assert [] == spans.links(above)
    assert server.headers[0][b"traceparent"].decode().startswith(traceparent(request))


async def test_a_batch_is_inside_of_one_that_is_recorded() -> None:
    """Who came first may be of a trace that nobody keeps."""
    with collecting() as spans:
        hidden = trace.NonRecordingSpan(
            trace.SpanContext(1, 2, True, trace.TraceFlags(0))  # noqa: FBT003
        )
        async with Server().serving() as server, dp.connect(server.url) as promises:

            async def unseen() -> None:
                context.attach(trace.set_span_in_context(hidden))
                await promises.promise("a").resolve(1)

            await together(unseen, partial(promises.promise("b").resolve, 1))

    assert {"promise resolve": {"POST /batch": {}}} == spans.tree()
    sampled = int(server.headers[0][b"traceparent"].rpartition(b"-")[2], 16)
    assert sampled & trace.TraceFlags.SAMPLED


async def test_a_refusal_and_a_cut_are_errors_of_the_request(spans: Spans) -> None:
    """Each attempt has its own span; that of the operation tells the end of all."""
    async with Server().serving() as server, dp.connect(server.url) as promises:
        server.canned.append(None)
        await promises.promise("id").peek()
        server.said["id"] = (403, b'{"code": 403, "message": "no"}')
        with pytest.raises(dp.AccessDeniedError):
            await promises.promise("id").peek()

    cut, again, refused = (s for s in spans.all() if s.kind is SpanKind.CLIENT)
    assert "dp_core.BackendUnavailableError" == attribute(cut, "error.type")
    assert StatusCode.UNSET is again.status.status_code
    assert ("403", 403) == (
        attribute(refused, "error.type"),
        attribute(refused, "http.response.status_code"),
    )
    assert None is refused.status.description
    fine, failed = (s for s in spans.all() if s.kind is SpanKind.INTERNAL)
    assert StatusCode.UNSET is fine.status.status_code
    assert "dp_core.AccessDeniedError" == attribute(failed, "error.type")


async def test_a_left_wait_is_no_error_of_its_request(spans: Spans) -> None:
    """Nobody has failed, on either level."""
    async with (
        Server().serving() as server,
        dp.connect(server.url) as promises,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(promises.promise("id").get)
        await server.until(lambda server: server.waiting["id"] > 0)
        tasks.cancel_scope.cancel()

    assert [] == spans.failed()
    assert ["POST /promise/peek", "POST /promise/await"] == [
        *spans.tree()["promise get"]
    ]


async def test_without_an_sdk_nothing_is_sent(promises: dp.Promises) -> None:
    """The API alone makes no spans, and no header."""
    provider = trace.NoOpTracerProvider()
    async with Server().serving() as server, dp.connect(server.url) as remote:
        with observing(OpenTelemetryObserver(provider)):
            await remote.promise("id").resolve(1)

    assert b"traceparent" not in server.headers[0]
