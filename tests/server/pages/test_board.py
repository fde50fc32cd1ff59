"""The board: what is on it, for whom, and what its forms do."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

import pytest

from dp_core import DEADLINE_PASSED, Promises, Resolved, Terms, connect
from dp_core.server import App, Settings, app
from dp_core.server._pages._showing import ASSETS, asset_response
from support.server.asgi_driver import Request, Spy
from support.server.people import MASTER, look, send, served, text_of, token_of

HTML: Final = (b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")
OWN: Final = (b"origin", b"http://localhost")


def cookie(token: str = MASTER) -> tuple[bytes, bytes]:
    """Return the header by which a browser sends its token."""
    return b"cookie", f"other=1; dp-token={token}".encode()


async def board(pages: App, query: str = "", token: str = MASTER) -> Request:
    """Return the board, as a browser gets it."""
    return await look(pages, f"/?{query}", headers=[HTML, cookie(token)])


def ids(page: Request) -> list[str]:
    """Return the ids on a board, in their order."""
    found = re.findall(rb'<th scope="row"><a href="\./p/([^"]*)"', page.body)
    return [unquote(each.decode()) for each in found]


@pytest.mark.parametrize("accept", [None, b"*/*", b"application/json"])
async def test_programs_get_first_steps(pages: App, accept: bytes | None) -> None:
    """Without a browser, ``/`` says where things are; to who has a token."""
    headers = [] if accept is None else [(b"accept", accept)]
    bearer = (b"authorization", f"Bearer {MASTER}".encode())

    assert 401 == (await look(pages, "/", headers=headers)).status
    answer = await look(pages, "/", headers=[*headers, bearer])
    assert 200 == answer.status
    assert "GET /promises" == answer.json()["list"]


async def test_a_browser_is_asked_for_a_token(pages: App) -> None:
    """401 is a page with a form, which leads back to the view that was asked for."""
    page = await look(pages, "/?state=pending", headers=[HTML])

    assert 401 == page.status
    assert b'name="next" value="?state=pending"' in page.body
    assert b'type="password"' in page.body


async def test_a_program_may_read_the_board(pages: App) -> None:
    """With its token where programs have it; that is no way for a page's form."""
    bearer = (b"authorization", f"Bearer {MASTER}".encode())
    wrong = (b"authorization", b"Bearer " + b"wrong" * 10)

    assert 200 == (await look(pages, "/", headers=[HTML, bearer])).status
    assert 401 == (await look(pages, "/", headers=[HTML, wrong])).status
    sent = await send(pages, "/p/id", {}, [bearer], names_page=False)
    assert 403 == sent.status


async def test_a_token_is_kept_by_the_browser(pages: App) -> None:
    """In a cookie that no script reads and no other site sends, until it is closed."""
    form = {"token": f" {MASTER}\r\n", "next": "?state=pending"}
    answer = await send(pages, "/board/token", form, [OWN])

    assert (303, "../?state=pending") == (answer.status, answer.headers["location"])
    kept = f"dp-token={MASTER}; Path=/; HttpOnly; SameSite=Strict"
    assert kept == answer.headers["set-cookie"]
    assert 200 == (await board(pages)).status

    gone = await send(pages, "/board/leave", {"leave": "yes"}, [OWN, cookie()])
    assert 303 == gone.status
    assert gone.headers["set-cookie"].startswith("dp-token=;")
    assert "Max-Age=0" in gone.headers["set-cookie"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"token": "wrong" * 10}, 401),
        ({"token": ""}, 401),
        ({}, 401),
        ({"token": "x" * 3001}, 422),
        ({"token": MASTER, "other": "1"}, 400),
    ],
)
async def test_a_wrong_token_is_not_kept(
    pages: App, form: dict[str, str], expected: int
) -> None:
    """The page says so; nothing of what was entered is on it."""
    answer = await send(pages, "/board/token", form, [OWN])

    assert expected == answer.status
    assert "set-cookie" not in answer.headers
    assert b"wrongwrong" not in answer.body


@pytest.mark.parametrize(
    "next", ["//evil.test", "https://evil.test", "/\\evil", "p/x\r\nA: b", "../../x"]
)
async def test_a_token_leads_to_our_pages_only(pages: App, next: str) -> None:
    """Whoever made the form cannot send the browser elsewhere."""
    form = {"token": MASTER, "next": next}
    answer = await send(pages, "/board/token", form, [OWN])

    assert "../" == answer.headers["location"]


FOREIGN: Final = (
    [(b"origin", b"http://evil.test")],
    [(b"origin", b"null")],
    [(b"origin", b"null"), (b"sec-fetch-site", b"cross-site")],
    [(b"sec-fetch-site", b"same-site")],
    # It may send tokens of its own, not those of its readers.
    [(b"origin", b"http://allowed.test"), (b"sec-fetch-site", b"same-site")],
    [(b"origin", b"http://allowed.test")],
)


@pytest.mark.parametrize("headers", FOREIGN)
async def test_other_sites_use_no_cookie(headers: list[tuple[bytes, bytes]]) -> None:
    """A form of theirs settles, makes and forgets nothing, and logs nobody in."""
    pages = served(allowed_origins=("http://allowed.test",))
    promises = Promises(pages._backend, "memory:")
    sent = [*headers, cookie()]
    for url, form in (
        ("/p/x", {"boolean": "true"}),
        ("/board/new", {"id": "made"}),
        ("/board/token", {"token": MASTER}),
        ("/board/leave", {"leave": "yes"}),
    ):
        answer = await send(pages, url, form, sent)
        assert 403 == answer.status
        assert "set-cookie" not in answer.headers

    assert "Pending()" == repr(await promises.promise("x").peek())
    assert [] == [info.id async for info in promises.list()]


async def all_ids(pages: App) -> list[str]:
    """Return the ids on all pages of a board."""
    found: list[str] = []
    query: str | None = ""
    while query is not None:
        page = await board(pages, query)
        assert len(ids(page)) <= 100
        found += ids(page)
        older = re.search(rb'<a href="\./\?([^"]*)">Older</a>', page.body)
        query = older[1].decode().replace("&amp;", "&") if older else None
    return found


async def test_the_newest_come_first(pages: App, promises: Promises) -> None:
    """A hundred a page; the way to older ones misses none, and tells none twice."""
    for number in range(250):
        await promises.create(f"p{number}")

    expected = [f"p{number}" for number in reversed(range(250))]
    assert expected == await all_ids(pages)


async def test_filters_are_in_the_address(pages: App, promises: Promises) -> None:
    """So a view can be shared; blank fields of its form are none."""
    await promises.create("order-1", tags={"kind": "order", "city": "Ulm"})
    await promises.create("order-2", tags={"kind": "order"})
    await promises.promise("order-2").resolve("yes", by="alice")
    await promises.create("other")
    for query, expected in (
        ("state=&tag=&prefix=", ["other", "order-2", "order-1"]),
        ("state=pending", ["other", "order-1"]),
        ("state=resolved&tag=kind%3Aorder&tag=", ["order-2"]),
        ("tag=kind%3Aorder&tag=city%3AUlm", ["order-1"]),
        ("prefix=order-", ["order-2", "order-1"]),
        ("prefix=%3Cscript%3E&utm_source=mail", []),
    ):
        page = await board(pages, query)
        assert (200, expected) == (page.status, ids(page))
    assert b"&lt;script&gt;" in page.body
    assert b"<script>" not in page.body


@pytest.mark.parametrize(
    "query",
    ["state=done", "tag=a%3Db", "after=nonsense", "state=a&state=b", "prefix=%FF"],
)
async def test_a_view_that_cannot_be(pages: App, query: str) -> None:
    """400, and why."""
    assert 400 == (await board(pages, query)).status


async def test_a_board_shows_what_its_reader_may_see(
    pages: App, promises: Promises
) -> None:
    """The promises of the token, with the rights to list and read; else 403."""
    for id in ("order-1", "secret"):
        await promises.create(id)

    page = await board(pages, token=token_of("list", "read", ids=("order-*",)))
    assert ["order-1"] == ids(page)
    assert b"New promise" not in page.body
    for rights in (["read"], ["list"], ["settle", "create", "dispose"]):
        refused = await board(pages, token=token_of(*rights, ids=("*",)))
        assert 403 == refused.status
        assert b"order-1" not in refused.body


async def test_a_page_is_at_most_100_kb(pages: App, promises: Promises) -> None:
    """With its style sheet and script, whatever ids and tags there are."""
    tags = {f"<{number:02}{'k' * 80}": "<&\"'>" * 30 for number in range(32)}
    for number in range(120):
        await promises.create(f"{number:04}{'<ü>' * 200}", tags=tags)
    page = await board(pages)
    loaded = sum(len(asset_response(name).body) for name in ASSETS)

    assert len(ids(page)) > 10
    assert len(page.body) + loaded <= 100_000
    assert 120 == len({*await all_ids(pages)})


async def test_a_store_without_a_list() -> None:
    """The page says so, and opens a promise by its id all the same."""
    pages = app(Spy("no-list"), Settings())
    page = await look(pages, "/", headers=[HTML])

    assert 501 == page.status
    assert "has no list" in text_of(page)
    assert b'name="id"' in page.body
    assert 200 == (await look(pages, "/p/?id=x", headers=[HTML])).status


async def test_a_promise_is_made(pages: App, promises: Promises) -> None:
    """With a deadline, tags and data, by whoever may; the first terms stand."""
    form = {
        "id": "made",
        "deadline": "1.5",
        "unit": "hours",
        "otherwise": "",
        "tags": "kind: approval\r\n\r\n city=Ulm:West ",
        "data": '{"a": 1}',
    }
    made = await send(pages, "/board/new", form, [OWN, cookie()])
    again = await send(pages, "/board/new", form | {"data": "2"}, [OWN, cookie()])

    assert (201, 200) == (made.status, again.status)
    assert "The promise was made." in text_of(made)
    assert "had its terms already" in text_of(again)
    info = await promises.promise("made").info()
    assert info.terms is not None
    assert {"kind": "approval", "city": "Ulm:West"} == info.terms.tags
    assert {"a": 1} == info.terms.data
    assert DEADLINE_PASSED == info.terms.otherwise
    assert info.created_at is not None
    assert info.terms.deadline is not None
    left = info.terms.deadline - info.created_at
    assert 5390 < left.total_seconds() < 5410

    fresh = await send(pages, "/board/new", {"data": ""}, [OWN, cookie()])
    assert 201 == fresh.status
    assert 2 == len(ids(await board(pages)))


@pytest.mark.parametrize(
    "form",
    [
        {"id": "x\0"},
        {"deadline": "soon"},
        {"deadline": "nan"},
        {"deadline": "-1"},
        {"deadline": "1_0"},
        {"deadline": "1e300"},
        {"otherwise": "no"},
        {"tags": "dp.kind: delivery"},
        {"tags": "a:1\na:2"},
        {"tags": ":1"},
        {"data": "{"},
        {"data": "NaN"},
    ],
)
async def test_a_promise_that_cannot_be_made(pages: App, form: dict[str, str]) -> None:
    """422, why, and what was entered, to be mended."""
    answer = await send(pages, "/board/new", form, [OWN, cookie()])

    assert 422 == answer.status
    assert "It was not made." in text_of(answer)
    assert [] == ids(await board(pages))


async def test_making_takes_a_right(pages: App, promises: Promises) -> None:
    """And is for the ids of the token only."""
    for rights, ids_, expected in (
        (("create",), ("made-*",), 201),
        (("create",), ("other-*",), 403),
        (("read", "list", "settle", "dispose"), ("*",), 403),
    ):
        sent = [OWN, cookie(token_of(*rights, ids=ids_))]
        answer = await send(pages, "/board/new", {"id": "made-1"}, sent)
        assert expected == answer.status
        await promises.promise("made-1").dispose()


async def test_a_promise_of_the_board(pages: App, promises: Promises) -> None:
    """Whoever may settles it there, disposes of it, and finds the way back."""
    await promises.create("x")
    page = await look(pages, "/p/x", headers=[HTML, cookie()])
    assert "same-origin" == page.headers["referrer-policy"]
    assert b'<a href="../">All promises</a>' in page.body
    assert b'name="dispose"' in page.body
    assert b'name="token"' not in page.body
    assert 200 == (await send(pages, "/p/x", {"json": "1"}, [OWN, cookie()])).status
    assert Resolved(1) == await promises.promise("x").peek()
    sent = await send(pages, "/p/x", {"dispose": "yes"}, [OWN, cookie()])
    assert "was disposed of" in text_of(sent)
    assert "Pending()" == repr(await promises.promise("x").peek())


async def test_a_link_is_not_the_board(pages: App, promises: Promises) -> None:
    """A link's page shows its promise alone, whatever token the browser has besides."""
    token = token_of("read", "settle", ids=("x",))
    page = await look(pages, f"/p/x?token={token}", headers=[cookie()])

    assert 200 == page.status
    assert b"All promises" not in page.body
    assert b'name="dispose"' not in page.body


async def test_the_token_of_another_server(pages: App) -> None:
    """Two servers on one machine share their cookies: one asks for its own again."""
    page = await board(pages, token="o" * 40)

    assert 401 == page.status
    assert b'type="password"' in page.body


@pytest.mark.parametrize("root", ["/dp", "/a/b%20c"])
async def test_a_board_below_a_path(root: str) -> None:
    """Its links are relative, and its cookie is for that path."""
    pages = served()
    scope: dict[str, Any] = {"root_path": unquote(root)}
    bare = Request(root, method="GET", headers=[HTML])
    bare._scope |= scope
    await bare.run(pages)
    assert (303, f"{root.rpartition('/')[2]}/") == (
        bare.status,
        bare.headers["location"],
    )
    form = Request(
        f"{root}/board/token",
        f"token={MASTER}".encode(),
        headers=[(b"content-type", b"application/x-www-form-urlencoded"), OWN],
    )
    form._scope |= scope
    await form.run(pages)
    assert f"Path={root};" in form.headers["set-cookie"]


@pytest.mark.parametrize("name", ASSETS)
async def test_assets_are_kept(pages: App, name: str) -> None:
    """Without a token, for ever: their addresses change with them."""
    page = await look(pages, "/", headers=[HTML, cookie()])
    [found] = re.findall(rf'"\./(assets/{re.escape(name)}\?v=\w+)"', page.body.decode())
    loaded = await look(pages, f"/{found}")

    assert 200 == loaded.status
    assert ASSETS[name].decode() == loaded.headers["content-type"]
    assert "immutable" in loaded.headers["cache-control"]


async def test_deliveries_are_left_out(pages: App, promises: Promises) -> None:
    """The promises of callbacks are shown where their tags are asked for."""
    terms: Terms[bytes] = Terms(tags={"dp.kind": "delivery"})
    await pages._backend.create("delivery", terms)  # type: ignore[attr-defined] # memory: has it
    await promises.create("x")

    assert ["x"] == ids(await board(pages))
    assert ["delivery"] == ids(await board(pages, "tag=dp.kind:delivery"))


async def test_a_shared_store() -> None:
    """Nothing is kept between requests: what others made is there."""
    backend = connect("memory:shared-board").backend
    pages = app(backend, Settings())
    await Promises(backend, "memory:").create("theirs")

    assert b"theirs" in (await look(pages, "/", headers=[HTML])).body
