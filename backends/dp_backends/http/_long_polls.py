"""
`LongPolls`: one request for all waiters of a promise that came together.

A waiter may join a poll only before its request is sent; otherwise it could
hear of a disposal that happened before it came. Later waiters begin a poll of
their own. Polls become fewer again when they end without an outcome: instead of
asking once more, their waiters move to a poll that was sent after they had
come, if there is one.
"""

from __future__ import annotations

from math import ceil, inf
from random import randint, uniform
from secrets import token_hex
from typing import Final, TypeAlias

import anyio
from anyio.lowlevel import checkpoint

from dp_backends.http._connection import Connection
from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_backends.http._wire_client import WireClient
from dp_core import DurablePromiseError, Outcome, Pending, State
from dp_core.backend import Follower, LeaderFollowers, LoopLocal
from dp_core.wire import Peek, Wait

__all__ = ["LongPolls"]

_OVERDUE_SECONDS: Final = 10.0
"""Seconds that a response may be late before its connection counts as dead."""

_SILENT_SECONDS: Final = 25.0
"""Seconds of silence after which something on the way may cut a connection."""

_GATEWAY_FAILURES: Final = (502, 504)
"""Statuses by which a gateway, not the server, ends a request."""

_Waiters: TypeAlias = LeaderFollowers[RetryBudget, Outcome[bytes]]
_Polls: TypeAlias = dict[_Waiters, "LongPoll"]


class LongPolls:
    """The long polls of one handle, for all threads and event loops."""

    def __init__(self, client: WireClient) -> None:
        self._client = client
        self._here: LoopLocal[dict[str, _Polls]] = LoopLocal(dict)

    async def wait(self, id: str) -> Outcome[bytes]:
        """
        Return the outcome of a promise, once there is one.

        Raises:
            DurablePromiseError: The promise was disposed of, or the server cannot
                be asked.
        """
        here = self._here.get()
        polls = here.setdefault(id, {})
        # Only the newest poll can be one that was not sent yet.
        newest = next(reversed(polls.values()), None)
        if newest is None or newest.is_closed:
            newest = LongPoll(self._client, id, polls)
            polls[newest.waiters] = newest
        waiter = Follower(newest.waiters, RetryBudget(self._client.url.retry))
        try:
            return await waiter.join()
        finally:
            # Found no more if another of its waiters has left after the last.
            if not len(waiter.group) and (poll := polls.pop(waiter.group, None)):
                poll.close()
                if not polls:
                    del here[id]

    def stats(self) -> tuple[int, int, int]:
        """Return how many waiters, polls, and requests under way are here."""
        here = [poll for polls in self._here.get().values() for poll in polls.values()]
        waiters = sum(len(poll.waiters) for poll in here)
        return waiters, len(here), sum(poll.is_sent for poll in here)


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

    def __init__(self, client: WireClient, id: str, polls: _Polls) -> None:
        self.waiters: _Waiters = LeaderFollowers(self._lead)
        self._client = client
        self._id = id
        self._polls = polls
        self._attempts = Attempts()
        self._connection: Connection | None = None
        # None until there is a wait that it could name.
        self._key: str | None = None
        self._begun_at = -inf
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

    async def _lead(self, leader: Follower[RetryBudget, Outcome[bytes]]) -> None:
        if not self.is_closed:
            # Waiters that come in the same step of the event loop join.
            await checkpoint()
            self.closed_at = anyio.current_time()
        if self._attempts.count:
            endless = self._client.peer.answered
            await leader.request.pause(self._attempts, endless=endless)
        try:
            state = await self.ask(leader.request)
        except AttemptFailed as failure:
            self._client.note(failure, self._attempts)
        except DurablePromiseError as error:
            for waiter in self.waiters:
                waiter.set_exception(error)
        else:
            self._attempts.clear()
            self._hand_out(state)

    def _hand_out(self, state: State[bytes]) -> None:
        if not isinstance(state, Pending):
            for waiter in self.waiters:
                waiter.set_result(state)
            return
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

    async def ask(self, budget: RetryBudget) -> State[bytes]:
        """
        Return the promise's state: an outcome, or pending when time is over.

        When this is cancelled, it may be called again, and goes on with the
        request that was sent.

        Raises:
            AttemptFailed: Another attempt may succeed.
            DurablePromiseError: None will.
        """
        state: State[bytes]
        if not self._client.peer.answered:
            # A server not heard of yet is asked what it can answer at once, so
            # that a wrong port does not look like a promise that is pending.
            state = await self._client.attempt(Peek(self._id), budget)
            return state
        call = Wait(self._id)
        if self._connection is None:
            # An Idempotency-Key: what is sent again under it is the same wait.
            if self._key is None or anyio.current_time() >= self._lost_at():
                self._key, self._begun_at = token_hex(16), anyio.current_time()
            self._connection = await self._client.send(call, self._seconds(), self._key)
            self.sent_at = anyio.current_time()
        response = await self.listen(self._connection)
        if response.status not in _GATEWAY_FAILURES:
            # The wait is over; after a gateway's failure, the server goes on with
            # it under the same key.
            self._key = None
        state = self._client.read(call, response)
        if isinstance(state, Pending) and anyio.current_time() < self.sent_at + 1:
            # A server that does not hold the response must not be run hot.
            await anyio.sleep(uniform(0.5, 2))  # noqa: S311 - no secret
        return state

    async def listen(self, connection: Connection) -> HttpResponse:
        """
        Return the response; when this is cancelled, it may be called again.

        Raises:
            AttemptFailed: The connection was cut, or is silent for too long.
            ProtocolError: What came is not HTTP/1.1.
        """
        with anyio.CancelScope(deadline=self._lost_at()) as scope:
            try:
                response = await connection.receive()
            except Exception:
                if anyio.current_time() > self.sent_at + _SILENT_SECONDS:
                    # This is not an outage: the request stood for long.
                    self._attempts.clear()
                self.close()
                raise
        self.close()
        if scope.cancelled_caught:
            raise AttemptFailed(f"{self._client.url} did not answer a wait in time")
        return response

    def _lost_at(self) -> float:
        """
        Return when the wait under this key counts as lost.

        On Restate it stays with the process where it began, which may be gone for
        good, however often it is asked for. This holds for the first wait, too: a
        server that never ends one in time is asked once more for nothing.
        """
        return self._begun_at + self._client.peer.hold_seconds[1] + _OVERDUE_SECONDS

    def _seconds(self) -> int:
        """Return how long the server may wait: no longer than the leader does."""
        left = anyio.current_effective_deadline() - anyio.current_time()
        return ceil(min(randint(*self._client.peer.hold_seconds), max(left, 1)))  # noqa: S311 - no secret
