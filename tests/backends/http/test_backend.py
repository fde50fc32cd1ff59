"""The HTTP backend: what it asks, and what it makes of the answers."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from dp_backends.http import HttpBackend, _responses
from dp_backends.http._url import ServerUrl, parse_url
from dp_core import (
    AccessDeniedError,
    BackendUnavailableError,
    CorruptPromiseError,
    DurablePromiseError,
    InvalidValueError,
    Pending,
    PromiseDisposedError,
    ProtocolError,
    Rejected,
    Resolved,
    UnknownBackendError,
    connect,
)
from dp_core.wire import Wait
from support.http_faults import Server, http_answer, keep_error

# Store URLs -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://localhost:8080", ServerUrl("http", "localhost", 8080)),
        ("HTTP://LocalHost", ServerUrl("http", "localhost", 80)),
        ("https://example.org/", ServerUrl("https", "example.org", 443)),
        ("http://h:1/a/b/", ServerUrl("http", "h", 1, "/a/b")),
        ("http://h:1/ä b%2F", ServerUrl("http", "h", 1, "/%C3%A4%20b%2F")),
        ("http://[::1]:8080", ServerUrl("http", "::1", 8080)),
        ("http://bücher.example", ServerUrl("http", "xn--bcher-kva.example", 80)),
        ("http://h?retry=2.5", ServerUrl("http", "h", 80, retry=2.5)),
    ],
)
def test_a_url_names_host_port_prefix_and_retry(url: str, server: ServerUrl) -> None:
    """Each part of a store URL arrives where it belongs, with its default."""
    assert server == parse_url(url)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://h", "h"),
        ("http://h:443", "h:443"),
        ("https://h:443", "h"),
        ("http://[::1]", "[::1]"),
        ("http://[fe80::1%eth0]:81", "[fe80::1]:81"),
    ],
)
def test_the_host_header_is_the_authority(url: str, authority: str) -> None:
    """Without the usual port, with brackets, without this machine's zone."""
    assert authority == parse_url(url).authority


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http:", "http://HOST:PORT"),
        ("http:localhost", "http://HOST:PORT"),
        ("http://:8080", "http://HOST:PORT"),
        ("http://h:x", "not a valid URL"),
        ("http://h:70000", "not a valid URL"),
        ("http://h:0", "not a valid port"),
        ("http://[::1", "not a valid URL"),
        ("http://a..b", "not a valid URL"),
        ("http://a b", "not a valid host name"),
        ("http://user:secret@h", "DP_TOKEN"),
        ("http://user:secret@h:x", "not a valid URL"),
        ("http://h/#x", "%23"),
        ("http://h?retries=1", "retry=SECONDS"),
        ("http://h?retry=", "seconds above 0"),
        ("http://h?retry=0", "seconds above 0"),
        ("http://h?retry=inf", "seconds above 0"),
    ],
)
def test_a_url_that_names_no_server_is_refused(url: str, advice: str) -> None:
    """A URL that makes no sense is an error at once, which shows no password."""
    with pytest.raises(UnknownBackendError) as caught:
        connect(url)

    assert advice in str(caught.value)
    assert "secret" not in str(caught.value)


# Operations -----------------------------------------------------------------


@pytest.fixture(params=[float("inf"), None], ids=["ours", "restate"])
def server(request: pytest.FixtureRequest) -> Server:
    """Return a server like ours, and one like the reference."""
    return Server(slices=request.param)


@pytest.mark.parametrize("value", [None, False, 0, "", [], {"ü": [1.5, "☃\n"]}, 10**30])
async def test_values_arrive_as_they_were_sent(server: Server, value: Any) -> None:
    """What is resolved is what resolve, peek and get return, null included."""
    async with server.serving(), connect(server.url) as promises:
        promise = promises.promise("a/../☃ %2F\n")

        assert Pending() == await promise.peek()
        assert Resolved(value) == await promise.resolve(value)
        assert Resolved(value) == await promise.peek()
        assert value == await promise.get()


async def test_the_first_completion_wins(server: Server) -> None:
    """Whoever comes second is told what won, be it a value or an error."""
    async with server.serving(), connect(server.url) as promises:
        assert Rejected("no") == await promises.promise("a").reject("no")
        assert Rejected("no") == await promises.promise("a").resolve(1)
        assert Resolved(1) == await promises.promise("b").resolve(1)
        assert Resolved(1) == await promises.promise("b").reject("no")


async def test_get_waits_for_a_completion_by_another(server: Server) -> None:
    """A get that comes before the completion returns its value."""
    async with (
        server.serving(),
        connect(server.url) as promises,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(server.resolve_waited, "a")

        assert "done" == await promises.promise("a").get()


async def test_dispose_tells_those_who_wait(server: Server) -> None:
    """All in get() learn of the disposal, and the id is pending afterwards."""
    async with server.serving(), connect(server.url) as promises:
        promise = promises.promise("a")
        told: list[DurablePromiseError] = []
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(keep_error, promise.get, told)
            await server.until(lambda server: server.waiting["a"] > 0)
            await promise.dispose()

        assert [PromiseDisposedError] * 3 == [type(error) for error in told]
        assert 3 == len(set(map(id, told)))
        assert Pending() == await promise.peek()


async def test_get_after_our_own_dispose_starts_afresh() -> None:
    """Even while the news of the disposal is still under way to an older get()."""
    server = Server(hold=anyio.Event())
    async with server.serving(), connect(server.url) as promises:
        promise = promises.promise("a")
        told: list[DurablePromiseError] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_error, promise.get, told)
            await server.until(lambda server: server.waiting["a"] > 0)
            await promise.dispose()
            tasks.start_soon(server.resolve_waited, "a")
            tasks.start_soon(_let_go, server)

            assert "done" == await promise.get()

        assert isinstance(told[0], PromiseDisposedError)


async def _let_go(server: Server) -> None:
    await server.until(lambda server: server.calls.count(Wait("a")) == 2)
    assert server.hold is not None
    server.hold.set()


async def test_a_megabyte_travels_both_ways(server: Server) -> None:
    """A value at the limit, many times a socket's buffer, arrives whole."""
    value = "☃" * 300_000
    async with server.serving(), connect(server.url) as promises:
        assert Resolved(value) == await promises.promise("a").resolve(value)


async def test_a_prefix_stands_before_every_path() -> None:
    """The path of the store URL is where the wire's paths begin."""
    async with Server(prefix="/some/where").serving() as server:
        assert Pending() == await HttpBackend(f"{server.url}/some/where/").peek("a")


async def test_localhost_is_found_whatever_the_family() -> None:
    """A name with an IPv6 and an IPv4 address works if one of them answers."""
    async with Server().serving() as server:
        url = server.url.replace("127.0.0.1", "localhost")

        assert Pending() == await HttpBackend(url).peek("a")


async def test_ipv6_addresses_work() -> None:
    """``http://[::1]:PORT`` names the IPv6 loopback, in Host, too."""
    async with Server().serving("::1") as server:
        assert Pending() == await HttpBackend(server.url).peek("a")

    assert server.url.removeprefix("http://").encode() == server.headers[0][b"host"]


# Answers --------------------------------------------------------------------


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
    """What will not get better is asked once, and said with who refused."""
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


async def test_on_restate_completions_name_their_promises_in_the_path() -> None:
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
async def test_nonsense_is_no_answer(
    answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not our wire is a ProtocolError that names who spoke it."""
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
    """However HTTP frames an answer, it is read, and the next one, too."""
    async with Server().serving() as server, connect(server.url) as promises:
        server.canned.append(answer)

        assert Pending() == await promises.promise("a").peek()
        assert Resolved(1) == await promises.promise("a").resolve(1)


# Tokens and TLS -------------------------------------------------------------


@pytest.mark.parametrize("kept_in", ["variable", "file"])
async def test_the_token_is_sent(
    kept_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``DP_TOKEN``, or else the file of ``DP_TOKEN_FILE``, is the bearer token."""
    path = tmp_path / "token"
    path.write_text("t0ken\n")
    monkeypatch.delenv("DP_TOKEN", raising=False)
    if kept_in == "variable":
        monkeypatch.setenv("DP_TOKEN", "t0ken")
        path.write_text("other")
    monkeypatch.setenv("DP_TOKEN_FILE", str(path))
    async with Server().serving() as server:
        await HttpBackend(server.url).peek("a")

    assert b"Bearer t0ken" == server.headers[0][b"authorization"]


async def test_without_a_token_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, no header."""
    monkeypatch.delenv("DP_TOKEN", raising=False)
    monkeypatch.delenv("DP_TOKEN_FILE", raising=False)
    async with Server().serving() as server:
        await HttpBackend(server.url).peek("a")

    assert b"authorization" not in server.headers[0]


@pytest.mark.parametrize("token", ["two words", "a\r\nX-Other: b", "schlüssel", "a\0"])
async def test_a_token_cannot_add_a_header(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no token is refused before anything is sent, and not shown."""
    path = tmp_path / "token"
    path.write_text(token, encoding="utf-8", newline="")
    monkeypatch.delenv("DP_TOKEN", raising=False)
    monkeypatch.setenv("DP_TOKEN_FILE", str(path))
    async with Server().serving() as server:
        with pytest.raises(AccessDeniedError, match="DP_TOKEN") as caught:
            await HttpBackend(server.url).peek("a")

    assert 0 == server.connections
    assert token not in str(caught.value)


async def test_a_missing_token_file_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file and both ways to give a token."""
    monkeypatch.delenv("DP_TOKEN", raising=False)
    monkeypatch.setenv("DP_TOKEN_FILE", str(tmp_path / "none"))

    with pytest.raises(AccessDeniedError, match=r"none.*DP_TOKEN .*DP_TOKEN_FILE"):
        await HttpBackend("http://127.0.0.1:1").peek("a")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return an authority of certificates that nobody trusts."""
    return trustme.CA()


def tls_of(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return what a server with a certificate for *names* needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_https_is_trusted_by_its_certificate(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a trusted authority, all works, on connections that are kept."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = tls_of(authority, "127.0.0.1")
    async with Server().serving(tls=tls) as server, connect(server.url) as promises:
        for value in range(5):
            promise = promises.promise(str(value))
            assert Resolved(value) == await promise.resolve(value)
            assert value == await promise.get()

    assert 1 == server.connections


@pytest.mark.parametrize("trusted", [True, False])
async def test_https_without_trust_is_refused(
    authority: trustme.CA,
    trusted: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unknown authority, or a wrong name, ends it at once; nothing is sent."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = tls_of(authority, "other.example" if trusted else "127.0.0.1")
    async with Server().serving(tls=tls) as server:
        with pytest.raises(
            BackendUnavailableError, match=r"not trusted.*SSL_CERT_FILE"
        ):
            await HttpBackend(server.url).peek("a")

    assert [] == server.calls


async def test_https_at_an_http_port_is_said() -> None:
    """A server without TLS is told from one that is not there."""
    async with Server().serving() as server:
        with pytest.raises(BackendUnavailableError, match="http://"):
            await HttpBackend(server.url.replace("http:", "https:")).peek("a")
