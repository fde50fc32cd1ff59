"""`LongPoll`: a request that is held until a promise has an outcome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import ceil, inf
from random import randint, uniform
from secrets import token_hex
from typing import Final, TypeAlias

import anyio
from anyio.lowlevel import checkpoint

from dp_backends._urls import RETRY_SECONDS
from dp_backends.http._calling import SentFor, WireClient
from dp_backends.http._connection import Connection
from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_backends.http._route import Turn
from dp_core import (
    DurablePromiseError,
    Outcome,
    Pending,
    State,
)
from dp_core.backend import Follower, LeaderFollowers
from dp_core.wire import Peek, Wait

__all__ = ["LongPoll", "Polls", "Waiter"]

_OVERDUE_SECONDS: Final = 10.0
"""Seconds that a response may be late before its connection counts as dead."""

_SILENT_SECONDS: Final = 0.9
"""Seconds of silence after which a wait that is cut has come to its end."""

_TIMEOUTS: Final = (408, 504)
"""Statuses by which a gateway says that it has waited for too long."""


@dataclass(slots=True, eq=False)
class Waiter:
    """
    One caller that waits.

    Attributes:
        budget: Its time for asking a server that does not answer.
        timed: Whether it wants to know at the end of its time if the promise is
            pending.
        told: Whether the server has said so since it came.
    """

    budget: RetryBudget
    timed: bool = False
    told: bool = False


Waiters: TypeAlias = LeaderFollowers[Waiter, Outcome[bytes]]
Polls: TypeAlias = dict[Waiters, "LongPoll"]


class LongPoll:
    """
    A request that the server holds until the promise has an outcome.

    Its leader does the I/O for all. A leader that leaves early hands over to the
    next in line, together with the connection on which the request was sent, so
    that the server does not even notice.

    Args:
        client: The client that sends it.
        id: The promise's id.
        polls: All polls for this promise in this event loop.

    Attributes:
        waiters: The callers that wait for its outcome.
        closed_at: When the last of them may have come, by the clock of the event
            loop; infinite while others may join.
        sent_at: When the request was last sent, by the same clock.
    """

    def __init__(self, client: WireClient, id: str, polls: Polls) -> None:
        self.waiters: Waiters = LeaderFollowers(self._lead)
        self._client = client
        self._id = id
        self._polls = polls
        self._attempts = Attempts()
        self._connection: Connection | None = None
        # None until there is a wait that it could name.
        self._key: str | None = None
        self._begun_at = -inf
        self._asked = 0
        # After how long the last request was cut, until somebody answers again.
        self._cut_after = inf
        self.closed_at = inf
        self.sent_at = -inf

    @property
    def is_closed(self) -> bool:
        """Whether nobody may join any more."""
        return self.closed_at < inf

    @property
    def is_sent(self) -> bool:
        """Whether its request is under way."""
        return self._connection is not None

    def close(self) -> None:
        """Give the connection back; with a response still to come, it is cut."""
        if self._connection is not None:
            self._client.pool.release(self._connection)
            self._connection = None

    async def _lead(self, leader: Follower[Waiter, Outcome[bytes]]) -> None:
        if not self.is_closed:
            # Waiters that come in the same step of the event loop join.
            await checkpoint()
            self.closed_at = anyio.current_time()
        budget = leader.request.budget
        # That there is no time for another attempt is this waiter's affair only.
        question = await self._reach(budget)
        try:
            if question is not None and question.answered:
                state = question.answer()
            else:
                state = await self._ask(budget)
        except AttemptFailed as failure:
            self._failed(failure)
        except DurablePromiseError as error:
            for waiter in self.waiters:
                waiter.set_exception(error)
        else:
            self._attempts.clear()
            if state is not None:
                self._hand_out(state)

    async def _reach(self, budget: RetryBudget) -> Turn | None:
        """
        Return when it makes sense to ask, and what was asked meanwhile.

        Raises:
            BackendError: There is no time to ask again.
        """
        client, endless = self._client, self._client.peer.answered
        question = None
        if self._connection is None and client.outage.away:
            question = Turn(
                client.outage,
                partial(self._look, budget),
                self._failed,
                budget,
                self._attempts,
                endless=endless,
            )
            await question.stand_in_line()
        elif self._attempts.count:
            await budget.pause(self._attempts, endless=endless)
        return question

    async def _ask(self, budget: RetryBudget) -> State[bytes] | None:
        """
        Return the promise's state: an outcome, or pending when time is over.

        None means that the wait has ended, and nobody has said anything.

        Raises:
            AttemptFailed: Another attempt may succeed.
            DurablePromiseError: None will.
        """
        if self._connection is not None:
            # Left by a leader that was cancelled, and still to be answered.
            return await self._listen(self._connection)
        # A server not heard of yet is asked what it can answer at once, so that a
        # wrong port does not look like a promise that is pending.
        if not self._client.peer.answered or self._must_tell():
            return await self._look(budget)
        return await self._hold()

    def _failed(self, failure: AttemptFailed) -> None:
        self._cut_after = inf
        self._client.note(failure, self._attempts)

    def _must_tell(self) -> bool:
        """Whether somebody will want to know if the promise is pending."""
        return any(
            waiter.request.timed and not waiter.request.told for waiter in self.waiters
        )

    def _hand_out(self, state: State[bytes]) -> None:
        if not isinstance(state, Pending):
            for waiter in self.waiters:
                waiter.set_result(state)
            return
        for waiter in self.waiters:
            waiter.request.told = True
        # The waiters were all here when such a poll was sent.
        later = [
            poll
            for poll in self._polls.values()
            if poll.is_sent and poll.sent_at > self.closed_at
        ]
        if later:
            max(later, key=lambda poll: poll.sent_at).take_over(self)

    def take_over(self, other: LongPoll) -> None:
        """Let the waiters of *other* wait here: they came before this was sent."""
        self.closed_at = self.sent_at
        other.waiters.move_to(self.waiters)
        del self._polls[other.waiters]

    async def _look(self, budget: RetryBudget) -> State[bytes]:
        """Return what the server says at once; raises as `WireClient.attempt`."""
        if self._client.peer.answered:
            # It will be asked for as long as it takes, but each time not for ever.
            budget = RetryBudget(max(self._client.url.retry, RETRY_SECONDS))
        state: State[bytes] = await self._client.attempt(
            Peek(self._id), budget, self._operations()
        )
        if self._cut_after < inf:
            # It is there, so it was not its end that has cut the wait.
            self._client.learn(self._client.peer.slices.after_cut(self._cut_after))
            self._cut_after = inf
        return state

    async def _hold(self) -> State[bytes] | None:
        """
        Send a request that the server holds; return as `_listen`.

        Raises:
            AttemptFailed: Another attempt may succeed.
            DurablePromiseError: None will.
        """
        # An Idempotency-Key: what is sent again under it is the same wait.
        if self._key is None or anyio.current_time() >= self._lost_at():
            self._key, self._begun_at = token_hex(16), anyio.current_time()
        self._asked = self._seconds()
        self._connection = await self._client.send(
            Wait(self._id),
            self._asked,
            self._key,
            sent_for=SentFor(self._operations()),
        )
        self.sent_at = anyio.current_time()
        return await self._listen(self._connection)

    async def _listen(self, connection: Connection) -> State[bytes] | None:
        """
        Return what is answered, or None if something on the way ended the wait.

        When this is cancelled, it may be called again, and goes on with the request
        that was sent.

        Raises:
            AttemptFailed: The connection was cut.
            DurablePromiseError: The server says so.
        """
        client, call = self._client, Wait(self._id)
        response: HttpResponse | None = None
        with anyio.CancelScope(deadline=self._lost_at()) as scope:
            try:
                response = await client.receive(call, connection)
            except AttemptFailed:
                self.close()
                if not self._has_lived():
                    raise
                self._end_silently(None)
                return None
            except DurablePromiseError:
                self.close()
                raise
        if scope.cancelled_caught:
            client.note_silence(connection, anyio.current_time() - self.sent_at)
        self.close()
        if scope.cancelled_caught or response is None:
            client.outage.suspect()
            return None
        if await client.has_new_token(connection, response):
            return None
        try:
            state: State[bytes] = await client.read(call, response)
        except AttemptFailed as failure:
            if failure.reached or not self._has_lived():
                raise
            self._end_silently(response.status)
            return None
        self._key = None
        if isinstance(state, Pending):
            await self._held()
        return state

    def _operations(self) -> tuple[int | None, ...]:
        return tuple(waiter.operation for waiter in self.waiters)

    def _lost_at(self) -> float:
        """
        Return when the wait under this key counts as lost.

        On Restate it stays with the process where it began, which may be gone for
        good, however often it is asked for. This holds for the first wait, too: a
        server that never ends one in time is asked once more for nothing.
        """
        return self._begun_at + self._client.peer.lost_seconds + _OVERDUE_SECONDS

    def _has_lived(self) -> bool:
        """Whether the request stood for so long that its end is not a failure."""
        return anyio.current_time() >= self.sent_at + _SILENT_SECONDS

    def _end_silently(self, status: int | None) -> None:
        """
        Ask again after something on the way has ended the wait, and sooner.

        The server may still wait, so the request keeps its key.

        Args:
            status: What a gateway has said; None if the connection was cut.
        """
        seconds = anyio.current_time() - self.sent_at
        if status is None:
            # It may be the server's end as well, which the next question tells.
            self._cut_after = seconds
            self._client.outage.suspect()
        elif status in _TIMEOUTS:
            self._client.learn(self._client.peer.slices.after_cut(seconds))

    async def _held(self) -> None:
        seconds = anyio.current_time() - self.sent_at
        if seconds < 1:
            # A server that does not hold the response must not be run hot.
            await anyio.sleep(uniform(0.5, 2))  # noqa: S311 - no secret
        elif seconds >= self._asked:
            self._client.learn(self._client.peer.slices.after_held(seconds))

    def _seconds(self) -> int:
        """Return how long the server may wait: no longer than the leader does."""
        left = anyio.current_effective_deadline() - anyio.current_time()
        return ceil(min(randint(*self._client.peer.hold_seconds), max(left, 1)))  # noqa: S311 - no secret
