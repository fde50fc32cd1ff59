"""Batches that fail, are cut, or are left: each call has its own fate."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_backends.http import HttpBackend
from dp_core import (
    AccessDeniedError,
    BackendClosedError,
    BackendError,
    InvalidValueError,
    OutcomeUnknownError,
    Pending,
    ProtocolError,
    Resolved,
)
from dp_core.wire import Dispose, Settle, write_error
from support.http import Proxy, Server, failure, known, settles, together

ONE: Final = Resolved(b"1")


# Failures ---------------------------------------------------------------------


async def test_a_failure_is_that_of_its_call() -> None:
    """It is the error that the call would have got alone, and nobody else gets it."""
    wrong = {
        401: AccessDeniedError,
        403: AccessDeniedError,
        413: InvalidValueError,
        422: InvalidValueError,
    }
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        ids = [str(status) for status in wrong]
        for status in wrong:
            server.said[str(status)] = write_error(ProtocolError(status, "why"))
        ours = [partial(backend.settle, id, ONE) for id in ("a", *ids)]
        first, *found = await together(*ours)
        assert ONE == first
        for (status, kind), error in zip(wrong.items(), found, strict=True):
            server.said["a"] = write_error(ProtocolError(status, "why"))
            (alone,) = await together(partial(HttpBackend(server.url).settle, "a", ONE))
            assert kind is type(error) is type(alone)
            assert str(alone).partition("(")[0] == str(error).partition("(")[0]


async def test_who_is_refused_as_a_whole_is_refused_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a token that the server takes, all get the same error."""
    monkeypatch.setenv("DP_TOKEN", "wrong")
    async with Server().serving() as server:
        server.canned.append(failure(401))
        found = await together(*settles(HttpBackend(server.url), 5))

        assert [AccessDeniedError] * 5 == [type(error) for error in found]
        assert ["/batch"] == server.paths


async def test_a_batch_is_sent_again_with_a_new_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A token that was replaced meanwhile costs one more request."""
    monkeypatch.setenv("DP_TOKEN", "old")
    async with Server().serving() as server:
        backend = await known(server.url)
        monkeypatch.setenv("DP_TOKEN", "new")
        server.canned.append(failure(401))
        assert [ONE] * 5 == await together(*settles(backend, 5))

        assert ["/batch"] * 2 == server.paths[1:]
        assert b"Bearer new" == server.headers[-1][b"authorization"]


@pytest.mark.usefixtures("_no_pauses")
async def test_what_may_pass_is_repeated_alone() -> None:
    """One that was not done is asked again; one that may have been, if that is safe."""
    not_done = failure_of(503, "BackendUnavailableError")
    unknown = failure_of(503, "OutcomeUnknownError")
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        server.said |= {"b": not_done, "c": unknown, "d": not_done, "e": unknown}
        found = await together(
            partial(backend.peek, "a"),
            partial(backend.settle, "b", ONE),
            partial(backend.settle, "c", ONE),
            partial(backend.dispose, "d"),
            partial(backend.dispose, "e"),
        )

        assert [Pending(), ONE, ONE, None] == found[:4]
        assert OutcomeUnknownError is type(found[4])
        assert {(Settle, "b"): 1, (Settle, "c"): 1, (Dispose, "d"): 1} == server.changes


def failure_of(status: int, kind: str) -> tuple[int, bytes]:
    """Return the answer to a call that has failed in a batch."""
    body = b'{"code":%d,"message":"why","type":"%b"}' % (status, kind.encode())
    return status, body


async def test_a_handle_that_is_closed_ends_its_batches() -> None:
    """All who share one are told."""
    async with Server(pause=anyio.Event()).serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(closed_after, backend, server)
            found = await together(*settles(backend, 5))

        assert [BackendClosedError] * 5 == [type(error) for error in found]


async def closed_after(backend: HttpBackend, server: Server) -> None:
    """Close a handle once its request has come."""
    await server.until(lambda server: len(server.paths) == 1)
    await backend.aclose()


# Cuts and cancellation --------------------------------------------------------


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("side", ["request", "response"])
async def test_a_batch_cut_at_any_byte_is_made_good(
    side: str, reset: bool, anyio_backend_name: str
) -> None:
    """
    Wherever it is cut, a settle takes effect exactly once, and a peek is right.

    A dispose is done once at most, and says that nobody knows. Each of the four ways
    to cut it, and of running here, tries every fourth byte.
    """

    async def attempt(server: Server, limit: int | None) -> Proxy:
        proxy = Proxy(server.port, side, limit, reset)
        async with proxy.serving():
            backend = await known(f"{proxy.url}?retry=120")
            proxy.armed = True
            found = await together(
                partial(backend.settle, f"a{limit or 0:03}", ONE),
                partial(backend.dispose, f"b{limit or 0:03}"),
                partial(backend.peek, f"c{limit or 0:03}"),
            )
            await backend.aclose()
        if limit is not None:
            assert OutcomeUnknownError is type(found.pop(1))
            assert [ONE, Pending()] == found
        return proxy

    async with Server().serving() as server:
        # A whole request may be cut off from its response.
        length = (await attempt(server, None)).passed + (side == "request")
        server.changes.clear()
        first = 1 + 2 * reset + (anyio_backend_name == "trio")
        limits = range(first, length, 4)
        async with anyio.create_task_group() as tasks:
            for limit in limits:
                tasks.start_soon(attempt, server, limit)

    assert {1} == set(server.changes.values())
    assert len(limits) == sum(kind is Settle for kind, _ in server.changes)


@pytest.mark.parametrize("leaver", [0, 1, 4])
async def test_who_leaves_a_batch_disturbs_nobody(leaver: int) -> None:
    """The one that leads, or another: at any step, all others get their answers."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        for steps in range(25):
            found: dict[int, object] = {}
            scopes = [anyio.CancelScope() for _ in range(5)]

            async def settle(n: int, steps: int, found: Any, scopes: Any) -> None:
                with scopes[n]:
                    found[n] = await backend.settle(f"{steps}-{n}", ONE)

            async with anyio.create_task_group() as tasks:
                for n in range(5):
                    tasks.start_soon(settle, n, steps, found, scopes)
                for _ in range(steps):
                    await checkpoint()
                scopes[leaver].cancel()

            assert [ONE] * 4 == [found[n] for n in range(5) if n != leaver]
            assert 0 == backend.stats().busy
        assert {1} == set(server.changes.values())


async def test_when_all_leave_a_batch_nothing_is_left() -> None:
    """No connection, and no place among those under way."""
    async with Server(pause=anyio.Event()).serving() as server:
        backend = HttpBackend(server.url)
        for n in range(1, 7):
            async with anyio.create_task_group() as tasks:
                for id in "abc":
                    tasks.start_soon(backend.peek, id)
                await server.until(lambda server, n=n: len(server.paths) == n)
                tasks.cancel_scope.cancel()

            assert 0 == backend.stats().busy
        server.pause = None
        assert Pending() == await backend.peek("a")


async def test_who_has_no_more_time_leaves_alone() -> None:
    """A caller's deadline is its own; without one, the URL's patience is."""
    async with Server(pause=anyio.Event()).serving() as server:
        backend = HttpBackend(f"{server.url}?retry=0.5")
        hasty: list[bool] = []

        async def briefly() -> None:
            with anyio.move_on_after(0.01) as scope:
                await backend.peek("a")
            hasty.append(scope.cancelled_caught)

        async def leave() -> list[Any]:
            left = await together(
                briefly, partial(backend.peek, "c"), partial(backend.dispose, "d")
            )
            assert server.pause is not None
            server.pause.set()
            return left

        async def patiently() -> object:
            with anyio.fail_after(60):
                return await backend.peek("b")

        (_, peeked, disposed), found = await together(leave, patiently)

        assert [True] == hasty
        assert isinstance(peeked, BackendError)
        assert "no answer" in str(peeked)
        assert OutcomeUnknownError is type(disposed)
        assert Pending() == found


async def test_a_deadline_of_who_leads_is_not_that_of_who_follows() -> None:
    """Who follows has the patience of the URL, however long the other one waits."""
    async with Server(pause=anyio.Event()).serving() as server:
        backend = HttpBackend(f"{server.url}?retry=0.05")

        async def lead() -> object:
            with anyio.fail_after(60):
                return await backend.peek("a")

        async def follow() -> object:
            try:
                return await backend.peek("b")
            finally:
                assert server.pause is not None
                server.pause.set()

        led, followed = await together(lead, follow)

        assert ["/batch"] == server.paths
        assert Pending() == led
        assert "no answer" in str(followed)


@pytest.mark.usefixtures("_no_pauses")
async def test_what_is_not_a_response_leaves_a_dispose_unknown() -> None:
    """Whatever stands before it in the batch; all else is repeated."""
    async with Server().serving() as server:
        backend = await known(server.url)
        server.canned.append(b"nonsense\r\n\r\n")
        peeked, disposed = await together(
            partial(backend.peek, "a"), partial(backend.dispose, "b")
        )
        await backend.aclose()

    assert Pending() == peeked
    assert isinstance(disposed, OutcomeUnknownError)
    assert 0 == server.changes[Dispose, "b"]
