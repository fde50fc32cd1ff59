"""Headers that observers ask for: sent as far as they are valid, and not in the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

import dp_core as dp
from dp_core.instrumentation import RequestFinished, observing
from support.http import Server
from support.wire.watching import Watching


class Text(str):
    """Text that is another one when it is written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Text({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return "b\r\nhost: evil"


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
    {"Content-Encoding": "gzip"},
    {"origin": "http://evil.test"},
    {"Sec-Fetch-Site": "cross-site"},
    {"If-None-Match": "*"},
    {"Range": "bytes=0-1"},
    {"X-Forwarded-For": "evil"},
    {"x-two": Text("b")},
    {Text("x-two"): "b"},
    {"X-One": "again"},
)
"""Headers that no request may have of an observer."""


@pytest.fixture
def watching() -> Iterator[Watching]:
    """Observe this process."""
    watching = Watching({"traceparent": "here"})
    with observing(watching):
        yield watching


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


async def test_headers_are_few(caplog: pytest.LogCaptureFixture) -> None:
    """A server takes a hundred at most; what is more is left out, and logged."""
    asked = {f"x-{n}": "a" for n in range(40)}
    async with Server().serving() as server, dp.connect(server.url) as promises:
        with observing(Watching(asked)):
            await promises.promise("id").peek()

    sent = [name for name in server.headers[0] if name.startswith(b"x-")]
    assert [f"x-{n}".encode() for n in range(16)] == sent
    assert 1 == len(caplog.records)


async def test_a_refused_header_hides_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Strangers may have a relay ask for such a header."""

    class Failing(Watching):
        def request_finished(self, event: RequestFinished) -> None:
            raise RuntimeError("no")

    async with Server().serving() as server, dp.connect(server.url) as promises:
        with observing(Failing({"bag\n" * 100: "x"})):
            await promises.promise("id").peek()

    refused, failed = (record.getMessage() for record in caplog.records)
    assert "cannot be sent" in refused
    assert len(refused) < 400
    assert "failed" in failed


async def test_of_two_observers_one_has_a_name(watching: Watching) -> None:
    """No header comes twice, in whatever spelling; the first who asks has it."""
    async with Server().serving() as server, dp.connect(server.url) as promises:
        with observing(Watching({"TraceParent": "other", "x": "y"})):
            await promises.promise("id").peek()

    assert b"here" == server.headers[0][b"traceparent"]
    assert b"y" == server.headers[0][b"x"]
