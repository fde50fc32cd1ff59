"""Connections that are kept: by any thread and event loop, closed or not."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Thread

import anyio
import pytest
from anyio import to_thread
from blockbuster import blockbuster_ctx

from dp_backends.http import HttpBackend, _pool
from dp_core import (
    BackendClosedError,
    BackendUnavailableError,
    DurablePromiseError,
    Pending,
    Resolved,
)
from dp_core.wire import Peek
from support.http import (
    Server,
    eventually,
    keep_error,
    known,
)

ONE = Resolved(b"1")


def run(script: str, url: str, backend: str = "asyncio") -> str:
    """Return what a script prints, which must be all right and warn of nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, url, backend],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "" == done.stderr
    assert 0 == done.returncode
    return done.stdout


# Keeping connections --------------------------------------------------------


async def test_connections_are_kept() -> None:
    """One after the other, all operations use one connection."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        for n in range(20):
            await backend.settle(str(n), ONE)
            await backend.wait(str(n))

    assert 1 == server.connections


@pytest.mark.usefixtures("_long_pauses")
async def test_a_connection_the_server_closed_is_replaced() -> None:
    """That it was idle for too long is no failure: there is no pause."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
        await server.hang_up()
        await eventually(lambda: backend.stats().idle == 0)
        await backend.peek("a")

        assert [Peek("a")] * 2 == server.calls
        assert 2 == server.connections


@pytest.mark.usefixtures("_no_pauses")
async def test_a_dead_connection_takes_the_idle_ones_along() -> None:
    """The same event may have ended all; each would cost a failure of its own."""
    async with Server().serving() as server:
        backend = await known(server.url)
        async with anyio.create_task_group() as tasks:
            for id in "abc":
                tasks.start_soon(backend.wait, id)
            for id in "abc":
                await server.resolve_waited(id)
        assert 3 == backend.stats().idle
        server.canned.append(None)
        await backend.peek("a")

        assert 4 == server.connections
        assert 1 == backend.stats().idle


async def test_dispose_never_uses_a_kept_connection() -> None:
    """Else the death of an idle connection would leave its outcome unknown."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
        await backend.dispose("a")

        assert 2 == server.connections


async def test_disposing_leaves_no_connections_behind() -> None:
    """However often it is done, one task keeps one connection."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        for n in range(20):
            await backend.settle(str(n), ONE)
            await backend.dispose(str(n))

        assert 1 == backend.stats().idle
        await server.until(lambda server: len(server.streams) == 1)


@pytest.mark.parametrize("burst", ["peeks", "waits", "disposals"])
async def test_idle_connections_are_bounded(burst: str) -> None:
    """A burst does not leave a socket open for each of its requests."""
    async with Server(has_batches=False).serving() as server:
        backend = await known(server.url)
        async with anyio.create_task_group() as tasks:
            for n in range(150):
                operation = {
                    "peeks": backend.peek,
                    "waits": backend.wait,
                    "disposals": backend.dispose,
                }[burst]
                tasks.start_soon(operation, str(n))
            if burst == "waits":
                await server.until(lambda server: server.waiting.total() == 150)
                for n in range(150):
                    await server.backend.settle(str(n), ONE)

        assert 32 == min(server.connections, backend.stats().idle)
        await server.until(lambda server: len(server.streams) <= 32)
        await backend.aclose()
        assert 0 == backend.stats().idle


async def test_idle_connections_of_a_burst_grow_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that nobody needs any more are closed while one goes on being used."""
    async with Server(has_batches=False).serving() as server:
        backend = await known(server.url)
        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(backend.peek, str(n))
        burst = backend.stats().idle
        await backend.peek("a")
        young = backend.stats().idle
        monkeypatch.setattr(_pool, "IDLE_SECONDS", 0.0)
        await backend.peek("a")

        assert 1 < burst == young
        assert 1 == backend.stats().idle
        await server.until(lambda server: len(server.streams) == 1)


async def test_connections_in_use_are_kept_while_they_are() -> None:
    """Tasks that go on asking do not connect again for each request."""
    async with Server(has_batches=False).serving() as server:
        backend = HttpBackend(server.url)

        async def ask() -> None:
            for _ in range(20):
                await backend.peek("a")

        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(ask)

    assert server.connections <= 80


# Event loops, threads and processes -----------------------------------------


def test_event_loops_share_connections_one_after_the_other() -> None:
    """A connection left idle by one event loop serves the next, of any kind."""
    with Server.elsewhere() as server:
        backend = HttpBackend(server.url)
        for loop in ("asyncio", "trio", "asyncio"):
            assert Pending() == anyio.run(backend.peek, "a", backend=loop)
        anyio.run(backend.aclose)

    assert 1 == server.connections


def test_threads_share_a_handle() -> None:
    """Event loops in several threads settle and wait on one handle at once."""

    async def work(thread: int) -> None:
        for n in range(20):
            mine = Resolved(b"[%d,%d]" % (thread, n))
            assert mine == await backend.settle(f"{thread}-{n}", mine)
            assert mine == await backend.wait(f"{thread}-{n}")
        assert ONE == await backend.wait("last")
        seen.append(thread)

    def run_loop(thread: int) -> None:
        anyio.run(work, thread, backend="trio" if thread % 2 else "asyncio")

    seen: list[int] = []
    with Server.elsewhere() as server:
        backend = HttpBackend(server.url)
        threads = [Thread(target=run_loop, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        anyio.run(backend.settle, "last", ONE)
        for thread in threads:
            thread.join()
        anyio.run(backend.aclose)

    assert set(range(6)) == set(seen)
    assert server.connections <= 7


FORK = """
import os, sys, anyio
from dp_backends.http import HttpBackend
from dp_core import Resolved

backend = HttpBackend(sys.argv[1])
async def settle(id):
    for n in range(50):
        mine = Resolved(b'"%b-%d"' % (id.encode(), n))
        assert mine == await backend.settle(f"{id}-{n}", mine)

anyio.run(backend.peek, "a")
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
anyio.run(settle, "parent" if child else "child")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_uses_connections_of_its_own() -> None:
    """The child asks over another one, and the parent goes on with its own."""
    with Server.elsewhere() as server:
        run(FORK, server.url)

    assert 2 == server.connections


# Closing, and not closing ---------------------------------------------------


UNCLOSED = """
import sys, anyio
import dp_core as dp

async def main():
    promise = dp.durable_promise("a", sys.argv[1])
    print(await promise.peek())
    with anyio.move_on_after(0.1):
        await promise.get()
    async with anyio.create_task_group() as tasks:
        for n in range(5):
            tasks.start_soon(dp.durable_promise(f"{n}", sys.argv[1]).resolve, n)
    print(await promise.peek())

for n in range(2):
    anyio.run(main, backend=sys.argv[2])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_handle_need_not_be_closed(backend: str) -> None:
    """No warning, error or hang: neither when an event loop ends, nor at the end."""
    with Server.elsewhere() as server:
        assert "Pending()\n" * 4 == run(UNCLOSED, server.url, backend)


ABANDONED = """
import asyncio, gc, sys
from dp_backends.http import HttpBackend

backend = HttpBackend(sys.argv[1])
loop = asyncio.new_event_loop()
loop.run_until_complete(backend.peek("a"))
loop.close()
del backend
gc.collect()
print(len([fd for fd in __import__("os").listdir("/proc/self/fd")]))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts files in /proc")
def test_a_forgotten_handle_takes_its_sockets_along() -> None:
    """Once nobody has the handle any more, its idle connections are closed."""
    opening = ABANDONED.replace('loop.run_until_complete(backend.peek("a"))\n', "")
    with Server.elsewhere() as server:
        assert run(opening, server.url) == run(ABANDONED, server.url)


async def test_a_closed_handle_says_so() -> None:
    """All operations after aclose() are errors; closing again is none."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
        await backend.aclose()
        await backend.aclose()
        for operation in (
            partial(backend.peek, "a"),
            partial(backend.settle, "a", ONE),
            partial(backend.wait, "a"),
            partial(backend.dispose, "a"),
        ):
            with pytest.raises(BackendClosedError, match="connect"):
                await operation()

        assert 1 == server.connections


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "thread"])
async def test_closing_ends_what_is_under_way(elsewhere: bool) -> None:
    """Everybody who waits learns that the handle was closed, from any thread."""
    told: list[DurablePromiseError] = []
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            for id in "aab":
                tasks.start_soon(keep_error, partial(backend.wait, id), told)
            await server.until(lambda server: server.waiting.total() == 2)
            if elsewhere:
                await to_thread.run_sync(anyio.run, backend.aclose)
            else:
                await backend.aclose()
        await server.until(lambda server: server.waiting.total() == 0)

    assert [BackendClosedError] * 3 == [type(error) for error in told]


# Not in the way -------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nothing_blocks_the_event_loop() -> None:
    """Not one call in any operation may block, connecting included."""
    with Server.elsewhere() as server, blockbuster_ctx() as blockbuster:
        blockbuster.activate()
        backend = HttpBackend(server.url.replace("127.0.0.1", "localhost"))
        await backend.settle("a", ONE)
        assert ONE == await backend.wait("a")
        await backend.dispose("a")
        with anyio.move_on_after(0.1):
            await backend.wait("a")
        await backend.aclose()
        with pytest.raises(BackendUnavailableError):
            await HttpBackend("http://localhost:1?retry=0.01").peek("a")


def test_importing_the_backend_imports_no_event_loop() -> None:
    """No event loop comes along, and no HTTP library but httptools."""
    script = (
        "import sys, dp_backends.http; "
        "print(*sorted({'trio', 'aiohttp', 'h11', 'httpx', 'httpcore', 'msgspec'}"
        " & set(sys.modules)))"
    )

    assert "\n" == run(script, "")
