"""One connection: cut at any byte, cancelled at any step, never mixed up."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.lowlevel import checkpoint

from dp_backends.http import HttpBackend, HttpStats
from dp_backends.http._route import _addresses
from dp_backends.http._sockets import CUT
from dp_core import (
    AccessDeniedError,
    DurablePromiseError,
    InvalidValueError,
    OutcomeUnknownError,
    Pending,
    Resolved,
)
from dp_core.wire import Call, Dispose, Peek, Settle, Wait
from support.http import (
    Proxy,
    Server,
    eventually,
    failure,
    http_answer,
    keep_error,
    known,
    make,
    page,
)

ONE = Resolved(b"1")


ANSWER = http_answer(200, b'{"value":1}')


# Cuts at every byte ---------------------------------------------------------


async def aim(proxy: Proxy, call: Call) -> HttpBackend:
    """Return a handle of which the next request, to make *call*, is cut."""
    # As long as this test may take where much else runs.
    url = f"{proxy.url}?retry=120"
    # A wait begins with a peek, and a dispose ends with one, unless the server has
    # answered before.
    asks = isinstance(call, Wait | Dispose)
    backend = await known(url) if asks else HttpBackend(url)
    proxy.armed = True
    return backend


async def length_of(call: Call, side: str) -> int:
    """Return how many bytes there are to cut."""
    async with Server().serving() as server:
        if not isinstance(call, Settle):
            await server.backend.settle(call.id, ONE)
        proxy = Proxy(server.port, side)
        async with proxy.serving():
            backend = await aim(proxy, call)
            await make(backend, call, call.id)
            await backend.aclose()
    return proxy.passed


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize("call", [Settle("000", ONE), Peek("000"), Wait("000")])
async def test_a_cut_at_any_byte_is_made_good(
    call: Call, side: str, reset: bool
) -> None:
    """
    Wherever the connection is cut, the outcome is right and there is one only.

    A settle takes effect exactly once, however often it is sent.
    """
    # A whole request may be cut off from its response; a whole response is read.
    length = await length_of(call, side) + (side == "request")
    async with Server().serving() as server:
        if not isinstance(call, Settle):
            for n in range(length):
                await server.backend.settle(f"{n:03}", ONE)
        connections: list[int] = []

        async def attempt(limit: int) -> None:
            proxy = Proxy(server.port, side, limit, reset)
            async with proxy.serving():
                backend = await aim(proxy, call)
                assert ONE == await make(backend, call, f"{limit:03}")
                await backend.aclose()
            connections.append(proxy.connections)

        async with anyio.create_task_group() as tasks:
            for limit in range(length):
                tasks.start_soon(attempt, limit)

    assert [2] * length == connections
    if isinstance(call, Settle):
        assert {(Settle, f"{n:03}"): 1 for n in range(length)} == server.changes


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("side", ["request", "response"])
async def test_a_cut_dispose_is_not_repeated(side: str, reset: bool) -> None:
    """
    It says that the outcome is unknown, and is done once at most.

    An outcome that came after it must not be disposed of by its repetition.
    """
    call = Dispose("000")
    length = await length_of(call, side) + (side == "request")
    told: list[DurablePromiseError] = []
    async with Server().serving() as server:

        async def attempt(limit: int) -> None:
            proxy = Proxy(server.port, side, limit, reset)
            async with proxy.serving():
                backend = await aim(proxy, call)
                await keep_error(partial(backend.dispose, f"{limit:03}"), told)
                await backend.aclose()
            # One to meet the server, and a fresh one.
            assert 2 == proxy.connections

        async with anyio.create_task_group() as tasks:
            for limit in range(length):
                tasks.start_soon(attempt, limit)
        # Of the requests that are cut, one gets through whole.
        arrived = 1 if side == "request" else length
        await server.until(lambda server: len(server.changes) >= arrived)

    assert [OutcomeUnknownError] * length == [type(error) for error in told]
    assert [1] * arrived == list(server.changes.values())


# Cancelled, or left unclean -------------------------------------------------


async def test_a_connection_never_mixes_answers_up() -> None:
    """Many tasks on one handle each get the answer to their own call."""

    async def work(backend: HttpBackend, task: int) -> None:
        for n in range(10):
            id, mine = f"{task}-{n}", Resolved(b"[%d,%d]" % (task, n))
            assert mine == await backend.settle(id, mine)
            assert mine == await backend.peek(id)
            assert mine == await backend.wait(id)

    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            for task in range(32):
                tasks.start_soon(work, backend, task)

    assert server.connections <= 32


@pytest.mark.parametrize("call", [Settle("", ONE), Peek(""), Wait("")])
async def test_cancelling_at_any_step_leaves_a_whole_state(call: Call) -> None:
    """Nobody gets an answer meant for another, and nothing is left in use."""
    async with Server().serving() as server:
        await server.backend.settle("other", Resolved(b'"other"'))
        backends = {"new": HttpBackend(server.url), "known": await known(server.url)}
        for name, backend in backends.items():
            for steps in range(30):
                id = f"{steps}-{name}"
                if not isinstance(call, Settle):
                    await server.backend.settle(id, ONE)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(make, backend, call, id)
                    for _ in range(steps):
                        await checkpoint()
                    tasks.cancel_scope.cancel()

                assert 0 == backend.stats().busy
                assert Resolved(b'"other"') == await backend.peek("other")
                assert ONE == await backend.settle(id, ONE)
            await backend.aclose()


async def test_a_half_read_answer_ends_its_connection() -> None:
    """A task that is cancelled in the middle of an answer leaves no rest to others."""
    async with Server().serving() as server:
        await server.backend.settle("b", ONE)
        backend = HttpBackend(server.url)
        server.canned.append(http_answer(200, b'{"value":2}')[:-5])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.peek, "a")
            await server.until(lambda server: not server.canned)
            for _ in range(20):
                await checkpoint()
            tasks.cancel_scope.cancel()

        assert ONE == await backend.peek("b")
        assert 2 == server.connections


async def test_a_half_sent_request_ends_its_connection() -> None:
    """A task that is cancelled while the server does not read leaves nothing in use."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's
        backend = HttpBackend(f"http://127.0.0.1:{port}")
        long = Resolved(b'"%b"' % (b"x" * 2**25))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.settle, "a", long)
            await eventually(lambda: backend.stats().busy > 0)
            tasks.cancel_scope.cancel()

        assert HttpStats(0, 0, 0, busy=0, idle=0) == backend.stats()


async def test_what_comes_after_an_answer_is_never_the_next_one() -> None:
    """A server that sends more than it was asked for is not asked again there."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        server.canned.append(http_answer(200, b"null") + ANSWER)

        assert Pending() == await backend.peek("a")
        assert Pending() == await backend.peek("b")
        assert 2 == server.connections


# Answers that come early -----------------------------------------------------

EARLY: Final = {
    "too large": (failure(413), InvalidValueError),
    "no token": (failure(401), AccessDeniedError),
    "forbidden": (failure(403), AccessDeniedError),
    "a page": (page(413), InvalidValueError),
    "without a length": (
        b"HTTP/1.1 403 X\r\n\r\n",
        AccessDeniedError,
    ),
    "after a hint": (b"HTTP/1.1 103 X\r\n\r\n" + failure(413), InvalidValueError),
}


@pytest.mark.parametrize("then", ["reads no more", "hangs up", "ends", "reads on"])
@pytest.mark.parametrize("answer", EARLY)
async def test_an_answer_that_comes_before_the_request_is_sent_is_heard(
    answer: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A refusal is what the server says, however it treats the rest of a large body.

    It is no broken connection, and nothing that is sent again; the connection is not
    used any more.
    """
    # The kernel gives up who reads nothing for 5 s; that is to play no part here.
    monkeypatch.setattr(_addresses, "_OPTIONS", ())
    said, expected = EARLY[answer]
    told: list[DurablePromiseError] = []
    over, asked = anyio.Event(), []

    async def refuse(stream: SocketStream) -> None:
        async with stream:
            asked.append(await stream.receive(1000))
            await stream.send(said)
            if then == "ends" or b"Content-Length" not in said:
                await stream.send_eof()
            with suppress(*CUT):
                while then == "reads on":
                    await stream.receive()
            if then != "hangs up":
                await over.wait()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    raw = listener.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's
        backend = HttpBackend(f"http://127.0.0.1:{port}")
        value = Resolved(b'"%b"' % (b"x" * 20_000_000))
        with anyio.fail_after(60):
            await keep_error(partial(backend.settle, "a", value), told)
        over.set()
        tasks.cancel_scope.cancel()

    assert [expected] == [type(error) for error in told]
    assert 1 == len(asked)
    assert (0, 0) == (backend.stats().busy, backend.stats().idle)


async def test_a_large_request_is_answered_like_any_other() -> None:
    """Its connection is kept, and the next request is sent on it."""
    value = Resolved(b'"%b"' % (b"x" * 1_000_000))
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        for id in "ab":
            assert value == await backend.settle(id, value)

        assert 1 == server.connections == backend.stats().idle
