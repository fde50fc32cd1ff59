"""Terms and listings through `HttpBackend`, of servers with and without them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

import dp_core as dp
from dp_backends.http import HttpBackend
from dp_core import (
    DurablePromiseError,
    InvalidQueryError,
    InvalidTermsError,
    NotSupportedError,
    PromiseInfo,
    Query,
    Resolved,
    Terms,
)
from dp_core._registry import info_of
from dp_core.backend import Page
from dp_core.wire import Create, Info, List
from support.http import Server, failure, http_answer, page

FAR: Final = datetime(2999, 1, 1, tzinfo=UTC)
TERMS: Final[Terms[bytes]] = Terms(FAR, dp.Rejected("late"), {"k": "v"}, b"[1]")
CALLS: Final[dict[str, Callable[[HttpBackend], Awaitable[object]]]] = {
    "create": lambda backend: backend.create("a", TERMS),
    "info": lambda backend: backend.info("a"),
    "list": lambda backend: backend.list(Query(), None, 10),
}


async def test_what_the_server_says_is_returned() -> None:
    """Terms, infos, pages and cursors come through as the store has them."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        inner: Any = server.backend

        assert TERMS == await backend.create("a", TERMS)
        assert TERMS == await backend.create("a", Terms())
        await backend.settle("b", dp.Resolved(b"1", by="älice"))
        assert await inner.info("b") == await backend.info("b")
        assert "älice" == (await backend.info("b")).settled_by
        first = await backend.list(Query(), None, 1)
        assert (await inner.info("a"),) == first.infos
        rest = await backend.list(Query(), first.after, 10)
        assert ((await inner.info("b"),), None) == (rest.infos, rest.after)
        newest = await backend.list(Query(newest=True), None, 10)
        assert ["b", "a"] == [info.id for info in newest.infos]
        assert None is await backend.sweep(10)


async def test_a_time_from_now_is_the_servers() -> None:
    """The deadline that stands is that of the server's clock."""
    async with Server().serving() as server:
        within = timedelta(days=3)
        long_ago = datetime(2001, 1, 1, tzinfo=UTC)
        stands = await HttpBackend(server.url).create(
            "a", Terms(long_ago, within=within)
        )

        assert stands.deadline is not None
        assert datetime.now(UTC) < stands.deadline
        assert None is stands.within


async def test_patterns_of_ids_are_kept_here() -> None:
    """No query string has them: what does not match is left out of the page."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        for id in ("a", "ab", "b"):
            await backend.create(id, Terms())
        found = await backend.list(Query(ids=("a*",)), None, 10)

    assert ["a", "ab"] == [info.id for info in found.infos]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "answer",
    [
        failure(404, "no operation at /promise/create"),
        failure(405, "every operation is a POST"),
        failure(501, "not here"),
        failure(400, "bad path: /promises"),
        http_answer(404, b'{"message":"no such operation"}'),
        http_answer(
            501, b'{"code":501,"message":"outcomes","type":"NotSupportedError"}'
        ),
    ],
)
async def test_a_server_without_terms_says_so(call: str, answer: bytes) -> None:
    """
    One question, and an error that says what the server does not have.

    A server on Restate has terms and no list: each error names one thing.
    """
    lacked = "list of its promises" if call == "list" else "terms of promises"
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
        server.canned.append(answer)

        with pytest.raises(NotSupportedError) as raised:
            await CALLS[call](backend)
        said = str(raised.value)
        assert f"this server has no {lacked}" in said or said.endswith(": outcomes")
        assert 2 == len(server.calls)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [404, 405, 501, 400, 503])
async def test_a_gateways_page_says_nothing_about_the_server(
    call: str, status: int
) -> None:
    """What is not in the wire's form is an outage, and the question is repeated."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
        server.canned.append(page(status))

        await CALLS[call](backend)
        assert 3 == len(server.calls)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "answer",
    [
        http_answer(404, b'{"message":"no Route matched with those values"}'),
        failure(400, "bad path: /promises"),
        failure(405, "every operation is a POST"),
    ],
)
async def test_what_a_server_could_before_it_can(call: str, answer: bytes) -> None:
    """A gateway may say for a while that nothing is there; the question goes on."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await CALLS[call](backend)
        server.canned.extend([answer] * 3)

        await CALLS[call](backend)
        assert 5 == len(server.calls)


async def test_the_state_is_all_that_a_server_without_terms_knows() -> None:
    """Pages, agents and copies show it, where they would show an info."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.settle("a", Resolved(b"1"))
        server.canned.append(failure(404, "no operation at /promise/info"))

        assert PromiseInfo("a", Resolved(b"1")) == await info_of(backend, "a")


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("call", CALLS)
async def test_a_server_that_starts_lacks_nothing(call: str) -> None:
    """Restate knows no service for a moment, so it does not say what that can."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
        server.canned.append(failure(404, "service 'promise' not found, make sure"))

        await CALLS[call](backend)
        assert 3 == len(server.calls)


async def test_a_server_may_have_terms_and_no_list() -> None:
    """As Restate: what it does not have is no outage, whatever else it has done."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.create("a", TERMS)
        await backend.info("a")
        server.canned.append(failure(400, "bad path: /promises"))

        with pytest.raises(NotSupportedError):
            await backend.list(Query(), None, 10)
        assert 3 == len(server.calls)


async def test_a_create_is_repeated_until_it_is_known() -> None:
    """A cut answer is no answer; the first terms stand, and are told at last."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
        server.mute = True
        server.canned.extend([None, None])

        server.mute = False
        assert TERMS == await backend.create("a", TERMS)

    kinds = [type(call) for call in server.calls[1:]]
    assert [Create] * 3 == kinds


async def test_a_create_that_may_have_been_is_unknown() -> None:
    """Where there is no time to ask again, the error says what to do."""
    async with Server().serving() as server:
        backend = HttpBackend(f"{server.url}?retry=0.2")
        await backend.peek("a")
        server.canned.extend([None] * 50)

        with pytest.raises(dp.OutcomeUnknownError, match="terms"):
            await backend.create("a", TERMS)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(422, InvalidTermsError), (400, InvalidQueryError), (422, NotSupportedError)],
)
async def test_an_error_of_ours_comes_through(
    status: int, kind: type[DurablePromiseError]
) -> None:
    """What the server says of terms or queries is the error that a local store has."""
    body = b'{"code":%d,"message":"because","type":"%b"}'
    async with Server().serving() as server:
        server.canned.append(
            http_answer(status, body % (status, kind.__name__.encode()))
        )
        with pytest.raises(kind, match="because"):
            await HttpBackend(server.url).create("a", TERMS)


async def test_what_cannot_be_read_comes_through() -> None:
    """A damaged promise is named in the page, with an error that can be raised."""
    async with Server().serving() as server:
        body = (
            b'{"promises":[],"after":null,"failures":[{"promiseId":"a","message":"m"}]}'
        )
        server.canned.append(http_answer(200, body))
        page: Page = await HttpBackend(server.url).list(Query(), None, 10)

    [(id, error)] = page.failures
    assert "a" == id
    assert isinstance(error, dp.CorruptPromiseError)


async def test_requests_have_their_forms() -> None:
    """POST for one promise, and GET for a listing, with a query string."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        for ask in CALLS.values():
            await ask(backend)

    assert ["/promise/create", "/promise/info", "/promises?limit=10"] == server.paths
    assert [Create("a", TERMS), Info("a"), List(Query(), None, 10)] == server.calls
