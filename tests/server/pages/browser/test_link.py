"""The page of a link in a real browser: without scripts, by keyboard, dark, narrow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import pytest

import dp_core.sync as dp
from support.server.browser import (
    Place,
    contrasts,
    opened,
    overflow,
    picture,
    require_chromium,
    running_place,
)
from support.server.people import SECRET

require_chromium()

DATA: Final = {
    "question": "Ship order 17?",
    "amount": 1200,
    "currency": "EUR",
    "items": [{"name": "Chair, oak", "count": 4}, {"name": "Table", "count": 1}],
    "note": "The customer asks for delivery\nbefore the holidays.",
    "choices": ["approve", "deny"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run a server with a secret, and a browser."""
    folder = tmp_path_factory.mktemp("pictures")
    with opened() as browser, running_place(folder, browser, secrets=[SECRET]) as place:
        yield place


def test_a_person_approves(place: Place) -> None:
    """Open, read, click: the promise is settled by their name, and they are told so."""
    page = place.page()
    link = place.link(
        "approve-1", deadline=timedelta(hours=71), tags={"kind": "approval"}, data=DATA
    )
    page.goto(link)
    for text in ("Ship order 17?", "kind: approval", "(2 days 2"):
        assert page.get_by_text(text).is_visible()
    page.get_by_role("button", name="approve").click()

    page.get_by_text("Your answer was taken.").wait_for()
    assert "token" not in page.url
    info = place.info("approve-1")
    assert (dp.Resolved("approve"), "alice") == (info.state, info.settled_by)
    page.go_back()
    page.reload()
    page.get_by_text("Resolved with").wait_for()
    assert 0 == page.get_by_role("button").count()


def test_a_page_that_is_not_new(place: Place) -> None:
    """Two people have it open; who clicks later sees who was faster."""
    first, second = place.page(), place.page()
    first.goto(place.link("approve-2", data=DATA))
    second.goto(place.link("approve-2", by="bob"))
    first.get_by_role("button", name="deny").click()
    first.get_by_text("Your answer was taken.").wait_for()
    second.get_by_role("button", name="approve").click()

    alert = second.get_by_role("alert")
    alert.wait_for()
    assert "Somebody was faster" in alert.inner_text()
    assert "by alice" in alert.inner_text()


def test_by_keyboard_alone(place: Place) -> None:
    """Tab goes through the answers in their order, and Enter or Space gives one."""
    page = place.page()
    page.goto(place.link("keys", data={"a": 1}))
    seen = []
    for _ in range(6):
        page.keyboard.press("Tab")
        seen.append(page.locator(":focus").evaluate("e => e.textContent || e.name"))
    assert ["Yes", "No", "text", "Answer with these words", "As JSON", "error"] == [
        text.strip() for text in seen
    ]

    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type('{"approved": tru}')
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.get_by_text("This cannot be kept").wait_for()
    field = page.get_by_label("A JSON value")
    assert '{"approved": tru}' == field.input_value()
    assert "true" == field.get_attribute("aria-invalid")
    field.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.type("e")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Your answer was taken.").wait_for()

    assert dp.Resolved({"approved": True}) == place.info("keys").state


@pytest.mark.parametrize(
    ("label", "button", "typed", "expected"),
    [
        (
            "In words",
            "Answer with these words",
            "no\n\n wait",
            dp.Resolved("no\n\n wait"),
        ),
        ("Or reject it", "Reject", "too dear", dp.Rejected("too dear")),
    ],
)
def test_typed_answers(
    place: Place, label: str, button: str, typed: str, expected: object
) -> None:
    """What is typed arrives as it is, its line ends too."""
    page = place.page()
    page.goto(place.link(f"typed-{button}"))
    page.get_by_label(label).fill(typed)
    page.get_by_role("button", name=button).click()
    page.get_by_text("Your answer was taken.").wait_for()

    assert expected == place.info(f"typed-{button}").state


LOOKS: Final = [
    pytest.param(scheme, width, id=f"{scheme}-{width}")
    for scheme in ("light", "dark")
    for width in (360, 900)
]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_every_page_can_be_read(place: Place, scheme: str, width: int) -> None:
    """Contrasts are WCAG's, nothing is wider than the window, fields have labels."""
    page = place.page(
        color_scheme=scheme,
        java_script_enabled=True,
        viewport={"width": width, "height": 700},
    )
    name = f"look-{scheme}-{width}"
    long = {"w" * 300: "long " * 50 + "x" * 500, "deep": [[[[[[[{"a": ["b"]}]]]]]]]}
    settled = f"{name}-settled"
    place.do(lambda promises: promises.promise(settled).reject("no", by="b" * 200))
    links = [
        place.link(name, deadline=timedelta(days=3), tags={"kind": "x"}, data=DATA),
        place.link(f"{name}-{'i' * 300}", data=long, tags={"t" * 200: "v" * 200}),
        place.link(settled),
        place.link(name)[:-1],
        f"{place.url}/p/{name}",
    ]
    for link in links:
        page.goto(link)
        assert [] == [each for each in contrasts(page) if each[1] < each[2]]
        assert 0 == overflow(page)
        assert 1 == page.get_by_role("main").count()
        assert 1 == page.get_by_role("heading", level=1).count()
        assert page.title()
        assert "en" == page.locator("html").get_attribute("lang")
        fields = page.locator("input:not([type=hidden]), textarea")
        for field in fields.all():
            assert 0 < field.evaluate("e => e.labels.length")


def test_pictures_for_the_docs(place: Place) -> None:
    """The page as the docs show it: light, dark, and on a telephone."""
    link = place.link(
        "approve-order-17",
        deadline=timedelta(days=3, seconds=30),
        tags={"kind": "approval", "order": "17"},
        data=DATA,
    )
    for name, options in {
        "link": {},
        "link-dark": {"color_scheme": "dark"},
        "link-phone": {"viewport": {"width": 360, "height": 640}},
    }.items():
        page = place.page(**options)
        page.goto(link)
        picture(page, name, place.folder)
        page.context.close()


def test_a_link_is_followed_from_another_site(place: Place) -> None:
    """As from a mail that is read in a browser: it opens, and its form works."""
    link = place.link("followed", data=DATA)
    page = place.page()
    page.route(
        "http://mail.test/",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<a href="{link}">answer</a>'
        ),
    )
    page.goto("http://mail.test/")
    page.get_by_role("link").click()
    page.get_by_role("button", name="approve").click()

    page.get_by_text("Your answer was taken.").wait_for()


def test_no_other_site_frames_it(place: Place) -> None:
    """A page that frames a link sees nothing of it, and a click in it does nothing."""
    link = place.link("framed", data=DATA)
    page = place.page(java_script_enabled=True)
    page.route(
        "http://evil.test/",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<iframe src="{link}"></iframe>'
        ),
    )
    page.goto("http://evil.test/")
    [frame] = page.frames[1:]
    frame.wait_for_load_state()

    assert 0 == frame.get_by_role("button").count()


def test_no_other_site_sends_its_form(place: Place) -> None:
    """Not even with the token, where the browser says where the form is from."""
    link = place.link("forged", data=DATA)
    path, _, token = link.partition("?token=")
    page = place.page()
    page.route(
        "http://evil.test/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method=post action="{path}"><input name=token value="{token}">'
            "<button name=boolean value=true>Win</button></form>",
        ),
    )
    page.goto("http://evil.test/")
    page.get_by_role("button").click()
    page.get_by_role("heading", name="This is not allowed").wait_for()

    assert "Pending()" == repr(place.info("forged").state)


def test_a_page_asks_nobody_else(place: Place) -> None:
    """All that it loads is ours, and nobody is told where the reader was."""
    page = place.page(java_script_enabled=True)
    asked: list[str] = []
    told: list[str | None] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "request", lambda request: told.append(request.headers.get("referer") or None)
    )
    page.on("console", lambda message: errors.append(message.text))
    page.goto(place.link("alone", data=DATA))
    size = sum(len(page.request.get(url).body()) for url in asked)

    assert {place.url} == {url[: len(place.url)] for url in asked}
    assert {None} == {*told}
    assert [] == errors
    assert size < 100_000


def test_a_link_leads_nowhere_else(place: Place) -> None:
    """It shows its promise, and no way to others."""
    page = place.page()
    page.goto(place.link("narrow", data=DATA))

    assert 0 == page.get_by_role("link").count()
