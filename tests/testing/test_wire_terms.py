"""Laws of the wire that it has by itself: who passes, who breaks each, who lacks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, TypeAlias

import anyio
import pytest

from dp_core import connect
from dp_core.server import App, app
from dp_core.testing import ConformanceError, Report, check_backend
from dp_core.testing.wire import MANY_CASES, TERMS_CASES, many_law, terms_law
from dp_core.testing.wire._raw_client import RawClient, WireResponse
from support.server.asgi_driver import Request, Spy

STORES = count()
JSON: Final = "application/json"

Said: TypeAlias = tuple[int, Any]
Change: TypeAlias = Callable[[str, Any, int, Any], Said]
"""What to say in place of an answer: of path, request, status and content."""


@pytest.fixture
def anyio_backend() -> str:
    """Run once: the laws ask in threads, and the app is driven by hand."""
    return "asyncio"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that lets an app answer the laws, without a server."""

    def serve(promises: App, change: Change | None = None) -> None:
        async def ask(
            self: RawClient,
            method: str,
            path: str,
            body: bytes | None,
            content_type: str | None,
            timeout: float,
        ) -> WireResponse | None:
            route, _, query = path.partition("?")
            request = Request(route, body or b"", method=method, query=query)
            with anyio.move_on_after(timeout):
                await request.run(promises)
            if request.status is None:
                return None
            kind = request.headers.get("content-type", JSON)
            text = request.body.decode()
            if change is None or not text:
                return WireResponse(request.status, kind, text)
            asked = json.loads(body) if body else None
            said = request.json() if kind == JSON else text
            status, content = change(path, asked, request.status, said)
            if isinstance(content, str) and kind != JSON:
                return WireResponse(status, kind, content)
            return WireResponse(status, JSON, json.dumps(content))

        monkeypatch.setattr(RawClient, "ask", ask)

    return serve


@pytest.fixture
def promises() -> App:
    """Return a right app, over an empty store."""
    return app(connect(f"memory:wire-terms-{next(STORES)}").backend)


async def judged(name: str) -> Report:
    """Return the verdict of one law."""
    make = terms_law if name in TERMS_CASES else many_law
    law = make(name, "http://localhost")
    try:
        return await check_backend(
            lambda: connect("memory:wire-terms").backend,
            durable=False,
            shared=True,
            laws=[law],
        )
    except ConformanceError as error:
        return error.report


@pytest.mark.parametrize("name", [*TERMS_CASES, *MANY_CASES])
async def test_our_server_passes(
    name: str, serve: Callable[..., None], promises: App
) -> None:
    """What the page about the wire says is what our server does."""
    serve(promises)

    assert (name,) == (await judged(name)).passed


@pytest.mark.parametrize("name", TERMS_CASES)
async def test_a_server_without_terms_is_not_called_broken(
    name: str, serve: Callable[..., None]
) -> None:
    """It is not judged, and the report says what it does not have."""
    serve(app(Spy(f"wire-terms-{next(STORES)}")))
    report = await judged(name)

    assert () == report.violations == report.passed
    [(_, why)] = report.skipped
    assert "not judged: the server does not have " in why


@pytest.mark.parametrize("name", MANY_CASES)
async def test_a_server_without_batches_and_streams_is_not_called_broken(
    name: str, serve: Callable[..., None], promises: App
) -> None:
    """As the reference, which says so in its own words."""

    def change(path: str, asked: Any, status: int, content: Any) -> Said:
        if path.startswith(("/batch", "/watch")):
            return 400, {"message": f"bad path: {path}"}
        return status, content

    serve(promises, change)
    report = await judged(name)

    assert () == report.violations == report.passed
    [(_, why)] = report.skipped
    assert "not judged: the server does not have " in why


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, {"code": 400, "message": "bad path: /promises"}),
        (404, {"code": 404, "message": "no operation at /promise/create"}),
        (404, {"message": "no such operation"}),
        (405, {"code": 405, "message": "every operation is a POST"}),
        (501, {"code": 501, "message": "not here"}),
    ],
)
async def test_a_server_may_lack_the_list_alone(
    status: int, failure: Any, serve: Callable[..., None], promises: App
) -> None:
    """As Restate, and as the reference, which lacks all of it in its own words."""

    def change(path: str, asked: Any, before: int, content: Any) -> Said:
        is_list = path.startswith("/promises?")
        return (status, failure) if is_list else (before, content)

    serve(promises, change)
    report = await judged("terms-a-list-has-what-was-asked-for")
    [(_, why)] = report.skipped
    assert f"GET /promises ({failure['message']!r})" in why
    assert (await judged("terms-an-info-is-told-by-get")).passed


# Wrong servers ----------------------------------------------------------------


def of(path: str, **members: Any) -> Change:
    """Return the change of members of each object that is said at a path."""

    def change(at: str, asked: Any, status: int, content: Any) -> Said:
        if at.startswith(path) and status < 300 and isinstance(content, dict):
            content |= members
        return status, content

    return change


def batched(change: Callable[[list[Any]], object]) -> Change:
    """Return the change, in place, of the answers to each batch."""

    def changed(at: str, asked: Any, status: int, content: Any) -> Said:
        if at == "/batch" and isinstance(content, list) and content:
            change(content)
        return status, content

    return changed


def streamed(old: str, new: str) -> Change:
    """Return the change of a text in each event stream."""
    return lambda path, asked, status, content: (
        status,
        content.replace(old, new, 1) if isinstance(content, str) else content,
    )


def status_of(path: str, wanted: int, instead: int) -> Change:
    """Return the change of a status at a path."""

    def change(at: str, asked: Any, status: int, content: Any) -> Said:
        hit = at.startswith(path) and status == wanted
        return (instead if hit else status), content

    return change


def believes(wanted: int) -> Change:
    """Return the change of a refusal into an acceptance."""
    return lambda path, asked, status, content: (
        (200 if status == wanted else status),
        content,
    )


def listed(change: Callable[[list[Any]], list[Any]]) -> Change:
    """Return the change of each page of a list."""

    def changed(at: str, asked: Any, status: int, content: Any) -> Said:
        if isinstance(content, dict) and "promises" in content:
            content["promises"] = change(content["promises"])
        return status, content

    return changed


WRONG: Final[Mapping[str, Change]] = {
    "terms-the-first-create-is-201": status_of("/promise/create", 201, 200),
    "terms-a-later-create-is-200-and-changes-nothing": status_of(
        "/promise/create", 200, 201
    ),
    "terms-an-info-is-told-by-post": of("/promise/info", createdAt="yesterday"),
    "terms-an-info-is-told-by-get": of("/promises/", tags={}),
    "terms-an-info-of-what-nobody-created-or-settled": status_of(
        "/promise/info", 200, 410
    ),
    "terms-a-number-of-seconds-is-a-deadline": of("/promise/create", deadline=3600.5),
    "terms-a-moment-with-a-zone-is-a-deadline": of(
        "/promise/create", deadline="2099-12-31T23:59:59.500Z"
    ),
    "terms-a-deadline-that-is-over-settles-at-once": of("/promise/info", expired=False),
    "terms-a-deadline-ends-a-request-that-awaits": of("/promise/await", error="no"),
    "terms-who-settles-is-kept": of("/promise/info", settledBy="bob"),
    "terms-a-create-after-a-settle-gives-terms-and-changes-no-outcome": of(
        "/promise/create", expired=True
    ),
    "terms-a-dispose-forgets-terms": of(
        "/promise/info", deadline="2099-12-31T23:59:59.500Z"
    ),
    "terms-unknown-members-are-refused": believes(400),
    "terms-what-cannot-be-terms-is-refused": believes(422),
    "terms-a-name-that-cannot-be-one-settles-nothing": believes(422),
    "terms-a-list-has-what-was-created-or-settled-in-its-order": listed(
        lambda infos: sorted(infos, key=lambda info: str(info["promiseId"]))
    ),
    "terms-a-list-has-what-was-asked-for": listed(lambda infos: infos[:1]),
    "terms-a-question-that-cannot-be-asked-is-refused": believes(400),
    "many-a-batch-answers-each-call-as-alone": batched(list.pop),
    "many-the-calls-of-a-batch-on-one-promise-are-done-in-their-order": batched(
        list.reverse
    ),
    "many-a-call-of-a-batch-that-is-refused-changes-nothing-for-the-others": batched(
        lambda answers: answers[3].update(status=404)
    ),
    "many-a-batch-creates-and-tells-what-is-known": batched(
        lambda answers: answers[0].update(status=200)
    ),
    "many-what-is-not-a-batch-is-refused": believes(400),
    "many-a-watch-tells-each-outcome-once-and-ends": streamed(":\n\n", ""),
    "many-a-watch-is-asked-for-by-get": streamed('"value":2', '"ask":true'),
    "many-a-watch-tells-of-a-deadline": streamed('"error":"', '"error":"x'),
    "many-what-cannot-be-watched-is-refused": believes(400),
}
"""A wrong server for each law."""


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_server_breaks_each(
    name: str, serve: Callable[..., None], promises: App
) -> None:
    """The report has the requests and what was said."""
    serve(promises, WRONG[name])
    report = await judged(name)

    [violation] = report.violations
    assert name == violation.law
    assert " -> " in violation.history[0]


def test_each_law_has_a_wrong_server() -> None:
    """There is one that breaks it."""
    assert {*TERMS_CASES, *MANY_CASES} == {*WRONG}


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (streamed("data: {", "data: "), "not a stream of events"),
        (streamed("data:", "date:"), "the stream tells of "),
        (streamed("\n\ndata", "\n\n: x\n\ndata"), ""),
        (lambda path, asked, status, content: (status, {}), "of the type 'application"),
    ],
)
async def test_a_stream_is_read_as_clients_read_it(
    change: Change, seen: str, serve: Callable[..., None], promises: App
) -> None:
    """Its type, its events, each of them once; comments may be anywhere."""
    serve(
        promises,
        lambda path, *said: change(path, *said) if path == "/watch" else said[1:],
    )
    report = await judged("many-a-watch-tells-each-outcome-once-and-ends")
    found = [violation.reason for violation in report.violations]

    assert len(found) == bool(seen)
    assert not seen or seen in found[0]


async def test_a_page_that_is_longer_than_asked_for(
    serve: Callable[..., None], promises: App
) -> None:
    """Who asked for one promise has room for one."""
    name = "terms-a-list-has-what-was-created-or-settled-in-its-order"

    def change(path: str, asked: Any, status: int, content: Any) -> Said:
        if "limit=1" in path:
            content["promises"] *= 2
        return status, content

    serve(promises, change)
    [violation] = (await judged(name)).violations
    assert "more than 1 promises" in violation.reason


async def test_a_list_without_an_end(
    serve: Callable[..., None], promises: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor that never ends does not hold whoever judges."""
    monkeypatch.setattr("dp_core.testing.wire._terms._PAGES", 3)
    serve(promises, of("/promises?", after="17"))
    [violation] = (await judged("terms-a-list-has-what-was-asked-for")).violations
    assert "does not end" in violation.reason or "not 200" in violation.reason


async def test_a_failure_in_another_form_is_not_one(
    serve: Callable[..., None], promises: App
) -> None:
    """A refusal says why, in the wire's form."""

    def change(path: str, asked: Any, status: int, content: Any) -> Said:
        return status, "no" if status == 422 else content

    serve(promises, change)
    [violation] = (await judged("terms-what-cannot-be-terms-is-refused")).violations
    assert "not a failure with a message" in violation.reason
