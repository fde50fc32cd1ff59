"""
`Batches`: calls that come together, in one request.

Theory of operation
===================

A call alone is sent at once, as it always was. Calls that come in the same step of the
event loop go as one batch; and while as many requests are under way as may be, those
that come gather, and go as one as soon as one of these is answered. So no call is held
back to make a batch, and the more callers there are, the larger are the batches.

One of the callers leads: it sends the request and receives the answer, in its own task,
and hands each its part, which each reads as if it had been alone. When the leader is
cancelled the next one goes on with the connection, so nobody else notices. For that, a
batch is never longer than what a kernel takes without waiting: nobody can be cancelled
while half of a request is sent. Long values go alone.

A batch is an attempt. A call whose attempt has failed goes alone from then on, so
whatever is wrong with a batch, or on the way, is between a call and the server alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Final, TypeAlias

import anyio
from anyio.lowlevel import checkpoint, current_token

from dp_backends.http._calling._reporting import SentFor
from dp_backends.http._calling._wire_client import WireClient, Written, off_loop
from dp_backends.http._connection import Connection
from dp_backends.http._peer import is_content, stranger
from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed, RetryBudget
from dp_core import DurablePromiseError, ProtocolError
from dp_core.backend import Follower, LeaderFollowers, LoopLocal
from dp_core.wire import (
    BATCH_PATH,
    CHANGES,
    MAX_BATCH_CALLS,
    BatchedCall,
    Call,
    Dispose,
    List,
    Wait,
    WatchCall,
    lacks_endpoint,
    read_batch_answer,
    write_batch,
)

__all__ = ["Batches"]

UNDER_WAY: Final = 4
"""The most requests under way at once; more calls gather."""

_MOST_BYTES: Final = 14 * 1024
"""The longest body of a batch: with its head, what a kernel takes at once."""

_LONG: Final = 2 * 1024
"""The length of a call from which it goes alone."""

_SHARED: Final = 16
"""The calls of a batch from which another one is begun, while one more may be."""

_OK: Final = 200

_MAY_BE_GOOD_ALONE: Final = (400, 413, 422)
"""Statuses by which a batch is refused for what one of its calls may not be."""

_ALONE: Final = (List, Wait, WatchCall)
"""Calls that no batch can have."""


@dataclass(slots=True, eq=False)
class _Asked:
    """
    A call of one caller.

    Attributes:
        batch: The batch by which it is made.
        call: The call.
        written: Its request, alone.
        ends: When its time is over; infinite where that is the caller's affair.
    """

    batch: Batch
    call: BatchedCall
    written: Written
    ends: float


_Callers: TypeAlias = LeaderFollowers[_Asked, HttpResponse | None]


class Batches:
    """The batches of one handle, for all threads and event loops."""

    def __init__(self, client: WireClient) -> None:
        self._client = client
        self._here: LoopLocal[_Here] = LoopLocal(_Here)
        self.lacking = False

    async def attempt(self, call: Call, budget: RetryBudget) -> Any:
        """Make a call once, with others if there are some; as `WireClient.attempt`."""
        client = self._client
        if self.lacking or isinstance(call, _ALONE):
            return await client.attempt(call, budget)
        written = client.written(call)
        if len(written[1]) > _LONG:
            return await client.attempt(call, budget)
        token = current_token()
        batch = self._here.get(token).batch_for(self, written)
        asked = _Asked(batch, call, written, budget.ends())
        batch.note_end(asked.ends)
        try:
            response = await Follower(batch.callers, asked).join(token)
        finally:
            if not len(batch.callers):
                batch.close()
        if response is None:
            return await client.attempt(call, budget)
        return await client.read(call, response)


class _Here:
    """
    The batches of one event loop.

    Attributes:
        places: How many requests more may be under way.
        newest: The batch that calls may still join, if there is one.
    """

    def __init__(self) -> None:
        self.places = anyio.Semaphore(UNDER_WAY, fast_acquire=True)
        self.newest: Batch | None = None

    def batch_for(self, batches: Batches, written: Written) -> Batch:
        """Return the batch by which a call is to be made."""
        length = len(written[1]) + len(written[0])
        if self.newest is None or not self.newest.has_room(length):
            self.newest = Batch(batches, self)
        self.newest.length += length
        return self.newest


async def _lead(leader: Follower[_Asked, HttpResponse | None]) -> None:
    await leader.request.batch.lead()


class Batch:
    """
    One request, and those who share it.

    Args:
        batches: The batches of the handle.
        here: Those of the event loop.

    Attributes:
        callers: Who has no answer yet.
        length: About how long its body will be.
        is_sent: Whether the server may have got it.
    """

    def __init__(self, batches: Batches, here: _Here) -> None:
        # Named by the requests, and not a method, as that would make a cycle.
        self.callers: _Callers = LeaderFollowers(_lead)
        self.length = 0
        self.is_sent = False
        self._batches = batches
        self._client = batches._client  # noqa: SLF001 - the same module
        self._here = here
        self._has_place = False
        self._asked: tuple[Follower[_Asked, HttpResponse | None], ...] = ()
        self._connection: Connection | None = None
        # One for all callers: one for each would cost a tenth of a call.
        self._time = anyio.CancelScope()
        self._ends = inf

    def has_room(self, length: int) -> bool:
        """Whether a call of so many bytes may join."""
        most = _SHARED if self._here.places.value else MAX_BATCH_CALLS
        return len(self.callers) < most and self.length + length <= _MOST_BYTES

    def note_end(self, ends: float) -> None:
        """Take note of when the time of another caller is over."""
        if ends < self._ends:
            self._ends = self._time.deadline = ends

    async def lead(self) -> None:
        """Do the work for all callers; in the task of the one who leads."""
        self._ends = min(caller.request.ends for caller in self.callers)
        with anyio.CancelScope(deadline=self._ends) as self._time:
            await self._work()
        if self._time.cancelled_caught:
            now = anyio.current_time()
            for caller in self.callers:
                if caller.request.ends <= now:
                    failure = self._client.not_answered(sent=self.is_sent)
                    caller.set_exception(failure)
            if self._connection is not None and not len(self.callers):
                self._client.note_silence(self._connection)

    async def _work(self) -> None:
        if not self._has_place:
            await self._here.places.acquire()
            self._has_place = True
        if self._here.newest is self:
            # Calls that come in the same step of the event loop join.
            await checkpoint()
            self._leave()
        try:
            response = await self._exchange()
        except (AttemptFailed, DurablePromiseError) as error:
            for caller in self._asked:
                caller.set_exception(error)
            return
        if response is not None:
            await self._hand_out(response)

    def close(self) -> None:
        """Give place and connection back; with an answer still to come, it is cut."""
        self._leave()
        self._release()
        if self._has_place:
            self._has_place = False
            self._here.places.release()

    def _leave(self) -> None:
        """Let nobody join any more."""
        if self._here.newest is self:
            self._here.newest = None

    async def _exchange(self) -> HttpResponse | None:
        """Return the response to the request; None if another token is to be sent."""
        if self._connection is None:
            self._asked = tuple(self.callers)
            self._connection = await self._send()
        self.is_sent = True
        connection = self._connection
        try:
            response = await self._client.receive(self._risk(), connection)
        except (AttemptFailed, DurablePromiseError):
            self._release()
            raise
        self._release()
        if await self._client.has_new_token(connection, response):
            return None
        return response

    async def _send(self) -> Connection:
        path, body = self._asked[0].request.written
        if len(self._asked) > 1:
            path = BATCH_PATH
            body = write_batch([caller.request.written for caller in self._asked])
        disposes = any(isinstance(each.request.call, Dispose) for each in self._asked)
        # A kept connection may be dying, and then nobody knows whether the request
        # got through.
        return await self._client.send_written(
            path,
            body,
            fresh=disposes,
            sent_for=SentFor(
                tuple(caller.operation for caller in self._asked), self._time
            ),
        )

    def _risk(self) -> Call:
        """Return the call for which it matters most whether it was done."""
        calls = [caller.request.call for caller in self._asked]
        return next((call for call in calls if isinstance(call, CHANGES)), calls[0])

    def _release(self) -> None:
        if self._connection is not None:
            self._client.pool.release(self._connection)
            self._connection = None

    async def _hand_out(self, response: HttpResponse) -> None:
        """Give each caller its part of a response."""
        if len(self._asked) == 1:
            self._asked[0].set_result(response)
            return
        if 200 <= response.status < 300:
            await self._hand_out_answers(response)
            return
        # Whatever else it says, it says to each of them.
        whole = None if self._is_no_batch(response) else response
        for caller in self._asked:
            caller.set_result(whole)

    def _is_no_batch(self, response: HttpResponse) -> bool:
        """Whether a failure may be due to the calls being in a batch."""
        if is_content(response) and lacks_endpoint(response.status, response.body):
            self._batches.lacking = True
        return self._batches.lacking or response.status in _MAY_BE_GOOD_ALONE

    async def _hand_out_answers(self, response: HttpResponse) -> None:
        """Give each caller its own answer, if that is what came."""
        calls = [caller.request.call for caller in self._asked]
        answers, why = None, ""
        if response.status == _OK and is_content(response):
            try:
                split = partial(read_batch_answer, calls, response.body)
                answers = await off_loop(response.body, split)
            except ProtocolError as error:
                why = error.reason
        if answers is not None:
            self._client.meet()
            for caller, (status, body) in zip(self._asked, answers, strict=True):
                caller.set_result(
                    HttpResponse(status, response.headers, body, response.reusable)
                )
            return
        url, known = self._client.url, self._client.peer.answered
        for caller, call in zip(self._asked, calls, strict=True):
            caller.set_exception(stranger(url, call, response, why, known=known))
