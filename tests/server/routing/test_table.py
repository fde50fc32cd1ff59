"""The table of endpoints: what is routed where, and what is derived from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import pytest

from dp_core import ProtocolError, connect
from dp_core._access import Access, write_access
from dp_core.server import App, Settings, app
from dp_core.server._endpoints import ENDPOINTS
from dp_core.server._routing import AdmittedRequest, Body, Endpoint, Endpoints, Response
from dp_core.wire import read_call
from support.server.asgi_driver import Request, ask

TOKEN: Final = "t" * 40
SECRET: Final = "s" * 32
LATER: Final = datetime(2999, 1, 1, tzinfo=UTC)
FORM: Final = Body("application/x-www-form-urlencoded", lambda largest: 100)
PAGE: Final = (
    (b"content-security-policy", b"default-src 'self'"),
    (b"referrer-policy", b"no-referrer"),
)


async def page(serving: object, request: AdmittedRequest) -> Response:
    """Answer with a page that says what was asked."""
    if request.body == b"fail":
        raise ProtocolError(410, "it is over")
    name = ",".join(request.parameters).encode()
    said = b"<p>%b %b %a" % (name, request.body, request.access is not None)
    return Response(200, said, PAGE, b"text/html")


def failed(error: Exception) -> Response:
    """Return a failure for people."""
    status = error.status if isinstance(error, ProtocolError) else 500
    return Response(status, b"<h1>failed", media_type=b"text/html")


ROW: Final = Endpoint(methods=("GET",), path="/page/{id}", answer=page, fail=failed)
ROWS: Final = (
    replace(ROW, body=None, asks_for_token=False),
    replace(ROW, methods=("POST",), body=FORM, asks_for_token=False),
    replace(ROW, path="/page/board", asks_for_token=False),
    replace(ROW, path="/counts", rights=frozenset({"list"})),
)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> App:
    """An app whose table has pages, too; it asks for tokens."""
    table = Endpoints((*ENDPOINTS, *ROWS), unknown=ENDPOINTS._unknown["POST"])
    monkeypatch.setattr("dp_core.server._app.ENDPOINTS", table)
    return app(
        connect(f"memory:{uuid4()}").backend, Settings(token=TOKEN, secrets=(SECRET,))
    )


def test_each_row_of_a_promise_is_one_of_the_wire() -> None:
    """What the table routes to the wire, the wire reads; what it does not, is 404."""
    here = {row.path for row in ENDPOINTS if row.methods == ("POST",)}
    operations = ("peek", "await", "resolve", "reject", "dispose", "create", "info")
    for form, body in (
        ("/promise/{}", b'{"promiseId":"x"%b}'),
        ("/promises/{{id}}/{}", b"%b"),
        ("/durablePromiseServer/{}", b'{"request":{"promiseName":"x"%b}}'),
    ):
        for operation in operations:
            path = form.format(operation)
            more = b""
            if operation == "reject":
                more = b'"e"' if "{id}" in path else b',"errorMessage":"e"'
            asked = path.replace("{id}", "x"), body % more
            if path in here:
                assert "x" == read_call(*asked).id
            else:
                with pytest.raises(ProtocolError, match="no operation"):
                    read_call(*asked)


@pytest.mark.parametrize("path", ["/promise/create", "/promises/{}/peek", "/batch"])
def test_two_rows_for_one_request_are_an_error(path: str) -> None:
    """A table says one thing for each request."""
    [row] = [row for row in ENDPOINTS if row.path == path.format("{id}")]

    with pytest.raises(ValueError, match="two rows"):
        Endpoints((*ENDPOINTS, replace(row, path=path.format("{x}"))), unknown=row)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/promises/a/peek", ("a",)),
        ("/promises//peek", ("",)),
        ("/promises/a%2Fb/peek", ("a%2Fb",)),
        ("/promises/{}/peek", ("{}",)),
        ("/promises/{id}/peek", ("{id}",)),
        ("/promises/peek/peek", ("peek",)),
        ("/promises/a/b/peek", None),
        ("/promises/a/peek/", None),
        ("/promise/{}", None),
        ("promises/a/peek", None),
        ("//promise/peek", None),
    ],
)
def test_a_parameter_is_one_segment(
    path: str, parameters: tuple[str, ...] | None
) -> None:
    """Of any characters, percent-encoded, also none; and never two."""
    found = ENDPOINTS.find("POST", path)

    if parameters is None:
        assert found.endpoint not in list(ENDPOINTS)
        assert "POST" == ",".join(found.allowed)
    else:
        assert "/promises/{id}/peek" == found.endpoint.path
        assert parameters == found.parameters


async def test_405_names_the_methods_of_the_path(pages: App) -> None:
    """All of them, and no others."""
    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
    for path, allow in (
        ("/watch", "POST, GET"),
        ("/health", "GET, HEAD"),
        ("/promise/peek", "POST"),
        ("/promises", "GET"),
        ("/page/x", "GET, POST"),
        ("/nowhere", "POST"),
    ):
        for method in ("PUT", "OPTIONS"):
            answer = await ask(pages, path, method=method, headers=headers)

            assert (405, allow) == (answer.status, answer.headers["allow"])
        assert 401 == (await ask(pages, path, method="PUT")).status


async def test_a_row_may_answer_with_a_page(pages: App) -> None:
    """Its own type and headers, in place of those of the wire; without a token."""
    answer = await ask(pages, "/page/a%20b", method="GET")

    assert (200, b"<p>a%20b  False") == (answer.status, answer.body)
    assert "text/html" == answer.headers["content-type"]
    assert "default-src 'self'" == answer.headers["content-security-policy"]
    assert "no-referrer" == answer.headers["referrer-policy"]
    assert "no-store" == answer.headers["cache-control"]


async def test_no_header_is_there_twice() -> None:
    """Two policies would both hold, and two types would be read either way."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await Response(200, b"<p>", PAGE, b"text/html").and_close().and_close().send(send)
    names = [name for name, _ in sent[0]["headers"]]
    assert sorted(set(names)) == sorted(names)


async def test_a_row_may_take_a_form(pages: App) -> None:
    """Of its type alone, and within its own bound."""
    for body, media_type, status in (
        (b"a=1", b"application/x-www-form-urlencoded; charset=utf-8", 200),
        (b"a=1", b"application/json", 415),
        (b"a" * 101, b"application/x-www-form-urlencoded", 413),
        (b"fail", b"application/x-www-form-urlencoded", 410),
    ):
        request = Request("/page/x", body)
        request._scope["headers"][1] = (b"content-type", media_type)
        await request.run(pages)

        assert (status, "text/html") == (
            request.status,
            request.headers["content-type"],
        )


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"method": "DELETE"}, 401),
        ({"method": "GET", "headers": [(b"origin", b"https://evil.test")]}, 403),
    ],
)
async def test_a_row_fails_in_its_own_way(
    pages: App, how: dict[str, object], status: int
) -> None:
    """Whoever refuses the request, people are told by a page."""
    answer = await ask(pages, "/page/x", **how)

    assert (status, b"<h1>failed") == (answer.status, answer.body)


async def test_what_is_named_is_not_a_parameter(pages: App) -> None:
    """A row with a name in a place goes before one with a parameter there."""
    assert b"<p> " in (await ask(pages, "/page/board", method="GET")).body
    assert b"<p>boar " in (await ask(pages, "/page/boar", method="GET")).body
    assert b"<p>{} " in (await ask(pages, "/page/{}", method="GET")).body


async def test_a_row_may_take_rights(pages: App) -> None:
    """Besides those of calls; whoever has no token, or another one, has not them."""
    for rights, status in ((("list",), 200), (("list", "read"), 200), (("read",), 403)):
        token = write_access(Access(frozenset(rights), ids=("*",)), LATER, [SECRET])
        headers = [(b"authorization", f"Bearer {token}".encode())]
        answer = await ask(pages, "/counts", method="GET", headers=headers)
        assert status == answer.status
    assert 401 == (await ask(pages, "/counts", method="GET")).status
