"""The ASGI app on both event loops, driven by hand: what no client can see."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from asgi_driver import Request, ask
from blockbuster import BlockBuster

import dp_core as dp
from dp_core import (
    AccessDeniedError,
    Backend,
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
    Outcome,
    OutcomeUnknownError,
    State,
    connect,
)
from dp_core.server import App, Settings, app

X = {"promiseId": "x"}


class Spy(Backend):
    """A memory backend that counts its waits, and fails on demand."""

    def __init__(self, name: str) -> None:
        self.inner = connect(f"memory:{name}").backend
        self.waiting: Counter[str] = Counter()
        self.waits = 0
        self.fail: Exception | None = None
        self.changed = anyio.Event()

    async def peek(self, id: str) -> State[bytes]:
        if self.fail:
            raise self.fail
        return await self.inner.peek(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        return await self.inner.settle(id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        self._count(id, 1)
        self.waits += 1
        try:
            return await self.inner.wait(id)
        finally:
            self._count(id, -1)

    async def dispose(self, id: str) -> None:
        await self.inner.dispose(id)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def _count(self, id: str, change: int) -> None:
        self.waiting[id] += change
        self.changed.set()
        self.changed = anyio.Event()

    async def until_waiting(self, number: int, id: str = "x") -> None:
        """Return once *number* waits are running."""
        while self.waiting[id] != number:
            await self.changed.wait()


@pytest.fixture
def spy(request: pytest.FixtureRequest) -> Spy:
    """A backend that nobody else uses."""
    return Spy(request.node.nodeid)


@pytest.fixture
def promises(spy: Spy) -> App:
    """An app on it."""
    return app(spy)


@asynccontextmanager
async def limited() -> AsyncIterator[TaskGroup]:
    """A task group that gives up where something hangs."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            yield group


# Waits ----------------------------------------------------------------------


async def test_a_wait_ends_with_its_client(promises: App, spy: Spy) -> None:
    """When the client goes away the backend's wait is cancelled, unanswered."""
    request = Request("/promise/await", b'{"promiseId":"x"}')
    async with limited() as group:
        group.start_soon(request.run, promises)
        await spy.until_waiting(1)
        request.disconnect()
        await spy.until_waiting(0)

    assert request.status is None


async def test_other_waits_go_on_when_one_ends(promises: App, spy: Spy) -> None:
    """A client that goes away takes nobody with it."""
    gone, stays = (Request("/promise/await", b'{"promiseId":"x"}') for _ in "ab")
    async with limited() as group:
        group.start_soon(gone.run, promises)
        group.start_soon(stays.run, promises)
        await spy.until_waiting(2)
        gone.disconnect()
        await spy.until_waiting(1)
        await ask(promises, "/promise/resolve", {**X, "value": [1]})

    assert stays.status == 200
    assert stays.json() == {"value": [1]}


async def test_a_wait_for_what_is_settled_starts_no_wait(
    promises: App, spy: Spy
) -> None:
    """An outcome that is there is answered at once, however many wait."""
    full = app(spy, Settings(max_waiters=0))
    await ask(promises, "/promise/reject", {**X, "errorMessage": "no"})
    answer = await ask(full, "/promise/await", X)

    assert answer.status == 200
    assert answer.json() == {"error": "no"}
    assert spy.waits == 0


async def test_waiters_are_bounded_and_nothing_else_is(spy: Spy) -> None:
    """Past the bound a wait is told when to come back; all else goes on."""
    bounded = app(spy, Settings(max_waiters=2))
    requests = [Request("/promise/await", b'{"promiseId":"x"}') for _ in range(2)]
    async with limited() as group:
        for request in requests:
            group.start_soon(request.run, bounded)
        await spy.until_waiting(2)
        refused = await ask(bounded, "/promise/await", X)
        peeked = await ask(bounded, "/promise/peek", X)
        settled = await ask(bounded, "/promise/resolve", {**X, "value": 1})

    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["code"] == 503
    assert peeked.status == settled.status == 200
    assert [request.status for request in requests] == [200, 200]

    await ask(bounded, "/promise/dispose", X)
    async with limited() as group:
        again = Request("/promise/await", b'{"promiseId":"x"}')
        group.start_soon(again.run, bounded)
        await spy.until_waiting(1)
        again.disconnect()


async def test_a_stop_answers_all_waiters(promises: App, spy: Spy) -> None:
    """Told to stop, the app answers waiters 503, and takes no new ones."""
    requests = [Request("/promise/await", b'{"promiseId":"x"}') for _ in range(100)]
    async with limited() as group:
        for request in requests:
            group.start_soon(request.run, promises)
        await spy.until_waiting(100)
        promises.stop()
    with anyio.fail_after(60):
        late = await ask(promises, "/promise/await", X)

    assert {request.status for request in [*requests, late]} == {503}
    assert {request.headers["retry-after"] for request in [*requests, late]} == {"1"}
    assert spy.waiting["x"] == 0
    assert (await ask(promises, "/promise/peek", X)).status == 200


async def test_a_wait_can_have_an_end(promises: App, spy: Spy) -> None:
    """When the time of ``Prefer`` is over the answer is 202, and it says so."""
    answer = await ask(
        promises, "/promise/await", X, headers=[(b"prefer", b"foo, wait=0")]
    )

    assert answer.status == 202
    assert answer.body == b"null"
    assert answer.headers["preference-applied"] == "wait=0"
    assert spy.waiting["x"] == 0


async def test_a_wait_with_an_end_gets_what_comes_before(
    promises: App, spy: Spy
) -> None:
    """An outcome in time is answered 200, as without a preference."""
    request = Request(
        "/promise/await", b'{"promiseId":"x"}', headers=[(b"prefer", b"wait=1000")]
    )
    async with limited() as group:
        group.start_soon(request.run, promises)
        await spy.until_waiting(1)
        await ask(promises, "/promise/resolve", {**X, "value": None})

    assert request.status == 200
    assert request.json() == {"value": None}
    assert "preference-applied" not in request.headers


async def test_a_disposal_is_told_to_those_who_wait(promises: App, spy: Spy) -> None:
    """Who waits when a promise is disposed of is answered 410."""
    request = Request("/promise/await", b'{"promiseId":"x"}')
    async with limited() as group:
        group.start_soon(request.run, promises)
        await spy.until_waiting(1)
        disposed = await ask(promises, "/promise/dispose", X)

    assert disposed.status == 200
    assert disposed.body == b""
    assert "content-type" not in disposed.headers
    assert request.status == 410
    assert request.json()["type"] == "PromiseDisposedError"


async def test_a_cancelled_request_leaves_no_wait(promises: App, spy: Spy) -> None:
    """A server that cancels a request cancels what the app does for it."""
    async with limited() as group:
        request = Request("/promise/await", b'{"promiseId":"x"}')
        group.start_soon(request.run, promises)
        await spy.until_waiting(1)
        group.cancel_scope.cancel()

    assert spy.waiting["x"] == 0
    assert request.status is None


# Bodies ---------------------------------------------------------------------


async def test_a_body_may_come_in_pieces(promises: App) -> None:
    """Pieces of any size make one body."""
    request = Request("/promise/peek", [b'{"promi', b"", b'seId":', b'"x"}'])
    await request.run(promises)

    assert request.status == 200
    assert request.body == b"null"


async def test_a_body_is_counted_while_it_comes(spy: Spy) -> None:
    """
    A body without a length, or with a false one, is refused past the limit.

    A client that sends a little too much may finish, and learns why.
    """
    small = app(spy, Settings(max_value_bytes=10))
    for headers in ([], [(b"content-length", b"5")]):
        request = Request("/promise/peek", [b" " * 40_000] * 3, headers=headers)
        await request.run(small)

        assert request.status == 413
        assert request._chunks == []


async def test_a_body_without_end_is_cut_off(promises: App) -> None:
    """Of a body that goes on and on, only so much is thrown away."""
    mebibyte = b" " * 2**20
    request = Request("/promise/peek", [mebibyte] * 30)
    await request.run(promises)

    assert request.status == 413
    assert len(request._chunks) == 12


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

    assert request.status == 413
    assert request._chunks == [b""]


async def test_a_body_that_does_not_come_is_not_awaited(spy: Spy) -> None:
    """A body has a time to arrive in; then its connection is closed."""
    hasty = app(spy, Settings(body_seconds=0.01))
    request = Request("/promise/peek", [])
    with anyio.fail_after(60):
        await request.run(hasty)

    assert request.status == 408
    assert request.headers["connection"] == "close"


async def test_a_client_that_goes_amid_its_body_is_not_answered(
    promises: App,
) -> None:
    """Half a call is no call."""
    request = Request("/promise/resolve", [])
    request.disconnect()
    await request.run(promises)

    assert request.status is None


async def test_a_large_body_is_read_beside_the_event_loop(
    promises: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a megabyte of small items is read, others are served."""
    threads = set()
    original = dp.wire.read_call

    def read_call(*arguments: Any) -> Any:
        threads.add(threading.current_thread() is threading.main_thread())
        return original(*arguments)

    monkeypatch.setattr("dp_core.server._app.read_call", read_call)
    await ask(promises, "/promise/resolve", {**X, "value": [[]] * 50_000})

    assert threads == {False}
    assert (await ask(promises, "/promise/peek", X)).json() == {"value": [[]] * 50_000}
    assert threads == {False, True}


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
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "/secret" in caplog.text


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

    assert answer.status == 404
    assert caplog.records == []


async def test_every_answer_has_the_headers_that_keep_browsers_out(
    promises: App,
) -> None:
    """No answer is sniffed, kept or rendered, and none grants CORS."""
    for path in ("/promise/peek", "/promise/dispose", "/promise/nope"):
        answer = await ask(promises, path, X, headers=[(b"prefer", b"wait=1")])

        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == "default-src 'none'"
        assert answer.headers["content-length"] == str(len(answer.body))
        assert not [name for name in answer.headers if name.startswith("access-")]


# As a part ------------------------------------------------------------------


async def test_a_server_may_give_no_raw_path(promises: App) -> None:
    """ASGI makes ``raw_path`` optional; without it the id is found all the same."""
    await ask(promises, "/promises/a%20b/resolve", 1)
    request = Request("/promises/a b/peek")
    del request._scope["raw_path"]
    await request.run(promises)

    assert request.json() == {"value": 1}


async def test_the_app_lives_with_its_server(promises: App) -> None:
    """Lifespan messages of ASGI are answered, so that no server complains."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await promises({"type": "lifespan", "asgi": {}}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


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

    assert sent == ["websocket.close"]


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
