"""The board in a real browser: live, by keyboard, without scripts, dark, narrow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from support.server.browser import (
    Place,
    contrasts,
    opened,
    overflow,
    picture,
    require_chromium,
    running_place,
)

require_chromium()

if TYPE_CHECKING:
    from playwright.sync_api import Page

TOKEN: Final = "t" * 40
OWN: Final = {"by": "alice"}


HIDE: Final = """(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""Script that hides a tab, or shows it."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run a server with a token, and a browser."""
    folder = tmp_path_factory.mktemp("board")
    with opened() as browser, running_place(folder, browser, token=TOKEN) as place:
        yield place


def enter(place: Place, query: str = "", **options: Any) -> Page:
    """Open the board, and give it the token."""
    page = place.page(java_script_enabled=True, **options)
    page.goto(f"{place.url}/{query}")
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Promises").wait_for()
    return page


def is_live(page: Page) -> None:
    """Wait for the stream."""
    page.get_by_text("Live", exact=True).wait_for()


def resolve(place: Place, id: str) -> None:
    """Settle a promise by a request to the server."""
    answer = place.server.ask(
        f"/promises/{id}/resolve",
        b"1",
        {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
    )
    assert 200 == answer.status


def test_the_board_is_live(place: Place) -> None:
    """What this server does, and what another process does, appears by itself."""
    place.do(lambda promises: promises.create("live-1"))
    page = enter(place, "?prefix=live-")
    is_live(page)
    assert page.get_by_role("row", name="live-1 pending").is_visible()

    resolve(place, "live-1")
    page.get_by_role("row", name="live-1 resolved").wait_for()
    place.do(lambda promises: promises.create("live-2"))
    page.get_by_role("row", name="live-2 pending").wait_for()
    assert page.url.endswith("/?prefix=live-")
    assert 2 == page.locator("tbody tr").count()


def test_a_new_row_moves_nobody(place: Place) -> None:
    """The link that has the focus keeps it, and the row that is read its place."""

    def fill(promises: Any) -> None:
        for number in range(60):
            promises.create(f"row-{number:02}")

    place.do(fill)
    page = enter(place, "?prefix=row-")
    is_live(page)
    page.get_by_role("link", name="row-20").focus()
    where = "e => e.getBoundingClientRect().top"
    before = page.locator(":focus").evaluate(where)
    assert page.evaluate("scrollY") > 0
    resolve(place, "row-new")
    page.locator("tr", has_text="row-new").wait_for()

    focused = page.locator(":focus")
    assert "row-20" == focused.inner_text()
    assert abs(before - focused.evaluate(where)) < 2


def test_a_tab_that_nobody_sees_has_no_stream(place: Place) -> None:
    """It takes one of the few connections of a browser only while it is looked at."""
    page = enter(place, "?prefix=hidden-")
    is_live(page)
    page.evaluate(HIDE, True)  # noqa: FBT003 - a value of JavaScript
    page.get_by_text("Live", exact=True).wait_for(state="detached")
    resolve(place, "hidden-1")
    page.evaluate(HIDE, False)  # noqa: FBT003 - a value of JavaScript
    page.get_by_role("row", name="hidden-1 resolved").wait_for()
    is_live(page)


def test_a_token_that_is_over_is_not_asked_with_again(place: Place) -> None:
    """The page says so, once, and asks for nothing more."""
    page = place.page(java_script_enabled=True)
    page.goto(place.url)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Go on").click()
    is_live(page)
    refused: list[str] = []
    page.on(
        "response",
        lambda response: response.status == 401 and refused.append(response.url),
    )
    page.context.clear_cookies()
    page.evaluate(HIDE, True)  # noqa: FBT003 - a value of JavaScript
    # Then it is the stream alone that is told.
    page.route(place.url, lambda route: route.abort(), times=1)
    with page.expect_response(lambda response: response.status == 401):
        page.evaluate(HIDE, False)  # noqa: FBT003 - a value of JavaScript
    page.get_by_text("Not live: reload to see why").wait_for()

    # The page itself to see why, and the stream, unless the page was faster.
    assert 1 == refused.count(f"{place.url}/")
    assert len({*refused}) == len(refused)


def test_without_scripts_it_is_reloaded(place: Place) -> None:
    """All but being live works: the token, filters, a promise, the way back."""
    page = place.page()
    page.goto(place.url)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Go on").click()
    place.do(lambda promises: promises.create("plain-1", tags={"kind": "plain"}))
    page.get_by_label("Tag").fill("kind:plain")
    page.get_by_label("State").select_option("pending")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="plain-1").wait_for()
    assert "state=pending" in page.url
    assert "tag=kind%3Aplain" in page.url
    place.do(lambda promises: promises.create("plain-2", tags={"kind": "plain"}))
    page.get_by_role("link", name="Reload").click()
    page.get_by_role("link", name="plain-2").click()
    page.get_by_role("button", name="Yes").click()
    page.get_by_text("Your answer was taken.").wait_for()
    page.get_by_role("link", name="All promises").click()
    page.get_by_role("row", name="plain-2 resolved").wait_for()
    page.get_by_role("button", name="Forget my token").click()
    page.get_by_role("heading", name="A token is needed here").wait_for()


def test_a_promise_is_made_and_disposed_of(place: Place) -> None:
    """From the board, by keyboard alone."""
    page = enter(place)
    page.get_by_role("link", name="New promise").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Id").focus()
    page.keyboard.type("made")
    page.keyboard.press("Tab")
    page.keyboard.type("3")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.type("kind:made")
    page.keyboard.press("Tab")
    page.keyboard.type('{"choices": ["a", "b"]}')
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.get_by_text("The promise was made.").wait_for()
    page.get_by_role("button", name="b", exact=True).focus()
    page.keyboard.press("Space")
    page.get_by_text("Your answer was taken.").wait_for()
    assert "Resolved(value='b')" == repr(place.info("made").state)

    page.get_by_text("Dispose of it").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("This promise was disposed of.").wait_for()
    assert "Pending()" == repr(place.info("made").state)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_the_board_can_be_read(place: Place, scheme: str, width: int) -> None:
    """Contrasts are WCAG's, nothing is wider than the window, fields have labels."""
    name = f"look-{scheme}-{width}"

    def fill(promises: Any) -> None:
        promises.create(f"{name}-{'i' * 500}", tags={"t" * 100: "v" * 200})
        promises.create(f"{name}-1", deadline=timedelta(days=3), tags={"kind": "x"})
        promises.promise(f"{name}-2").resolve("x", **OWN)
        promises.promise(f"{name}-3").reject("x")

    place.do(fill)
    page = enter(place, color_scheme=scheme, viewport={"width": width, "height": 700})
    for where in ("", f"?prefix={name}&tag=kind:x", "?state=odd", "board/new"):
        page.goto(f"{place.url}/{where}")
        assert [] == [each for each in contrasts(page) if each[1] < each[2]]
        assert 0 == overflow(page)
        assert 1 == page.get_by_role("main").count()
        fields = page.locator("input:not([type=hidden]), textarea, select")
        for field in fields.all():
            assert 0 < field.evaluate("e => e.labels.length")


def test_pictures_of_the_board(place: Place, tmp_path: Path) -> None:
    """The board as the docs show it: light, dark, and on a telephone."""

    def fill(promises: Any) -> None:
        for number in range(11, 19):
            data: Any = {"amount": 100 * number, "choices": ["approve", "deny"]}
            promise = promises.create(
                f"approve-order-{number}",
                deadline=timedelta(days=number - 10, minutes=5),
                tags={"kind": "approval", "order": str(number)},
                data=data,
            )
            if number % 3 == 0:
                promise.resolve("approve", by="alice")
            if number == 14:
                promise.reject("too expensive", by="bob")

    place.do(fill)
    for name, options in {
        "board": {},
        "board-dark": {"color_scheme": "dark"},
        "board-phone": {"viewport": {"width": 360, "height": 640}},
    }.items():
        page = enter(
            place,
            "?prefix=approve-order-",
            **{"viewport": {"width": 1000, "height": 640}} | options,
        )
        is_live(page)
        picture(page, name, tmp_path)
        page.context.close()


def test_what_the_board_loads(place: Place) -> None:
    """All of it is ours, nothing fails, and it is at most 100 KB."""
    page = enter(place, "?prefix=loads-")
    is_live(page)
    asked: dict[str, int] = {}
    errors: list[str] = []
    page.on("response", lambda one: asked.setdefault(one.url, one.status))
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(place.url)
    is_live(page)

    assert {place.url} == {url[: len(place.url)] for url in asked}
    assert {200} == {*asked.values()}
    assert [] == errors
    sizes = [len(page.request.get(url).body()) for url in asked if "changes" not in url]
    assert sum(sizes) <= 100_000
