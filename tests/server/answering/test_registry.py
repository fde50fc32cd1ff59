"""Create, info and list of a server, and the deadlines that nobody asks for."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_core.backend import Page
from dp_core.server import App, Settings, app
from dp_core.testing import DeadlineClock
from support.server.asgi_driver import Request, Spy, ask

STORES = count()
OPENS = "the-token-of-the-server"
MEMBERS = {
    *("promiseId", "state", "deadline", "otherwise", "tags", "data"),
    *("createdAt", "settledAt", "settledBy", "expired", "cursor"),
}


@pytest.fixture
def backend() -> dp.Backend:
    """A backend that nobody else uses."""
    return dp.connect(f"memory:server-registry-{next(STORES)}").backend


@pytest.fixture
def promises(backend: dp.Backend) -> App:
    """An app on it."""
    return app(backend)


class Registered(Spy):
    """A backend with a registry, of which a test replaces a part."""

    async def create(self, id: str, terms: dp.Terms[bytes]) -> dp.Terms[bytes]:
        raise NotImplementedError

    async def info(self, id: str) -> dp.PromiseInfo[bytes]:
        raise NotImplementedError

    async def list(self, query: dp.Query, after: str | None, limit: int) -> Page:
        raise NotImplementedError

    async def sweep(self, limit: int) -> float | None:
        raise NotImplementedError


async def get(promises: App, path: str, query: str = "", **more: Any) -> Request:
    """Return an answered GET."""
    return await ask(promises, path, method="GET", query=query, **more)


# Create and info --------------------------------------------------------------


async def test_the_first_create_is_told_apart(promises: App) -> None:
    """201 for the first, 200 for all others, and always the info that stands."""
    terms = {"promiseId": "a", "tags": {"k": "v"}, "data": [1], "deadline": 3600}
    first = await ask(promises, "/promise/create", terms)
    again = await ask(promises, "/promise/create", terms)
    other = await ask(promises, "/promise/create", {"promiseId": "a"})

    assert (201, 200, 200) == (first.status, again.status, other.status)
    assert first.json() == again.json() == other.json()
    assert MEMBERS == set(first.json())
    assert ({"k": "v"}, [1]) == (first.json()["tags"], first.json()["data"])
    assert {"error": "deadline passed"} == first.json()["otherwise"]


async def test_who_loses_a_race_is_not_the_first(backend: dp.Backend) -> None:
    """200 for a create between whose question and whose work another one came."""
    theirs: dp.Terms[bytes] = dp.Terms(
        datetime(2999, 1, 1, tzinfo=UTC), tags={"k": "v"}
    )
    create = backend.create  # type: ignore[attr-defined] # memory has it

    async def overtaken(id: str, terms: dp.Terms[bytes]) -> dp.Terms[bytes]:
        await create(id, theirs)
        stands: dp.Terms[bytes] = await create(id, terms)
        return stands

    backend.create = overtaken  # type: ignore[attr-defined] # see above
    for terms in ({}, {"deadline": 90, "tags": {"k": "v"}}):
        body = {"promiseId": f"a{len(terms)}"} | terms
        answer = await ask(app(backend), "/promise/create", body)
        assert (200, "2999-01-01T00:00:00.000Z") == (
            answer.status,
            answer.json()["deadline"],
        )


async def test_a_number_is_seconds_from_now(promises: App) -> None:
    """By the clock of the server; a text is the moment itself."""
    before = datetime.now(UTC)
    soon = await ask(promises, "/promise/create", {"promiseId": "a", "deadline": 90.5})
    moment = "2099-12-31T23:59:59.5+01:00"
    then = await ask(
        promises, "/promise/create", {"promiseId": "b", "deadline": moment}
    )

    deadline = datetime.fromisoformat(soon.json()["deadline"])
    assert timedelta() <= deadline - before - timedelta(seconds=90.5)
    assert deadline < datetime.now(UTC) + timedelta(seconds=91)
    assert "2099-12-31T22:59:59.500Z" == then.json()["deadline"]


async def test_info_is_told_in_two_ways(promises: App) -> None:
    """By a POST and by a GET, and always 200, also of what nobody has made."""
    await ask(promises, "/promise/create", {"promiseId": "a/ü", "tags": {"k": "v"}})
    await ask(
        promises, "/promise/resolve", {"promiseId": "a/ü", "value": 1, "by": "al"}
    )
    for id, path in (("a/ü", "/promises/a%2F%C3%BC"), ("never", "/promises/never")):
        posted = await ask(promises, "/promise/info", {"promiseId": id})
        got = await get(promises, path)

        assert (200, 200) == (posted.status, got.status)
        assert posted.json() == got.json()
        assert id == got.json()["promiseId"]
    known = (await get(promises, "/promises/a%2F%C3%BC")).json()
    assert ("resolved", 1, "al") == (known["state"], known["value"], known["settledBy"])
    nothing = got.json()
    assert "pending" == nothing.pop("state")
    assert {None, False, "never"} == {*nothing.values()}


@pytest.mark.parametrize(
    ("status", "terms"),
    [
        (422, {"notify": ["https://example.com"]}),
        (400, {"value": 1}),
        (400, {"deadline": 1, "otherwise": {"error": 1}}),
        (422, {"deadline": "tomorrow"}),
        (422, {"deadline": "2026-11-26T14:30:00"}),
        (422, {"deadline": 1e300}),
        (422, {"otherwise": {"value": 1}}),
        (422, {"tags": {f"{n}": "" for n in range(33)}}),
        (422, {"tags": {"a=b": ""}}),
        (422, {"tags": {"dp.kind": "delivery"}}),
        (422, {"data": "x" * 1_000_000}),
    ],
)
async def test_terms_that_cannot_be_are_refused(
    backend: dp.Backend, status: int, terms: dict[str, Any]
) -> None:
    """What is wrong is told, and nothing is made."""
    promises = app(backend, Settings(max_value_bytes=500_000))
    answer = await ask(promises, "/promise/create", {"promiseId": "a"} | terms)

    assert status == answer.status
    assert answer.json()["message"]
    assert None is (await get(promises, "/promises/a")).json()["createdAt"]


async def test_a_create_may_have_two_values(backend: dp.Backend) -> None:
    """Data and what stands after the deadline, each of the longest size."""
    promises = app(backend, Settings(max_value_bytes=500_000))
    longest = "x" * 499_998
    terms = {"deadline": 60, "otherwise": {"value": longest}, "data": longest}
    answer = await ask(promises, "/promise/create", {"promiseId": "a"} | terms)

    assert 201 == answer.status
    assert longest == answer.json()["data"] == answer.json()["otherwise"]["value"]


async def test_a_name_beside_an_outcome_is_checked(promises: App) -> None:
    """Who settles is a text of a line; anything else settles nothing."""
    for by in (1, "", "x" * 257, "a\0", ["a"]):
        body = {"promiseId": "a", "value": 1, "by": by}
        assert 422 == (await ask(promises, "/promise/resolve", body)).status
    assert b"null" == (await ask(promises, "/promise/peek", {"promiseId": "a"})).body


# List -------------------------------------------------------------------------


async def test_promises_are_found_page_by_page(promises: App) -> None:
    """By state, tags and prefix, from either end; ``after`` is null at the end."""
    for number in range(5):
        terms = {"promiseId": f"p{number}", "tags": {"even": str(number % 2 == 0)}}
        await ask(promises, "/promise/create", terms)
    await ask(promises, "/promises/p2/resolve", 1)
    await ask(promises, "/promises/other/resolve", 1)

    async def ids(query: str) -> list[str]:
        found, after = [], ""
        while after is not None:
            page = (await get(promises, "/promises", query + after)).json()
            assert {"promises", "after"} == set(page)
            found += [info["promiseId"] for info in page["promises"]]
            after = page["after"] and f"&after={page['after']}"
        return found

    everything = ["p0", "p1", "p2", "p3", "p4", "other"]
    assert everything == await ids("")
    assert everything[::-1] == await ids("newest=true&limit=2")
    assert ["p0", "p2", "p4"] == await ids("tag=even:True&prefix=p&limit=1")
    assert ["p2", "other"] == await ids("state=resolved")
    assert ["p0", "p4"] == await ids("state=pending&tag=even:True")


async def test_letters_in_a_query_may_stand_as_they_are(promises: App) -> None:
    """Some clients do not encode them: they are UTF-8, and what is not is refused."""
    await ask(promises, "/promise/create", {"promiseId": "éa"})
    raw = Request("/promises", method="GET")
    raw._scope["query_string"] = "prefix=é".encode()
    await raw.run(promises)
    assert ["éa"] == [info["promiseId"] for info in raw.json()["promises"]]

    broken = Request("/promises", method="GET")
    broken._scope["query_string"] = b"prefix=\xff"
    await broken.run(promises)
    assert 400 == broken.status


async def test_a_cursor_of_nobody_is_a_bad_request(promises: App) -> None:
    """A cursor that the store has not made is refused, and not guessed at."""
    await ask(promises, "/promise/create", {"promiseId": "a"})
    answer = await get(promises, "/promises", "after=x%27%20OR%201")

    assert 400 == answer.status
    assert "cursor" in answer.json()["message"]


async def test_what_cannot_be_read_is_said(backend: dp.Backend) -> None:
    """A damaged promise is named beside the others, without the path of its file."""

    class Damaged(Registered):
        async def list(self, query: dp.Query, after: str | None, limit: int) -> Page:
            error = dp.CorruptPromiseError("/secret/path is damaged")
            return Page((), None, (("a", error),))

    page = (await get(app(Damaged("damaged")), "/promises")).json()

    [failure] = page["failures"]
    assert "a" == failure["promiseId"]
    assert "CorruptPromiseError" in failure["message"]
    assert "secret" not in str(page)


# Whom it answers ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, [(b"origin", b"https://evil.test")]),
        (403, [(b"sec-fetch-site", b"cross-site")]),
        (421, [(b"host", b"evil.test")]),
        (401, []),
        (401, [(b"authorization", b"Bearer wrong-one")]),
        (200, [(b"authorization", b"Bearer " + OPENS.encode())]),
    ],
)
async def test_a_get_is_guarded_like_a_post(
    backend: dp.Backend, status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    """No page of another site, no other name, and nobody without the token."""
    promises = app(backend, Settings(token=OPENS))
    for path in ("/promises", "/promises/a"):
        request = Request(path, method="GET", headers=headers)
        if (b"host", b"evil.test") in headers:
            request._scope["headers"] = headers
        await request.run(promises)
        assert status == request.status


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", "/promises", 405, "GET"),
        ("DELETE", "/promises/a", 405, "GET"),
        ("HEAD", "/promises/a", 405, "GET"),
        ("GET", "/promise/create", 405, "POST"),
        ("GET", "/promises/a/peek", 405, "POST"),
        ("POST", "/promises/a/create", 404, None),
        ("POST", "/durablePromiseServer/info", 404, None),
        ("GET", "/promises/", 400, None),
    ],
)
async def test_each_path_has_its_method(
    promises: App, method: str, path: str, status: int, allow: str | None
) -> None:
    """Another method is refused, and the answer says which it is, and what GET can."""
    answer = await ask(promises, path, method=method)

    assert (status, allow) == (answer.status, answer.headers.get("allow"))
    if allow is not None and answer.body:
        assert "GET /promises lists" in answer.json()["message"]


async def test_a_store_of_outcomes_says_that_it_has_no_terms() -> None:
    """501, by which clients know that it will not help to ask again."""
    promises = app(Spy("outcomes-only"))
    for asked in (
        ask(promises, "/promise/create", {"promiseId": "a"}),
        ask(promises, "/promise/info", {"promiseId": "a"}),
        get(promises, "/promises"),
    ):
        answer = await asked
        assert 501 == answer.status
        assert "NotSupportedError" == answer.json()["type"]
        assert "memory:" not in answer.json()["message"]


# Sweeping -----------------------------------------------------------------------


async def test_what_is_over_is_settled_though_nobody_asks(
    backend: dp.Backend, promises: App, deadline_clock: DeadlineClock
) -> None:
    """The server settles it, so that whoever watches the store hears of it."""
    for number in range(20):
        terms = {"promiseId": f"p{number}", "deadline": 3600}
        await ask(promises, "/promise/create", terms)
    swept = anyio.Event()
    sweep = backend.sweep  # type: ignore[attr-defined] # memory has it

    async def noticed(limit: int) -> float | None:
        pause: float | None = await sweep(limit)
        if pause is None:
            swept.set()
        return pause

    backend.sweep = noticed  # type: ignore[attr-defined] # see above
    deadline_clock.advance(timedelta(hours=1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(promises.sweep)
        await swept.wait()
        tasks.cancel_scope.cancel()
    states = backend._store._generations.values()  # type: ignore[attr-defined] # unasked
    assert {dp.Rejected("deadline passed")} == {known.state for known in states}


@pytest.mark.parametrize(
    "error",
    [dp.BackendUnavailableError("the disk is away"), KeyError("the disk is away")],
    ids=lambda error: type(error).__name__,
)
async def test_a_sweep_that_fails_is_said_once_and_repeated(
    error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A store that is away keeps no deadline; when it is back, they are kept again.

    Nor does a bug in a backend end the server.
    """
    caplog.set_level(logging.ERROR, "dp_core.server")
    monkeypatch.setattr("dp_core.server._answering._registry._PAUSE", 0.001)
    enough = anyio.Event()

    class Failing(Registered):
        sweeps = 0

        async def sweep(self, limit: int) -> float | None:
            self.sweeps += 1
            if self.sweeps > 3:
                enough.set()
                return None
            raise error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app(Failing("failing")).sweep)
        await enough.wait()
        tasks.cancel_scope.cancel()

    [record] = [r for r in caplog.records if "deadlines" in r.getMessage()]
    assert "the disk is away" in record.getMessage()


async def test_a_store_without_terms_is_not_swept() -> None:
    """There is nothing to do, and the sweep ends by itself."""

    class Behind(Registered):
        async def sweep(self, limit: int) -> float | None:
            raise dp.NotSupportedError("the server behind this one keeps outcomes only")

    for backend in (Spy("nothing-to-sweep"), Behind("nothing-to-sweep")):
        with anyio.fail_after(10):
            await app(backend).sweep()
