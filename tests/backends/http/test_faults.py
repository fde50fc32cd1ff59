"""The HTTP backend when connections are cut, servers fail, and time runs out."""

from __future__ import annotations

import socket
from errno import ECONNRESET, EMFILE
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint

from dp_backends.http import HttpBackend, HttpStats, _retry, _sockets
from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_core import (
    BackendUnavailableError,
    DurablePromiseError,
    OutcomeUnknownError,
    Pending,
    Resolved,
)
from dp_core.wire import Call, Dispose, Peek, Settle, Wait
from support.http_faults import Proxy, Server, eventually, http_answer, keep_error

ONE = Resolved(b"1")
ANSWER = http_answer(200, b'{"value":1}')
DISPOSED = http_answer(200, b"")


async def ask(backend: HttpBackend, call: Call, id: str = "a") -> object:
    """Do for *id* what *call* does, and return what comes of it."""
    match call:
        case Settle():
            return await backend.settle(id, ONE)
        case Peek():
            return await backend.peek(id)
        case Wait():
            return await backend.wait(id)
        case Dispose():
            await backend.dispose(id)
            return None


async def known(url: str) -> HttpBackend:
    """Return a handle that has met its server, so that it waits by waiting."""
    backend = HttpBackend(url)
    await backend.peek("met")
    return backend


def dead_url() -> str:
    """Return the URL of a port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture(name="_long_pauses")
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pause longer than any deadline here."""
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 60)


@pytest.fixture(name="_no_pauses")
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pause as short as it can be."""
    monkeypatch.setattr(_retry, "uniform", lambda low, high: low)


# Cuts at every byte ---------------------------------------------------------


async def aim(proxy: Proxy, call: Call) -> HttpBackend:
    """Return a handle of which the next request, to make *call*, is cut."""
    # As long as this test may take where much else runs.
    url = f"{proxy.url}?retry=120"
    # A wait begins with a peek, unless the server has answered before.
    backend = await known(url) if isinstance(call, Wait) else HttpBackend(url)
    proxy.armed = True
    return backend


async def length_of(call: Call, side: str) -> int:
    """Return how many bytes there are to cut."""
    async with Server().serving() as server:
        if not isinstance(call, Settle):
            await server.backend.settle(call.id, ONE)
        proxy = Proxy(server.port, side)
        async with proxy.serving():
            backend = await aim(proxy, call)
            await ask(backend, call, call.id)
            await backend.aclose()
    return proxy.passed


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize("call", [Settle("000", ONE), Peek("000"), Wait("000")])
async def test_a_cut_at_any_byte_is_made_good(
    call: Call, side: str, reset: bool
) -> None:
    """
    Wherever the connection is cut, the outcome is right and there is one only.

    Settle completes the promise exactly once, however often it is sent.
    """
    # A whole request may be cut off from its response; a whole response is read.
    length = await length_of(call, side) + (side == "request")
    async with Server().serving() as server:
        if not isinstance(call, Settle):
            for n in range(length):
                await server.backend.settle(f"{n:03}", ONE)
        connections: list[int] = []

        async def attempt(limit: int) -> None:
            proxy = Proxy(server.port, side, limit, reset)
            async with proxy.serving():
                backend = await aim(proxy, call)
                assert ONE == await ask(backend, call, f"{limit:03}")
                await backend.aclose()
            connections.append(proxy.connections)

        async with anyio.create_task_group() as tasks:
            for limit in range(length):
                tasks.start_soon(attempt, limit)

    assert [2] * length == connections
    if isinstance(call, Settle):
        assert {(Settle, f"{n:03}"): 1 for n in range(length)} == server.changes


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("side", ["request", "response"])
async def test_a_cut_dispose_is_not_repeated(side: str, reset: bool) -> None:
    """
    It says that the outcome is unknown, and is done once at most.

    An outcome that came after it must not be disposed of by its repetition.
    """
    call = Dispose("000")
    length = await length_of(call, side) + (side == "request")
    told: list[DurablePromiseError] = []
    async with Server().serving() as server:

        async def attempt(limit: int) -> None:
            proxy = Proxy(server.port, side, limit, reset)
            async with proxy.serving():
                backend = await aim(proxy, call)
                await keep_error(partial(backend.dispose, f"{limit:03}"), told)
                await backend.aclose()
            assert 1 == proxy.connections

        async with anyio.create_task_group() as tasks:
            for limit in range(length):
                tasks.start_soon(attempt, limit)
        # Of the requests that are cut, one gets through whole.
        arrived = 1 if side == "request" else length
        await server.until(lambda server: len(server.changes) >= arrived)

    assert [OutcomeUnknownError] * length == [type(error) for error in told]
    assert [1] * arrived == list(server.changes.values())


async def test_a_connection_never_mixes_answers_up() -> None:
    """Many tasks on one handle each get the answer to their own question."""

    async def work(backend: HttpBackend, task: int) -> None:
        for n in range(10):
            id, mine = f"{task}-{n}", Resolved(b"[%d,%d]" % (task, n))
            assert mine == await backend.settle(id, mine)
            assert mine == await backend.peek(id)
            assert mine == await backend.wait(id)

    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        async with anyio.create_task_group() as tasks:
            for task in range(32):
                tasks.start_soon(work, backend, task)

    assert server.connections <= 32


@pytest.mark.parametrize("call", [Settle("", ONE), Peek(""), Wait("")])
async def test_cancelling_at_any_step_leaves_a_whole_state(call: Call) -> None:
    """Nobody gets an answer meant for another, and nothing is left in use."""
    async with Server().serving() as server:
        await server.backend.settle("other", Resolved(b'"other"'))
        backends = {"new": HttpBackend(server.url), "known": await known(server.url)}
        for name, backend in backends.items():
            for steps in range(30):
                id = f"{steps}-{name}"
                if not isinstance(call, Settle):
                    await server.backend.settle(id, ONE)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask, backend, call, id)
                    for _ in range(steps):
                        await checkpoint()
                    tasks.cancel_scope.cancel()

                assert 0 == backend.stats().busy
                assert Resolved(b'"other"') == await backend.peek("other")
                assert ONE == await backend.settle(id, ONE)
            await backend.aclose()


async def test_a_half_read_answer_ends_its_connection() -> None:
    """Who is cancelled in the middle of an answer leaves no rest to the next."""
    async with Server().serving() as server:
        await server.backend.settle("b", ONE)
        backend = HttpBackend(server.url)
        server.canned.append(http_answer(200, b'{"value":2}')[:-5])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.peek, "a")
            await server.until(lambda server: not server.canned)
            for _ in range(20):
                await checkpoint()
            tasks.cancel_scope.cancel()

        assert ONE == await backend.peek("b")
        assert 2 == server.connections


async def test_a_half_sent_question_ends_its_connection() -> None:
    """Who is cancelled while the server does not read leaves nothing in use."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's
        backend = HttpBackend(f"http://127.0.0.1:{port}")
        long = Resolved(b'"%b"' % (b"x" * 2**25))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.settle, "a", long)
            await eventually(lambda: backend.stats().busy > 0)
            tasks.cancel_scope.cancel()

        assert HttpStats(0, 0, 0, busy=0, idle=0) == backend.stats()


async def test_what_comes_after_an_answer_is_never_the_next_one() -> None:
    """A server that sends more than it was asked for is not asked again there."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        server.canned.append(http_answer(200, b"null") + ANSWER)

        assert Pending() == await backend.peek("a")
        assert Pending() == await backend.peek("b")
        assert 2 == server.connections


# Keeping connections --------------------------------------------------------


async def test_connections_are_kept() -> None:
    """One after the other, all operations use one connection."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        for n in range(20):
            await backend.settle(str(n), ONE)
            await backend.wait(str(n))

    assert 1 == server.connections


@pytest.mark.usefixtures("_long_pauses")
async def test_a_connection_the_server_closed_is_replaced() -> None:
    """That it was idle for too long is no failure: there is no pause."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
        await server.hang_up()
        await eventually(lambda: backend.stats().idle == 0)
        await backend.peek("a")

        assert [Peek("a")] * 2 == server.calls
        assert 2 == server.connections


@pytest.mark.usefixtures("_no_pauses")
async def test_a_dead_connection_takes_the_idle_ones_along() -> None:
    """What ended one may have ended all; each would cost a failure of its own."""
    async with Server().serving() as server:
        backend = await known(server.url)
        async with anyio.create_task_group() as tasks:
            for id in "abc":
                tasks.start_soon(backend.wait, id)
            for id in "abc":
                await server.resolve_waited(id)
        assert 3 == backend.stats().idle
        server.canned.append(None)
        await backend.peek("a")

        assert 4 == server.connections
        assert 1 == backend.stats().idle


async def test_dispose_never_uses_a_kept_connection() -> None:
    """Else the death of an idle connection would leave its outcome unknown."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
        await backend.dispose("a")

        assert 2 == server.connections


# Failures -------------------------------------------------------------------

TRANSIENT = (None, *(http_answer(status) for status in (408, 429, 500, 502, 503, 504)))


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("call", [Settle("a", ONE), Peek("a"), Wait("a")])
async def test_what_may_get_better_is_asked_again(call: Call) -> None:
    """Cuts, overload and failures of the server are not the caller's business."""
    async with Server().serving() as server:
        if not isinstance(call, Settle):
            await server.backend.settle("a", ONE)
        backend = await known(server.url)
        server.calls.clear()
        server.canned.extend(TRANSIENT)

        assert ONE == await ask(backend, call)

    assert [call] * (len(TRANSIENT) + 1) == server.calls


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("status", [408, 429, 503])
async def test_a_dispose_that_was_turned_away_is_repeated(status: int) -> None:
    """Where the server says that nothing was done, asking again is safe."""
    async with Server().serving() as server:
        server.canned.append(http_answer(status))

        await HttpBackend(server.url).dispose("a")

    assert [Dispose("a")] * 2 == server.calls


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_dispose_that_failed_is_not_repeated(status: int) -> None:
    """Where it may have been done, the caller decides."""
    async with Server().serving() as server:
        server.canned.append(http_answer(status))

        with pytest.raises(OutcomeUnknownError, match="look before you repeat"):
            await HttpBackend(server.url).dispose("a")

    assert [Dispose("a")] == server.calls


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("header", [b"Retry-After: 4", b"Retry-After: 9999"])
async def test_retry_after_is_honoured(header: bytes) -> None:
    """With no time left for when the server wants to be asked, it is over now."""
    async with Server().serving() as server:
        backend = HttpBackend(server.url)
        server.canned.append(http_answer(503, b'{"message":"busy"}', header))

        with pytest.raises(BackendUnavailableError, match="busy"), anyio.fail_after(3):
            await backend.peek("a")
        with anyio.fail_after(30):
            await backend.peek("a")


@pytest.mark.usefixtures("_no_pauses")
async def test_retry_after_as_a_date_is_no_hindrance() -> None:
    """Then the pauses are as usual."""
    header = b"Retry-After: Wed, 21 Oct 2065 07:28:00 GMT"
    async with Server().serving() as server:
        server.canned.append(http_answer(503, b"{}", header))

        assert Pending() == await HttpBackend(server.url).peek("a")


def test_pauses_grow_up_to_a_limit() -> None:
    """Every pause is drawn from a range that doubles, up to two seconds."""
    attempts = Attempts()
    longest = []
    for _ in range(12):
        attempts.add(AttemptFailed("down"))
        longest.append(max(attempts.pause() for _ in range(200)))

    assert all(pause <= 0.05 * 2 ** (n + 1) for n, pause in enumerate(longest))
    assert max(longest) <= 2
    assert longest[-1] > 1


def test_a_server_cannot_send_us_away_for_long() -> None:
    """What ``Retry-After`` says is capped."""
    attempts = Attempts()
    attempts.add(AttemptFailed("busy", retry_after=1e9))

    assert 5 <= attempts.pause() <= 7


# Time -----------------------------------------------------------------------


async def test_who_is_asked_in_vain_is_said_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody stares at a silent program: the second failure is logged, once."""
    backend = HttpBackend(f"{dead_url()}?retry=1")
    with pytest.raises(BackendUnavailableError) as error:
        await backend.peek("a")

    assert [f"{error.value.reason!r}; trying again"] == caplog.messages


@pytest.mark.usefixtures("_long_pauses")
@pytest.mark.parametrize("call", [Settle("a", ONE), Peek("a"), Wait("a"), Dispose("a")])
@pytest.mark.parametrize("limit", ["deadline", "retry"])
async def test_nobody_there_is_said_in_time(call: Call, limit: str) -> None:
    """
    Before the caller's deadline, or when what the URL allows is over.

    The error says where nobody is, and what to do; nothing was done.
    """
    url = dead_url()
    backend = HttpBackend(url)
    told: list[DurablePromiseError] = []
    with anyio.fail_after(30 if limit == "deadline" else None):
        await keep_error(partial(ask, backend, call), told)

    assert BackendUnavailableError is type(told[0])
    assert url.removeprefix("http://") in str(told[0])
    assert "dp serve" in str(told[0])


async def test_a_settle_without_an_answer_is_unknown() -> None:
    """It may have taken effect, and repeating it tells what stands."""
    async with Server(mute=True).serving() as server:
        backend = HttpBackend(f"{server.url}?retry=1")
        with pytest.raises(OutcomeUnknownError, match="repeat it"):
            await backend.settle("a", ONE)
        server.mute = False

        assert ONE == await HttpBackend(server.url).settle("a", Resolved(b"2"))
        assert 1 == server.changes[Settle, "a"]


async def test_a_doubt_is_not_forgotten() -> None:
    """That a later attempt surely failed does not undo what an earlier one did."""
    server = Server(mute=True)
    told: list[DurablePromiseError] = []
    async with anyio.create_task_group() as tasks, server.serving():
        backend = HttpBackend(f"{server.url}?retry=1")
        tasks.start_soon(keep_error, partial(backend.settle, "a", ONE), told)
        await server.until(lambda server: bool(server.changes))

    assert OutcomeUnknownError is type(told[0])
    assert "refused" in str(told[0])


async def test_a_dispose_without_an_answer_is_unknown() -> None:
    """It is not repeated: that could dispose of a newer completion."""
    async with Server(mute=True).serving() as server:
        with pytest.raises(OutcomeUnknownError, match="look before you repeat"):
            await HttpBackend(f"{server.url}?retry=1").dispose("a")

    assert [Dispose("a")] == server.calls


async def test_a_peek_without_an_answer_changed_nothing() -> None:
    """So it is no unknown outcome, but a server that does not answer."""
    async with Server(mute=True).serving() as server:
        with pytest.raises(BackendUnavailableError, match="retry=SECONDS"):
            await HttpBackend(f"{server.url}?retry=1").peek("a")


async def test_the_deadline_of_the_caller_is_the_callers() -> None:
    """A server that is only slow is cut off by it, and by no error of ours."""
    async with Server(mute=True).serving() as server:
        with pytest.raises(TimeoutError), anyio.fail_after(0.2):
            await HttpBackend(f"{server.url}?retry=0.1").peek("a")


async def test_a_failure_does_not_take_the_place_of_a_cancellation() -> None:
    """Where both come at once, the task ends as cancelled, not with an error."""
    attempts = Attempts()
    attempts.add(AttemptFailed("down"))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await RetryBudget(10).pause(attempts)

    assert scope.cancelled_caught


class _Narcissus(socket.socket):
    """A socket whose own end is given the port that it connects to."""

    def connect(self, address: Any, /) -> None:
        self.bind(address)
        super().connect(address)


@pytest.mark.usefixtures("_long_pauses")
async def test_a_connection_to_itself_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """TCP allows it where nobody listens; it would read its own question."""
    url = dead_url()
    monkeypatch.setattr(socket, "socket", _Narcissus)
    with pytest.raises(BackendUnavailableError, match="refused"):
        await HttpBackend(url).peek("a")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ConnectionRefusedError(), "dp serve"),
        (socket.gaierror(socket.EAI_NONAME, "Name unknown"), "name right"),
        (TimeoutError(), "host up"),
        (OSError(EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(ECONNRESET, "Connection reset"), "Connection reset"),
        (anyio.BrokenResourceError(), "cut"),
    ],
)
async def test_a_failed_connection_says_what_to_do(
    error: Exception, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way in which there is no connection has its own advice."""

    async def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(_sockets, "_open_socket", fail)
    with pytest.raises(BackendUnavailableError, match=advice):
        await HttpBackend("http://h:1?retry=0.01").peek("a")
