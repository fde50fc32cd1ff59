"""The trace of who asks: a server goes on with it, as far as it can be believed."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import pytest
import uvicorn
from opentelemetry import baggage
from opentelemetry.trace import SpanKind

import dp_core as dp
from dp_core.instrumentation import Finished, observing
from dp_core.server import App, app
from support.server.asgi_driver import ask
from support.wire.spans.kept import PARENT, Spans, collecting
from support.wire.watching import Watching

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


def served() -> App:
    """Return an app with a store of its own."""
    return app(dp.connect(f"memory:{uuid4()}").backend)


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


@pytest.mark.parametrize("text", [b"a=1" + b" " * 900, b"a=1," * 300], ids=len)
async def test_what_takes_long_to_read_is_not_read(text: bytes) -> None:
    """Propagators take the square of a run of spaces; and our clients send 1 KiB."""
    carried: list[object] = []

    class Listening(Watching):
        def started(self, event: Any) -> None:
            carried.append(dict(baggage.get_all()))

    with collecting(), observing(Listening()):
        for sent in (b"a=1", text):
            headers = [(b"baggage", sent)]
            await ask(served(), "/promise/peek", {"promiseId": "id"}, headers=headers)

    assert [{"a": "1"}, {}] == carried


async def test_a_broken_state_leaves_the_parent(spans: Spans) -> None:
    """What a vendor has written wrongly is left out."""
    for state in (b"\x9b", b"no pairs", b"a=1,a=2", b"a=" + b"x" * 60_000):
        headers = [(b"traceparent", PARENT.encode()), (b"tracestate", state)]
        await ask(served(), "/promise/peek", {"promiseId": "id"}, headers=headers)

    for span in spans.all():
        assert int("ab" * 16, 16) == span.context.trace_id
        assert not span.context.trace_state


async def test_inside_of_an_app_with_spans_it_is_one_more(spans: Spans) -> None:
    """The span of the app around has the parent that was sent; this one is inside."""
    with spans.own("around"):
        await ask(served(), "/promise/peek", {"promiseId": "a"})
        headers = [(b"traceparent", PARENT.encode())]
        await ask(served(), "/promise/peek", {"promiseId": "b"}, headers=headers)

    assert ["POST /promise/peek", "POST /promise/peek'"] == [*spans.tree()["around"]]
    kinds = [s.kind for s in spans.all() if s.name == "POST /promise/peek"]
    assert [SpanKind.INTERNAL, SpanKind.INTERNAL] == kinds


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_request_is_not_inside_of_the_one_before(http: str, spans: Spans) -> None:
    """Though uvicorn begins it where the one before sends its last part."""
    config = uvicorn.Config(served(), port=0, http=http, log_level="critical")
    body = b'{"promiseId": "id"}'
    ours = b"traceparent: %b\r\nbaggage: who=me\r\n" % PARENT.encode()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        requests = b"".join(
            b"POST /promise/peek HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%b"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (listener.getsockname()[1], head, len(body), body)
            for head in (ours, b"", b"Connection: close\r\n")
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        with socket.create_connection(listener.getsockname()) as connection:
            connection.sendall(requests)
            while connection.recv(4096):
                pass
        server.should_exit = True
        thread.join()

    first, *others = (s for s in spans.all() if s.kind is SpanKind.SERVER)
    assert first.parent is not None
    assert [None, None] == [span.parent for span in others]
