"""`Peer` and `interpret`: responses of all kinds, and their meaning."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dp_backends.http import HttpBackend, _responses
from dp_core import (
    AccessDeniedError,
    BackendUnavailableError,
    CorruptPromiseError,
    DurablePromiseError,
    InvalidValueError,
    OutcomeUnknownError,
    Pending,
    ProtocolError,
    Rejected,
    Resolved,
    connect,
)
from dp_core.wire import Call, Dispose, Peek, Settle, Wait
from support.http import (
    Server,
    failure,
    http_answer,
    known,
    make,
    page,
    raw_answer,
)


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


@pytest.mark.parametrize(
    ("header", "who"),
    [((), "`dp serve` or Restate"), ([b"x-restate-id: inv_1"], "Restate")],
)
@pytest.mark.usefixtures("_long_pauses")
async def test_who_refuses_connections_is_named_as_what_it_was(
    header: Sequence[bytes], who: str
) -> None:
    """Where Restate has answered, nobody is sent to look for ``dp serve``."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        server.canned.append(http_answer(200, b"null", *header))
        await backend.peek("a")
    with pytest.raises(BackendUnavailableError, match=f"refused; is {who} running"):
        await backend.peek("a")


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
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "answer is"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 999, "too long"),
        (http_answer(200, b"<html>"), "answer is"),
        (http_answer(200, b"[1]"), "answer is"),
        (http_answer(304, b""), "answer is HTTP 304"),
        (http_answer(302, b""), "answer is HTTP 302"),
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


JSON = b"Content-Type: application/json\r\n"


UNUSUAL = [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + JSON + b"\r\n" + CHUNKS,
    b"HTTP/1.1 103 Early Hints\r\n\r\n" + http_answer(200, b"null"),
    http_answer(200, b" null\n", b"Connection: close"),
    b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n"
    + JSON
    + b"\r\nnull",
    b"HTTP/1.0 200 OK\r\nConnection: close\r\n" + JSON + b"\r\nnull",
    http_answer(200, b"null", b"Content-Type: Application/JSON ;charset=utf-8"),
    http_answer(200, b"null", b"Content-Encoding: identity"),
]


@pytest.mark.parametrize(
    "answer",
    UNUSUAL,
    ids=["chunked", "103", "close", "1.0", "1.0 until close", "charset", "identity"],
)
async def test_every_form_of_answer_is_read(answer: bytes) -> None:
    """An answer is read in every form of HTTP, and the next one, too."""
    async with Server().serving() as server, connect(server.url) as promises:
        server.canned.append(answer)

        assert Pending() == await promises.promise("a").peek()
        assert Resolved(1) == await promises.promise("a").resolve(1)


# Who speaks -----------------------------------------------------------------

STRANGERS = {
    "a stub": http_answer(200, b'{"message": "Internal server error"}'),
    "health": http_answer(200, b'{"status":"ok"}'),
    "true": http_answer(200, b"true"),
    "two members": http_answer(200, b'{"value":1,"error":"no"}'),
    "a page": page(200, "Welcome to nginx!", b"Server: nginx/1.22.1"),
    "no type": raw_answer(200, b'{"value":1}'),
    "null of no type": raw_answer(200, b"null"),
    "text": http_answer(200, b"null", b"Content-Type: text/plain"),
    "problem": http_answer(
        200, b'{"value":1}', b"Content-Type: application/problem+json"
    ),
    "gzip": http_answer(200, b"\x1f\x8b\x08", b"Content-Encoding: gzip"),
    "created": http_answer(201, b'{"value":1}'),
    "no content": b"HTTP/1.1 206 X\r\nContent-Length: 0\r\n\r\n",
    "not found": page(404),
    "plain 404": http_answer(404, b"404 page not found", b"Content-Type: text/plain"),
    "no route": http_answer(404, b'{"message":"no Route matched with those values"}'),
    "challenge": page(403, "Just a moment...", b"Server: cloudflare"),
    "log in": page(302, "Found", b"Location: https://login.example/"),
    "until close": b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>starting",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
}
PASSING = {
    "haproxy": b"HTTP/1.0 503 Service Unavailable\r\nCache-Control: no-cache\r\n"
    b"Connection: close\r\nContent-Type: text/html\r\n\r\n<html>No server</html>",
    "nginx": page(502, "502 Bad Gateway", b"Server: nginx"),
    "envoy": http_answer(503, b"no healthy upstream", b"Content-Type: text/plain"),
    "aws": http_answer(504, b'{"message": "Endpoint request timed out"}'),
    "empty": raw_answer(502, b""),
}
SETTLE = Settle("a", Resolved(b"1"))

strangers = pytest.mark.parametrize("stranger", STRANGERS)


@strangers
@pytest.mark.parametrize("call", [Peek("a"), SETTLE, Dispose("a"), Wait("a")])
async def test_a_stranger_is_told_from_a_server_at_once(
    stranger: str, call: Call
) -> None:
    """Nothing of what it says is an outcome; the error says who spoke, and where."""
    async with Server().serving() as server:
        server.canned.append(STRANGERS[stranger])
        with pytest.raises((ProtocolError, AccessDeniedError)) as caught:
            await make(HttpBackend(server.url), call)

    assert 1 == len(server.calls)
    assert server.url.removeprefix("http://") in str(caught.value)
    assert "dp serve" not in str(caught.value)
    if stranger != "log in":
        assert "check the host, port and path" in str(caught.value)


async def test_an_error_shows_who_spoke_and_the_start_of_what_was_said() -> None:
    """Status, type, ``Server`` and ``Via``, and the body: escaped, and cut short."""
    html = b"<html>\x1b[31m" + b"x" * 5000
    canned = http_answer(
        404, html, b"Content-Type: text/html", b"Server: nginx", b"Via: 1.1 edge"
    )
    async with Server().serving() as server:
        server.canned.append(canned)
        with pytest.raises(ProtocolError) as caught:
            await HttpBackend(server.url).peek("a")

    text = str(caught.value)
    for part in ("HTTP 404", "'text/html'", "'nginx'", "1.1 edge", "<html>"):
        assert part in text
    assert "\x1b" not in text
    assert len(text) < 500


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("stranger", [*STRANGERS, *PASSING])
@pytest.mark.parametrize("call", [Peek("a"), SETTLE, Wait("a")])
async def test_a_gateway_that_speaks_for_a_known_server_is_an_outage(
    stranger: str, call: Call
) -> None:
    """Whatever it says: the call is made again until the server is back."""
    canned = {**STRANGERS, **PASSING}[stranger]
    async with Server().serving() as server:
        await server.backend.settle("a", Resolved(b"1"))
        backend = await known(server.url)
        server.canned.extend([canned] * 3)

        assert Resolved(b"1") == await make(backend, call)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("stranger", PASSING)
async def test_a_gateway_whose_server_may_come_is_asked_again(stranger: str) -> None:
    """A 502 or 503 may pass, so a new handle goes on asking, as for a refusal."""
    async with Server().serving() as server:
        server.canned.extend([PASSING[stranger]] * 2)

        assert Pending() == await HttpBackend(server.url).peek("a")


@pytest.mark.usefixtures("_long_pauses")
async def test_an_outage_names_the_gateway_in_the_end() -> None:
    """Whoever has no more time learns who spoke in the server's place."""
    canned = page(404, "page not found", b"Server: traefik")
    async with Server().serving() as server:
        backend = await known(server.url)
        for call in (Peek("a"), SETTLE):
            server.canned.append(canned)
            with pytest.raises(BackendUnavailableError, match=r"404.*traefik"):
                await make(backend, call)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("name", ["plain 404", "no route", "haproxy", "envoy"])
async def test_a_dispose_that_a_gateway_turned_away_is_repeated(name: str) -> None:
    """There is no server behind it, so nothing was done."""
    async with Server().serving() as server:
        backend = await known(server.url)
        server.canned.append({**STRANGERS, **PASSING}[name])
        await backend.dispose("a")

        assert 1 == server.changes[Dispose, "a"]


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("stranger", STRANGERS)
async def test_an_empty_answer_of_a_stranger_is_no_success(stranger: str) -> None:
    """It may be anybody's, so that a server that nobody has met is asked for more."""
    async with Server().serving() as server:
        server.canned.extend([raw_answer(200, b""), STRANGERS[stranger]])
        kinds = (ProtocolError, AccessDeniedError)
        with pytest.raises(kinds, match=r"does not speak|redirects"):
            await HttpBackend(server.url).dispose("a")

    assert [Dispose("a"), Peek("a")] == server.calls


async def test_a_server_that_nobody_has_met_is_asked_for_more_once() -> None:
    """It was a server of promises, and so is what answers the next dispose."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.dispose("a")
        await backend.dispose("b")

    assert [Dispose("a"), Peek("a"), Dispose("b")] == server.calls


@pytest.mark.parametrize(
    "refusal",
    [
        failure(403),
        http_answer(500, b'{"code":500,"message":"bad","type":"CorruptPromiseError"}'),
    ],
    ids=["no right to read", "damaged"],
)
async def test_a_refused_look_is_the_word_of_a_server_of_promises(
    refusal: bytes,
) -> None:
    """Who may dispose of promises, and may not read them, or not any more, is done."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        server.canned.extend([raw_answer(200, b""), refusal])
        await backend.dispose("a")
        await backend.dispose("b")

    assert [Dispose("a"), Peek("a"), Dispose("b")] == server.calls


async def test_restate_is_known_by_its_empty_answer() -> None:
    """It says who it is in a header of each."""
    async with Server().serving() as server:
        server.canned.append(raw_answer(200, b"", b"x-restate-id: inv_1"))
        await HttpBackend(server.url).dispose("a")

    assert [Dispose("a")] == server.calls


@pytest.mark.usefixtures("_long_pauses")
async def test_an_empty_answer_before_an_outage_is_unknown() -> None:
    """Nobody can say any more whose it was."""
    async with Server().serving() as server:
        server.canned.extend([raw_answer(200, b""), http_answer(503, b"")])
        with pytest.raises(OutcomeUnknownError, match="not known who answered"):
            await HttpBackend(f"{server.url}?retry=1").dispose("a")


@pytest.mark.parametrize("name", ["a page", "challenge", "text", "not HTTP", "nginx"])
async def test_a_dispose_answered_by_a_gateway_is_unknown(name: str) -> None:
    """It may have been passed on before, and is not repeated."""
    async with Server().serving() as server:
        backend = await known(server.url)
        server.canned.append({**STRANGERS, **PASSING}[name])
        with pytest.raises(OutcomeUnknownError, match="look before you repeat"):
            await backend.dispose("a")

    assert [Dispose("a")] == server.calls[1:]


@pytest.mark.parametrize(
    "answer",
    [
        raw_answer(413, b"<html>", b"Server: nginx", b"Content-Type: text/html"),
        failure(413),
        raw_answer(413, b""),
    ],
)
async def test_a_value_too_large_for_a_gateway_is_an_error_at_once(
    answer: bytes,
) -> None:
    """Its limit is for the request, and will be the same the next time."""
    async with Server().serving() as server:
        backend = await known(server.url)
        server.canned.append(answer)
        with pytest.raises(InvalidValueError, match=r"413|because"):
            await backend.settle("a", Resolved(b"1"))


@pytest.mark.usefixtures("_no_pauses")
async def test_a_known_server_that_starts_may_not_know_its_operations_yet() -> None:
    """Restate says "service not found" for a moment; from the start it is an error."""
    async with Server().serving() as server:
        server.canned.append(failure(404, "service 'promise' not found"))
        with pytest.raises(ProtocolError, match="not found"):
            await HttpBackend(server.url).peek("a")
        backend = await known(server.url)
        server.canned.extend([failure(404, "service 'promise' not found")] * 3)

        assert Pending() == await backend.peek("a")
