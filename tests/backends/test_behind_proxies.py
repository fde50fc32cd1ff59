"""The HTTP backend behind nginx and HAProxy: what a proxy does is no failure."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

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

    A promise that is pending in the end is pending; one that is settled meanwhile
    reaches who waits for it; nothing is logged.
    """
    kept: list[object] = []

    async def get(promises: Promises) -> None:
        kept.append(await promises.promise("settled").get())

    with (
        serving(tmp_path / "store") as (_, url),
        behind(proxy, int(url.rpartition(":")[2]), tmp_path, idle=2) as front,
    ):
        async with connect(front) as promises, anyio.create_task_group() as tasks:
            tasks.start_soon(get, promises)
            with pytest.raises(PromiseTimeoutError):
                await promises.promise("pending").get(timeout=6)
            async with connect(f"file:{tmp_path}/store") as store:
                await store.promise("settled").resolve("done")

    assert ["done"] == kept
    assert [] == caplog.messages


async def _outlives(front: str, store: Path, port: int) -> None:
    """Wait and settle through a proxy while its backend is killed, and comes back."""
    kept: list[object] = []

    async def get(promises: Promises) -> None:
        kept.append(await promises.promise("waited").get())

    async def settle(promises: Promises) -> None:
        with anyio.fail_after(120):
            kept.append(await promises.promise("settled").resolve(1))

    async with connect(front) as promises, anyio.create_task_group() as tasks:
        with serving(store, port) as (process, _):
            assert Pending() == await promises.promise("waited").peek()
            tasks.start_soon(get, promises)
            backend = promises.backend
            await eventually(lambda: backend.stats().held == 1, 0.01)  # type: ignore[attr-defined] # it is ours
            process.send_signal(signal.SIGKILL)
            await to_thread.run_sync(process.wait)
        tasks.start_soon(settle, promises)
        async with connect(f"file:{store}") as here:
            await here.promise("waited").resolve("done")
        # So long that both have been told several times that nobody is there.
        await eventually(partial(_is_failing, promises), 0.01)
        with serving(store, port):
            await eventually(lambda: len(kept) == 2, 0.01)

    assert {"done", Resolved(1)} == set(kept)


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
