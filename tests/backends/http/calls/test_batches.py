"""Calls that come together: one request, in which nobody is in another one's way."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_backends.http import HttpBackend
from dp_core import (
    Pending,
    PromiseTimeoutError,
    ProtocolError,
    Rejected,
    Resolved,
    Terms,
    connect,
    gather,
)
from support.http import Server, failure, http_answer, known, page, settles, together

ONE: Final = Resolved(b"1")


# Together, and alone ----------------------------------------------------------


async def test_calls_that_come_together_are_one_request() -> None:
    """Whatever they ask for, each gets its own answer."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await server.backend.settle("old", ONE)
        await server.backend.settle("known", Rejected("no"))
        found = await together(
            partial(backend.settle, "a", ONE),
            partial(backend.settle, "b", Rejected("näh", by="me")),
            partial(backend.peek, "c"),
            partial(backend.peek, "known"),
            partial(backend.create, "d", Terms(data=b"[1]")),
            partial(backend.info, "known"),
            partial(backend.dispose, "old"),
            partial(backend.settle, "known", ONE),
        )

        assert ["/batch"] == server.paths
        assert [ONE, Rejected("näh"), Pending(), Rejected("no")] == found[:4]
        assert b"[1]" == found[4].data
        assert Rejected("no") == found[5].state
        assert [None, Rejected("no")] == found[6:]
        assert found[4].is_first
        assert Pending() == await server.backend.peek("old")
        assert "me" == (await backend.info("b")).settled_by


async def test_the_answer_to_a_batch_says_who_answers() -> None:
    """Disposes that are the first calls of a handle ask for nothing beside them."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        found = await together(*(partial(backend.dispose, id) for id in "abc"))

        assert [None] * 3 == found
        assert ["/batch"] == server.paths


async def test_a_call_alone_is_alone() -> None:
    """It is sent as it always was, in every form."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        for n in range(3):
            assert Pending() == await backend.peek(str(n))

        assert ["/promise/peek"] * 3 == server.paths
        assert 1 == server.connections


async def test_the_last_look_of_a_wait_for_many_is_a_few_requests() -> None:
    """One until the server has answered, and the others together."""
    async with Server().serving() as server, connect(server.url) as promises:
        many = [promises.promise(str(n)) for n in range(200)]
        with pytest.raises(PromiseTimeoutError, match="'0'"):
            await gather(*many, timeout=0)

        assert "/promise/peek" == server.paths[0]
        assert len(server.paths) < 20
        assert "/batch" == server.paths[-1]


async def test_no_call_waits_for_others() -> None:
    """Four requests are sent as they come; what comes then gathers, and goes as one."""
    async with Server(pause=anyio.Event()).serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            for sent in range(1, 5):
                tasks.start_soon(backend.peek, str(sent))
                await server.until(lambda server, n=sent: len(server.paths) == n)
            for more in range(20):
                tasks.start_soon(backend.peek, f"more-{more}")
            for _ in range(20):
                await checkpoint()
            under_way = list(server.paths)
            assert server.pause is not None
            server.pause.set()

        assert ["/promise/peek"] * 4 == under_way
        assert ["/batch"] == server.paths[4:]
        assert 24 == len(server.calls)


async def test_a_hundred_tasks_share_requests() -> None:
    """Each gets its own answers, by far fewer requests than there are calls."""

    async def work(backend: HttpBackend, task: int) -> None:
        for n in range(10):
            id, mine = f"{task}-{n}", Resolved(b"[%d,%d]" % (task, n))
            assert mine == await backend.settle(id, mine)

    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            for task in range(100):
                tasks.start_soon(work, backend, task)

        assert 1000 == len(server.calls)
        assert len(server.paths) <= 300
        assert server.connections <= 4


async def test_long_values_go_alone() -> None:
    """So no call waits until another one's megabyte is sent."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        long = Resolved(b'"%b"' % (b"x" * 10_000))
        found = await together(
            *(partial(backend.settle, f"long-{n}", long) for n in range(3)),
            *settles(backend, 3),
        )

        assert [long] * 3 + [ONE] * 3 == found
        assert ["/batch", *["/promise/resolve"] * 3] == sorted(server.paths)


async def test_a_batch_is_bounded_in_bytes() -> None:
    """Its request fits into what a kernel takes at once."""
    value = b'"%b"' % (b"x" * 1500)
    async with Server().serving() as server:
        found = await together(*settles(HttpBackend(server.url), 30, value))

        assert [Resolved(value)] * 30 == found
        assert len(server.paths) >= 4
        lengths = [int(headers[b"content-length"]) for headers in server.headers]
        assert max(lengths) < 16 * 1024


def test_event_loops_gather_their_own() -> None:
    """A handle may be used in several, one after the other."""
    with Server.elsewhere() as server:
        backend = HttpBackend(server.url)

        async def run() -> list[Any]:
            return await together(*(partial(backend.peek, "a") for _ in range(5)))

        for loop in ("asyncio", "trio", "asyncio"):
            assert [Pending()] * 5 == anyio.run(run, backend=loop)

        assert ["/batch"] * 3 == server.paths


# Servers without batches ------------------------------------------------------


async def test_a_server_without_batches_gets_single_calls_from_then_on() -> None:
    """It is asked once, and nobody notices."""
    async with Server(has_batches=False).serving() as server:
        backend = HttpBackend(server.url)
        for _ in range(2):
            assert [ONE] * 10 == await together(*settles(backend, 10))

        assert ["/batch", *["/promise/resolve"] * 20] == server.paths
        assert 10 == server.changes.total()


@pytest.mark.usefixtures("_no_pauses")
async def test_a_page_of_a_gateway_does_not_say_that_batches_are_lacking() -> None:
    """It is an outage; each call is repeated alone, and the next ones go together."""
    async with Server().serving() as server:
        backend = await known(server.url)
        for status in (404, 502, 403):
            server.paths.clear()
            server.canned.append(page(status))
            assert [Pending()] * 5 == await together(
                *(partial(backend.peek, "a") for _ in range(5))
            )
            assert ["/batch", *["/promise/peek"] * 5] == server.paths


@pytest.mark.parametrize(
    "answer",
    [failure(413), page(413), failure(400, "no"), failure(422)],
    ids=["413", "page", "400", "422"],
)
async def test_what_is_refused_as_a_whole_is_asked_one_by_one(answer: bytes) -> None:
    """A limit on the way may be for the batch, and not for what is in it."""
    async with Server().serving() as server:
        backend = await known(server.url)
        server.canned.append(answer)
        assert [ONE] * 5 == await together(*settles(backend, 5))

        assert ["/batch", *["/promise/resolve"] * 5] == server.paths[1:]


@pytest.mark.parametrize(
    "body", [b"null", b"{}", b"[]", b'[{"status":200,"body":null}]', b"[1,2,3,4,5]"]
)
async def test_what_is_not_an_answer_to_a_batch_is_nobodys(body: bytes) -> None:
    """Nobody takes it for theirs; it is an error that says who spoke."""
    async with Server().serving() as server:
        server.canned.append(http_answer(200, body))
        backend = HttpBackend(server.url)
        found = await together(*(partial(backend.peek, "a") for _ in range(5)))

        assert [ProtocolError] * 5 == [type(error) for error in found]
        assert "does not speak the wire of promises" in str(found[0])


@pytest.mark.parametrize("disposes", [False, True])
async def test_a_dispose_goes_on_a_connection_of_its_own(disposes: bool) -> None:
    """One that was kept may be dying, and then nobody knows whether it was done."""
    async with Server().serving() as server:
        backend = await known(server.url)
        before = server.connections
        async with anyio.create_task_group() as group:
            group.start_soon(backend.dispose if disposes else backend.peek, "a")
            group.start_soon(backend.peek, "b")
        await backend.aclose()

    assert "/batch" == server.paths[-1]
    assert disposes == server.connections - before
