"""The Django app under gunicorn: two servers on one store, clicks, and kills."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

import dp_core as dp
from support.docs.programs import seen, served, state, until
from support.server_process import Answer, Server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of all servers of this module."""
    return tmp_path_factory.mktemp("django")


@pytest.fixture(scope="module")
def url(place: Path) -> str:
    """Return the URL of their store."""
    return f"file:{place}/promises"


@pytest.fixture(scope="module")
def app(place: Path) -> Iterator[Server]:
    """Run one of them."""
    with django(place) as server:
        yield server


def django(place: Path) -> AbstractContextManager[Server]:
    """Run the app with one process and eight threads."""
    words = ("gunicorn", "django_view:application", "--bind", "127.0.0.1:0")
    options = ("--threads", "8", "--no-control-socket")
    url = f"file:{place}/promises"
    return served(*words, *options, cwd=place, DP_URL=url, SECRET_KEY="k" * 50)


def ask(server: Server, id: str, query: str = "") -> Answer:
    """Do what the program does that needs an answer."""
    return server.ask(f"/ask/{id}?{query}", method="PUT")


def click(server: Server, id: str, button: str) -> Answer:
    """Do what a browser does: get the page, and press a button."""
    page = server.ask(f"/answer/{id}", method="GET")
    [token] = re.findall(
        r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode()
    )
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": page.headers["set-cookie"].partition(";")[0],
    }
    body = f"csrfmiddlewaretoken={token}&{button}="
    return server.ask(f"/answer/{id}", body, headers)


def test_a_click_at_another_server_ends_the_wait_of_a_killed_one(
    app: Server, place: Path, url: str
) -> None:
    """A blocked thread gets what another process was told; so does who asks again."""
    with ThreadPoolExecutor() as threads:
        with django(place) as other:
            lost = threads.submit(ask, other, "approval-lost")
            until(lambda: seen(url, "approval-lost"))
        with pytest.raises(ConnectionError):
            lost.result()
        waiting = threads.submit(ask, app, "approval-kept")
        until(lambda: seen(url, "approval-kept"))
        with django(place) as other:
            for id in ("approval-lost", "approval-kept"):
                click(other, id, "yes")
            again = ask(other, "approval-lost")
        kept = waiting.result()

    assert [(200, {"answer": "yes"})] * 2 == [
        (got.status, got.json()) for got in (kept, again)
    ]


def test_the_first_click_counts(app: Server) -> None:
    """The page of whoever clicks later shows what was decided."""
    ask(app, "approval-twice", "now")

    pages = [click(app, "approval-twice", button) for button in ("no", "yes", "no")]

    assert ["Resolved(value=&#x27;no&#x27;)"] * 3 == [
        re.findall(r"Resolved\(.*?\)", page.body.decode())[0] for page in pages
    ]
    assert {"answer": "no"} == ask(app, "approval-twice").json()


def test_a_click_after_the_deadline_is_too_late(app: Server, url: str) -> None:
    """It changes nothing, and the program hears that nobody answered."""

    async def over() -> None:
        async with dp.connect(url) as promises:
            late = dp.Rejected("nobody answered")
            await promises.create(
                "approval-late", deadline=timedelta(0), otherwise=late
            )

    asyncio.run(over())
    page = click(app, "approval-late", "yes")
    answer = ask(app, "approval-late")

    assert b"Rejected(error=&#x27;nobody answered&#x27;)" in page.body
    assert (409, {"failed": "nobody answered"}) == (answer.status, answer.json())


def test_an_answer_that_is_no_text_is_said(app: Server, url: str) -> None:
    """Somebody may settle it with anything: the program hears it, the page shows it."""
    ask(app, "approval-odd", "now")

    async def settle() -> None:
        async with dp.connect(url) as promises:
            await promises.promise("approval-odd").resolve([17])

    asyncio.run(settle())
    answer, page = ask(app, "approval-odd"), click(app, "approval-odd", "yes")

    assert 409 == answer.status
    assert "'approval-odd' holds a value that is not a valid" in answer.json()["failed"]
    assert (200, True) == (page.status, b"Resolved(value=[17])" in page.body)


def test_nothing_but_a_click_settles(app: Server, url: str) -> None:
    """Neither a mail scanner that opens the link, nor a page of another site."""
    waiting = ask(app, "approval-open", "now")
    scanned = app.ask("/answer/approval-open?yes", method="GET")
    forged = app.ask("/answer/approval-open", "yes=", {"Origin": "https://evil.test"})

    assert ("1", {"waiting": "approval-open"}) == (
        waiting.headers["retry-after"],
        waiting.json(),
    )
    assert [202, 200, 403] == [got.status for got in (waiting, scanned, forged)]
    assert dp.Pending() == state(url, "approval-open")


def test_foreign_text_is_shown_as_text(app: Server) -> None:
    """A page shows what the program wrote, and a browser runs nothing of it."""
    ask(app, "approval-text", f"now&what={quote('<script>alert(1)</script>')}")

    page = app.ask("/answer/approval-text", method="GET")

    assert b"&lt;script&gt;alert(1)" in page.body
    assert b"<script" not in page.body


@pytest.mark.parametrize("id", ["approval-unknown", "other", "approval-" + "x" * 65])
def test_nobody_answers_what_was_not_asked(app: Server, url: str, id: str) -> None:
    """Such a page is not there."""
    assert 404 == app.ask(f"/answer/{id}", method="GET").status
    assert dp.Pending() == state(url, id)
