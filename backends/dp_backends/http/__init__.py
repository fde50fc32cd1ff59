"""
``http:`` and ``https:``: promises behind a server.

``http://localhost:8080`` names one, ``https://example.org/promises?retry=30``
another. It is ``dp serve``, or anything else that speaks the same wire, such
as Restate's example. ``DP_TOKEN``, or the file that ``DP_TOKEN_FILE`` names,
has the bearer token where the server asks for one.

A connection that is cut, a server that restarts or is overloaded: the question
is asked again, with growing pauses, until the caller's own deadline. Without a
deadline, ``retry`` of the URL is the limit in seconds, 10 by default; only
`HttpBackend.wait` goes on for ever, once the server has answered this handle.
Asking twice is safe: completing a promise changes nothing the second time.
Disposing of one is another matter: a completion may have come in between, so
when it is not known whether the server got the question, it is not repeated,
and the caller is told so with `OutcomeUnknownError`.

What the URL says is in `_url`, how long to try in `_retry`, how bytes
travel in `_sockets` and `_connection`, how connections are kept in `_pool`,
and how waiters share a long poll in `_long_polls`.
"""

from __future__ import annotations

import logging
from functools import partial
from math import ceil, inf
from random import randint, uniform
from typing import Any, Final, overload

import anyio
from anyio.lowlevel import checkpoint

from dp_backends.http._long_polls import LongPoll, LongPolls, PollResult, new_key
from dp_backends.http._pool import Pool
from dp_backends.http._requests import Requests
from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_backends.http._url import parse_url
from dp_core import (
    Backend,
    BackendError,
    DurablePromiseError,
    Outcome,
    OutcomeUnknownError,
    Pending,
    ProtocolError,
    State,
    hookimpl,
)
from dp_core.hookspecs import Register
from dp_core.wire import (
    TRANSIENT,
    Call,
    Dispose,
    Peek,
    Settle,
    Wait,
    read_answer,
)

__all__ = ["HttpBackend"]

_log: Final = logging.getLogger(__name__)

_SLICE: Final = (25, 35)
"""How long one long poll lasts, in seconds; proxies often cut at 60."""

_RESTATE_SLICE: Final = (300, 600)
"""
How long on Restate, where to begin one is work that is written to disks.

Where it is cut, nothing is lost: the next question goes on with the same wait.
"""

_GRACE: Final = 10.0
"""How much later its answer may come before the connection counts as dead."""

_ADVICE: Final[dict[type[Call], str]] = {
    Settle: "it may have taken effect; repeat it to learn what stands",
    Dispose: "it may have taken effect; look before you repeat it, because that "
    "would dispose of a completion that came in between",
}


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("http", HttpBackend)
    register("https", HttpBackend)


class HttpBackend(Backend):
    """A handle on the promises behind one server."""

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._requests = Requests(self._url)
        self._pool = Pool(self._url)
        self._long_polls = LongPolls(self._pool)
        self._answered = False
        self._slices = False
        self._restate = False
        self._outage = False

    async def peek(self, id: str) -> State[bytes]:
        return await self._call(Peek(id))

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        return await self._call(Settle(id, outcome))

    async def wait(self, id: str) -> Outcome[bytes]:
        budget = RetryBudget(self._url.retry)
        return await self._long_polls.join(id, partial(self._lead, id, budget))

    async def dispose(self, id: str) -> None:
        await self._call(Dispose(id))

    async def aclose(self) -> None:
        self._pool.close()
        await checkpoint()

    # One question, one answer ----------------------------------------------

    @overload
    async def _call(self, call: Settle) -> Outcome[bytes]: ...
    @overload
    async def _call(self, call: Peek) -> State[bytes]: ...
    @overload
    async def _call(self, call: Dispose) -> None: ...
    async def _call(self, call: Call) -> Any:
        budget = RetryBudget(self._url.retry)
        attempts = Attempts(_ADVICE.get(type(call)))
        while True:
            try:
                return await self._ask(call, budget)
            except AttemptFailed as failure:
                attempts.add(failure)
                self._report(attempts)
            if attempts.unknown and isinstance(call, Dispose):
                raise attempts.error()
            await budget.pause(attempts)

    async def _ask(self, call: Call, budget: RetryBudget) -> Any:
        """Ask once, within what a caller without a deadline has budget for."""
        question = await self._requests.write(call, in_path=self._restate)
        connection = None
        with budget.attempt() as attempt:
            connection = await self._pool.send(
                question, fresh=isinstance(call, Dispose)
            )
            try:
                answer = await connection.receive()
            finally:
                self._pool.release(connection)
        if attempt.cancelled_caught:
            raise AttemptFailed(
                f"no answer from {self._url} in {self._url.retry:g} s; "
                "set a deadline, or ?retry=SECONDS in its URL, to wait for longer",
                sent=connection is not None,
            )
        return self._read(call, answer)

    def _read(self, call: Call, answer: HttpResponse) -> Any:
        """Return what an answer says; every error says who answered."""
        if 300 <= answer.status < 400:
            where = answer.headers.get(b"location", b"").decode("latin-1")
            raise ProtocolError(
                answer.status,
                f"{self._url} redirects to {where!r}; no redirect is followed, "
                "connect to that address if you trust it",
            )
        try:
            state: State[bytes] | None = read_answer(call, answer.status, answer.body)
        except TRANSIENT as error:
            raise AttemptFailed(
                f"{self._url}: {error.reason}",
                sent=isinstance(error, OutcomeUnknownError),
                retry_after=_seconds(answer.headers.get(b"retry-after", b"")),
            ) from None
        except ProtocolError as error:
            raise ProtocolError(error.status, f"{self._url}: {error.reason}") from None
        except BackendError as error:
            raise type(error)(f"{self._url}: {error.reason}") from None
        self._answered = True
        self._outage = False
        self._slices |= isinstance(call, Wait) and isinstance(state, Pending)
        self._restate |= b"x-restate-id" in answer.headers
        return state

    # One long poll, many waiters --------------------------------------------

    async def _lead(
        self, id: str, budget: RetryBudget, poll: LongPoll
    ) -> PollResult | None:
        """Ask until all on the poll are to be told, or have changed to another."""
        attempts = poll.attempts
        if poll.closed_at is None:
            # Whoever comes at the same time comes along, and nobody else.
            await checkpoint()
            poll.closed_at = anyio.current_time()
        while True:
            if attempts.count:
                await budget.pause(attempts, endless=self._answered)
            try:
                state = await self._look(id, budget, poll)
            except AttemptFailed as failure:
                attempts.add(failure)
                self._report(attempts)
            except DurablePromiseError as error:
                return error
            else:
                if not isinstance(state, Pending):
                    return state
                attempts.clear()
                if self._long_polls.change(id, poll):
                    return None

    async def _look(self, id: str, budget: RetryBudget, poll: LongPoll) -> State[bytes]:
        # A server not heard of yet is asked what it can answer at once, so
        # that a wrong port does not look like a promise that is pending.
        state: State[bytes]
        if not self._answered:
            state = await self._ask(Peek(id), budget)
            return state
        call = Wait(id)
        if poll.connection is None:
            question = await self._requests.write(call, self._seconds(), poll.key)
            poll.connection = await self._pool.send(question)
            poll.asked = anyio.current_time()
        answer = await self._listen(poll)
        if answer.status not in (502, 504):
            # The wait is over; a gateway's failure is none of its answers.
            poll.key = new_key()
        state = self._read(call, answer)
        if isinstance(state, Pending) and anyio.current_time() < poll.asked + 1:
            # A server that does not hold the answer back must not be run hot.
            await anyio.sleep(uniform(0.5, 2))  # noqa: S311 - no secret
        return state

    async def _listen(self, poll: LongPoll) -> HttpResponse:
        """Return the answer; if cancelled, leave the next leader where we were."""
        assert poll.connection is not None  # noqa: S101 - for the type checker
        # The reference's service knows no slices and holds the answer for ever.
        ends = poll.asked + self._slice[1] + _GRACE if self._slices else inf
        with anyio.CancelScope(deadline=ends) as slice:
            try:
                answer = await poll.connection.receive()
            except Exception:
                if anyio.current_time() > poll.asked + _SLICE[0]:
                    # It stood for long: somebody cuts what is silent, and no
                    # outage goes on.
                    poll.attempts.clear()
                poll.release()
                raise
        poll.release()
        if slice.cancelled_caught:
            raise AttemptFailed(f"{self._url} did not answer a wait in time")
        return answer

    def _seconds(self) -> int:
        """Return how long to wait: no longer than whoever asks is here."""
        left = anyio.current_effective_deadline() - anyio.current_time()
        return ceil(min(randint(*self._slice), max(left, 1)))  # noqa: S311 - no secret

    @property
    def _slice(self) -> tuple[int, int]:
        return _RESTATE_SLICE if self._restate else _SLICE

    def _report(self, attempts: Attempts) -> None:
        """Log an outage once; the first failure in a row may be none yet."""
        if attempts.count == 2 and not self._outage:
            self._outage = True
            _log.warning("%r; trying again", attempts.reason)


def _seconds(header: bytes) -> float:
    """Return a ``Retry-After`` in seconds; as a date (RFC 9110 §10.2.3), 0."""
    return float(header) if header.isdigit() else 0.0
