"""Judges of answers: what they say of a server that answers otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from dp_backends.http import HttpBackend
from dp_core.testing import ConformanceError, check_backend
from dp_core.testing.wire import CASES, wire_law
from dp_core.testing.wire._differences import differences, wrong_events
from dp_core.testing.wire._raw_client import RawClient, WireResponse
from dp_core.testing.wire._recorded import _difference

ANSWERED = {name: case for name, case in CASES.items() if case.status is not None}


@pytest.mark.parametrize("name", ANSWERED)
def test_what_was_recorded_is_right_and_all_else_is_wrong(name: str) -> None:
    """Of each case: another status, type, value, failure, and no answer at all."""
    case = ANSWERED[name]
    assert case.status is not None
    failure = json.dumps({"code": case.status, "message": "no"})
    recorded = WireResponse(
        case.status, case.answer_type, case.body if case.status == 200 else failure
    )
    assert "" == _difference(case, recorded)

    assert "there was no answer" == _difference(case, None)
    other = replace(recorded, status=418)
    assert "the answer is 418" in _difference(case, other)
    if case.status == 200:
        kind = replace(recorded, content_type="text/html; charset=utf-8")
        assert "the content type is text/html" in _difference(case, kind)
        for body in ('{"value":"another"}', "not JSON"):
            value = replace(recorded, body=body)
            assert f"the answer is {body}, not " in _difference(case, value)
    else:
        for body in ("not JSON", '"no"', '{"code":1,"message":"no"}', '{"code":400}'):
            answer = replace(recorded, body=body)
            assert "not a failure with a message" in _difference(case, answer)


def test_a_missing_value_is_null() -> None:
    """The reference answers it as an empty object, and others may write it out."""
    case = next(c for c in ANSWERED.values() if c.body == "{}")
    for body, is_right in (("{}", True), ('{"value":null}', True), ("null", False)):
        answer = WireResponse(200, case.answer_type, body)
        assert is_right is not bool(_difference(case, answer))


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        ("<text>", "x", []),
        ("<text>", 5, ["the answer is 5, not a text"]),
        ("<text or null>", None, []),
        ("<text or null>", [], ["the answer is [], not a text or null"]),
        ("<moment>", "soon", ['the answer is "soon", not moment of RFC 3339']),
        ("<moment>", 5, ["the answer is 5, not moment of RFC 3339"]),
        ({"a": 1}, [], ["the answer is [], not an object"]),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, ["has no member 'a'", "is 3, not 2"]),
        ([1, 2], [1], ["the answer is [1], not an array of 2"]),
        ([1, {"a": 2}], [2, {"a": 3}], ["item 1 of", "'a' of item 2 of the answer"]),
        (1, True, ["the answer is true, not 1"]),
        (None, None, []),
    ],
)
def test_each_difference_is_said_with_its_place(
    wanted: Any, found: Any, said: list[str]
) -> None:
    """Of members, items, kinds of text, and moments."""
    told = list(differences(wanted, found))

    assert len(said) == len(told)
    assert all(words in line for words, line in zip(said, told, strict=True))


STREAM = "text/event-stream"


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (STREAM, ':\n\ndata: {"promiseId":"a","value":1}\n\n', []),
        (STREAM, ':\n\ndata: {"promiseId":"a","disposed":true}\n\n', ["no member"]),
        (STREAM, ':\n\ndata: {"promiseId":"b","value":1}\n\n', ["tells of ['b']"]),
        (STREAM, 'data: {"promiseId":"a","value":1}\n\n', ["begin with a comment"]),
        (STREAM, ":\n\ndata: {\n\n", ["not a stream of events"]),
        ("application/json", "{}", ["of the type 'application/json'"]),
        (None, "", ["of the type ''"]),
    ],
)
def test_a_stream_that_tells_otherwise_is_said(
    kind: str | None, body: str, said: list[str]
) -> None:
    """Its type, its form, its beginning, and what it tells of whom."""
    told = list(wrong_events({"a": {"value": 1}}, WireResponse(200, kind, body)))

    assert len(said) == len(told), told
    assert all(words in line for words, line in zip(said, told, strict=True))


@contextmanager
def answering(status: int, kind: str, body: bytes) -> Iterator[str]:
    """Run a server that answers everything alike; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def anyio_backend() -> str:
    """Run once: requests are made in threads."""
    return "asyncio"


@pytest.mark.slow
async def test_a_server_that_answers_everything_alike_breaks_each_law() -> None:
    """What was recorded is replayed on a real server, and the report says what came."""
    body = b'{"value":"always this"}'
    with answering(200, "application/json", body) as url:
        laws = [wire_law(name, url) for name in CASES]
        with pytest.raises(ConformanceError) as caught:
            await check_backend(
                lambda: HttpBackend(url), durable=False, shared=True, laws=laws
            )

    report = caught.value.report
    assert {*CASES} == {violation.law for violation in report.violations}
    assert all("always this" in v.history[-1] for v in report.violations)


async def test_a_server_that_is_not_there_is_no_answer() -> None:
    """It is told as that, and not as an exception of whoever asks."""
    client = RawClient("http://127.0.0.1:9", {})
    answer = await client.ask("POST", "/promise/peek", b"{}", None, 5)

    assert answer is not None
    assert 0 == answer.status
    assert answer.body.startswith("no answer: ")
    assert answer.body == answer.content
