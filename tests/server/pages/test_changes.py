"""The stream of the board: who is told that something may have changed, and when."""

from __future__ import annotations

import re
from typing import Any, Final

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_core import BackendUnavailableError, Promises
from dp_core.server import App
from dp_core.server._waiting import _changes
from support.server.asgi_driver import Request
from support.server.people import MASTER, look, send, served, token_of

OWN: Final = (b"origin", b"http://localhost")
COOKIE: Final = (b"cookie", f"dp-token={MASTER}".encode())
CHANGE: Final = b"event: change"


async def changes_of(pages: App, query: str = "") -> Request:
    """Return the request that the script of a board makes, which is not made yet."""
    accept = (b"accept", b"text/html")
    page = await look(pages, f"/?{query}", headers=[accept, COOKIE])
    found = re.search(rb'data-changes="([^"]*)"', page.body)
    assert found
    path, _, query = found[1].decode().replace("&amp;", "&").partition("?")
    return Request(f"/{path}", method="GET", query=query, headers=[COOKIE])


def own(id: str) -> Request:
    """Return a request by which this server does something."""
    bearer = (b"authorization", f"Bearer {MASTER}".encode())
    return Request(f"/promises/{id}/resolve", b"1", headers=[bearer])


async def begun(request: Request) -> None:
    """Return once the stream has begun."""
    await request.until(b":")


async def test_what_the_server_does_is_told(pages: App) -> None:
    """A settle of its own is told to all who look; nothing before that."""
    await own("before").run(pages)
    streams = [await changes_of(pages), await changes_of(pages, "state=pending")]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(stream.run, pages)
                await begun(stream)
            await anyio.wait_all_tasks_blocked()
            assert CHANGE not in b"".join(stream.body for stream in streams)
            await own("x").run(pages)
            for stream in streams:
                await stream.until(CHANGE)
            tasks.cancel_scope.cancel()

    assert "text/event-stream" == streams[0].headers["content-type"]
    assert "no-store" == streams[0].headers["cache-control"]


@pytest.mark.parametrize("url", ["/p/x", "/board/new"], ids=["settled", "created"])
async def test_what_people_do_is_told(pages: App, url: str) -> None:
    """By a form of a page."""
    stream = await changes_of(pages)
    form = {"boolean": "true"} if url == "/p/x" else {"id": "new"}
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, pages)
            await begun(stream)
            await send(pages, url, form, [OWN, COOKIE])
            await stream.until(CHANGE)
            tasks.cancel_scope.cancel()


async def test_many_changes_are_told_once(
    pages: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one was told, all that come within a second are one more."""
    monkeypatch.setattr(_changes, "PAUSE", 1000)
    monkeypatch.setattr(_changes, "ASK_SECONDS", 0.01)
    stream = await changes_of(pages)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, pages)
            await begun(stream)
            await own("first").run(pages)
            await stream.until(CHANGE)
            for number in range(50):
                await own(f"more-{number}").run(pages)
            assert 1 == stream.body.count(CHANGE)
            [viewer] = pages._serving.changes._viewers
            viewer.rests_until = 0
            while stream.body.count(CHANGE) < 2:
                await checkpoint()
            tasks.cancel_scope.cancel()

    assert 2 == stream.body.count(CHANGE)


async def test_who_leads_asks_while_it_rests(
    pages: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many look, the store is asked in time; also by the next who leads."""
    monkeypatch.setattr(_changes, "COMMENT_SECONDS", 1000)
    monkeypatch.setattr(_changes, "VIEWERS_A_SECOND", 0.001)
    monkeypatch.setattr(_changes, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(_changes, "ASK_PART", 0)
    streams = [await changes_of(pages) for _ in range(3)]
    changes = pages._serving.changes
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(stream.run, pages)
                await begun(stream)
            await own("x").run(pages)
            for stream in streams:
                await stream.until(CHANGE)
            [view] = changes._views.values()
            for leaver in streams:
                for _ in range(3):
                    view.digest = ""
                    while not view.digest:
                        await checkpoint()
                rest = [viewer.rests_until for viewer in changes._viewers]
                assert min(rest) > anyio.current_time()
                assert max(rest) < anyio.current_time() + 30
                leaver.disconnect()
                await leaver.ended.wait()


async def test_what_came_before_the_stream_is_told(pages: App) -> None:
    """Between a page and its stream nothing is lost: it says what was seen."""
    stream = await changes_of(pages)
    await own("x").run(pages)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, pages)
            await stream.until(CHANGE)
            tasks.cancel_scope.cancel()


async def test_what_came_while_the_page_was_made_is_told(
    pages: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change after the store was asked is not on the page, so it is told."""
    monkeypatch.setattr(_changes, "ASK_SECONDS", 1000)
    listing = pages._backend.list  # type: ignore[attr-defined] # memory: has it

    async def and_then(*arguments: Any) -> Any:
        page = await listing(*arguments)
        await own("x").run(pages)
        return page

    with monkeypatch.context() as patch:
        patch.setattr(pages._backend, "list", and_then)
        stream = await changes_of(pages)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, pages)
            await stream.until(CHANGE)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["settled", "created", "disposed"])
async def test_what_others_do_is_found(
    pages: App, promises: Promises, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """By asking the store, once for all who look at one list; others hear nothing."""
    monkeypatch.setattr(_changes, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(_changes, "ASK_PART", 0)
    await promises.create("theirs")
    await promises.create("other-1")
    streams = [await changes_of(pages) for _ in range(3)]
    elsewhere = await changes_of(pages, "prefix=other")
    asked = 0
    listing = pages._backend.list  # type: ignore[attr-defined] # memory: has it

    async def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return await listing(*arguments)

    monkeypatch.setattr(pages._backend, "list", counted)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for stream in (*streams, elsewhere):
                tasks.start_soon(stream.run, pages)
                await begun(stream)
            before = asked
            while asked < before + 4:
                await checkpoint()
            assert CHANGE not in b"".join(stream.body for stream in streams)
            if how == "created":
                await promises.create("new")
            else:
                await promises.promise("theirs").resolve(1)
            if how == "disposed":
                await promises.promise("theirs").dispose()
            for stream in streams:
                await stream.until(CHANGE)
            assert CHANGE not in elsewhere.body
            tasks.cancel_scope.cancel()


async def test_nobody_asks_while_nobody_looks(
    pages: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that have ended leave nothing; one that goes on asks for itself."""
    monkeypatch.setattr(_changes, "COMMENT_SECONDS", 1000)
    monkeypatch.setattr(_changes, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(_changes, "ASK_PART", 0)
    first, second = await changes_of(pages), await changes_of(pages)
    changes = pages._serving.changes
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for stream in (first, second):
                tasks.start_soon(stream.run, pages)
                await begun(stream)
            first.disconnect()
            await first.ended.wait()
            [view] = changes._views.values()
            view.digest = ""
            while not view.digest:
                await checkpoint()
            second.disconnect()
            await second.ended.wait()

    assert ({}, {}) == (changes._views, changes._viewers)


async def test_streams_take_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are held requests like others: bounded, and ended by a stop."""
    pages = served(max_waiters=2)
    streams = [await changes_of(pages) for _ in range(3)]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(stream.run, pages)
                await begun(stream)
            await streams[0].ended.wait()
            assert not streams[1].is_whole
            pages.stop()
    assert all(stream.is_whole for stream in streams)
    late = await changes_of_stopped(pages)
    assert 503 == late.status


async def changes_of_stopped(pages: App) -> Request:
    """Ask for a stream of a server that stops."""
    request = Request("/board/changes", method="GET", headers=[COOKIE])
    await request.run(pages)
    return request


async def test_a_stream_takes_the_rights_of_a_list(pages: App) -> None:
    """Without them it says nothing, not even that something changes."""
    for token in (token_of("read", ids=("*",)), token_of("settle", ids=("x",)), "no"):
        headers = [(b"cookie", f"dp-token={token}".encode())]
        request = Request("/board/changes", method="GET", headers=headers)
        with anyio.fail_after(60):
            await request.run(pages)
        assert request.status in (401, 403)
        assert CHANGE not in request.body


async def test_the_more_look_the_less_often(pages: App) -> None:
    """Who is told asks again, each at a moment of its own."""
    stream = await changes_of(pages)
    changes = pages._serving.changes
    changes._viewers |= {object(): None for _ in range(500)}  # type: ignore[misc] # counted
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, pages)
            await begun(stream)
            await own("x").run(pages)
            await stream.until(CHANGE)
            tasks.cancel_scope.cancel()

    [spread] = re.findall(rb"data: (\d+)", stream.body)
    assert int(spread) > 5000


async def test_a_stream_speaks_in_its_silence(
    pages: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that neither a proxy nor a browser takes it for dead."""
    monkeypatch.setattr(_changes, "COMMENT_SECONDS", 0.0)
    stream = await changes_of(pages)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, pages)
            while stream.body.count(b"\n:") < 4:
                await own("x").run(pages)
                await checkpoint()
            tasks.cancel_scope.cancel()


async def test_more_lists_than_are_kept_are_told_of_each_change(
    pages: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody remembers what they had seen, so all of them are told to look."""
    monkeypatch.setattr(_changes, "MOST_VIEWS", 1)
    streams = [await changes_of(pages, f"prefix={letter}") for letter in "abc"]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(stream.run, pages)
                await begun(stream)
            assert 1 == len(pages._serving.changes._views)
            await own("x").run(pages)
            for stream in streams:
                await stream.until(CHANGE)
            tasks.cancel_scope.cancel()


async def test_a_store_that_cannot_be_asked_ends_no_stream(
    pages: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks will see why; the others hear of the next change all the same."""
    monkeypatch.setattr(_changes, "ASK_SECONDS", 0.01)
    stream, asked = await changes_of(pages), []

    async def fail(call: Any) -> Any:
        asked.append(call)
        raise BackendUnavailableError("away")

    changes = pages._serving.changes
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, pages)
            await begun(stream)
            with monkeypatch.context() as patched:
                patched.setattr(changes, "list_page", fail)
                while len(asked) < 2:
                    await checkpoint()
            await own("x").run(pages)
            await stream.until(CHANGE)
            tasks.cancel_scope.cancel()
