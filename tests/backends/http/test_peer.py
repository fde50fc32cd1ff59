"""`Peer` and `interpret`: responses of all kinds, and their meaning."""

from __future__ import annotations

import pytest

from dp_backends.http import HttpBackend, _responses
from dp_core import (
    AccessDeniedError,
    CorruptPromiseError,
    DurablePromiseError,
    InvalidValueError,
    Pending,
    ProtocolError,
    Rejected,
    Resolved,
    connect,
)
from support.http_faults import Server, http_answer


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (400, None, ProtocolError),
        (401, None, AccessDeniedError),
        (403, None, AccessDeniedError),
        (404, None, ProtocolError),
        (413, None, InvalidValueError),
        (421, None, ProtocolError),
        (422, None, InvalidValueError),
        (500, "CorruptPromiseError", CorruptPromiseError),
    ],
)
async def test_a_refusal_is_an_error_at_once(
    status: int, name: str | None, error: type[DurablePromiseError]
) -> None:
    """An error that will not get better is not repeated, and says who refused."""
    body = b'{"code":%d,"message":"because","type":"%b"}'
    text = body % (status, (name or "").encode())
    async with Server().serving() as server:
        server.canned.append(http_answer(status, text))

        with pytest.raises(error) as caught:
            await HttpBackend(server.url).peek("a")

    assert 1 == len(server.calls)
    assert "because" in str(caught.value)
    if error is not InvalidValueError:
        assert server.url.removeprefix("http://") in str(caught.value)


async def test_on_restate_settles_name_their_promises_in_the_path() -> None:
    """There that is one invocation, not two; elsewhere all calls have one form."""
    async with Server().serving() as server:
        for header in ([], [b"x-restate-id: inv_1"]):
            backend = HttpBackend(server.url)
            server.canned.append(http_answer(200, b"null", *header))
            await backend.peek("a")
            await backend.settle("a", Resolved(b"1"))
            await backend.settle("a/b", Rejected("no"))
            await backend.peek("a")
            assert Resolved(b"1") == await backend.wait("a")

    forms = ["peek", "resolve", "reject", "peek", "await"]
    usual = [f"/promise/{operation}" for operation in forms]
    assert [*usual, usual[0], "/promises/a/resolve", *usual[2:]] == server.paths


async def test_redirects_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is shown to nobody but the server the URL names."""
    monkeypatch.setenv("DP_TOKEN", "secret")
    async with Server().serving() as server, Server().serving() as other:
        location = f"Location: {other.url}/promise/peek".encode()
        server.canned.append(http_answer(307, b"", location))

        with pytest.raises(ProtocolError, match=other.url):
            await HttpBackend(server.url).peek("a")

    assert 0 == other.connections


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"null", "would look whole"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 999, "too long"),
        (http_answer(200, b"<html>"), "answer is"),
        (http_answer(200, b"[1]"), "answer is"),
    ],
)
async def test_nonsense_is_not_an_answer(
    answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is not of our wire is a ProtocolError that names the server."""
    monkeypatch.setattr(_responses, "MAX_BODY_BYTES", 998)
    async with Server().serving() as server:
        server.canned.append(answer)

        with pytest.raises(ProtocolError, match=reason) as caught:
            await HttpBackend(server.url).peek("a")

    assert server.url.removeprefix("http://") in str(caught.value)


CHUNKS = b"2\r\nnu\r\n2\r\nll\r\n0\r\n\r\n"


UNUSUAL = [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"HTTP/1.1 103 Early Hints\r\n\r\n" + http_answer(200, b"null"),
    http_answer(200, b" null\n", b"Connection: close"),
    b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnull",
]


@pytest.mark.parametrize(
    "answer", UNUSUAL, ids=["chunked", "informational", "close", "http/1.0"]
)
async def test_every_form_of_answer_is_read(answer: bytes) -> None:
    """An answer is read in every form of HTTP, and the next one, too."""
    async with Server().serving() as server, connect(server.url) as promises:
        server.canned.append(answer)

        assert Pending() == await promises.promise("a").peek()
        assert Resolved(1) == await promises.promise("a").resolve(1)
