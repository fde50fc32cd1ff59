"""The ASGI app on both event loops, driven by hand: what no client can see."""

from __future__ import annotations

import json
import logging
import threading
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from blockbuster import BlockBuster

import dp_core as dp
from dp_core import (
    AccessDeniedError,
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
    OutcomeUnknownError,
)
from dp_core.server import App, Settings, app
from support.server.asgi_driver import Request, Spy, ask

X = {"promiseId": "x"}


@pytest.fixture
def spy(request: pytest.FixtureRequest) -> Spy:
    """A backend that nobody else uses."""
    return Spy(request.node.nodeid)


@pytest.fixture
def promises(spy: Spy) -> App:
    """An app on it."""
    return app(spy)


# Bodies ---------------------------------------------------------------------


async def test_a_body_may_come_in_pieces(promises: App) -> None:
    """Pieces of any size make one body."""
    request = Request("/promise/peek", [b'{"promi', b"", b'seId":', b'"x"}'])
    await request.run(promises)

    assert 200 == request.status
    assert b"null" == request.body


async def test_a_body_is_counted_while_it_comes(spy: Spy) -> None:
    """
    A body without a length, or with a false one, is refused past the limit.

    A client that sends a little too much may finish, and learns why.
    """
    small = app(spy, Settings(max_value_bytes=10))
    for headers in ([], [(b"content-length", b"5")]):
        for pieces in ([b" " * 40_000] * 3, [b" " * 120_000]):
            request = Request("/promise/peek", pieces, headers=headers)
            await request.run(small)

            assert 413 == request.status
            assert [] == request._chunks


async def test_a_body_without_end_is_cut_off(promises: App) -> None:
    """Of a body that goes on and on, only so much is thrown away."""
    mebibyte = b" " * 2**20
    request = Request("/promise/peek", [mebibyte] * 30)
    await request.run(promises)

    assert 413 == request.status
    assert 12 == len(request._chunks)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"20000000")],
        [(b"content-length", b"9" * 5000)],
        [(b"content-length", b"2000000"), (b"expect", b"100-continue")],
    ],
)
async def test_a_body_that_says_it_is_too_long_is_not_read(
    promises: App, headers: list[tuple[bytes, bytes]]
) -> None:
    """Far too long, or not sent without a go-ahead, it is refused unread."""
    request = Request("/promise/peek", headers=headers)
    await request.run(promises)

    assert 413 == request.status
    assert [b""] == request._chunks


async def test_a_body_that_does_not_come_is_not_awaited(spy: Spy) -> None:
    """A body has a time to arrive in; then its connection is closed."""
    hasty = app(spy, Settings(body_seconds=0.01))
    request = Request("/promise/peek", [b"{"], ends=False)
    with anyio.fail_after(60):
        await request.run(hasty)

    assert 408 == request.status
    assert "close" == request.headers["connection"]


async def test_a_body_has_one_length(promises: App) -> None:
    """Of two that are told one is a lie, by which others hear another request."""
    headers = [(b"transfer-encoding", b"chunked"), (b"content-length", b"2")]
    request = Request("/promise/resolve", b"{}", headers=headers)
    await request.run(promises)

    assert (400, "the body has two lengths") == (
        request.status,
        request.json()["message"],
    )


@pytest.mark.parametrize("name", ["body_seconds", "idle_seconds", "send_seconds"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e9])
def test_a_time_is_neither_none_nor_for_ever(name: str, seconds: float) -> None:
    """Who sets it wrongly is told at the start, with what may be set."""
    with pytest.raises(ValueError, match=f"{name} is not a valid time"):
        Settings(**{name: seconds})  # type: ignore[arg-type] # one of several


async def test_a_body_that_ends_before_its_end_is_refused(promises: App) -> None:
    """Half a call changes nothing, whether its client left or framed it wrongly."""
    for pieces in ([], [b'{"promiseId":"x"'], [b'{"promiseId":"x"}']):
        request = Request("/promise/resolve", pieces, ends=False)
        request.disconnect()
        await request.run(promises)

        assert 400 == request.status
        assert "close" == request.headers["connection"]
    assert b"null" == (await ask(promises, "/promise/peek", X)).body


async def test_a_large_body_is_read_beside_the_event_loop(
    promises: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a megabyte of small items is read, others are served."""
    threads = set()
    original = dp.wire.read_call

    def read_call(*arguments: Any) -> Any:
        threads.add(threading.current_thread() is threading.main_thread())
        return original(*arguments)

    monkeypatch.setattr("dp_core.server._answering._requests.read_call", read_call)
    await ask(promises, "/promise/resolve", {**X, "value": [[]] * 50_000})

    assert {False} == threads
    assert {"value": [[]] * 50_000} == (await ask(promises, "/promise/peek", X)).json()
    assert {False, True} == threads


# Failures -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (BackendUnavailableError("/secret"), 503, "BackendUnavailableError"),
        (OutcomeUnknownError("/secret"), 500, "OutcomeUnknownError"),
        (CorruptPromiseError("/secret"), 500, "CorruptPromiseError"),
        (AccessDeniedError("/secret"), 403, "AccessDeniedError"),
        (BackendError("/secret"), 500, "BackendError"),
        # The client's own handle is open; it may ask again.
        (BackendClosedError("/secret"), 503, "BackendUnavailableError"),
        (ZeroDivisionError("/secret"), 500, "OutcomeUnknownError"),
    ],
    ids=repr,
)
async def test_a_failure_tells_the_client_its_kind_and_the_log_why(
    promises: App,
    spy: Spy,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    kind: str,
) -> None:
    """No path, host or traceback leaves the server; its owner finds them."""
    spy.fail = error
    answer = await ask(promises, "/promise/peek", X)

    assert answer.status == status
    assert answer.json()["type"] == kind
    assert answer.json()["code"] == status
    assert b"secret" not in answer.body
    assert ("retry-after" in answer.headers) == (503 == status)
    assert "/secret" in caplog.text


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, CancelledError])
@pytest.mark.parametrize("operation", ["peek", "await"])
async def test_what_is_meant_for_a_process_is_logged_and_goes_on(
    promises: App,
    spy: Spy,
    caplog: pytest.LogCaptureFixture,
    kind: type[BaseException],
    operation: str,
) -> None:
    """A backend raises it, for whatever reason: the log has it, the server decides."""
    spy.fail = kind("of the backend")
    with pytest.raises(BaseException, match="of the backend") as caught:
        await ask(promises, f"/promise/{operation}", X)

    assert caught.type is kind
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert f"{kind.__name__}: of the backend" in record.getMessage()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_of_the_backend_in_a_batch_is_logged(
    promises: App, spy: Spy, caplog: pytest.LogCaptureFixture
) -> None:
    """Its call has no answer, and is unknown to the client."""
    spy.fail = CancelledError("of the backend")
    answer = await ask(promises, "/batch", [{"op": "peek", **X}])

    assert [503] == [each["status"] for each in answer.json()]
    [record] = caplog.records
    assert "CancelledError: of the backend" in record.getMessage()


async def test_a_request_that_is_cancelled_is_not_logged(
    promises: App, spy: Spy, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers cancel requests, of whatever kind, as they stop."""
    for path, body in [
        ("/promise/await", X),
        ("/watch", {"promiseIds": ["x"]}),
        ("/batch", [{"op": "peek", **X}]),
    ]:
        request = Request(path, json.dumps(body).encode())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(request.run, promises)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    assert [] == caplog.records


@pytest.mark.parametrize("kind", [BackendUnavailableError, ZeroDivisionError])
async def test_nobody_can_forge_a_line_of_the_log(
    promises: App, spy: Spy, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    """Line ends and terminal escapes in ids and errors are shown, not done."""
    id = "a\nFORGED\r\x1b[31m\u2028FORGED"
    spy.fail = kind(id)
    await ask(promises, "/promise/peek", {"promiseId": id})
    [record] = caplog.records
    lines = record.getMessage().splitlines()

    assert "FORGED" in record.getMessage()
    assert record.levelno == logging.ERROR
    assert not any(line.startswith("FORGED") for line in lines)
    assert all(line.startswith("| ") for line in lines[1:])
    assert not set("\r\x1b\u2028") & set(record.getMessage())


async def test_what_clients_do_wrong_is_not_logged(
    promises: App, caplog: pytest.LogCaptureFixture
) -> None:
    """Refusals fill nobody's disk."""
    answer = await ask(promises, "/promise/nope", X)

    assert 404 == answer.status
    assert [] == caplog.records


async def test_a_server_may_not_say_who_asks(promises: App) -> None:
    """As behind a Unix socket; the request is answered, and nothing is kept of it."""
    request = Request("/promise/peek", b'{"promiseId":"x"}')
    request._scope["client"] = None
    await request.run(promises)

    assert 200 == request.status
    assert set() == promises.asking


async def test_every_answer_has_the_headers_that_keep_browsers_out(
    promises: App,
) -> None:
    """No answer is sniffed, kept or rendered, and none grants CORS."""
    for path in ("/promise/peek", "/promise/dispose", "/promise/nope"):
        answer = await ask(promises, path, X, headers=[(b"prefer", b"wait=1")])

        assert "nosniff" == answer.headers["x-content-type-options"]
        assert "no-store" == answer.headers["cache-control"]
        assert "default-src 'none'" == answer.headers["content-security-policy"]
        assert answer.headers["content-length"] == str(len(answer.body))
        assert not [name for name in answer.headers if name.startswith("access-")]


# As a part ------------------------------------------------------------------


async def test_a_server_may_give_no_raw_path(promises: App) -> None:
    """ASGI makes ``raw_path`` optional; without it the id is found all the same."""
    await ask(promises, "/promises/a%20b/resolve", 1)
    request = Request("/promises/a b/peek")
    del request._scope["raw_path"]
    await request.run(promises)

    assert {"value": 1} == request.json()


@pytest.mark.parametrize(
    ("path", "status"),
    [(b"/promises/\xe2\x98\x83/peek", 200), (b"/promises/\xff/peek", 400)],
)
async def test_a_raw_path_is_utf8(promises: App, path: bytes, status: int) -> None:
    """A server may pass bytes that no URL has; what they cannot say is refused."""
    request = Request("")
    request._scope["raw_path"] = path
    await request.run(promises)

    assert request.status == status


async def test_the_app_lives_with_its_server(promises: App) -> None:
    """Lifespan messages of ASGI are answered, so that no server complains."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await promises({"type": "lifespan", "asgi": {}}, receive, send)

    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == sent


async def test_websockets_are_refused(promises: App) -> None:
    """There is no other way in."""
    sent = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await promises(
        {"type": "websocket", "path": "/promise/peek", "headers": []}, receive, send
    )

    assert ["websocket.close"] == sent


@contextmanager
def no_blocking_calls() -> Iterator[None]:
    """Fail on any blocking call in the event loop."""
    blockbuster = BlockBuster()
    blockbuster.activate()
    try:
        yield
    finally:
        blockbuster.deactivate()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_app_never_blocks_the_event_loop(promises: App) -> None:
    """No operation makes a blocking call where everybody waits for it."""
    with no_blocking_calls():
        for operation, more in [
            ("peek", {}),
            ("resolve", {"value": "x" * 100_000}),
            ("await", {}),
            ("reject", {"errorMessage": "no"}),
            ("dispose", {}),
            ("nope", {}),
        ]:
            answer = await ask(promises, f"/promise/{operation}", {**X, **more})
            assert answer.status in (200, 404)
