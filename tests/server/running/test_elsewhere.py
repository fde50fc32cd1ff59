"""The app below a mount, and under other servers than ours, on both event loops."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from dp_core import AccessDeniedError, BackendUnavailableError, connect
from dp_core.server import Settings, app
from support.server.asgi_driver import Request, Spy, ask

# Where the app is ------------------------------------------------------------

ROOTS: Final = ("/dp", "/a/b", "/with space", "/ü", "/dp/promises")


@pytest.mark.parametrize("root", ROOTS)
async def test_it_works_below_a_mount(root: str) -> None:
    """An app of Starlette's that mounts it has its promises below there."""
    outer = Starlette(routes=[Mount(root, app=app(connect("memory:").backend))])
    for path in ("/promises/a%2Fb/resolve", "/promises/é/resolve"):
        request = Request(f"{root}{path}", b"1")
        raw = f"{root}{path}".replace(" ", "%20").encode()
        request._scope["raw_path"] = raw
        request._scope["path"] = f"{root}{path}".replace("%2F", "/")
        await request.run(outer)

        assert 200 == request.status
        assert {"value": 1} == request.json()


@pytest.mark.parametrize("whole", [True, False])
async def test_it_works_behind_a_root_path(whole: bool) -> None:
    """Whether the path that a server hands over has its root, or not."""
    inner = app(connect("memory:").backend)
    for root in ("/dp", "/dp/"):
        request = Request(("/dp" if whole else "") + "/promises/x/peek")
        request._scope["root_path"] = root
        await request.run(inner)

        assert 200 == request.status


async def test_a_root_is_not_cut_from_what_only_looks_like_it() -> None:
    """A path that begins with the same letters is another one."""
    inner = app(connect("memory:").backend)
    request = Request("/promises/x/peek")
    request._scope["root_path"] = "/prom"
    await request.run(inner)

    assert 200 == request.status


# Health ----------------------------------------------------------------------


async def test_health_is_told_to_everybody(request: pytest.FixtureRequest) -> None:
    """Without a token: 200 where the store answers, else 503, and nothing else."""
    spy = Spy(request.node.nodeid)
    guarded = app(spy, Settings(token="t" * 40))
    for method in ("GET", "HEAD"):
        healthy = await ask(guarded, "/health", method=method)
        spy.fail = BackendUnavailableError("/secret")
        ill = await ask(guarded, "/health", method=method)
        spy.fail = None

        assert (200, b"") == (healthy.status, healthy.body)
        assert (503, b"") == (ill.status, ill.body)
    assert 401 == (await ask(guarded, "/health")).status
    assert 401 == (await ask(guarded, "/", method="GET")).status


async def test_health_of_a_silent_store_is_told_in_time(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that does not answer at all is not waited for."""
    monkeypatch.setattr("dp_core.server._answering._health._SECONDS", 0.01)

    class Silent(Spy):
        async def peek(self, id: str) -> object:
            return await self.inner.wait(id)

    silent = app(Silent(request.node.nodeid))

    assert 503 == (await ask(silent, "/health", method="GET")).status


# CORS ------------------------------------------------------------------------


def allowing(origin: str = "https://app.test") -> ASGIApp:
    """Return an app that lets one site ask."""
    settings = Settings(token="t" * 40, allowed_origins=(origin,))
    return app(connect("memory:").backend, settings)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (b"https://app.test", True),
        (b"https://evil.test", False),
        (b"http://app.test", False),
        (b"https://app.test.evil.test", False),
        (b"null", False),
    ],
)
async def test_the_preflight_of_an_allowed_origin_is_answered(
    origin: bytes, allowed: bool
) -> None:
    """It needs no token, and says what pages of that origin may send."""
    preflight = await ask(
        allowing(),
        "/promises/x/peek",
        method="OPTIONS",
        headers=[
            (b"origin", origin),
            (b"access-control-request-method", b"POST"),
            (
                b"access-control-request-headers",
                b"authorization,content-type,prefer,traceparent,tracestate",
            ),
        ],
    )
    found = preflight.headers.get("access-control-allow-origin")

    assert (origin.decode() if allowed else None) == found
    assert (200 if allowed else 400) == preflight.status


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://App.test", b"https://app.test"),
        ("https://app.test/", b"https://app.test"),
        ("https://app.test:443", b"https://app.test"),
        ("http://app.test:0080/", b"http://app.test"),
        ("http://app.test:443", b"http://app.test:443"),
        ("http://[::1]:3000", b"http://[::1]:3000"),
        ("http://[0:0::0:01]:3000", b"http://[::1]:3000"),
        ("chrome-extension://abc", b"chrome-extension://abc"),
    ],
)
async def test_an_origin_is_allowed_however_it_is_written(
    written: str, sent: bytes
) -> None:
    """To ask, and for browsers, which compare what preflights are answered."""
    asked = (b"access-control-request-method", b"POST")
    for method, expected in (("OPTIONS", 200), ("POST", 401)):
        answer = await ask(
            allowing(written),
            "/promises/x/peek",
            method=method,
            headers=[(b"origin", sent), asked],
        )

        assert expected == answer.status
        assert sent.decode() == answer.headers["access-control-allow-origin"]


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "*",
        "null",
        "app.test",
        "https://*.app.test",
        "https://app.test/pages",
        "https://app.test?x",
        "https://user@app.test",
        "https://äpp.test",
        "https://app.test, https://b.test",
        "https://app.test\n",
        "file://",
        "http://[1::2::3]",
        "http://app.test:0",
        "http://app.test:65536",
    ],
)
def test_what_is_no_origin_of_one_site_is_not_allowed(origin: str) -> None:
    """No browser would send it; or pages of anybody's would, as they do ``null``."""
    with pytest.raises(AccessDeniedError, match="not a valid origin"):
        allowing(origin)


async def test_failures_can_be_read_by_an_allowed_page() -> None:
    """Its own mistakes are told to it; other pages learn nothing."""
    for origin, shown in ((b"https://app.test", True), (b"https://evil.test", False)):
        answer = await ask(
            allowing(), "/promises/x/peek", headers=[(b"origin", origin)]
        )

        assert (401 if shown else 403) == answer.status
        assert shown == ("access-control-allow-origin" in answer.headers)


async def test_an_allowed_page_of_another_site_may_ask() -> None:
    """Browsers say that it is of another site, which it was allowed to be."""
    answer = await ask(
        allowing(),
        "/promises/x/peek",
        headers=[
            (b"origin", b"https://app.test"),
            (b"sec-fetch-site", b"cross-site"),
            (b"authorization", b"Bearer " + b"t" * 40),
        ],
    )

    assert 200 == answer.status


# Other servers ---------------------------------------------------------------

SERVED: Final = {
    "uvicorn on asyncio": """
import asyncio, uvicorn
config = uvicorn.Config(app, fd=fd, log_level="critical", lifespan="on")
asyncio.run(uvicorn.Server(config).serve())
""",
    "Hypercorn on asyncio": """
import asyncio
from hypercorn.asyncio import serve
asyncio.run(serve(app, config))
""",
    "Hypercorn on trio": """
import trio
from hypercorn.trio import serve
trio.run(serve, app, config)
""",
}
BEGIN: Final = """
import sys
from dp_core import connect
from dp_core.server import app as promises
fd = int(sys.argv[1])
app = promises(connect("memory:").backend)
try:
    from hypercorn.config import Config
    config = Config()
    config.bind, config.errorlog = [f"fd://{fd}"], None
except ModuleNotFoundError: pass
"""


@contextlib.contextmanager
def served(program: str) -> Iterator[int]:
    """Run another server at a socket of ours; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        with subprocess.Popen(
            [sys.executable, "-c", BEGIN + program, str(fd)], pass_fds=[fd]
        ) as process:
            try:
                yield listener.getsockname()[1]
            finally:
                process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED)
def test_it_runs_under_other_servers(name: str) -> None:
    """It is a plain ASGI app: it settles, waits and answers wherever it runs."""
    pytest.importorskip(name.partition(" ")[0].lower())
    with served(SERVED[name]) as port, socket.socket() as watch:
        watch.settimeout(60)
        watch.connect(("127.0.0.1", port))
        watch.sendall(
            b"GET /watch?promiseId=x&promiseId=y HTTP/1.1\r\nHost: localhost:%d\r\n"
            b"Connection: close\r\n\r\n" % port
        )
        streamed = b""
        while b":\n\n" not in streamed:
            streamed += watch.recv(65536)
        answers = []
        for path, body in (
            ("/promises/x/await", b""),
            ("/promises/x/resolve", b'{"a": [1]}'),
            ("/promises/x/peek", b""),
            ("/promises/y/reject", b'"no"'),
        ):
            with socket.create_connection(("127.0.0.1", port), 60) as stream:
                prefer = b"Prefer: wait=0\r\n" if path.endswith("await") else b""
                stream.sendall(
                    b"POST %b HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n"
                    b"Content-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b"
                    % (path.encode(), port, len(body), prefer, body)
                )
                whole = b"".join(iter(lambda: stream.recv(65536), b""))
                head, _, text = whole.partition(b"\r\n\r\n")
                answers.append((int(head.split()[1]), json.loads(text)))

        streamed += b"".join(iter(lambda: watch.recv(65536), b""))

    value = {"value": {"a": [1]}}
    assert [(202, None), *[(200, value)] * 2, (200, {"error": "no"})] == answers
    assert b'data: {"promiseId":"x","value":{"a":[1]}}\n\n' in streamed
    assert b'data: {"promiseId":"y","error":"no"}\n\n' in streamed
    assert streamed.endswith(b"0\r\n\r\n")
