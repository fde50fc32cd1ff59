"""The HTTP backend behind nginx and HAProxy: what a proxy does is no failure."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from dp_core import (
    InvalidValueError,
    Pending,
    Promises,
    PromiseTimeoutError,
    Resolved,
    connect,
)
from support.http import eventually
from support.server.proxies import PROXIES, behind, free_port, serving

pytest.importorskip("granian", reason="the server needs durable-promises[server]")

proxies = pytest.mark.parametrize("proxy", PROXIES)

AWAY = {
    "404": "error_page 502 504 =404 /away;",
    "200": "error_page 502 504 =200 /away;",
    "403": "error_page 502 504 =403 /away;",
}
"""What nginx says instead of 502 while its backend is away."""


IGNORES = "proxy_ignore_headers X-Accel-Buffering;"
BUFFERING = {
    "by default": ("", True),
    "off": (f"proxy_buffering off; {IGNORES}", True),
    "whatever we say": (IGNORES, False),
}
"""What nginx does with a response of unknown length, and whether streams pass."""

STREAMS = """
    location /watch {{
      proxy_pass http://back;
      proxy_set_header Host 127.0.0.1:{upstream};
      proxy_http_version 1.0;
      {option}
    }}
"""

MANY = 8
"""More waits than have long polls of their own: the others share event streams."""


@pytest.fixture
def anyio_backend() -> str:
    """Run on one event loop: the processes are what is slow."""
    return "asyncio"


@proxies
async def test_a_proxy_that_ends_silent_waits_is_not_noticed(
    proxy: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A limit of two seconds ends one wait, and the next ones are over before it.

    It cuts event streams, whose comments come less often. A promise that is pending in
    the end is pending; those that are settled meanwhile reach who waits for them;
    nothing is logged.
    """
    kept: list[object] = []

    async def get(promises: Promises, n: int) -> None:
        kept.append(await promises.promise(f"settled {n}").get())

    with (
        serving(tmp_path / "store") as (_, url),
        behind(proxy, int(url.rpartition(":")[2]), tmp_path, idle=2) as front,
    ):
        async with connect(front) as promises, anyio.create_task_group() as tasks:
            for n in range(MANY):
                tasks.start_soon(get, promises, n)
            with pytest.raises(PromiseTimeoutError):
                await promises.promise("pending").get(timeout=6)
            backend: Any = promises.backend
            assert backend._client.peer.streams
            assert backend.stats().waiters == MANY
            async with connect(f"file:{tmp_path}/store") as store:
                for n in range(MANY):
                    await store.promise(f"settled {n}").resolve(n)

    assert {*range(MANY)} == {*kept}
    assert [] == caplog.messages


@pytest.mark.parametrize("buffering", BUFFERING)
async def test_a_proxy_that_buffers_is_found_out(
    buffering: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where it holds streams back, each wait is a long poll; else they share a stream.

    nginx buffers by default, and does not where our server says so. It asks by HTTP/1.0
    then, which has no chunks, so that the end of a response is its end.
    """
    monkeypatch.setattr("dp_backends.http._waits._stream_gate._LATE_SECONDS", 0.5)
    kept: list[object] = []

    async def get(promises: Promises, n: int) -> None:
        kept.append(await promises.promise(f"{n}").get())

    option, streams = BUFFERING[buffering]
    with serving(tmp_path / "store") as (_, url), ExitStack() as stack:
        port = int(url.rpartition(":")[2])
        options = STREAMS.format(upstream=port, option=option)
        front = stack.enter_context(behind("nginx", port, tmp_path, options=options))
        async with connect(front) as promises, anyio.create_task_group() as tasks:
            for n in range(MANY):
                tasks.start_soon(get, promises, n)
            backend: Any = promises.backend
            await eventually(lambda: backend.stats().watched == MANY, 0.01)
            found = backend.stats()
            async with connect(f"file:{tmp_path}/store") as store:
                for n in range(MANY):
                    await store.promise(f"{n}").resolve(n)

    assert {*range(MANY)} == {*kept}
    assert ((1, 4) if streams else (0, MANY)) == (found.streams, found.held)


async def _outlives(front: str, store: Path, port: int) -> None:
    """Wait and settle through a proxy while its backend is killed, and comes back."""
    kept: list[object] = []

    async def get(promises: Promises, n: int) -> None:
        kept.append(await promises.promise(f"waited {n}").get())

    async def settle(promises: Promises) -> None:
        with anyio.fail_after(120):
            kept.append(await promises.promise("settled").resolve(1))

    async with connect(front) as promises, anyio.create_task_group() as tasks:
        with serving(store, port) as (process, _):
            assert Pending() == await promises.promise("waited 0").peek()
            for n in range(MANY):
                tasks.start_soon(get, promises, n)
            backend: Any = promises.backend
            await eventually(lambda: backend.stats().watched == MANY, 0.01)
            assert 1 == backend.stats().streams
            process.send_signal(signal.SIGKILL)
            await to_thread.run_sync(process.wait)
        tasks.start_soon(settle, promises)
        async with connect(f"file:{store}") as here:
            for n in range(MANY):
                await here.promise(f"waited {n}").resolve(n)
        # So long that both have been told several times that nobody is there.
        await eventually(partial(_is_failing, promises), 0.01)
        with serving(store, port):
            await eventually(lambda: len(kept) == MANY + 1, 0.01)

    assert {*range(MANY), Resolved(1)} == {*kept}


def _is_failing(promises: Promises) -> bool:
    outage = promises.backend._client.outage  # type: ignore[attr-defined] # it is ours
    return bool(outage.failing)


@proxies
async def test_a_restart_behind_a_proxy_is_an_outage(
    proxy: str, tmp_path: Path
) -> None:
    """A page with 502 or 503 in the server's place ends no wait, and no settle."""
    port = free_port()
    with behind(proxy, port, tmp_path) as front:
        await _outlives(front, tmp_path / "store", port)


@pytest.mark.parametrize("page", AWAY)
async def test_a_page_in_the_place_of_a_backend_is_an_outage(
    page: str, tmp_path: Path
) -> None:
    """Also with a status that says it will be so for ever, or that all is well."""
    port = free_port()
    with behind("nginx", port, tmp_path, options=AWAY[page]) as front:
        await _outlives(front, tmp_path / "store", port)


async def test_a_proxy_that_closes_connections_is_not_noticed(tmp_path: Path) -> None:
    """A connection serves two requests here; no dispose is unknown for that."""
    with (
        serving(tmp_path / "store") as (_, url),
        behind(
            "nginx",
            int(url.rpartition(":")[2]),
            tmp_path,
            options="keepalive_requests 2;",
        ) as front,
    ):
        async with connect(front) as promises:
            for n in range(20):
                promise = promises.promise(f"{n}")
                assert Resolved(n) == await promise.resolve(n)
                assert n == await promise.get(timeout=60)
                await promise.dispose()


async def test_a_value_passes_through_buffers_or_is_refused_in_words(
    tmp_path: Path,
) -> None:
    """A body over the proxy's limit is the caller's error, at once; nginx is named."""
    value = "x" * 900_000
    with (
        serving(tmp_path / "store") as (_, url),
        behind("nginx", int(url.rpartition(":")[2]), tmp_path) as front,
    ):
        async with connect(front, max_value_bytes=2**22) as promises:
            assert Resolved(value) == await promises.promise("a").resolve(value)
            assert Resolved(value) == await promises.promise("a").peek()
            with pytest.raises(InvalidValueError, match=r"413.*nginx"):
                await promises.promise("b").resolve("x" * 1_500_000)
            assert Pending() == await promises.promise("b").peek()


@pytest.mark.parametrize(
    "options", ["error_page 502 =404 /away;", "error_page 502 =200 /away;"]
)
def test_a_proxy_without_a_backend_is_named(options: str, tmp_path: Path) -> None:
    """``dp peek`` fails, says that nginx has answered, and not that it is pending."""
    with behind("nginx", free_port(), tmp_path, options=options) as front:
        done = subprocess.run(
            [sys.executable, "-m", "dp_core", "peek", "a", "--url", front],
            capture_output=True,
            text=True,
            check=False,
        )

    assert (2, "") == (done.returncode, done.stdout)
    assert "nginx" in done.stderr
    assert "proxy" in done.stderr
    assert "dp serve" not in done.stderr
