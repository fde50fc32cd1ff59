"""Waits on event streams: shared, left, resumed, and done without."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_backends.http import HttpBackend
from dp_backends.http._waits import _stream_gate
from dp_core import (
    BackendClosedError,
    NotSupportedError,
    Pending,
    PromiseDisposedError,
    Resolved,
)
from dp_core.backend import watch_all
from dp_core.testing import LAWS, check_backend
from support.http import Server, eventually, known
from support.http._streams import port_of
from support.server.attackers import Victim, victim

pytest.importorskip("granian", reason="the server needs durable-promises[server]")

ONE = Resolved(b"1")


@pytest.fixture(scope="module")
def server() -> Iterator[Victim]:
    """A server of ours, for all tests here."""
    with victim() as server:
        yield server


async def connected(server: Victim) -> HttpBackend:
    """Return a handle on it that has been answered."""
    return await known(f"http://127.0.0.1:{server.port}")


async def keep(backend: HttpBackend, id: str, kept: dict[str, object]) -> None:
    """Wait, and keep what comes of it."""
    try:
        kept[id] = await backend.wait(id)
    except PromiseDisposedError as error:
        kept[id] = type(error)


async def test_many_waits_are_a_few_connections(
    server: Victim, anyio_backend_name: str
) -> None:
    """Each is told its own, once; the server answers a few requests."""
    ids = [f"many-{anyio_backend_name}-{n}" for n in range(300)]
    backend, kept = await connected(server), dict[str, object]()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for id in ids:
                group.start_soon(keep, backend, id, kept)
            await eventually(lambda: backend.stats().streams == 1, 0.01)
            busy = backend.stats().busy
            await backend.dispose(ids[-2])
            for id in ids[:-2]:
                await backend.settle(id, ONE)
            await backend.settle(ids[-1], Resolved(b'"%b"' % (b"x" * 70_000)))
    await backend.aclose()

    assert busy <= 5
    assert PromiseDisposedError is kept.pop(ids[-2])
    assert Resolved(b'"%b"' % (b"x" * 70_000)) == kept.pop(ids[-1])
    assert dict.fromkeys(ids[:-2], ONE) == kept
    assert 0 == backend.stats().streams


async def test_waits_join_and_leave_without_disturbing_others(
    server: Victim, anyio_backend_name: str
) -> None:
    """Whoever leads is cancelled, again and again, while others come: all are told."""
    ids = [f"leave-{anyio_backend_name}-{n}" for n in range(60)]
    backend, kept = await connected(server), dict[str, object]()
    scopes = {id: anyio.CancelScope() for id in ids}

    async def wait(id: str) -> None:
        with scopes[id]:
            await keep(backend, id, kept)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number, id in enumerate(ids):
                group.start_soon(wait, id)
                if number % 10 == 9:
                    waiters = number + 1 - number // 10 * 5
                    await eventually(partial(_all_on_streams, backend, waiters), 0.001)
                    for left in ids[number - 9 : number - 4]:
                        scopes[left].cancel()
            for id in ids:
                await backend.settle(id, ONE)
    await backend.aclose()

    assert {id for n, id in enumerate(ids) if n % 10 >= 5} == set(kept)


def _all_on_streams(backend: HttpBackend, waiters: int) -> bool:
    streams = backend._waits._streams.get()
    return backend.stats().waiters == waiters and not len(streams.gate)


async def test_streams_stay_a_few(server: Victim, anyio_backend_name: str) -> None:
    """Waits that come one by one are merged, and an id is sent a few times only."""
    backend, kept = await connected(server), dict[str, object]()
    ids = [f"few-{anyio_backend_name}-{n}" for n in range(120)]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number, id in enumerate(ids, 1):
                group.start_soon(keep, backend, id, kept)
                await eventually(partial(_all_on_streams, backend, number))
            streams = backend.stats().streams
            for id in ids:
                await backend.settle(id, ONE)
    await backend.aclose()

    assert streams <= 4
    assert set(ids) == set(kept)


async def test_a_stream_that_is_cut_is_resumed(
    server: Victim, anyio_backend_name: str
) -> None:
    """Wherever it is cut, those that are left are told by the next one."""
    ids = [f"cut-{anyio_backend_name}-{n}" for n in range(40)]
    kept = dict[str, object]()
    backend, direct = await connected(server), await connected(server)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for id in ids:
                group.start_soon(keep, backend, id, kept)
            await eventually(lambda: backend.stats().streams == 1, 0.01)
            for id in ids[:20]:
                await direct.settle(id, ONE)
            for connection in tuple(backend._client.pool._busy):
                connection.interrupt()
            for id in ids[20:]:
                await direct.settle(id, ONE)
    await backend.aclose()
    await direct.aclose()

    assert dict.fromkeys(ids, ONE) == kept


async def test_closing_ends_waits_wherever_they_are(
    server: Victim, anyio_backend_name: str
) -> None:
    """On a stream, at the gate at any step of it, and those that come after."""
    for steps in (0, 1, 2, 3, 5, 8, 13, 21):
        backend = await connected(server)
        ended: list[type[Exception]] = []

        async def wait(id: str, backend: HttpBackend, ended: list[Any]) -> None:
            try:
                await backend.wait(id)
            except Exception as error:  # noqa: BLE001 - looked at below
                ended.append(type(error))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for n in range(12):
                    group.start_soon(wait, f"closed-{n}", backend, ended)
                await eventually(lambda b=backend: b.stats().watched == 12, 0.01)
                for n in range(4):
                    group.start_soon(wait, f"late-{n}", backend, ended)
                for _ in range(steps):
                    await checkpoint()
                await backend.aclose()
                group.start_soon(wait, "after", backend, ended)

        assert [BackendClosedError] * 17 == ended
        stats = backend.stats()
        assert (0, 0, 0) == (stats.waiters, stats.busy, stats.streams)


def test_streams_keep_no_event_loop(server: Victim) -> None:
    """Once nobody waits there, an event loop goes away, though the handle stays."""
    backend = HttpBackend(f"http://127.0.0.1:{server.port}")

    async def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        async with anyio.create_task_group() as group:
            for n in range(12):
                group.start_soon(backend.wait, f"kept-{n}")
            await eventually(lambda: backend.stats().watched == 12, 0.01)
            group.cancel_scope.cancel()
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(use())
    gc.collect()
    assert loop() is None
    asyncio.run(backend.aclose())


async def test_a_server_without_streams_gets_the_old_way() -> None:
    """It is asked once, and each wait is a long poll then."""
    async with Server().serving() as fake:
        backend, kept = await known(fake.url), dict[str, object]()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for n in range(20):
                    group.start_soon(keep, backend, f"id-{n}", kept)
                await eventually(lambda: backend.stats().held == 20, 0.01)
                for n in range(20):
                    await backend.settle(f"id-{n}", ONE)
        await backend.aclose()

    assert 20 == len(kept)
    assert not backend._client.peer.streams


async def test_a_server_without_streams_cannot_be_watched() -> None:
    """
    Since nobody says when a long poll is heard.

    The kit judges no law of watching there, and `watch_all` makes a wait for each.
    """
    laws = [law for law in LAWS.values() if "watch" in law.needs]
    told = dict[str, object]()
    async with Server().serving() as fake:
        report = await check_backend(
            partial(HttpBackend, fake.url), durable=True, shared=True, laws=laws
        )
        backend = await known(fake.url)
        with anyio.fail_after(60):
            for _ in range(2):
                with pytest.raises(NotSupportedError, match="no event stream from"):
                    async with backend.watch(("a", "b")):
                        raise AssertionError
            async with watch_all(backend, ("a", "b")) as watch:
                await eventually(lambda: backend.stats().held == 2, 0.01)
                for id in ("b", "a"):
                    await backend.settle(id, ONE)
                async for id, what in watch:
                    told[id] = what
        await backend.aclose()

    assert {law.name for law in laws} == {name for name, _ in report.skipped}
    assert {"a": ONE, "b": ONE} == told
    assert 2 == fake.paths.count("/watch")


async def test_a_wait_with_an_end_knows_what_is_pending(
    server: Victim, anyio_backend_name: str
) -> None:
    """At its end the server is asked, since a stream says nothing of pending."""
    backend, kept = await connected(server), dict[str, object]()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for n in range(6):
                id = f"timed-{anyio_backend_name}-{n}"
                group.start_soon(keep, backend, id, kept)
            await eventually(lambda: backend.stats().streams == 1, 0.01)
            assert Pending() == await backend.wait_for("nobody's", 0.05)
            group.cancel_scope.cancel()
    await backend.aclose()


async def test_a_watch_is_one_stream(server: Victim, anyio_backend_name: str) -> None:
    """Entering returns when all are watched, and each is told once."""
    backend = await connected(server)
    ids = [f"watch-{anyio_backend_name}-{n}" for n in range(600)]
    await backend.settle(ids[0], ONE)
    told: dict[str, object] = {}
    with anyio.fail_after(60):
        async with backend.watch([*ids, ids[0]]) as watch:
            await backend.dispose(ids[1])
            for id in ids[2:]:
                await backend.settle(id, ONE)
            async for id, what in watch:
                assert id not in told
                told[id] = what
    await backend.aclose()

    assert isinstance(told.pop(ids[1]), PromiseDisposedError)
    assert {id: ONE for id in ids if id != ids[1]} == told


_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: "


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(
            _HEAD
            + b"text/event-stream\r\nContent-Encoding: gzip\r\n\r\n4\r\n:\n\n\n\r\n",
            id="compressed",
        ),
        pytest.param(
            _HEAD + b"text/html\r\n\r\n4\r\n:\n\n\n\r\n", id="a page that does not end"
        ),
    ],
)
async def test_a_stream_that_is_held_back_is_done_without(
    monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Where its first comment does not come as it was sent, but other answers do."""
    monkeypatch.setattr(_stream_gate, "_LATE_SECONDS", 0.2)

    async with anyio.create_task_group() as group:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = port_of(listener)

        async def handle(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                data = b""
                while True:
                    try:
                        data += await stream.receive()
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        return
                    head, end, body = data.partition(b"\r\n\r\n")
                    length = int(
                        head.lower().partition(b"content-length: ")[2].split()[0]
                    )
                    if not end or len(body) < length:
                        continue
                    data = b""
                    if b"/watch" in head:
                        await stream.send(begun)
                        continue
                    answer = json.dumps(
                        {"value": 1} if b"await" in head else None
                    ).encode()
                    await stream.send(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        b"Content-Length: %d\r\n\r\n%b" % (len(answer), answer)
                    )

        group.start_soon(listener.serve, handle)
        backend, kept = await known(f"http://127.0.0.1:{port}"), dict[str, object]()
        streams = backend._waits._streams.get()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as waits:
                monkeypatch.setattr("dp_backends.http._waits._waits._FEW", 0)
                for n in range(5):
                    waits.start_soon(keep, backend, f"id-{n}", kept)
        await backend.aclose()
        group.cancel_scope.cancel()
    await listener.aclose()

    assert 5 == len(kept)
    assert not backend._client.peer.streams
    assert 0 == len(streams.gate)
