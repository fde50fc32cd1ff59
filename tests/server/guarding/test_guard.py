"""Hostile requests against a real server: none gets in, none gets through."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pytest

from dp_core import connect
from dp_core.server import Settings, app
from support.server.asgi_driver import Request, ask
from support.server_process import Server, running

PEEK: Final = b'{"promiseId":"x"}'
MIB: Final = 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server as ``dp serve`` runs it, with two more names."""
    hosts = ["promises.example", "proxy.example:81"]
    with running("memory:", allowed_hosts=hosts) as server:
        yield server


def request(
    server: Server,
    *,
    line: str = "POST /promise/peek HTTP/1.1",
    body: bytes = PEEK,
    drop: str = "",
    **headers: str,
) -> bytes:
    """Return the bytes of a good request, but for what is asked otherwise."""
    good = {
        "host": f"127.0.0.1:{server.port}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    good |= {name.replace("_", "-"): value for name, value in headers.items()}
    good.pop(drop, None)
    lines = [line, *(f"{name}: {value}" for name, value in good.items()), "", ""]
    text = "\r\n".join(lines).replace("PORT", str(server.port))
    return text.encode("latin-1") + body


# Who may ask ----------------------------------------------------------------

BROWSERS_AND_NAMES: Final = {
    "by address": ({}, 200),
    "by name": ({"host": "localhost:PORT"}, 200),
    "by name in capitals": ({"host": "LocalHost:PORT"}, 200),
    "by IPv6 address": ({"host": "[::1]:PORT"}, 200),
    "by an allowed name": ({"host": "promises.example"}, 200),
    "by an allowed name at any port": ({"host": "promises.example:1234"}, 200),
    "by an allowed name at its port": ({"host": "proxy.example:81"}, 200),
    "by an allowed name at another port": ({"host": "proxy.example:82"}, 421),
    "rebinding": ({"host": "evil.example:PORT"}, 421),
    "rebinding to a name that only ends like ours": (
        {"host": "evil-localhost:PORT"},
        421,
    ),
    "rebinding to a name that only begins like ours": (
        {"host": "localhost.evil.example:PORT"},
        421,
    ),
    "rebinding with a user": ({"host": "localhost@evil.example:PORT"}, 421),
    "by address at another port": ({"host": "127.0.0.1:1"}, 421),
    "by address at the usual port": ({"host": "127.0.0.1"}, 421),
    "by an address that is not ours": ({"host": "192.0.2.1:PORT"}, 421),
    "no host": ({"drop": "host"}, 400),
    "no host in HTTP/1.0": (
        {"drop": "host", "line": "POST /promise/peek HTTP/1.0"},
        400,
    ),
    "an empty host": ({"host": ""}, 400),
    "two hosts": ({"host": "127.0.0.1:PORT\r\nhost: evil.example"}, 400),
    "a page of ours": ({"origin": "http://127.0.0.1:PORT"}, 200),
    "a foreign page": ({"origin": "https://evil.example"}, 403),
    "a page of this machine": ({"origin": "http://127.0.0.1:3000"}, 403),
    "a page of this machine by name": ({"origin": "http://localhost:PORT"}, 403),
    "our page by another scheme": ({"origin": "https://127.0.0.1:PORT"}, 403),
    "a page without origin": ({"origin": "null"}, 403),
    "an empty origin": ({"origin": ""}, 403),
    "two origins": (
        {"origin": "https://evil.example\r\norigin: http://127.0.0.1:PORT"},
        400,
    ),
    "a site of its own": ({"sec_fetch_site": "same-origin"}, 200),
    "a user who types": ({"sec_fetch_site": "none"}, 200),
    "another site": ({"sec_fetch_site": "cross-site"}, 403),
    "another port of this site": ({"sec_fetch_site": "same-site"}, 403),
    "a site of a new kind": ({"sec_fetch_site": "x"}, 403),
    "an image of another port": (
        {
            "line": "GET /watch?promiseId=x HTTP/1.1",
            "body": b"",
            "drop": "content-type",
            "sec_fetch_site": "same-site",
        },
        403,
    ),
    "a form": ({"content_type": "application/x-www-form-urlencoded"}, 415),
    "a form of text": ({"content_type": "text/plain"}, 415),
    "a form that claims JSON": (
        {"content_type": "text/plain; application/json"},
        415,
    ),
    "a form without fields": (
        {
            "content_type": "text/plain",
            "body": b"",
            "line": "POST /promises/x/dispose HTTP/1.1",
        },
        415,
    ),
    "no type": ({"drop": "content-type"}, 415),
    "an empty type": ({"content_type": ""}, 415),
    "JSON that claims to be compressed": ({"content_encoding": "gzip"}, 415),
    "JSON that claims to be compressed twice": ({"content_encoding": "br, gzip"}, 415),
    "JSON that claims to be itself": ({"content_encoding": "Identity"}, 200),
    "two types": (
        {"content_type": "application/json\r\ncontent-type: text/plain"},
        400,
    ),
    "JSON with its charset": ({"content_type": "Application/JSON;charset=utf-8"}, 200),
    "JSON of another kind": ({"content_type": "application/json5"}, 415),
}


@pytest.mark.parametrize("case", BROWSERS_AND_NAMES)
def test_who_may_ask(server: Server, case: str) -> None:
    """Programs on this machine may; whoever a browser asks for may not."""
    how, expected = BROWSERS_AND_NAMES[case]
    answer = server.talk(request(server, **how))

    assert answer.status == expected
    assert not [name for name in answer.headers if name.startswith("access-")]


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"]
)
@pytest.mark.parametrize("operation", ["peek", "resolve", "reject", "dispose", "await"])
def test_every_operation_is_a_post(server: Server, method: str, operation: str) -> None:
    """No link, image or preflight does anything; the answer says what would."""
    answer = server.ask(f"/promises/x/{operation}", None, {}, method)

    assert 405 == answer.status
    assert "POST" == answer.headers["allow"]


def test_a_refusal_changes_nothing(server: Server) -> None:
    """A completion that was refused has not happened."""
    for how, expected in BROWSERS_AND_NAMES.values():
        if expected != 200 and "line" not in how and how.get("drop") != "host":
            line = "POST /promises/untouched/resolve HTTP/1.1"
            server.talk(request(server, **{**how, "line": line, "body": b"1"}))
            body = b'[{"op":"resolve","promiseId":"untouched","value":1}]'
            line = "POST /batch HTTP/1.1"
            server.talk(request(server, **{**how, "line": line, "body": body}))

    assert server.ask("/promises/untouched/peek").json() is None


# What may be sent -----------------------------------------------------------

RESOLVE: Final = "POST /promise/resolve HTTP/1.1"


def value(text: bytes) -> dict[str, Any]:
    """Return the request that resolves with this text."""
    return {"line": RESOLVE, "body": b'{"promiseId":"v","value":%b}' % text}


CHUNKED: Final = {"transfer_encoding": "chunked", "drop": "content-length"}
SENT: Final = {
    "10 MiB": ({"body": b'"%b"' % (b"x" * 10 * MIB)}, 413),
    "10 MiB in chunks": (
        {**CHUNKED, "body": (b"10000\r\n%b\r\n" % (b"x" * 65536)) * 160 + b"0\r\n\r\n"},
        413,
    ),
    "a good body in chunks": (
        {**CHUNKED, "body": b"5\r\n%b\r\nc\r\n%b\r\n0\r\n\r\n" % (PEEK[:5], PEEK[5:])},
        200,
    ),
    "a length that is too long": ({"content_length": "10000000000"}, 413),
    "a length that is no number": ({"content_length": "x"}, 400),
    "a length below zero": ({"content_length": "-1"}, 400),
    "two lengths": ({"content_length": "17\r\ncontent-length: 18"}, 400),
    "a length and chunks": ({"transfer_encoding": "chunked"}, 400),
    "a value over the limit": (value(b'"%b"' % (b"x" * MIB)), 422),
    "a value at the limit": (value(b'"%b"' % (b"x" * (MIB - 2))), 200),
    "a depth bomb": (value(b"[" * 500_000), 400),
    "objects too deep": (value(b'{"":' * 129 + b"1" + b"}" * 129), 422),
    "NaN": (value(b"NaN"), 400),
    "Infinity": (value(b"-Infinity"), 400),
    "an infinite number": (value(b"1e999"), 422),
    "half a character": (value(b'"\\ud800"'), 422),
    "no UTF-8": (value(b'"\xff"'), 400),
    "a key twice": (value(b'{"a":1,"a":2}'), 400),
    "an id twice": ({"body": b'{"promiseId":"x","promiseId":"y"}'}, 400),
    "no JSON": ({"body": b"garbage"}, 400),
    "nothing": ({"body": b""}, 400),
    "an id with NUL": ({"body": b'{"promiseId":"a\\u0000"}'}, 400),
    "an id of half a character": ({"body": b'{"promiseId":"\\udc00"}'}, 400),
    "an id too long": ({"body": b'{"promiseId":"%b"}' % (b"x" * 1025)}, 400),
    "an id of a million digits": ({"body": b'{"promiseId":%b}' % (b"9" * 10**6)}, 400),
    "a message of a million digits": (
        {
            "line": "POST /promise/reject HTTP/1.1",
            "body": b'{"promiseId":"x","errorMessage":%b}' % (b"9" * 10**6),
        },
        422,
    ),
    "NUL in a path": ({"line": "POST /promises/%00/peek HTTP/1.1"}, 400),
    "no UTF-8 in a path": ({"line": "POST /promises/%ff/peek HTTP/1.1"}, 400),
    "CRLF in a path": ({"line": "POST /promises/%0d%0aX:1/peek HTTP/1.1"}, 200),
    "a slash in a path": ({"line": "POST /promises/a%2fb/peek HTTP/1.1"}, 200),
    "a way up in a path": ({"line": "POST /promises/%2e%2e/peek HTTP/1.1"}, 200),
    "another way up": ({"line": "POST /promise/../promise/peek HTTP/1.1"}, 404),
    "a slash too many": ({"line": "POST /promises/a/b/peek HTTP/1.1"}, 404),
    "a query": ({"line": "POST /promise/peek?x=1 HTTP/1.1"}, 200),
    "no such operation": ({"line": "POST /promise/nope HTTP/1.1"}, 404),
    "a URL of another server": ({"line": "POST http://evil/nope HTTP/1.1"}, 404),
    "no HTTP": ({"line": "GARBAGE"}, 400),
    "an offer of HTTP/2": (
        {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c"},
        200,
    ),
    "an offer of WebSockets": (
        {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_key": "x"},
        200,
    ),
}


@pytest.mark.parametrize("case", SENT)
def test_what_may_be_sent(server: Server, case: str) -> None:
    """Each bad request gets its status, and an answer that gives nothing away."""
    how, expected = SENT[case]
    answer = server.talk(request(server, **how))

    assert answer.status == expected
    assert "x" not in answer.headers
    if expected != 200:
        assert len(answer.body) < 1000
        assert not re.search(rb"Traceback|\.py|/(tmp|usr|home|lib)", answer.body)
    if expected != 200 and answer.body:
        assert answer.json()["code"] == expected
        assert answer.json()["message"]


@pytest.mark.parametrize("line", [b"X: y\r\n", b"x" * 1000])
def test_a_head_has_an_end(server: Server, line: bytes) -> None:
    """Headers without end, or one of them, do not fill the server's memory."""
    stream = socket.create_connection(("127.0.0.1", server.port), 60)
    sent = 0
    with stream, suppress(ConnectionError):
        stream.sendall(b"POST /promise/peek HTTP/1.1\r\nHost: localhost\r\nX: ")
        while sent < 100 * MIB:
            stream.sendall(line * 1000)
            sent += 1000 * len(line)

    assert sent < 100 * MIB


def test_a_server_outlives_all_that(server: Server) -> None:
    """After every hostile request there is one that works, and a quiet log."""
    assert 200 == server.ask("/promise/peek", PEEK).status
    assert server.process.poll() is None


# Under other servers --------------------------------------------------------


async def test_an_allowed_origin_may_ask() -> None:
    """A site whose pages come through its own proxy can be let in."""
    settings = Settings(allowed_origins=("https://Promises.example",))
    allowing = app(connect("memory:").backend, settings)
    for origin, expected in [
        (b"https://promises.example", 200),
        (b"http://promises.example", 403),
        (b"https://promises.example:444", 403),
    ]:
        answer = await ask(
            allowing, "/promise/peek", {"promiseId": "x"}, headers=[(b"origin", origin)]
        )

        assert answer.status == expected


@pytest.mark.parametrize(
    ("address", "host", "expected"),
    [
        ("192.0.2.5", b"192.0.2.5:8080", 200),
        ("192.0.2.5", b"192.0.2.5:81", 421),
        ("192.0.2.5", b"192.0.2.6:8080", 421),
        ("2001:db8::5", b"[2001:DB8::5]:8080", 200),
        ("2001:db8::5", b"[2001:db8::6]:8080", 421),
    ],
)
async def test_the_address_it_was_reached_at_is_its_name(
    address: str, host: bytes, expected: int
) -> None:
    """No name is resolved to get there, so no rebinding is possible."""
    anywhere = app(connect("memory:").backend)
    request = Request("/promises/x/peek")
    request._scope["server"] = (address, 8080)
    request._scope["headers"] = [(b"host", host)]
    await request.run(anywhere)

    assert request.status == expected


async def test_a_server_that_knows_no_port_asks_for_none() -> None:
    """At a unix socket, or under a server that does not say, names decide."""
    anywhere = app(connect("memory:").backend)
    for server in (None, ("/run/dp.sock", None)):
        for host, expected in [(b"localhost:1", 200), (b"evil", 421)]:
            request = Request("/promises/x/peek")
            request._scope["server"] = server
            request._scope["headers"] = [(b"host", host)]
            await request.run(anywhere)

            assert request.status == expected
