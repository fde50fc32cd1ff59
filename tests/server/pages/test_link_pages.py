"""The page of a link: what its forms do, and what people are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from dp_core import BackendUnavailableError, Promises, Rejected, Resolved
from dp_core.server import App, Settings, app
from support.server.asgi_driver import Spy
from support.server.people import (
    SECRET,
    link,
    look,
    send,
    served,
    text_of,
    token_of,
)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_changes_nothing(
    pages: App, promises: Promises, method: str
) -> None:
    """Whatever a scanner of mails adds to a link, and however often it opens it."""
    await promises.create("x", data={"choices": ["approve", "deny"]})
    more = "&choice=%22approve%22&boolean=true&text=yes&error=no&dispose=yes&utm=1"
    for url in (link("x"), link("x") + more):
        for headers in ((), [(b"sec-purpose", b"prefetch")]):
            page = await look(pages, url, method, headers=headers)
            assert 200 == page.status
            assert (page.body == b"") == (method == "HEAD")
            assert int(page.headers["content-length"]) > 1000

    info = await promises.promise("x").info()
    assert ("Pending()", None) == (repr(info.state), info.settled_at)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"choice": '"approve"'}, Resolved("approve")),
        ({"choice": ' "a\\nb" '}, Resolved("a\nb")),
        ({"boolean": "true"}, Resolved(True)),  # noqa: FBT003 - a value
        ({"boolean": "false"}, Resolved(False)),  # noqa: FBT003 - a value
        ({"text": "yes\r\nplease"}, Resolved("yes\nplease")),
        ({"text": "5"}, Resolved("5")),
        ({"json": ' {"a": [1, null]} '}, Resolved({"a": [1, None]})),
        ({"json": "5"}, Resolved(5)),
        ({"error": "too expensive"}, Rejected("too expensive")),
    ],
)
async def test_a_form_settles(
    pages: App, promises: Promises, fields: dict[str, str], expected: object
) -> None:
    """Each kind of answer, by the name in the link."""
    await promises.create("x", data={"choices": ["approve", "a\nb"]})

    answered = await send(pages, link("x", by="alice"), fields)

    assert 200 == answered.status
    assert "Your answer was taken." in text_of(answered)
    info = await promises.promise("x").info()
    assert (expected, "alice") == (info.state, info.settled_by)


async def test_a_second_click_is_told_so(pages: App, promises: Promises) -> None:
    """The same answer again is 200: what was asked for is so. Nothing changes."""
    for expected in ("was taken", "This answer was there already"):
        answered = await send(pages, link("x", by="al"), {"boolean": "true"})
        assert 200 == answered.status
        assert expected in text_of(answered)

    assert "by al" in text_of(answered)


async def test_a_late_click_is_told_who_was_faster(
    pages: App, promises: Promises
) -> None:
    """Another answer than the first is 409, and the page shows who, when and what."""
    await promises.promise("x").reject("no money", by="bob")
    answer = await send(pages, link("x"), {"boolean": "true"})

    assert 409 == answer.status
    assert "Somebody was faster" in text_of(answer)
    assert "by bob" in text_of(answer)
    assert "no money" in text_of(answer)
    assert b"<form" not in answer.body


@pytest.mark.parametrize("fields", [{"text": " "}, {"json": "{"}, {"choice": '"x"'}])
async def test_a_late_click_need_not_be_right(
    pages: App, promises: Promises, fields: dict[str, str]
) -> None:
    """An answer that would not have counted is not complained about."""
    await promises.promise("x").resolve("yes", by="bob")
    answer = await send(pages, link("x"), fields)

    assert 409 == answer.status
    assert "Somebody was faster" in text_of(answer)


async def test_a_click_after_the_deadline_is_told_so(
    pages: App, promises: Promises
) -> None:
    """The clock was faster."""
    await promises.create("x", deadline=timedelta(seconds=-1))
    shown = await look(pages, link("x"))
    answer = await send(pages, link("x"), {"boolean": "true"})

    assert "Settled by its deadline" in text_of(shown)
    assert 409 == answer.status
    assert "too late" in text_of(answer)


@pytest.mark.parametrize(
    "fields",
    [
        {"json": "{"},
        {"json": "NaN"},
        {"json": " "},
        {"json": '"\\ud800"'},
        {"json": "[" * 200},
        {"text": " \r\n "},
        {"error": ""},
        {"boolean": "maybe"},
    ],
)
async def test_a_wrong_answer_can_be_mended(
    pages: App, promises: Promises, fields: dict[str, str]
) -> None:
    """422, what is wrong beside the field, and what was typed in it."""
    answer = await send(pages, link("x"), fields)

    assert 422 == answer.status
    assert "This cannot be kept" in text_of(answer) or "boolean" in fields
    [(name, text)] = fields.items()
    if name == "json":
        assert f">\n{text}</textarea>".replace('"', "&#34;") in answer.body.decode()
    assert "Pending()" == repr(await promises.promise("x").peek())


async def test_an_answer_may_be_too_long() -> None:
    """413 for a body, 422 for a value: nothing is changed, and people are told so."""
    pages = served(max_value_bytes=100)
    text = {"text": "x" * 200}
    assert 422 == (await send(pages, link("x"), text)).status
    long = await send(pages, link("x"), {"text": "x" * 100_000})
    assert 413 == long.status
    assert b"<h1>That is too long</h1>" in long.body


async def test_choices_that_are_gone(pages: App, promises: Promises) -> None:
    """A promise that was made anew is not answered by a button of the old page."""
    await promises.create("x", data={"choices": ["approve", "deny"]})
    await promises.promise("x").dispose()
    await promises.create("x", data={"choices": ["keep", "delete"]})
    answer = await send(pages, link("x"), {"choice": '"approve"'})

    assert 409 == answer.status
    assert "not offered any more" in text_of(answer)
    assert b'value="&#34;keep&#34;"' in answer.body
    assert "Pending()" == repr(await promises.promise("x").peek())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"boolean=true&boolean=false",
        b"boolean=true&text=yes",
        b"other=1",
        b"boolean",
        b"boolean=%ff",
        b"boolean=\xff",
        b"text=a;json=1&x",
        b"&".join(b"f%d=1" % n for n in range(200)),
    ],
)
async def test_what_is_not_a_form_of_ours(
    pages: App, promises: Promises, body: bytes
) -> None:
    """Fields that are missing, unknown or there twice are 400, and settle nothing."""
    token = link("x").partition("token=")[2].encode()
    answer = await send(pages, "/p/x", b"token=%b&" % token + body)

    assert 400 == answer.status
    assert b"This cannot be understood" in answer.body
    assert "Pending()" == repr(await promises.promise("x").peek())


@pytest.mark.parametrize("media_type", [b"application/json", b"multipart/form-data"])
async def test_other_bodies_are_refused(pages: App, media_type: bytes) -> None:
    """415, as a page."""
    answer = await send(pages, link("x"), {"text": "y"}, media_type=media_type)

    assert 415 == answer.status
    assert b"<h1>This is not a form of ours</h1>" in answer.body


async def test_a_store_that_fails() -> None:
    """503 and a page, without a word of the store; a form says whether it counted."""
    spy = Spy(uuid4().hex)
    pages = app(spy, Settings(secrets=(SECRET,)))
    spy.fail = BackendUnavailableError("disk /secret is full")
    for page in (
        await look(pages, link("x")),
        await send(pages, link("x"), {"boolean": "true"}),
    ):
        assert 503 == page.status
        assert b"Nothing was changed" in page.body
        assert b"/secret" not in page.body


async def test_an_answer_whose_end_is_not_known() -> None:
    """The page does not say that nothing was changed, where something may be."""
    spy = Spy(uuid4().hex)
    pages = app(spy, Settings(secrets=(SECRET,)))
    settle: Callable[..., Awaitable[Any]] = spy.settle

    async def settle_and_fail(*arguments: Any) -> Any:
        result = await settle(*arguments)
        spy.fail = BackendUnavailableError("gone")
        return result

    spy.settle = settle_and_fail  # type: ignore[method-assign] # it fails then
    page = await send(pages, link("x"), {"boolean": "true"})

    assert 500 == page.status
    assert b"It is not known whether that was done" in page.body
    assert b"Nothing was changed" not in page.body


async def test_a_server_that_stops(pages: App) -> None:
    """503: people may come back."""
    pages.stop()
    page = await send(pages, link("x"), {"boolean": "true"})

    assert 503 == page.status
    assert b"Try again in a minute" in page.body
    assert "close" == page.headers["connection"]


async def test_a_store_of_outcomes_only() -> None:
    """A link works where the store keeps no terms."""
    pages = app(Spy(uuid4().hex), Settings(secrets=(SECRET,)))
    assert 200 == (await look(pages, link("x"))).status
    answer = await send(pages, link("x"), {"text": "hello"})

    assert 200 == answer.status
    assert "Your answer was taken" in text_of(answer)
    assert "hello" in text_of(answer)


@pytest.mark.parametrize("id", [".", "..", "a/b", "%2e%2e", "ü ?#", "a:b", "//evil"])
async def test_any_id_has_a_page(pages: App, promises: Promises, id: str) -> None:
    """Its form leads back to it, wherever the app is mounted."""
    page = await look(pages, link(id))
    dots = {"id": id} if id.strip(".") == "" else {}
    answer = await send(pages, link(id), {"boolean": "true", **dots})

    assert (200, 200) == (page.status, answer.status)
    path = link(id).partition("?")[0].removeprefix("/p/")
    assert f'action="../p/{path}"'.encode() in page.body
    assert await promises.promise(id) is True


@pytest.mark.parametrize("path", ["/p/", "/p/%ff", "/p/%00", "/p/" + "x" * 1025])
async def test_what_names_no_promise(pages: App, path: str) -> None:
    """A page all the same."""
    page = await look(pages, f"{path}?token={token_of()}")

    assert page.status in (400, 404)
    assert b"<!doctype html>" in page.body


async def test_a_token_that_is_there_twice(pages: App) -> None:
    """Nobody can say which one counts."""
    page = await look(pages, f"{link('x')}&token={token_of()}")

    assert 400 == page.status
