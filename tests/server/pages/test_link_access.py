"""Links: who may see and do what by one, and where its forms may come from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import pytest
import time_machine

from dp_core import Promises, Resolved
from dp_core._access import write_link
from dp_core.server import App, app
from support.server.asgi_driver import Request, Spy
from support.server.people import (
    LATER,
    MASTER,
    SECRET,
    link,
    look,
    send,
    served,
    token_of,
)

ORIGIN: Final = (b"origin", b"http://localhost")
NULL: Final = (b"origin", b"null")


REFUSED: Final[dict[str, Callable[[], str]]] = {
    "cut short": lambda: link("x")[:-1],
    "of another secret": lambda: link("x", secret="o" * 32),
    "of another promise": lambda: link("y").replace("/p/y", "/p/x"),
    "of a pattern": lambda: link("*").replace("/p/%2A", "/p/x"),
    "without a token": lambda: "/p/x",
    "of a token that may not read": lambda: f"/p/x?token={token_of('dispose')}",
}


@pytest.mark.parametrize("how", REFUSED)
async def test_who_may_not_read_learns_nothing(
    pages: App, promises: Promises, how: str
) -> None:
    """The same page whether the promise is settled, created, or never heard of."""
    url = REFUSED[how]()
    answers = []
    for make in (None, promises.create("x", tags={"secret": "tag"})):
        if make is not None:
            await make
            await promises.promise("x").resolve("secret value")
        shown = await look(pages, url)
        sent = await send(pages, url, {"boolean": "true"})
        answers.append([(page.status, page.body) for page in (shown, sent)])

    assert answers[0] == answers[1]
    expected = 403 if " promise" in how or "pattern" in how or "may not" in how else 401
    assert {expected} == {status for status, _ in answers[0]}
    assert b"secret" not in answers[0][0][1]


async def test_a_link_expires(pages: App, promises: Promises) -> None:
    """From then on it shows nothing, settles nothing, and says what to do."""
    over = write_link("x", datetime(2030, 1, 1, tzinfo=UTC), SECRET, "")
    with time_machine.travel(datetime(2030, 1, 2, tzinfo=UTC), tick=True):
        shown = await look(pages, over)
        sent = await send(pages, over, {"boolean": "true"})

    for page in (shown, sent):
        assert 401 == page.status
        assert b"<h1>This link has expired</h1>" in page.body
        assert b"for a new one" in page.body
    assert "Pending()" == repr(await promises.promise("x").peek())


async def test_a_link_that_may_only_read(pages: App, promises: Promises) -> None:
    """It shows the promise without forms; one that is sent all the same is 403."""
    url = f"/p/x?token={token_of('read', ids=('x',))}"

    shown = await look(pages, url)
    sent = await send(pages, url, {"boolean": "true"})
    assert 200 == shown.status
    assert b"<form" not in shown.body
    assert 403 == sent.status
    assert "Pending()" == repr(await promises.promise("x").peek())


async def test_a_link_disposes_of_nothing(pages: App, promises: Promises) -> None:
    """It may settle; to forget takes a right of its own, and a tick."""
    await promises.promise("x").resolve("kept")
    assert 403 == (await send(pages, link("x"), {"dispose": "yes"})).status
    every = f"/p/x?token={token_of()}"
    assert 400 == (await send(pages, every, {"dispose": "no"})).status
    assert Resolved("kept") == await promises.promise("x").peek()

    assert 200 == (await send(pages, every, {"dispose": "yes"})).status
    assert "Pending()" == repr(await promises.promise("x").peek())


async def test_the_token_is_that_of_the_form(pages: App) -> None:
    """A POST without one is not let in by the token of its URL."""
    url = link("x")
    request = Request(
        "/p/x",
        b"boolean=true",
        query=url.partition("?")[2],
        headers=[(b"content-type", b"application/x-www-form-urlencoded"), ORIGIN],
    )
    await request.run(pages)

    assert 401 == request.status


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], 200),
        ([ORIGIN], 200),
        # The page of a link hides its origin.
        ([NULL], 200),
        ([NULL, (b"sec-fetch-site", b"same-origin")], 200),
        # A proxy has ended its TLS.
        (
            [(b"origin", b"https://localhost"), (b"sec-fetch-site", b"same-origin")],
            200,
        ),
        ([NULL, (b"sec-fetch-site", b"cross-site")], 403),
        ([ORIGIN, (b"sec-fetch-site", b"same-site")], 403),
        ([(b"origin", b"https://localhost")], 403),
        ([(b"origin", b"http://evil.test")], 403),
    ],
)
async def test_forms_of_other_sites(
    pages: App,
    promises: Promises,
    headers: list[tuple[bytes, bytes]],
    expected: int,
) -> None:
    """A form is taken from a page of ours, or from who has the token of the link."""
    answer = await send(
        pages, link("x"), {"boolean": "true"}, headers, names_page=False
    )

    assert expected == answer.status
    assert (expected == 200) == (Resolved(True) == await promises.promise("x").peek())  # noqa: FBT003 - a value


NAVIGATES: Final = {
    b"sec-fetch-site": b"cross-site",
    b"sec-fetch-mode": b"navigate",
    b"sec-fetch-dest": b"document",
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 200),
        ({b"sec-fetch-dest": b"iframe"}, 403),
        ({b"sec-fetch-mode": b"no-cors", b"sec-fetch-dest": b"image"}, 403),
        ({b"sec-fetch-mode": b"cors", b"origin": b"http://evil.test"}, 403),
    ],
)
async def test_a_page_is_opened_from_anywhere(
    pages: App, change: dict[bytes, bytes], expected: int
) -> None:
    """In a window of its own; frames, images and scripts of others get nothing."""
    headers = list((NAVIGATES | change).items())

    assert expected == (await look(pages, link("x"), headers=headers)).status
    assert 403 == (await look(pages, "/promises/x", headers=headers)).status
    assert 403 == (await send(pages, link("x"), {"text": "y"}, headers)).status


@pytest.mark.parametrize(
    "headers", [[NULL], [NULL, (b"sec-fetch-site", b"cross-site")]]
)
async def test_forms_where_no_token_is_asked_for(
    headers: list[tuple[bytes, bytes]],
) -> None:
    """Nothing but the origin tells who sends them, so it must not be hidden."""
    spy = Spy(uuid4().hex)
    pages = app(spy)
    refused = await send(pages, "/p/x?token=any", {"boolean": "true"}, headers)
    taken = await send(pages, "/p/x", {"boolean": "true"}, [ORIGIN])

    assert (403, 200) == (refused.status, taken.status)


@pytest.mark.parametrize("tokens", ["no tokens", "a cookie"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], 403),
        ([(b"referer", b"http://evil.test/")], 403),
        ([(b"sec-fetch-site", b"none")], 403),
        ([(b"sec-fetch-site", b"same-origin")], 200),
        # Over plain HTTP from another machine browsers say this alone.
        ([ORIGIN], 200),
        ([NULL, (b"sec-fetch-site", b"same-origin")], 200),
    ],
)
async def test_a_form_without_a_token_names_its_page(
    tokens: str, headers: list[tuple[bytes, bytes]], expected: int
) -> None:
    """A browser that says nothing of it may be used by a page of anybody's."""
    spy = Spy(uuid4().hex)
    pages = app(spy) if tokens == "no tokens" else served()
    cookie = (b"cookie", f"dp-token={MASTER}".encode())
    answers = [
        await send(pages, url, form, [*headers, cookie], names_page=False)
        for url, form in (
            ("/p/x", {"boolean": "true"}),
            ("/p/x", {"dispose": "yes"}),
            ("/board/new", {"id": "made"}),
            ("/board/token", {"token": MASTER}),
            ("/board/leave", {"leave": "yes"}),
        )
    ]

    if expected == 403:
        assert [403] * 5 == [answer.status for answer in answers]
        assert all(b"in a current browser" in answer.body for answer in answers)
        assert not any("set-cookie" in answer.headers for answer in answers)
    else:
        assert not any(answer.status in (401, 403) for answer in answers)


async def test_headers_of_a_page(pages: App) -> None:
    """No script, no frame, no referrer, no copy; on failures, too."""
    for url in (link("x"), link("x")[:-1], "/p/"):
        headers = (await look(pages, url)).headers
        csp = headers["content-security-policy"].split("; ")
        assert "default-src 'none'" in csp
        assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} < {
            *csp
        }
        assert not [part for part in csp if "script" in part or "unsafe" in part]
        assert "no-store" == headers["cache-control"]
        assert "nosniff" == headers["x-content-type-options"]
        assert "DENY" == headers["x-frame-options"]
        assert "text/html; charset=utf-8" == headers["content-type"]
    assert "no-referrer" == (await look(pages, link("x"))).headers["referrer-policy"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"])
async def test_other_methods(pages: App, method: str) -> None:
    """405, with those that there are, for whoever may know."""
    bearer = (b"authorization", f"Bearer {MASTER}".encode())
    page = await look(pages, link("x"), method, headers=[bearer])

    assert 405 == page.status
    assert "GET, HEAD, POST" == page.headers["allow"]
    assert b"<!doctype html>" in page.body


async def test_the_token_of_the_server_is_one_too(pages: App) -> None:
    """Who has it can open a page, as by any token."""
    assert 200 == (await look(pages, f"/p/x?token={MASTER}")).status


async def test_tokens_are_not_logged(
    pages: App, caplog: pytest.LogCaptureFixture
) -> None:
    """Refusals leave a line, without what they were refused for."""
    token = write_link("x", LATER, "o" * 32, "").partition("=")[2]
    await look(pages, f"/p/x?token={token}")
    await send(pages, f"/p/x?token={token}", {"boolean": "true"})

    assert "401" in caplog.text
    assert token[:20] not in caplog.text
