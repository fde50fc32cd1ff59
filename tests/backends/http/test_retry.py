"""Repeated calls: which, how often, for how long, and what is said in the end."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from dp_backends.http import HttpBackend
from dp_backends.http._calling import _wire_client
from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_core import (
    BackendUnavailableError,
    DurablePromiseError,
    OutcomeUnknownError,
    Pending,
    PromiseTimeoutError,
    Resolved,
    connect,
)
from dp_core.wire import Call, Dispose, Peek, Settle, Wait
from support.http import (
    Server,
    dead_url,
    failure,
    http_answer,
    keep_error,
    known,
    make,
    page,
)

ONE = Resolved(b"1")


# What is repeated -----------------------------------------------------------


STATUSES = (408, 429, 500, 502, 503, 504)
TRANSIENT = (None, *map(http_answer, STATUSES), *map(failure, STATUSES))


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("call", [Settle("a", ONE), Peek("a"), Wait("a")])
async def test_a_call_that_may_succeed_later_is_repeated(call: Call) -> None:
    """Cuts, overload and failures of the server are not the caller's business."""
    async with Server().serving() as server:
        if not isinstance(call, Settle):
            await server.backend.settle("a", ONE)
        backend = await known(server.url)
        server.calls.clear()
        server.canned.extend(TRANSIENT)

        assert ONE == await make(backend, call)

    # A wait that was cut off asks what can be answered at once.
    first = len(TRANSIENT) - len(STATUSES) if isinstance(call, Wait) else 0
    assert [Peek("a")] * first == server.calls[1 : first + 1]
    assert {call, server.calls[0]} == {call}
    assert len(TRANSIENT) + 1 == len(server.calls)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("status", [408, 429, 503])
async def test_a_dispose_that_was_turned_away_is_repeated(status: int) -> None:
    """If the server says that nothing was done, repeating is safe."""
    async with Server().serving() as server:
        backend = await known(server.url)
        server.calls.clear()
        server.canned.append(http_answer(status))

        await backend.dispose("a")

    assert [Dispose("a")] * 2 == server.calls


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_dispose_that_failed_is_not_repeated(status: int) -> None:
    """If it may have been done, the caller decides."""
    async with Server().serving() as server:
        server.canned.append(http_answer(status))

        with pytest.raises(OutcomeUnknownError, match="look before you repeat"):
            await HttpBackend(server.url).dispose("a")

    assert [Dispose("a")] == server.calls


# Pauses ---------------------------------------------------------------------


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
    """The time that ``Retry-After`` asks for is capped."""
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

    assert [f"{error.value.reason}; trying again"] == caplog.messages


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
        await keep_error(partial(make, backend, call), told)

    assert BackendUnavailableError is type(told[0])
    assert url.removeprefix("http://") in str(told[0])
    assert "dp serve" in str(told[0])


@pytest.mark.parametrize("way", ["a dead port", "503", "a page", "a name of nobody"])
async def test_who_has_no_time_is_told_at_once(way: str) -> None:
    """``get(timeout=0)`` asks once, whatever patience the URL has."""
    told: list[DurablePromiseError] = []
    async with Server().serving() as server:
        url = {"a dead port": dead_url(), "a name of nobody": "http://no.test:1"}
        server.canned.append(failure(503) if way == "503" else page(502))
        promises = connect(f"{url.get(way, server.url)}?retry=600")
        with anyio.fail_after(60):
            await keep_error(partial(promises.promise("a").get, timeout=0), told)

    assert BackendUnavailableError is type(told[0])
    assert server.calls == ([] if way in url else [Peek("a")])


async def test_who_has_no_time_is_not_kept_by_a_silent_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One look has an end of its own."""
    monkeypatch.setattr(_wire_client, "_LOOK_SECONDS", 0.1)
    async with Server(mute=True).serving() as server:
        promises = connect(f"{server.url}?retry=600")
        with anyio.fail_after(60), pytest.raises(BackendUnavailableError, match=r"0.1"):
            await promises.promise("a").get(timeout=0)

    assert [Peek("a")] == server.calls


async def test_who_has_no_time_sees_what_is_there() -> None:
    """Also over a connection that has died without a word since it was used."""
    async with Server().serving() as server:
        promises = connect(f"{server.url}?retry=600")
        await promises.promise("a").resolve(1)
        server.canned.append(None)

        assert 1 == await promises.promise("a").get(timeout=0)
        with pytest.raises(PromiseTimeoutError):
            await promises.promise("b").get(timeout=0)


async def test_a_settle_without_an_answer_is_unknown() -> None:
    """It may have taken effect, and repeating it tells the outcome."""
    async with Server(mute=True).serving() as server:
        backend = HttpBackend(f"{server.url}?retry=1")
        with pytest.raises(OutcomeUnknownError, match="repeat it"):
            await backend.settle("a", ONE)
        server.mute = False

        assert ONE == await HttpBackend(server.url).settle("a", Resolved(b"2"))
        assert 1 == server.changes[Settle, "a"]


@pytest.mark.parametrize("later", [1, 5])
def test_a_doubt_is_not_forgotten(later: int) -> None:
    """That later attempts surely failed does not undo what an earlier one did."""
    attempts = Attempts("repeat it")
    attempts.add(AttemptFailed("cut", sent=True))
    for _ in range(later):
        attempts.add(AttemptFailed("refused"))

    assert isinstance(attempts.error(), OutcomeUnknownError)
    assert "refused; repeat it" == str(attempts.error())


async def test_a_dispose_without_an_answer_is_unknown() -> None:
    """It is not repeated: that could dispose of a newer outcome."""
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
    """If both come at once, the task ends as cancelled, not with an error."""
    attempts = Attempts()
    attempts.add(AttemptFailed("down"))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await RetryBudget(10).pause(attempts)

    assert scope.cancelled_caught
