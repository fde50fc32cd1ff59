"""`POST /batch` on both event loops: calls together, each answered as if alone."""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import dp_core as dp
from dp_core import (
    AccessDeniedError,
    Backend,
    BackendUnavailableError,
    CorruptPromiseError,
    DurablePromiseError,
    Outcome,
    OutcomeUnknownError,
    Resolved,
    State,
)
from dp_core.server import App, Settings, app
from dp_core.server._answering import _batch
from dp_core.wire import MAX_BATCH_ANSWER_BYTES
from support.server.asgi_driver import Request, ask

MIB = 2**20


def call(op: str, id: str = "x", **members: Any) -> dict[str, Any]:
    """Return a call of a batch."""
    return {"op": op, "promiseId": id, **members}


@pytest.fixture
def inner(request: pytest.FixtureRequest) -> Backend:
    """A backend that nobody else uses."""
    return dp.connect(f"memory:{request.node.nodeid}").backend


@pytest.fixture
def promises(inner: Backend) -> App:
    """An app on it."""
    return app(inner)


async def answers(promises: App, *calls: Any) -> list[tuple[int, Any]]:
    """Return status and body of the answer to each call."""
    request = await ask(promises, "/batch", calls)
    assert 200 == request.status, request.body
    return [(answer["status"], answer["body"]) for answer in request.json()]


class Meeting(Backend):
    """
    A backend that keeps all its settles back until so many have come.

    Attributes:
        here: How many are there.
        most: How many were there at once.
        order: What was asked, in this order.
    """

    def __init__(self, inner: Backend, awaited: int) -> None:
        self.inner, self.awaited = inner, awaited
        self.here = self.most = 0
        self.order: list[str] = []
        self.came = anyio.Event()
        self.fails: dict[str, Exception] = {}

    async def peek(self, id: str) -> State[bytes]:
        self.order.append(f"peek {id}")
        return await self.inner.peek(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        self.order.append(f"settle {id}")
        self.here += 1
        self.most = max(self.most, self.here)
        if self.here >= self.awaited:
            self.came.set()
        try:
            await self.came.wait()
            if id in self.fails:
                raise self.fails[id]
            return await self.inner.settle(id, outcome)
        finally:
            self.here -= 1

    async def wait(self, id: str) -> Outcome[bytes]:
        return await self.inner.wait(id)

    async def dispose(self, id: str) -> None:
        self.order.append(f"dispose {id}")
        await self.inner.dispose(id)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_every_call_is_answered_as_it_would_be_alone(promises: App) -> None:
    """Peek, settles, create, info and dispose, and what is wrong, in their places."""
    found = await answers(
        promises,
        call("peek", "a"),
        call("resolve", "a", value={"b": [1.50]}, by="me"),
        call("reject", "c", errorMessage="no"),
        call("create", "d", data=5, tags={"k": "v"}),
        call("nix", "e"),
        call("info", "a"),
        call("dispose", "c"),
        call("peek", "c"),
        call("create", "d"),
        17,
    )

    bodies = [body for _, body in found]
    assert [200, 200, 200, 201, 404, 200, 200, 200, 200, 400] == [s for s, _ in found]
    assert [None, {"value": {"b": [1.5]}}, {"error": "no"}] == bodies[:3]
    assert (5, {"k": "v"}) == (bodies[3]["data"], bodies[3]["tags"])
    assert "me" == bodies[5]["settledBy"]
    assert [None, None, bodies[3]] == bodies[6:9]
    for path, at in (("/promise/info", 5), ("/promise/peek", 7)):
        id = {"promiseId": "a" if at == 5 else "c"}
        assert bodies[at] == (await ask(promises, path, id)).json()


async def test_calls_on_one_promise_are_done_in_their_order(inner: Backend) -> None:
    """Each sees what the one before it did."""
    found = await answers(
        app(inner),
        call("resolve", value=1),
        call("resolve", "other", value=0),
        call("dispose"),
        call("peek"),
        call("resolve", value=2),
        call("peek"),
    )

    assert [{"value": 1}, {"value": 0}, None, None, {"value": 2}, {"value": 2}] == [
        body for _, body in found
    ]


async def test_calls_on_different_promises_are_done_together(inner: Backend) -> None:
    """All are under way before one is done, so a store can share a commit."""
    meeting = Meeting(inner, 50)
    ids = [str(number) for number in range(50)]
    with anyio.fail_after(60):
        found = await answers(
            app(meeting), *(call("resolve", id, value=id) for id in ids)
        )

    assert [(200, {"value": id}) for id in ids] == found
    assert 50 == meeting.most


async def test_so_many_and_no_more_are_done_at_once(inner: Backend) -> None:
    """What a batch can make a server hold has a limit; all are done all the same."""
    meeting = Meeting(inner, _batch.AT_ONCE)
    found = await answers(
        app(meeting), *(call("resolve", str(n), value=n) for n in range(500))
    )

    assert [(200, {"value": n}) for n in range(500)] == found
    assert _batch.AT_ONCE == meeting.most


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BackendUnavailableError("at /secret"), 503),
        (OutcomeUnknownError("at /secret"), 500),
        (CorruptPromiseError("at /secret"), 500),
        (AccessDeniedError("at /secret"), 403),
        (RuntimeError("a bug at /secret"), 500),
    ],
    ids=repr,
)
async def test_one_that_fails_changes_nothing_for_the_others(
    inner: Backend, error: Exception, status: int
) -> None:
    """Its answer says so as it would have alone, without the store's own words."""
    meeting = Meeting(inner, 3)
    meeting.fails["b"] = error
    first, second, third, after = await answers(
        app(meeting),
        call("resolve", "a", value=1),
        call("resolve", "b", value=2),
        call("resolve", "c", value=3),
        call("peek", "b"),
    )

    assert ((200, {"value": 1}), (200, {"value": 3})) == (first, third)
    assert (200, None) == after
    assert status == second[0] == second[1]["code"]
    assert "secret" not in second[1]["message"]
    if isinstance(error, DurablePromiseError):
        assert type(error).__name__ == second[1]["type"]


async def test_a_store_without_terms_says_so_for_each_call(inner: Backend) -> None:
    """Create and info are answered 501, and the rest is done."""
    found = await answers(
        app(Meeting(inner, 1)), call("create"), call("info"), call("resolve", value=1)
    )

    assert [501, 501, 200] == [status for status, _ in found]


async def test_answers_have_eight_megabytes(
    inner: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After that the rest is not begun, and may be asked again."""
    monkeypatch.setattr(_batch, "AT_ONCE", 1)
    value = b'"%b"' % (b"x" * (MIB - 2))
    for number in range(10):
        await inner.settle(str(number), Resolved(value))
    meeting = Meeting(inner, 0)
    found = await answers(app(meeting), *(call("peek", str(n)) for n in range(10)))

    done = MAX_BATCH_ANSWER_BYTES // MIB
    assert [200] * done + [503] * (10 - done) == [status for status, _ in found]
    assert "BackendUnavailableError" == found[-1][1]["type"]
    assert "not begun" in found[-1][1]["message"]
    assert [f"peek {n}" for n in range(done)] == meeting.order


async def test_what_is_not_done_in_time_is_unknown(
    inner: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered 503 and says that it is unknown; what waited behind it, is not."""
    monkeypatch.setattr(_batch, "BATCH_SECONDS", 0.01)
    meeting = Meeting(inner, 1000)
    found = await answers(
        app(meeting), call("resolve", value=1), call("dispose"), call("peek", "y")
    )

    assert [503, 503, 200] == [status for status, _ in found]
    assert ["OutcomeUnknownError", "BackendUnavailableError"] == [
        body["type"] for _, body in found[:2]
    ]
    assert "unknown" in found[0][1]["message"]
    assert 503 == found[0][1]["code"]
    assert "dispose x" not in meeting.order


async def test_a_departure_stops_nothing_that_began(inner: Backend) -> None:
    """A client that goes away after its request has had its calls done."""
    meeting = Meeting(inner, 3)
    body = json.dumps([call("resolve", "a", value=1), call("resolve", "b", value=2)])
    request = Request("/batch", body.encode())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request.run, app(meeting))
        while meeting.here < 2:
            await anyio.lowlevel.checkpoint()
        request.disconnect()
        await meeting.settle("c", Resolved(b"3"))

    assert Resolved(b"1") == await inner.peek("a")
    assert Resolved(b"2") == await inner.peek("b")


@pytest.mark.parametrize("body", [None, {}, 1, "[]", {"calls": []}], ids=repr)
async def test_what_is_not_an_array_is_refused(promises: App, body: object) -> None:
    """It is 400, in the wire's form."""
    request = await ask(promises, "/batch", body)

    assert 400 == request.status
    assert 400 == request.json()["code"]


async def test_more_than_a_thousand_calls_are_refused(inner: Backend) -> None:
    """None of them is done."""
    calls = [call("resolve", str(n), value=1) for n in range(1001)]

    assert 400 == (await ask(app(inner), "/batch", calls)).status
    assert dp.Pending() == await inner.peek("0")
    assert 1000 == len(await answers(app(inner), *calls[:1000]))


async def test_a_body_has_eight_megabytes(inner: Backend) -> None:
    """Or one value and what is around it, where that is more; 413 above."""
    text = b"[" + b" " * (8 * MIB - 2) + b"]"
    for settings, extra, status in (
        (Settings(), 0, 200),
        (Settings(), 1, 413),
        (Settings(max_value_bytes=10), 0, 200),
        (Settings(max_value_bytes=9 * MIB), MIB, 200),
        (Settings(max_value_bytes=9 * MIB), MIB + 64 * 1024 + 1, 413),
    ):
        request = Request("/batch", text + b" " * extra)
        await request.run(app(inner, settings))
        assert status == request.status


async def test_a_value_has_its_own_limit_in_a_batch(inner: Backend) -> None:
    """One that is too large is refused as alone, the others are not."""
    found = await answers(
        app(inner, Settings(max_value_bytes=10)),
        call("resolve", "a", value="x" * 9),
        call("resolve", "b", value="x" * 8),
    )

    assert [422, 200] == [status for status, _ in found]


async def test_who_may_not_ask_may_not_ask_for_a_batch(inner: Backend) -> None:
    """No token, another one, a foreign page, another method or type: as alone."""
    guarded = app(inner, Settings(token="t" * 40))
    body = json.dumps([call("resolve", value=1)]).encode()
    good = (b"authorization", b"Bearer " + b"t" * 40)
    for headers, method, status in (
        ([], "POST", 401),
        ([(b"authorization", b"Bearer nix")], "POST", 401),
        ([good, (b"origin", b"https://evil.example")], "POST", 403),
        ([good, (b"sec-fetch-site", b"cross-site")], "POST", 403),
        ([good], "GET", 405),
        ([good, (b"content-encoding", b"gzip")], "POST", 415),
    ):
        request = Request("/batch", body, method=method, headers=headers)
        await request.run(guarded)
        assert status == request.status
    assert dp.Pending() == await inner.peek("x")

    request = Request("/batch", body, headers=[good])
    await request.run(guarded)
    assert 200 == request.status
    assert Resolved(b"1") == await inner.peek("x")
